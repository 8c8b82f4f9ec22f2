//! What each mistake in a Dockerfile looks like to its author: `mistakes.txt` has Dockerfiles, each with
//! the whole standard error below it. Code 1, nothing on standard output, the store as before.
//!
//! A new case is its Dockerfile between `=== NAME` and `---`: run the test, read what it wrote, and copy
//! that over `mistakes.txt`. `CTX` stands for the context; what a registry says is left out.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod machine;

use std::fs;
use std::path::Path;

use machine::Machine;

#[test]
fn every_mistake_is_shown_with_place_cause_and_hint() {
    let machine = Machine::new();
    let before = machine.names();
    machine.file("file", "f");
    let cases = include_str!("mistakes.txt");
    let mut shown = String::new();
    for case in cases.split("=== ").filter(|case| !case.is_empty()) {
        let (name, rest) = case.split_once('\n').unwrap();
        let (dockerfile, _) = rest.split_once("---\n").unwrap();
        shown += &format!("=== {name}\n{dockerfile}---\n{}", said(&machine, name, dockerfile));
    }
    assert_eq!(machine.names(), before);
    machine.assert_clean();
    if shown != cases {
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mistakes.txt");
        fs::write(&kept, &shown).unwrap();
        let differ = shown.lines().zip(cases.lines()).find(|(is, was)| is != was);
        panic!("see {}; the first difference: {differ:?}", kept.display());
    }
}

fn said(machine: &Machine, name: &str, dockerfile: &str) -> String {
    let said = machine.build(dockerfile, &["-q", "-t", "app"]);
    assert_eq!((said.code, &*said.out), (Some(1), ""), "{name}: {}", said.err);
    assert!(said.err.contains("Dockerfile:"), "{name}: {}", said.err);
    let said = said.err.replace(machine.path("ctx").to_str().unwrap(), "CTX");
    let line = |line: &str| match line.split_once(" and cannot be pulled: ") {
        Some((start, _)) => format!("{start} and cannot be pulled: …\n"),
        None => format!("{line}\n"),
    };
    said.lines().map(line).collect()
}

/// Bytes that are hard to show, and that no terminal may obey.
#[test]
fn files_that_are_no_dockerfiles() {
    let machine = Machine::new();
    let binary: Vec<u8> = (0..=255).cycle().take(4096).collect();
    let utf16: Vec<u8> =
        "\u{feff}FROM busybox:base\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let long = format!("FROM busybox:base\nRUN {}\n", "x".repeat(2 << 20));
    let name = format!("FROM busybox:base\n{} y\n", "X".repeat(3000));
    let large = format!("FROM busybox:base\n# {}", "x".repeat(17 << 20));
    let program = fs::read("/bin/true").unwrap();
    for (text, words) in [
        (&binary[..], &["Dockerfile:1"][..]),
        (&utf16, &["Dockerfile:1", "not valid UTF-8", "save it as UTF-8"]),
        (&program, &["Dockerfile:1", "not valid UTF-8"]),
        (long.as_bytes(), &["Dockerfile:2", "longer than 1048576 bytes", "COPY it"]),
        (name.as_bytes(), &["Dockerfile:2:1", "XXXX…"]),
        (large.as_bytes(), &["Dockerfile:1", "larger than 16777216 bytes"]),
        (
            b"FROM busybox:base\nR\x1b[31mUN x\n",
            &["Dockerfile:2", "unknown instruction: R\u{fffd}[31mUN"],
        ),
        (b"FROM busybox:base\nRUN echo \0x\n", &["Dockerfile:2", "echo"]),
        (b"FROM busybox:base\nENV A=caf\xe9\n", &["Dockerfile:2", "not valid UTF-8"]),
        (b"\xef\xbb\xbfFROM busybox:base\r\nRNU x\r\n", &["Dockerfile:2:1", "did you mean RUN?"]),
        (b"FROM busybox:base\rRNU x\r", &["Dockerfile:1"]),
    ] {
        machine.file("Dockerfile", text);
        let said = machine.tare_build(&["ctx"]);
        said.refused(words);
        assert!(said.err.len() < 2000, "{} bytes", said.err.len());
        let obeyed = said.err.chars().find(|c| c.is_control() && *c != '\n');
        assert_eq!(obeyed, None, "{:?}", said.err);
    }
    assert_eq!(machine.names().len(), 1);
}
