//! `linux.netDevices`: the host's network interfaces that move into the container's network namespace
//! (runtime-spec, config-linux.md "Network Devices"), with their global permanent addresses, under
//! new names if wanted.
//!
//! The kernel destroys virtual interfaces with a namespace that was made for the container, and gives
//! real ones back to the host: nothing is undone here.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

use oci_spec::runtime::{Linux, LinuxNamespaceType};
use rustix::fs::{Mode, OFlags};
use rustix::process::Pid;

use crate::error::{Doing, Error, Result};
use crate::netlink::Netlink;
use crate::spec::linux_fields::namespace;
use crate::syscalls;

/// The longest name of an interface, in bytes (`IFNAMSIZ` without its NUL).
const MAX_NAME: usize = 15;

/// Checks names, and that there is a network namespace to move to.
pub(crate) fn check(linux: &Linux) -> Result<()> {
    let moves = moves(linux);
    if moves.is_empty() {
        return Ok(());
    }
    if namespace(linux, LinuxNamespaceType::Network).is_none() {
        let reason = "unable to move network devices without a NET namespace";
        return Err(Error::spec("linux.netDevices", reason));
    }
    if !rustix::process::geteuid().is_root() {
        let reason = "network devices are not supported for rootless containers";
        return Err(Error::spec("linux.netDevices", reason));
    }
    for name in moves.iter().flat_map(|(from, to)| [from, to]) {
        if !is_valid(name) {
            let reason = format!("invalid network device name {name:?}");
            return Err(Error::spec("linux.netDevices", reason));
        }
    }
    let mut targets: Vec<_> = moves.values().collect();
    targets.sort_unstable();
    if let Some(pair) = targets.windows(2).find(|pair| pair[0] == pair[1]) {
        let reason = format!("two devices would be named {:?}", pair[0]);
        return Err(Error::spec("linux.netDevices", reason));
    }
    Ok(())
}

/// From which name to which.
fn moves(linux: &Linux) -> BTreeMap<&str, &str> {
    let devices = linux.net_devices().iter().flatten();
    let named = devices.map(|(from, device)| {
        let to = device.name().as_deref().filter(|name| !name.is_empty());
        (from.as_str(), to.unwrap_or(from))
    });
    named.collect()
}

/// As the kernel's dev_valid_name() has it, and without the characters of its patterns.
fn is_valid(name: &str) -> bool {
    let bad = |byte: u8| byte.is_ascii_whitespace() || matches!(byte, b'/' | b':' | b'%' | 0);
    !matches!(name, "" | "." | "..") && name.len() <= MAX_NAME && !name.bytes().any(bad)
}

/// Moves the interfaces into the namespace of process `pid`, the container's first.
pub(crate) fn hand_over(linux: &Linux, pid: Pid) -> Result<()> {
    let moves = moves(linux);
    if moves.is_empty() {
        return Ok(());
    }
    let ours = open_namespace("/proc/self/ns/net")?;
    let theirs =
        match namespace(linux, LinuxNamespaceType::Network).and_then(|ns| ns.path().clone()) {
            Some(path) if !path.as_os_str().is_empty() => open_namespace(&path.to_string_lossy())?,
            _ => open_namespace(&format!("/proc/{}/ns/net", pid.as_raw_nonzero()))?,
        };
    let here = Netlink::open().doing(|| "open a netlink socket".into())?;
    enter(&theirs)?;
    let there = Netlink::open();
    enter(&ours)?;
    let there = there.doing(|| "open a netlink socket in the container's namespace".into())?;
    moves.iter().try_for_each(|(from, to)| hand_over_one(&here, &there, from, to, &theirs))
}

fn hand_over_one(
    here: &Netlink,
    there: &Netlink,
    from: &str,
    to: &str,
    theirs: &OwnedFd,
) -> Result<()> {
    let index = here.index(from).doing(|| format!("find the network device {from}"))?;
    // Taken down, an interface forgets its IPv6 addresses.
    let addresses = here
        .addresses(index)
        .doing(|| format!("list the addresses of the network device {from}"))?;
    here.set_up(index, false).doing(|| format!("take the network device {from} down"))?;
    here.give_away(index, to, theirs)
        .doing(|| format!("move the network device {from} into the container as {to}"))?;
    let index = there.index(to).doing(|| format!("find the moved network device {to}"))?;
    for address in &addresses {
        there
            .add_address(index, address)
            .doing(|| format!("give the network device {to} its address again"))?;
    }
    there.set_up(index, true).doing(|| format!("bring the network device {to} up"))
}

fn open_namespace(path: &str) -> Result<OwnedFd> {
    rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .doing(|| format!("open the network namespace {path}"))
}

fn enter(namespace: &OwnedFd) -> Result<()> {
    use std::os::fd::AsFd;
    syscalls::setns(namespace.as_fd(), libc::CLONE_NEWNET)
        .doing(|| "enter a network namespace".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(devices: &str) -> Result<()> {
        let text = format!(r#"{{"namespaces":[{{"type":"network"}}],"netDevices":{{{devices}}}}}"#);
        check(&crate::document::parse("linux", text.as_bytes()).unwrap().value)
    }

    #[test]
    fn names() {
        for devices in [r#""eth0":{}"#, r#""a":{"name":"b"},"b":{"name":"a"}"#, r#""a":null"#, ""] {
            checked(devices).unwrap_or_else(|error| panic!("{devices}: {error}"));
        }
        for devices in [
            r#""":{}"#,
            r#""a/b":{}"#,
            r#""a":{"name":"a b"}"#,
            r#""a":{"name":".."}"#,
            r#""a":{"name":"abcdefghijklmnop"}"#,
            r#""a":{"name":"b%d"}"#,
            r#""a":{"name":"c"},"b":{"name":"c"}"#,
        ] {
            checked(devices).unwrap_err();
        }
    }
}
