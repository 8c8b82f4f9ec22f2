//! `tare-store fsck`: check every file of the store against its digest, every name against what is there.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;
use store::{FsckOptions, FsckReport, Problem, Store};

use crate::bars;

/// Each line is a problem. The exit code is 1 where something is wrong; with --repair, where it could not be
/// mended.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Drop what is damaged and can be made again, or fetched
    #[arg(long)]
    repair: bool,
    /// Check names and sizes alone
    #[arg(long)]
    quick: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    shown: bars::ProgressFlags,
}

/// The report as `--json` shows it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Report {
    files: u64,
    bytes: u64,
    problems: Vec<Line>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Line {
    path: PathBuf,
    problem: String,
    /// The images that are not whole because of it.
    images: Vec<String>,
    dropped: bool,
}

pub(crate) fn run(arguments: &Arguments, store: &Store) -> anyhow::Result<ExitCode> {
    let interrupt = cli::Interrupt::install().context("cannot handle signals")?;
    let report = check(arguments, store, &interrupt)
        .map_err(|error| match error {
            store::Error::Stopped => cli::Interrupted.into(),
            error => anyhow::Error::from(error),
        })
        .with_context(|| format!("cannot check the store {}", store.root().display()))?;
    let damaged = report.is_damaged();
    if arguments.json {
        cli::print_json(&json(report))?;
    } else {
        print(&report, arguments.repair)?;
    }
    Ok(if damaged { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Checks, and shows how far it is.
fn check(
    arguments: &Arguments,
    store: &Store,
    interrupt: &cli::Interrupt,
) -> Result<FsckReport, store::Error> {
    let (flag, read) = (interrupt.flag(), AtomicU64::new(0));
    let options = FsckOptions {
        repair: arguments.repair,
        quick: arguments.quick,
        stop: Some(&flag),
        read: Some(&read),
    };
    let bar = cli::Progress::new(arguments.shown.mode()).bytes("checking", None);
    let done = std::sync::mpsc::channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (mut shown, ended) = (0, done.1);
            while ended
                .recv_timeout(Duration::from_millis(100))
                .is_err_and(|it| it == std::sync::mpsc::RecvTimeoutError::Timeout)
            {
                let now = read.load(Ordering::Relaxed);
                bar.add(now - shown);
                shown = now;
            }
        });
        let report = store.fsck(options);
        drop(done.0);
        report
    })
}

fn json(report: FsckReport) -> Report {
    let line =
        |Problem { path, what, images, dropped }| Line { path, problem: what, images, dropped };
    Report {
        files: report.files,
        bytes: report.bytes,
        problems: report.problems.into_iter().map(line).collect(),
    }
}

fn print(report: &FsckReport, repair: bool) -> anyhow::Result<()> {
    for Problem { path, what, images, dropped } in &report.problems {
        let mended = if *dropped { "; dropped" } else { "" };
        let images = match images.is_empty() {
            true => String::new(),
            false => format!("; not whole: {}", images.join(", ")),
        };
        cli::print(format_args!("{}: {what}{mended}{images}", path.display()))?;
    }
    let counted = format!("{} files, {} read", report.files, cli::bytes(report.bytes));
    match report.problems.len() {
        0 => cli::note(format_args!("{counted}: all right")),
        1 => cli::note(format_args!("{counted}: 1 problem")),
        number => cli::note(format_args!("{counted}: {number} problems")),
    }
    if repair && report.problems.iter().any(|it| !it.images.is_empty()) {
        cli::note("pull or build the images again that are not whole, or take their names away");
    } else if !repair && !report.problems.is_empty() {
        cli::note("--repair drops what can be made or fetched again");
    }
    Ok(())
}
