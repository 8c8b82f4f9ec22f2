//! Ordinary users: their containers are in user namespaces, in which they are root.

use anyhow::Context as _;
use rootfs::user_namespace::{self, Entered, UserNamespaceError};
use rustix::process::Pid;

/// Goes on where this process can mount: as it is, or else from the beginning in a user namespace.
pub(crate) fn enter() -> anyhow::Result<()> {
    let enter = || Ok(user_namespace::enter_where_needed()?.map(Entered::parts));
    cli::go_on(enter, UserNamespaceError::hint)
}

/// Goes on as root of the namespace that a process of a container is in.
pub(crate) fn join(process: Pid) -> anyhow::Result<()> {
    let user = rustix::process::geteuid();
    if user.is_root() {
        return Ok(());
    }
    let join = || user_namespace::join(process).map(|()| Some((user.as_raw(), None)));
    cli::go_on(join, |_| None).context("cannot enter the container's user namespace")
}
