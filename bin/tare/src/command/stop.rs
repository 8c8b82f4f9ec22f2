//! `tare stop`: ask containers to end, then make them.

use std::process::ExitCode;
use std::time::Duration;

use crate::Context;
use crate::container::Container;
use crate::runtime::Runtime;
use crate::signals;

/// What docker waits.
const GRACE: u64 = 10;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Seconds to wait before the container is killed; -1 waits for ever [default: 10]
    #[arg(
        short,
        long,
        visible_alias = "timeout",
        value_name = "SECONDS",
        allow_hyphen_values = true
    )]
    time: Option<i64>,
    /// Signal to send in place of the image's
    #[arg(short, long, value_name = "SIGNAL", value_parser = signals::parse)]
    signal: Option<i32>,
    /// Names or ids
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> anyhow::Result<ExitCode> {
    super::each(&arguments.containers, context, |container| stop(container, arguments))
}

/// One that has ended is no error.
fn stop(container: &Container, arguments: &Arguments) -> anyhow::Result<()> {
    let Some(process) = container.process().filter(|_| container.status().is_running()) else {
        return Ok(());
    };
    let runtime = Runtime::of(container);
    let id = container.record.id.as_str();
    let sent = runtime.kill(id, &signal(container, arguments).to_string());
    if !process.wait_end(grace(container, arguments))? {
        sent?;
        runtime.kill(id, "9")?;
        process.wait_end(None)?;
    }
    container.wait_unwatched().map(drop)
}

fn signal(container: &Container, arguments: &Arguments) -> i32 {
    let of_image = container.record.stop_signal.as_deref();
    arguments
        .signal
        .or_else(|| of_image.and_then(|name| signals::parse(name).ok()))
        .unwrap_or(signal_hook::consts::SIGTERM)
}

/// `None` is for ever.
fn grace(container: &Container, arguments: &Arguments) -> Option<Duration> {
    let default = container.record.stop_timeout.unwrap_or(GRACE);
    match arguments.time {
        None => Some(Duration::from_secs(default)),
        Some(seconds) => u64::try_from(seconds).ok().map(Duration::from_secs),
    }
}
