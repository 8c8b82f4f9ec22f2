//! Builds of ordinary users: as root of a user namespace.

use std::path::{Path, PathBuf};

use build::ProgramRunner;
use rootfs::user_namespace::{self, Entered, UserNamespaceError};

/// Goes on where this process can mount: as it is, or else from the beginning in a user namespace.
pub(crate) fn enter() -> anyhow::Result<()> {
    let enter = || Ok(user_namespace::enter_where_needed()?.map(Entered::parts));
    cli::go_on(enter, UserNamespaceError::hint)
}

/// The runtime for the steps of a build. In a user namespace it cannot keep its state where root does.
pub(crate) fn runner(program: PathBuf, build_dir: &Path) -> ProgramRunner {
    let runner = ProgramRunner::new(program);
    match rootfs::ids() {
        Some(_) => runner.with_state(build_dir.join("runtime")),
        None => runner,
    }
}
