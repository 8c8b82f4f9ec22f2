//! Sysctls: which may be set, and where procfs has them.

use std::collections::HashMap;
use std::fs;
use std::os::linux::fs::MetadataExt;

use oci_spec::runtime::{LinuxNamespace, LinuxNamespaceType};

use crate::error::{Doing, Error, Result};

/// Those of the ipc namespace beside `fs.mqueue.*` (ipc_namespaces(7)).
const IPC_SYSCTLS: [&str; 8] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];

/// Each must belong to a namespace that is the container's own: else it would be the host's.
pub(crate) fn check(
    sysctls: Option<&HashMap<String, String>>,
    namespaces: &[LinuxNamespace],
) -> Result<()> {
    for (name, value) in sysctls.into_iter().flatten() {
        let field = format!("linux.sysctl[{name:?}]");
        super::check_text(&field, value)?;
        let dotted = dotted(name);
        if path(name).is_none() || name.contains('\0') {
            return Err(Error::spec(field, "not a sysctl's name"));
        }
        if dotted == "kernel.hostname" {
            return Err(Error::spec(field, "conflicts with the field \"hostname\""));
        }
        let owner = owner(&dotted)
            .ok_or_else(|| Error::spec(&field, "is not in a separate kernel namespace"))?;
        let Some(namespace) = namespaces.iter().find(|namespace| namespace.typ() == owner) else {
            let reason = format!("is not allowed in the host's {owner} namespace");
            return Err(Error::spec(field, reason));
        };
        if owner == LinuxNamespaceType::Network && is_ours(namespace)? {
            return Err(Error::spec(field, "is not allowed in the host's network namespace"));
        }
    }
    Ok(())
}

fn owner(dotted: &str) -> Option<LinuxNamespaceType> {
    if dotted.starts_with("net.") {
        Some(LinuxNamespaceType::Network)
    } else if IPC_SYSCTLS.contains(&dotted) || dotted.starts_with("fs.mqueue.") {
        Some(LinuxNamespaceType::Ipc)
    } else if dotted == "kernel.domainname" {
        Some(LinuxNamespaceType::Uts)
    } else if dotted.starts_with("user.") {
        Some(LinuxNamespaceType::User)
    } else {
        None
    }
}

/// Whether a namespace to join is the runtime's own.
fn is_ours(namespace: &LinuxNamespace) -> Result<bool> {
    let Some(path) = namespace.path().as_ref().filter(|path| !path.as_os_str().is_empty()) else {
        return Ok(false);
    };
    let identity = |path: &std::path::Path| {
        fs::metadata(path)
            .map(|meta| (meta.st_dev(), meta.st_ino()))
            .doing(|| format!("find the network namespace {}", path.display()))
    };
    Ok(identity(path)? == identity("/proc/self/ns/net".as_ref())?)
}

/// The name with dots between its parts. Where slashes stand between them, a dot is part of a name:
/// `net/ipv4/conf/eno2.100/rp_filter` (sysctl.d(5)).
fn dotted(name: &str) -> String {
    match name.find(['.', '/']) {
        Some(at) if name.as_bytes()[at] == b'/' => swap(name),
        _ => name.to_owned(),
    }
}

fn swap(name: &str) -> String {
    let swapped = name.chars().map(|letter| match letter {
        '.' => '/',
        '/' => '.',
        other => other,
    });
    swapped.collect()
}

/// The path below `/proc/sys`, None where a part is empty or would lead elsewhere.
pub(crate) fn path(name: &str) -> Option<String> {
    let path = swap(&dotted(name));
    let parts = path.split('/');
    let safe = parts.into_iter().all(|part| !matches!(part, "" | "." | ".."));
    safe.then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn namespaces() -> Vec<LinuxNamespace> {
        serde_json::from_str(r#"[{"type":"network"},{"type":"ipc"},{"type":"uts"}]"#).unwrap()
    }

    fn checked(name: &str, namespaces: &[LinuxNamespace]) -> Result<()> {
        check(Some(&HashMap::from([(name.to_owned(), "1".to_owned())])), namespaces)
    }

    #[test]
    fn the_containers_own() {
        for name in [
            "net.ipv4.ip_forward",
            "net/ipv4/ip_forward",
            "net/ipv4/conf/eno2.100/rp_filter",
            "net.ipv4.conf.eno2/100.rp_filter",
            "kernel.shmmax",
            "kernel/msgmax",
            "fs.mqueue.msg_max",
            "kernel.domainname",
        ] {
            checked(name, &namespaces()).unwrap_or_else(|error| panic!("{name}: {error}"));
            let error = checked(name, &[]).unwrap_err().to_string();
            assert!(error.contains("not allowed in the host's"), "{error}");
        }
    }

    #[test]
    fn nobody_elses() {
        for name in [
            "",
            ".",
            "net.",
            "net..ipv4",
            "net.//.kernel.panic",
            "net/../kernel/panic",
            "net/./ipv4",
            "kernel.hostname",
            "kernel/hostname",
            "kernel.panic",
            "vm.swappiness",
            "user.max_user_namespaces",
            "netx.y",
            "fs.mqueue",
            "net.ipv4\0",
        ] {
            checked(name, &namespaces()).unwrap_err();
        }
        let host = r#"[{"type":"network","path":"/proc/self/ns/net"}]"#;
        let host: Vec<_> = serde_json::from_str(host).unwrap();
        checked("net.ipv4.ip_forward", &host).unwrap_err();
    }

    #[test]
    fn paths() {
        for (name, expected) in [
            ("net.ipv4.ip_forward", "net/ipv4/ip_forward"),
            ("net/ipv4/conf/eno2.100/rp_filter", "net/ipv4/conf/eno2.100/rp_filter"),
            ("net.ipv4.conf.eno2/100.rp_filter", "net/ipv4/conf/eno2.100/rp_filter"),
        ] {
            assert_eq!(path(name).unwrap(), expected);
        }
    }
}
