//! `events`: what a container uses, and when its memory runs out, as lines of JSON.

use std::io::Write;
use std::time::Duration;

use anyhow::bail;
use clap::Args;
use container::{ContainerId, Event, Watch};
use serde_json::Value;

use crate::arguments::Globals;

/// Print a container's statistics and its lack of memory, as JSON
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Time between two statistics: 500ms, 5s, 1m30s
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = duration)]
    interval: Duration,
    /// Print the statistics once, and end
    #[arg(long)]
    stats: bool,
    /// The container
    container_id: ContainerId,
}

pub(crate) fn run(globals: &Globals, options: &Options) -> anyhow::Result<u8> {
    if options.interval.is_zero() {
        bail!("duration interval must be greater than 0");
    }
    let mut watch = Watch::open(&globals.root()?, &options.container_id)?;
    let id = options.container_id.as_str();
    let stats = |watch: &Watch| print("stats", id, Some(watch.stats()));
    if options.stats {
        stats(&watch)?;
        return Ok(0);
    }
    loop {
        match watch.wait(options.interval)? {
            Event::Nothing => stats(&watch)?,
            Event::OutOfMemory => print("oom", id, None)?,
            Event::End => return Ok(0),
        }
    }
}

/// A line at once: who reads it waits for it. Its members stand in runc's order, by which scripts find
/// them.
fn print(kind: &str, id: &str, data: Option<Value>) -> std::io::Result<()> {
    let data = data.map(|data| format!(",\"data\":{data}")).unwrap_or_default();
    let mut out = std::io::stdout().lock();
    writeln!(out, r#"{{"type":"{kind}","id":"{id}"{data}}}"#)?;
    out.flush()
}

/// A time as Go writes it: numbers with units, the largest first.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is not a time such as 500ms, 5s or 1m30s");
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    let mut total = Duration::ZERO;
    while !rest.is_empty() || total.is_zero() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let number: f64 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = &rest[digits..];
        let end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let unit = match &rest[..end] {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return Err(wrong()),
        };
        let part = Duration::try_from_secs_f64(number * unit).map_err(|_| wrong())?;
        total = total.checked_add(part).ok_or_else(wrong)?;
        rest = &rest[end..];
        if rest.is_empty() {
            break;
        }
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_times_as_go_does() {
        for (text, milliseconds) in
            [("100ms", 100), ("5s", 5000), ("1m30s", 90_000), ("1.5s", 1500), ("0", 0), ("0s", 0)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for wrong in ["", "5", "s", "-1s", "5x", "1s2"] {
            assert!(duration(wrong).is_err(), "{wrong:?}");
        }
    }
}
