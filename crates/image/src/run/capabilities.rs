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

/// Every capability that Linux has, each at the place of its number: capabilities(7).
const ALL: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// The names, without prefix, of what the container may use.
pub(super) fn names(options: &RunOptions) -> Result<BTreeSet<&'static str>, Error> {
    let add = known(&options.cap_add)?;
    let drop = known(&options.cap_drop)?;
    let mut names: BTreeSet<&str> = match (options.privileged || add.all, drop.all) {
        (true, _) => ALL.into(),
        (false, true) => BTreeSet::new(),
        (false, false) => DEFAULT.into(),
    };
    names.retain(|name| is_available(options.host_capabilities, name));
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

/// Whether the host can give it. What the user names is not asked: the runtime's refusal tells more.
fn is_available(mask: Option<u64>, name: &str) -> bool {
    let number = ALL.iter().position(|known| *known == name);
    mask.is_none_or(|mask| number.is_some_and(|number| mask >> number & 1 == 1))
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
