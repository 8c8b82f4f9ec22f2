//! Ordinary users: their programs start again where they are root.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context as _;
use rustix::process::Uid;

use crate::{hinted, warn};

/// Says who the user is, to programs in the user namespace where that user is root.
const VARIABLE: &str = "TARE_ROOTLESS_UID";

/// Whose work this process does: that of who has started it, or of who made the user namespace that
/// [`go_on`] has started it in.
#[expect(clippy::disallowed_methods, reason = "the edge, where the environment is read")]
pub fn user() -> Uid {
    let own = rustix::process::geteuid();
    let said = std::env::var(VARIABLE).ok().and_then(|text| text.parse().ok());
    said.filter(|_| own.is_root()).map_or(own, Uid::from_raw)
}

/// Goes on with what `enter` says of this process: it can mount as it is, or it has entered a user
/// namespace of this user's, perhaps one without other ids for a reason. Then the program starts again there,
/// with the same arguments.
///
/// # Errors
/// What kept it out, with the hint for that; the program cannot be executed again.
pub fn go_on<E>(
    enter: impl FnOnce() -> Result<Option<(u32, Option<String>)>, E>,
    hint: impl FnOnce(&E) -> Option<String>,
) -> anyhow::Result<()>
where
    E: std::error::Error + Send + Sync + 'static,
{
    // By its name: among the mounts of a new namespace, /proc/self/exe may not tell it any more.
    let program = std::env::current_exe().ok().filter(|program| program.is_file());
    match enter() {
        Ok(None) => Ok(()),
        Ok(Some((user, lone))) => {
            if let Some(why) = lone {
                warn(format_args!("{why}: files and processes can belong to root alone"));
            }
            Err(start_again(program, user))
                .context("cannot start this program again in a user namespace")
        }
        Err(error) => {
            let hint = hint(&error);
            let error = anyhow::Error::new(error).context("cannot do this as an ordinary user");
            Err(hint.into_iter().fold(error, hinted))
        }
    }
}

fn start_again(program: Option<PathBuf>, user: u32) -> io::Error {
    let mut arguments = std::env::args_os();
    let mut command = Command::new(program.unwrap_or_else(|| "/proc/self/exe".into()));
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    command.args(arguments).env(VARIABLE, user.to_string()).exec()
}
