//! A file for each command: its arguments, one call, what it prints.

pub(crate) mod exec;
pub(crate) mod family;
pub(crate) mod info;
pub(crate) mod inspect;
pub(crate) mod kill;
pub(crate) mod logs;
pub(crate) mod monitor;
pub(crate) mod ps;
pub(crate) mod rm;
pub(crate) mod run;
pub(crate) mod stop;
pub(crate) mod unshare;
pub(crate) mod wait;

use std::process::ExitCode;

use crate::Context;
use crate::container::Container;

/// Does something to each of the containers named and prints the names of those where it was done. All
/// are tried; the errors are reported together at the end.
fn each(
    names: &[String],
    context: &Context,
    mut action: impl FnMut(&Container) -> anyhow::Result<()>,
) -> anyhow::Result<ExitCode> {
    let mut failed = Vec::new();
    for name in names {
        match context.root.find(name).and_then(|container| action(&container)) {
            Ok(()) => cli::print(name)?,
            Err(error) => failed.push(error),
        }
    }
    match failed.len() {
        0 => Ok(ExitCode::SUCCESS),
        1 => Err(failed.remove(0)),
        _ => {
            let all: Vec<String> = failed.iter().map(|error| format!("{error:#}")).collect();
            Err(anyhow::anyhow!("{} of {} failed: {}", all.len(), names.len(), all.join("; ")))
        }
    }
}
