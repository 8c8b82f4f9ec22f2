//! The network of an ordinary user's `RUN` steps: a namespace of the build's own, which pasta(1) or
//! slirp4netns(1) connects to the world. Where neither is installed, or works, the host's serves, as it does for
//! root.
//!
//! One for all steps of a build. The host's own services are out of reach, those on its loopback device above
//! all.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use rootfs::NetworkNamespace;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// The namespace's file.
const NAME: &str = "network";

/// How long a program may take until the network is there.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often it is looked whether a program is ready that writes a file then.
const LOOK: Duration = Duration::from_millis(2);

/// A network that works. Dropped, its program has ended.
pub(crate) struct OwnNetwork {
    program: Child,
    namespace: NetworkNamespace,
    resolver: IpAddr,
}

impl OwnNetwork {
    /// Connects a new namespace; its files are in `folder`.
    pub(crate) fn start(folder: &Path) -> Option<Self> {
        let namespace = NetworkNamespace::new(&folder.join(NAME)).ok()?;
        let by_pasta = pasta(&namespace, folder).map(|it| (it, Ipv4Addr::new(169, 254, 1, 1)));
        let by_slirp = |_| slirp(&namespace, folder).map(|it| (it, Ipv4Addr::new(10, 0, 2, 3)));
        let (program, resolver) = by_pasta.or_else(by_slirp).ok()?;
        Some(Self { program, namespace, resolver: resolver.into() })
    }

    /// Takes away what a killed build has left in `folder`, when the program is gone.
    pub(crate) fn remove(folder: &Path) {
        NetworkNamespace::remove(&folder.join(NAME));
    }

    /// Its namespace, for a container to join.
    pub(crate) fn path(&self) -> PathBuf {
        self.namespace.path().to_owned()
    }

    /// A resolv.conf(5) for this network: a resolver on the host's loopback device is asked through the program.
    pub(crate) fn resolv_conf(&self, host: &str) -> String {
        resolv_conf(host, self.resolver)
    }
}

impl Drop for OwnNetwork {
    fn drop(&mut self) {
        end(&mut self.program);
    }
}

fn resolv_conf(host: &str, resolver: IpAddr) -> String {
    let line = |line: &str| {
        let mut words = line.split_whitespace();
        let server = words.next().filter(|word| *word == "nameserver").and(words.next());
        let server: Option<IpAddr> = server.and_then(|address| address.parse().ok());
        match server {
            Some(address) if address.is_loopback() => format!("nameserver {resolver}\n"),
            _ => format!("{line}\n"),
        }
    };
    host.lines().map(line).collect()
}

/// pasta writes its number into a file once it is ready.
fn pasta(namespace: &NetworkNamespace, folder: &Path) -> io::Result<Child> {
    let ready = folder.join("pasta");
    let mut command = Command::new("pasta");
    command.args(["--config-net", "--no-map-gw", "--dns-forward", "169.254.1.1"]);
    // No port of either side is shown on the other.
    command.args(["-t", "none", "-u", "none", "-T", "none", "-U", "none"]);
    command.args(["--foreground", "--quiet", "--pid"]).arg(&ready);
    command.args(["--netns-only", "--netns"]).arg(namespace.path());
    let mut program = spawn(&mut command, Stdio::null())?;
    let started = Instant::now();
    while fs::metadata(&ready).map_or(0, |file| file.len()) == 0 {
        if started.elapsed() > PATIENCE || program.try_wait()?.is_some() {
            end(&mut program);
            return Err(io::ErrorKind::TimedOut.into());
        }
        std::thread::sleep(LOOK);
    }
    Ok(program)
}

/// slirp4netns says so on a descriptor.
fn slirp(namespace: &NetworkNamespace, folder: &Path) -> io::Result<Child> {
    let mut command = Command::new("slirp4netns");
    command.args(["--configure", "--mtu=65520", "--disable-host-loopback", "--ready-fd=1"]);
    // By a path of ours among its arguments a guard finds it.
    command.arg("--api-socket").arg(folder.join("slirp"));
    command.arg("--netns-type=path").arg(namespace.path()).arg("tap0");
    let mut program = spawn(&mut command, Stdio::piped())?;
    let ready = program.stdout.take().is_some_and(|stdout| wait_for_byte(&stdout));
    if !ready {
        end(&mut program);
        return Err(io::ErrorKind::TimedOut.into());
    }
    Ok(program)
}

fn wait_for_byte(stdout: &ChildStdout) -> bool {
    let patience = Timespec { tv_sec: PATIENCE.as_secs() as i64, tv_nsec: 0 };
    let mut ready = [PollFd::new(stdout, PollFlags::IN)];
    matches!(poll(&mut ready, Some(&patience)), Ok(1))
        && rustix::io::read(stdout, &mut [0; 1]).is_ok_and(|length| length == 1)
}

fn spawn(command: &mut Command, stdout: Stdio) -> io::Result<Child> {
    // A group of its own: Ctrl-C on the terminal is for the builder alone.
    command.stdin(Stdio::null()).stdout(stdout).stderr(Stdio::null()).process_group(0).spawn()
}

fn end(program: &mut Child) {
    let _ = program.kill();
    let _ = program.wait();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resolver_of_the_hosts_loopback_is_asked_through_the_program() {
        let host =
            "# by systemd\nnameserver 127.0.0.53\nnameserver 9.9.9.9\nnameserver ::1\nsearch a b\n";
        let own = "# by systemd\nnameserver 10.0.2.3\nnameserver 9.9.9.9\nnameserver 10.0.2.3\nsearch a b\n";
        assert_eq!(resolv_conf(host, Ipv4Addr::new(10, 0, 2, 3).into()), own);
    }
}
