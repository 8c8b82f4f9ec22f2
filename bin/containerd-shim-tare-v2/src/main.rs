//! containerd's runtime v2 shim: containerd asks for containers, an OCI runtime program makes them, and
//! this watches them.
//!
//! ```text
//! containerd ──"start"──▶ shim ──spawns──▶ shim, serving ◀──ttrpc: the task service── containerd
//!                                              │   └────────ttrpc: events───────────▶
//!                        tare-runtime create ◀─┤
//!                        tare-runtime start  ◀─┤      the container's processes become its children
//!                        …                     │      (subreaper), and their ends reach it
//! containerd ──"delete"─▶ shim: takes away what a killed one left
//! ```
//!
//! The serving process has one thread and waits in one poll(2): for containerd, for its children, for
//! terminals. It starts the runtime as a program and goes on with the request when that has ended, so
//! nothing here blocks on a container. What it must never do: outlive its containers, or lose the exit
//! status of one before it was asked for.
//!
//! What stays on disk while it runs: its socket below `/run/containerd/s`, and in each bundle `address`
//! (which containerd reads), `shim.json` ([`bundle`]) and the runtime's pid files. The bundle goes with
//! the container, the socket with the shim.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a program is where the environment is read and results are printed"
)]

mod arguments;
mod bootstrap;
mod bundle;
mod cleanup;
mod events;
mod info;
mod log;
mod logger;
mod oom;
mod options;
mod pump;
mod reaper;
mod runtime;
mod serve;
mod stats;
mod stdio;
mod task;
mod terminal;
mod wire;

use std::process::ExitCode;

use anyhow::bail;

use crate::arguments::Arguments;

/// The name that containerd knows this runtime by.
const RUNTIME_NAME: &str = "io.containerd.tare.v2";

fn main() -> ExitCode {
    cli::run("containerd-shim-tare-v2", || {
        let mut words = std::env::args_os().skip(1).peekable();
        match words.next_if(|word| word == logger::COMMAND) {
            Some(_) => logger::become_program(words)?,
            None => run(&Arguments::parse(words)?)?,
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    if arguments.version {
        return info::print_version();
    }
    if arguments.info {
        return info::print_info();
    }
    match arguments.action.as_str() {
        "start" => bootstrap::start(arguments),
        "delete" => cleanup::delete(arguments),
        "" => serve::serve(arguments),
        other => bail!("{other:?} is no command of a shim: start, delete"),
    }
}
