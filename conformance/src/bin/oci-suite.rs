//! `oci-suite CACHE README REASONS NAME=RUNTIME...`: runs the validation suite with each runtime and
//! writes the table of verdicts into README, between its marks. The last runtime is ours: REASONS says of
//! each program that it fails why (`program: reason`, a line each); a failure without one is an error.
//!
//! `scripts/conformance` installs all that is needed and calls this.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program that tells its user")]

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use conformance::oci_suite::{Ran, Suite, Verdict};

const BEGIN: &str = "<!-- oci-suite -->\n";
const END: &str = "<!-- /oci-suite -->";

type Verdicts = BTreeMap<String, Ran>;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [cache, readme, reasons, runtimes @ ..] = arguments.as_slice() else {
        return Err("usage: oci-suite CACHE README REASONS NAME=RUNTIME...".into());
    };
    let suite = Suite::build(Path::new(cache))?;
    let programs = suite.programs()?;
    let mut columns = Vec::new();
    for runtime in runtimes {
        let (name, path) = runtime.split_once('=').ok_or("a runtime is NAME=PATH")?;
        eprintln!("{name}: {} programs", programs.len());
        columns.push((name, suite.run_all(&programs, &PathBuf::from(path), 6)?));
    }
    let reasons = read_reasons(Path::new(reasons))?;
    let table = render(&suite.version()?, &programs, &columns, &reasons)?;
    replace(Path::new(readme), &table)?;
    println!("{}", totals(&columns));
    complain(&columns, &reasons)
}

fn read_reasons(path: &Path) -> Result<BTreeMap<String, String>, Box<dyn Error>> {
    let text = std::fs::read_to_string(path)?;
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines
        .map(|line| {
            let (program, reason) = line.split_once(": ").ok_or("a reason is `program: why`")?;
            Ok((program.to_owned(), reason.to_owned()))
        })
        .collect()
}

fn render(
    version: &str,
    programs: &[String],
    columns: &[(&str, Verdicts)],
    reasons: &BTreeMap<String, String>,
) -> Result<String, std::fmt::Error> {
    let mut text = format!("runtime-tools {version}, {} programs.\n\n", programs.len());
    let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    writeln!(text, "| program | {} |", names.join(" | "))?;
    writeln!(text, "|---|{}", "---|".repeat(names.len()))?;
    for program in programs {
        let cells: Vec<&str> =
            columns.iter().map(|(_, verdicts)| word(verdicts[program].verdict)).collect();
        writeln!(text, "| `{program}` | {} |", cells.join(" | "))?;
    }
    for verdict in [Verdict::Passed, Verdict::Failed, Verdict::Skipped] {
        let cells: Vec<String> =
            columns.iter().map(|(_, verdicts)| count(verdicts, verdict).to_string()).collect();
        writeln!(text, "| **{}** | {} |", word(verdict), cells.join(" | "))?;
    }
    let Some((ours, verdicts)) = columns.last() else { return Ok(text) };
    writeln!(text, "\nWhy {ours} fails:\n")?;
    for program in failures(verdicts) {
        let reason = reasons.get(program).map_or("not explained", String::as_str);
        writeln!(text, "* `{program}`: {reason}")?;
    }
    Ok(text)
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "passed",
        Verdict::Failed => "failed",
        Verdict::Skipped => "skipped",
    }
}

fn count(verdicts: &Verdicts, wanted: Verdict) -> usize {
    verdicts.values().filter(|ran| ran.verdict == wanted).count()
}

fn failures(verdicts: &Verdicts) -> impl Iterator<Item = &str> {
    verdicts.iter().filter(|(_, ran)| ran.verdict == Verdict::Failed).map(|(name, _)| name.as_str())
}

fn totals(columns: &[(&str, Verdicts)]) -> String {
    let total = |(name, verdicts): &(&str, Verdicts)| {
        let [passed, failed, skipped] = [Verdict::Passed, Verdict::Failed, Verdict::Skipped]
            .map(|verdict| count(verdicts, verdict));
        format!("{name}: {passed} passed, {failed} failed, {skipped} skipped")
    };
    columns.iter().map(total).collect::<Vec<_>>().join("\n")
}

/// Replaces what stands between the marks.
fn replace(readme: &Path, table: &str) -> Result<(), Box<dyn Error>> {
    let old = std::fs::read_to_string(readme)?;
    let marks =
        old.split_once(BEGIN).and_then(|(head, rest)| Some((head, rest.split_once(END)?.1)));
    let (head, tail) = marks.ok_or("the README has no marks for the table")?;
    Ok(std::fs::write(readme, format!("{head}{BEGIN}{table}{END}{tail}"))?)
}

/// Every failure of ours needs a reason; what it said goes to standard error.
fn complain(
    columns: &[(&str, Verdicts)],
    reasons: &BTreeMap<String, String>,
) -> Result<(), Box<dyn Error>> {
    let Some((_, verdicts)) = columns.last() else { return Ok(()) };
    let unexplained: Vec<&str> =
        failures(verdicts).filter(|program| !reasons.contains_key(*program)).collect();
    for program in &unexplained {
        eprintln!("== {program}\n{}", verdicts[*program].said);
    }
    match unexplained.is_empty() {
        true => Ok(()),
        false => Err(format!("failures without a reason: {}", unexplained.join(", ")).into()),
    }
}
