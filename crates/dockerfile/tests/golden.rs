//! A folder under `tests/cases` per case: `Dockerfile`, and in `expected` what [`dockerfile::parse`]
//! makes of it, an error with its excerpt included. A new case is a new folder: run the test, read
//! what it wrote, and copy it to `expected`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use dockerfile::lint::{Finding, Options};
use dockerfile::{Dockerfile, Instruction, Stage};

#[test]
fn every_case_is_as_expected() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut folders: Vec<PathBuf> =
        fs::read_dir(&cases).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    let wrong: Vec<String> = folders.iter().filter_map(|folder| difference(folder)).collect();
    assert!(folders.len() > 50, "{} cases found", folders.len());
    assert!(wrong.is_empty(), "{} cases differ:\n\n{}", wrong.len(), wrong.join("\n"));
}

/// What is wrong with a case; what came out is kept for the author.
fn difference(folder: &Path) -> Option<String> {
    let name = folder.file_name().unwrap().to_str().unwrap();
    let actual = outcome(&fs::read(folder.join("Dockerfile")).unwrap());
    let expected = fs::read_to_string(folder.join("expected")).unwrap_or_default();
    if actual == expected {
        return None;
    }
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("dockerfile-cases").join(name);
    fs::create_dir_all(&kept).unwrap();
    fs::write(kept.join("expected"), &actual).unwrap();
    Some(format!("{name}: see {}\n{actual}", kept.display()))
}

fn outcome(text: &[u8]) -> String {
    match dockerfile::parse(text, "Dockerfile") {
        Ok(file) => dump(&file),
        Err(error) => format!("error: {error}\n{}", error.excerpt()),
    }
}

fn dump(file: &Dockerfile) -> String {
    let mut out = String::new();
    if file.escape != '\\' || file.directives != Default::default() {
        writeln!(out, "escape {} {:?}", file.escape, file.directives).unwrap();
    }
    for arg in &file.global_args {
        writeln!(out, "{arg:?}").unwrap();
    }
    file.stages.iter().for_each(|stage| dump_stage(stage, &mut out));
    for Finding { rule, lines, detail, .. } in &Options::default().filter(file.findings.clone()) {
        writeln!(out, "{} {lines}: {detail}", rule.name).unwrap();
    }
    out
}

fn dump_stage(stage: &Stage, out: &mut String) {
    let Stage { name, base, platform, lines, text, description, .. } = stage;
    writeln!(out, "{lines}: {text}").unwrap();
    writeln!(out, "    name {name:?}, base {base:?}, platform {platform:?}").unwrap();
    if let Some(description) = description {
        writeln!(out, "    description {description:?}").unwrap();
    }
    stage.instructions.iter().for_each(|instruction| dump_instruction(instruction, out));
}

fn dump_instruction(instruction: &Instruction, out: &mut String) {
    let Instruction { kind, lines, text, .. } = instruction;
    writeln!(out, "{lines}: {text}").unwrap();
    writeln!(out, "    {kind:?}").unwrap();
    if let dockerfile::Kind::Run(run) = kind
        && !run.heredocs.is_empty()
    {
        writeln!(out, "    {:?}\n    {}", run.command(), instruction.summary()).unwrap();
    }
}
