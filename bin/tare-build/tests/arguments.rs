//! Odd values of the command line's options.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod machine;

use machine::Machine;

const DOCKERFILE: &str = "FROM busybox:base AS a\nENV A=1\nFROM a\nENV A=2\n";

/// As scripts have them whose variables are empty.
#[test]
fn empty_values_are_none() {
    let machine = Machine::new();
    let plain = machine.built(DOCKERFILE, &[]);
    for option in [
        "--target",
        "--cache-from",
        "--cache-to",
        "--network",
        "--file",
        "-f",
        "--output",
        "-o",
        "--progress",
        "--secret",
        "--ssh",
        "--add-host",
        "--cgroup-parent",
        "--iidfile",
        "--metadata-file",
        "--annotation",
        "--build-context",
        "--provenance",
        "--sbom",
        "--no-cache-filter",
    ] {
        assert_eq!(machine.built(DOCKERFILE, &[option, ""]), plain, "{option}");
    }
    assert_eq!(machine.built(DOCKERFILE, &["--target="]), plain);
}

#[test]
fn what_has_no_name_is_a_mistake() {
    let machine = Machine::new();
    for args in [
        ["--build-arg", "=x"],
        ["--build-arg", ""],
        ["--label", "=x"],
        ["--annotation", "nothing:a=b"],
        ["--build-context", "a=/nonexistent"],
    ] {
        let said = machine.build(DOCKERFILE, &args);
        assert_eq!(said.code, Some(2), "{args:?}: {}", said.err);
    }
}

/// As with buildx it is empty; here with a warning.
#[test]
fn a_secret_of_a_variable_that_is_not_set() {
    let machine = Machine::new();
    let dockerfile =
        "FROM busybox:base\nRUN --mount=type=secret,id=s,required wc -c </run/secrets/s >/seen\n";
    let said = machine.build(dockerfile, &["--secret", "id=s,env=TARE_TEST_IS_NOT_SET"]);
    assert!(said.err.contains("TARE_TEST_IS_NOT_SET is not set"), "{}", said.err);
    assert_eq!(machine.cat(said.out.trim(), "seen"), "0\n");
}
