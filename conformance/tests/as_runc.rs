//! The same bundles and sessions under runc and under tare-runtime: what they print, exit with, show of the
//! container and leave on the host must be the same.
//!
//! `as_runc/*.cases` is the table: one row for each command, flag and field, and for what they do in each
//! state. `as_runc/differences` lists where tare-runtime is different on purpose, and why; a difference that
//! is no more is an error too. `as_runc/fields` lists the fields of config.json that rows must set.
//!
//! The reference is Debian's runc and, where there is one, a newer runc: named by `TARE_RUNC`, or fetched by
//! `scripts/conformance`. `AS_RUNC=words` runs only the rows whose names have these words, and prints what
//! each session has told.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "a test is a program: it reads the environment, and tells what differs"
)]

#[path = "as_runc/cases.rs"]
mod cases;
#[path = "as_runc/coverage.rs"]
mod coverage;
#[path = "as_runc/differences.rs"]
mod differences;
#[path = "as_runc/engine.rs"]
mod engine;
#[path = "as_runc/session.rs"]
mod session;
#[path = "as_runc/transcript.rs"]
mod transcript;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use cases::Case;
use coverage::Coverage;
use differences::Differences;
use engine::Engine;
use session::{Bench, Told};

/// What the table's rows come to, for one runc.
struct Verdict {
    /// Rows that did not end as the table says, each with what is wrong.
    wrong: Vec<String>,
    coverage: Coverage,
}

#[test]
fn tare_runtime_does_as_runc_does() {
    let chosen = std::env::var("AS_RUNC").ok();
    let mut cases = cases::all();
    cases.retain(|case| chosen.as_ref().is_none_or(|words| case.name.contains(words)));
    let engines = engine::all();
    let verdict = judge(&cases, &engines, chosen.is_some());
    let mut wrong = verdict.wrong;
    if chosen.is_none() {
        wrong.extend(verdict.coverage.missing(&engines));
        wrong.extend(differences::unknown(&cases));
    }
    assert!(wrong.is_empty(), "{} rows are wrong:\n\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn the_differences_are_told_to_the_reader() {
    differences::check_readme();
}

fn judge(cases: &[Case], engines: &[Engine], talkative: bool) -> Verdict {
    let bench = Bench::new();
    let listed = Differences::read();
    let verdict = Mutex::new(Verdict { wrong: Vec::new(), coverage: Coverage::default() });
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            let mut told = tell(&bench, case, engines, talkative);
            // A busy machine can spoil a session, but not the same one again and again.
            for _ in 0..2 {
                if !compare(case, &told, &listed).is_empty() {
                    told = tell(&bench, case, engines, talkative);
                }
            }
            let mut verdict = verdict.lock().expect("no row panics while it holds the verdict");
            for (_, told) in &told {
                verdict.coverage.add(told);
            }
            verdict.wrong.extend(compare(case, &told, &listed));
        }
    };
    // Sessions wait for processes most of the time.
    let jobs = std::thread::available_parallelism().map_or(8, |cores| cores.get() * 4);
    std::thread::scope(|scope| (0..jobs).for_each(|_| drop(scope.spawn(work))));
    verdict.into_inner().expect("no row panics while it holds the verdict")
}

/// A row's session with tare-runtime, and with each runc that knows what it is about.
fn tell<'e>(
    bench: &Bench,
    case: &Case,
    engines: &'e [Engine],
    talkative: bool,
) -> Vec<(&'e Engine, Told)> {
    let able = engines.iter().filter(|engine| engine.is_ours() || engine.version >= case.since);
    let told = able.map(|engine| (engine, bench.run(case, engine)));
    let told: Vec<_> = told.collect();
    if talkative {
        for (engine, told) in &told {
            eprintln!("--- {}: {}\n{}", case.name, engine.name, told.lines.join("\n"));
        }
    }
    told
}

fn compare(case: &Case, told: &[(&Engine, Told)], listed: &Differences) -> Vec<String> {
    let Some(((_, ours), references)) = told.split_first() else { return Vec::new() };
    let mut wrong = Vec::new();
    for (runc, theirs) in references {
        let found = transcript::difference(&theirs.lines, &ours.lines);
        let expected = listed.of(&case.name, runc);
        if found != expected {
            wrong.push(complaint(case, runc, &found, &expected));
        }
        if let Some(line) = theirs.lines.iter().find(|line| line.starts_with("does not say ")) {
            wrong.push(format!("{}: {} {line}: the row is wrong\n", case.name, runc.name));
        }
    }
    wrong
}

fn complaint(case: &Case, runc: &Engine, found: &[String], expected: &[String]) -> String {
    let lines = |title: &str, lines: &[String]| match lines {
        [] => String::new(),
        lines => format!("  {title}\n    {}\n", lines.join("\n    ")),
    };
    let head = format!("{} ({}), < {}, > tare-runtime:\n", case.name, case.file, runc.name);
    head + &lines("found", found) + &lines("but the differences list", expected)
}
