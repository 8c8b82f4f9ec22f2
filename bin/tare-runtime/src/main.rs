//! An OCI runtime with runc's command line: bundles become containers.
//!
//! A file per command in `commands`; this one reads the arguments, calls, and reports a failure once: a
//! line on stderr, and in the log that an engine asked for. Exit codes: the container's own for `run`
//! and `exec` in the foreground, 1 when something failed (255 for `exec` and for a program that the
//! kernel does not execute, as runc has it), 1 for a wrong command line, 3 for an unknown command.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a program is where the environment is read and results are printed"
)]

mod arguments;
mod commands;
mod log;
mod words;

use std::ffi::CString;
use std::os::unix::ffi::OsStringExt;
use std::process::ExitCode;
use std::sync::OnceLock;

use crate::arguments::{Arguments, Command};
use crate::log::Log;

/// musl's own allocator gives memory back at once and asks for it again: a hundred system calls a start.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

/// Where messages go, for the notices of the engine too.
static LOG: OnceLock<Log> = OnceLock::new();

fn main() -> ExitCode {
    let unshielded = shield();
    let arguments = match arguments::parse() {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    let log = match Log::open(&arguments) {
        Ok(log) => LOG.get_or_init(|| log),
        Err(error) => {
            eprintln!("tare-runtime: error: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    if arguments.command.only_prints() {
        container::end_by_broken_pipes();
    }
    let least = log.least();
    container::on_notice(least, |level, text| {
        if let Some(log) = LOG.get() {
            log.notice(level, text);
        }
    });
    log.debug(&format!("{:?}", arguments.command));
    match unshielded.and_then(|()| run(&arguments)) {
        Ok(code) => ExitCode::from(code),
        Err(error) => fail(log, &arguments.command, &error),
    }
}

/// A failure is reported once. Who stays with a container hears of a program that cannot be executed
/// in the plain words that the container itself would have used.
fn fail(log: &Log, command: &Command, error: &anyhow::Error) -> ExitCode {
    let not_executed = matches!(error.downcast_ref(), Some(container::Error::NotExecuted(_)));
    if not_executed && command.stays() {
        log.error_plainly(error);
        return ExitCode::from(255);
    }
    log.error(error);
    command.failure()
}

fn run(arguments: &Arguments) -> anyhow::Result<u8> {
    let globals = &arguments.globals;
    match &arguments.command {
        Command::Checkpoint(options) => commands::checkpoint::run(globals, options),
        Command::Create(options) => commands::create::run(globals, options),
        Command::Delete(options) => commands::delete::run(globals, options),
        Command::Exec(options) => commands::exec::run(globals, options),
        Command::Events(options) => commands::events::run(globals, options),
        Command::Features(options) => commands::features::run(options),
        Command::Kill(options) => commands::kill::run(globals, options),
        Command::List(options) => commands::list::run(globals, options),
        Command::Pause(options) => commands::pause::run(globals, options),
        Command::Ps(options) => commands::ps::run(globals, options),
        Command::Restore(options) => commands::restore::run(globals, options),
        Command::Resume(options) => commands::resume::run(globals, options),
        Command::Run(options) => commands::run::run(globals, options),
        Command::Spec(options) => commands::spec::run(options),
        Command::Start(options) => commands::start::run(globals, options),
        Command::State(options) => commands::state::run(globals, options),
        Command::Update(options) => commands::update::run(globals, options),
    }
}

/// Goes on from a copy of this program that a container cannot write to, for the commands that a
/// container can see. It is decided by a word alone, before the arguments are parsed, so that they are
/// parsed once: a needless copy does no harm.
fn shield() -> anyhow::Result<()> {
    if !std::env::args_os().any(|arg| arg == "create" || arg == "run" || arg == "exec") {
        return Ok(());
    }
    Ok(container::shield(|| {
        let args = std::env::args_os().map(|arg| CString::new(arg.into_vec()));
        let variables = std::env::vars_os().map(|(mut name, value)| {
            name.push("=");
            name.push(value);
            CString::new(name.into_vec())
        });
        Ok((args.collect::<Result<_, _>>()?, variables.collect::<Result<_, _>>()?))
    })?)
}
