//! Why a user namespace could not be had, and what to do about it.

use std::fs;
use std::io;

/// Why this process cannot become root of a user namespace.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UserNamespaceError {
    /// The namespace is refused.
    #[error("cannot make a user namespace")]
    Unshare(#[source] io::Error),
    /// Not even one's own id can be mapped.
    #[error("cannot map ids into the user namespace")]
    Map(#[source] io::Error),
    /// The process that maps ids could not be started, or not be talked to.
    #[error("cannot have ids mapped into the user namespace")]
    Helper(#[source] io::Error),
    /// Root of the namespace has no rights in it.
    #[error("the user namespace gives no right to mount")]
    Powerless,
    /// The process has threads already: a mistake of the program's.
    #[error("a process with several threads cannot enter a user namespace")]
    Threads,
    /// There is no procfs.
    #[error("cannot read /proc")]
    NoProc(#[source] io::Error),
}

impl UserNamespaceError {
    /// What to try, by what this machine says of itself.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unshare(_) | Self::Map(_) | Self::Powerless => Some(refusal(&read)),
            Self::NoProc(_) => Some("mount it: mount -t proc proc /proc".to_owned()),
            Self::Helper(_) | Self::Threads => None,
        }
    }
}

fn read(file: &str) -> Option<String> {
    fs::read_to_string(file).ok().map(|text| text.trim().to_owned())
}

/// The settings that refuse user namespaces, the most particular first.
fn refusal(read: &dyn Fn(&str) -> Option<String>) -> String {
    let is = |file: &str, value: &str| read(file).as_deref() == Some(value);
    let filtered = read("/proc/self/status")
        .is_some_and(|status| status.lines().any(|line| line == "Seccomp:\t2"));
    for (refused, hint) in [
        (
            is("/proc/sys/user/max_user_namespaces", "0"),
            "the machine allows none: as its root, sysctl -w user.max_user_namespaces=15000",
        ),
        (
            is("/proc/sys/kernel/unprivileged_userns_clone", "0"),
            "the machine allows them to root alone: as root, sysctl -w kernel.unprivileged_userns_clone=1",
        ),
        (
            is("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1"),
            "AppArmor takes their rights away: as root, \
             sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or a profile for this program \
             that has userns",
        ),
        (
            filtered,
            "a seccomp filter is around this process, as docker's: start the container with \
             --security-opt seccomp=unconfined, or with a filter that allows unshare and mount; or give \
             it CAP_SYS_ADMIN",
        ),
    ] {
        if refused {
            return hint.to_owned();
        }
    }
    "run it as root, or where user namespaces are allowed (user_namespaces(7))".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_tells_why() {
        let with = |name: &'static str, text: &'static str| {
            refusal(&move |file| file.ends_with(name).then(|| text.to_owned()))
        };
        assert!(with("max_user_namespaces", "0").contains("user.max_user_namespaces"));
        assert!(with("unprivileged_userns_clone", "0").contains("unprivileged_userns_clone=1"));
        assert!(with("restrict_unprivileged_userns", "1").contains("AppArmor"));
        assert!(with("status", "Name:\tx\nSeccomp:\t2").contains("seccomp=unconfined"));
        assert!(with("status", "Seccomp:\t0").contains("as root"));
    }
}
