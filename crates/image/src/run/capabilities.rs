//! Capabilities: docker's default list, what the user adds and drops.

use std::collections::BTreeSet;

use oci_spec::runtime::{Capability, LinuxCapabilities, LinuxCapabilitiesBuilder};

use super::{Error, RunOptions};

/// What a container has when nobody says otherwise.
const DEFAULT: [&str; 14] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "MKNOD",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "KILL",
    "AUDIT_WRITE",
];

/// Every capability that Linux has: capabilities(7).
const ALL: [&str; 41] = [
    "AUDIT_CONTROL",
    "AUDIT_READ",
    "AUDIT_WRITE",
    "BLOCK_SUSPEND",
    "BPF",
    "CHECKPOINT_RESTORE",
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "IPC_LOCK",
    "IPC_OWNER",
    "KILL",
    "LEASE",
    "LINUX_IMMUTABLE",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "MKNOD",
    "NET_ADMIN",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_RAW",
    "PERFMON",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYSLOG",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_CHROOT",
    "SYS_MODULE",
    "SYS_NICE",
    "SYS_PACCT",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "WAKE_ALARM",
];

/// The names, without prefix, of what the container may use.
pub(super) fn names(options: &RunOptions) -> Result<BTreeSet<&'static str>, Error> {
    let add = known(&options.cap_add)?;
    let drop = known(&options.cap_drop)?;
    let mut names: BTreeSet<&str> = match (options.privileged, add.all, drop.all) {
        (true, _, _) => ALL.into(),
        (false, true, _) => ALL.into(),
        (false, false, true) => BTreeSet::new(),
        (false, false, false) => DEFAULT.into(),
    };
    if !options.privileged {
        names.retain(|name| !drop.names.contains(name));
        names.extend(add.names);
    }
    Ok(names)
}

/// Bounding, permitted and effective sets. Inheritable stays empty, as CVE-2022-24769 teaches. A
/// user other than root starts with none permitted, which is what the kernel makes of it at exec.
pub(super) fn capabilities(options: &RunOptions, uid: u32) -> Result<LinuxCapabilities, Error> {
    let bounding: std::collections::HashSet<Capability> =
        names(options)?.into_iter().map(to_capability).collect();
    let held = if uid == 0 { bounding.clone() } else { Default::default() };
    let builder = LinuxCapabilitiesBuilder::default().bounding(bounding);
    let builder = builder.permitted(held.clone()).effective(held);
    let none = std::collections::HashSet::new();
    Ok(builder.inheritable(none.clone()).ambient(none).build().expect("all five sets are given"))
}

fn to_capability(name: &str) -> Capability {
    name.parse().expect("both lists name capabilities that the specification has")
}

struct Known {
    all: bool,
    names: Vec<&'static str>,
}

fn known(words: &[String]) -> Result<Known, Error> {
    let mut known = Known { all: false, names: Vec::new() };
    for word in words {
        let upper = word.to_uppercase();
        let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
        if name == "ALL" {
            known.all = true;
        } else {
            let found = ALL.into_iter().find(|known| *known == name);
            known.names.push(found.ok_or_else(|| Error::Capability(word.clone()))?);
        }
    }
    Ok(known)
}
