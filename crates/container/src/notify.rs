//! sd_notify(3) through the container's wall: its program tells a socket of ours that it is ready, we tell
//! the service manager that started us, and which process it shall watch from then on.
//!
//! ```text
//! <root>/<id>/notify/               mounted at /run/notify, read-only
//! <root>/<id>/notify/notify.sock    bound by `run` or `start`; everybody inside may write to it
//! ```
//!
//! Nothing but readiness passes: what else a service manager takes (its main process, descriptors to
//! keep) is not the container's to say.

use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::{Path, PathBuf};

use oci_spec::runtime::{Mount, Spec};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::console::send_beside;
use crate::error::{Doing, Result};
use crate::notice;
use crate::signals::SignalQueue;
use crate::state::StateDir;

const DIRECTORY: &str = "notify";
const SOCKET: &str = "notify.sock";
/// Where the container finds the directory.
const INSIDE: &str = "/run/notify";
/// How long the manager may take to read what it was sent (sd_notify(3), `BARRIER=1`), in seconds.
const PATIENCE: i64 = 30;

/// Makes the directory, and a part of the configuration of it: a mount and a variable.
pub(crate) fn offer(dir: &StateDir, spec: &mut Spec) -> Result<()> {
    let place = dir.path.join(DIRECTORY);
    DirBuilder::new().mode(0o755).create(&place).doing(|| format!("make {}", place.display()))?;
    let mut mount = Mount::default();
    let options = ["bind", "nosuid", "noexec", "nodev", "ro"].map(str::to_owned);
    mount.set_destination(INSIDE.into()).set_typ(Some("bind".into()));
    mount.set_source(Some(place)).set_options(Some(options.into()));
    spec.mounts_mut().get_or_insert_default().push(mount);
    if let Some(process) = spec.process_mut() {
        let variable = format!("NOTIFY_SOCKET={INSIDE}/{SOCKET}");
        process.env_mut().get_or_insert_default().push(variable);
    }
    Ok(())
}

/// The runtime's end of a container's socket, and the manager who wants to know.
pub(crate) struct Ear {
    socket: UnixDatagram,
    manager: PathBuf,
}

impl Ear {
    /// Begins to listen; None where the container was not made to be listened to.
    pub(crate) fn open(dir: &StateDir, manager: &Path) -> Result<Option<Self>> {
        let place = dir.path.join(DIRECTORY);
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let doing = || format!("listen at {}/{SOCKET}", place.display());
        let opened = match rustix::fs::open(&place, flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(None),
            opened => opened.doing(doing)?,
        };
        // By the directory's descriptor: a socket's path may have only 107 bytes.
        let name = format!("/proc/self/fd/{}/{SOCKET}", opened.as_raw_fd());
        let socket = UnixDatagram::bind(&name).doing(doing)?;
        std::fs::set_permissions(&name, Permissions::from_mode(0o777)).doing(doing)?;
        socket.set_nonblocking(true).doing(doing)?;
        Ok(Some(Self { socket, manager: manager.to_owned() }))
    }

    /// Waits until the container is ready, and tells the manager, whose main process it is from now on;
    /// or until the process has ended, or a signal asks us to end.
    pub(crate) fn wait(
        &self,
        process: BorrowedFd<'_>,
        pid: i32,
        signals: Option<&SignalQueue>,
    ) -> Result<()> {
        loop {
            let watch = |fd| PollFd::from_borrowed_fd(fd, PollFlags::IN);
            let mut watched = vec![watch(self.socket.as_fd()), watch(process)];
            watched.extend(signals.map(|signals| watch(signals.as_fd())));
            match poll(&mut watched, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error).doing(|| "wait for the container".into()),
            }
            let ended = !watched[1].revents().is_empty();
            let asked = signals.is_some_and(|signals| signals.end_wanted().is_some());
            if self.pass_on(Some(pid)) || ended || asked {
                return Ok(());
            }
        }
    }

    /// Reads what has come, and tells the manager of readiness; whether there was such a word.
    pub(crate) fn pass_on(&self, main: Option<i32>) -> bool {
        let mut buffer = [0; 4096];
        while let Ok(length) = self.socket.recv(&mut buffer) {
            let mut lines = buffer[..length].split(|byte| *byte == b'\n');
            if let Some(line) = lines.find(|line| line.starts_with(b"READY=")) {
                if let Err(error) = tell(&self.manager, line, main) {
                    notice::warn(&format!("tell {} of readiness: {error}", self.manager.display()));
                }
                return true;
            }
        }
        false
    }
}

impl AsFd for Ear {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn tell(manager: &Path, ready: &[u8], main: Option<i32>) -> io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    match manager.as_os_str().as_bytes() {
        [b'@', name @ ..] => socket.connect_addr(&SocketAddr::from_abstract_name(name)?)?,
        _ => socket.connect(manager)?,
    }
    socket.send(&[ready, b"\n"].concat())?;
    let Some(pid) = main else { return Ok(()) };
    socket.send(format!("MAINPID={pid}\n").as_bytes())?;
    let (closed, open) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    send_beside(&socket, open.as_fd(), b"BARRIER=1")?;
    drop(open);
    // It is closed when the manager has come to it, and so has read all before it.
    let patience = Timespec { tv_sec: PATIENCE, tv_nsec: 0 };
    let mut watched = [PollFd::new(&closed, PollFlags::empty())];
    poll(&mut watched, Some(&patience))?;
    Ok(())
}
