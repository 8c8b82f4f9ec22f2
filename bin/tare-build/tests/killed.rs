//! Builds that are killed at any moment, and many at once.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod machine;

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use machine::{Machine, Said};

/// How many builds are killed; `TARE_KILLS` sets another number.
const KILLS: u32 = 12;

/// How many builds run at once; `TARE_BUILDS` sets another number.
const BUILDS: u32 = 16;

const DOCKERFILE: &str = "\
FROM busybox:base AS one
COPY . /app
RUN for i in 1 2 3 4 5 6 7 8; do echo $i > /n$i; done
RUN --mount=type=cache,target=/c echo x >> /c/runs; mkdir /out; echo made > /out/made
FROM busybox:base
WORKDIR /srv
COPY --from=one /out /out
RUN cat /out/made > /copy
";

#[expect(clippy::disallowed_methods, reason = "the test's own size")]
fn size(name: &str, usual: u32) -> u32 {
    std::env::var(name).ok().map_or(usual, |text| text.parse().unwrap())
}

fn start(machine: &Machine, args: &[&str]) -> Child {
    let mut command = machine.command("tare-build");
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// Killed at any moment, a build leaves a store that is right, and a next build that is, too.
#[test]
fn killed_at_any_moment() {
    let machine = Machine::new();
    machine.file("Dockerfile", DOCKERFILE);
    for number in 0..40 {
        machine.file(&format!("files/{number}"), vec![b'x'; 20_000]);
    }
    let started = Instant::now();
    machine::assert_ok(&start(&machine, &["ctx"]).wait_with_output().unwrap());
    let whole = started.elapsed();
    let kills = size("TARE_KILLS", KILLS);
    let mut moment = 0.5_f64;
    for kill in 0..kills {
        // Each time something else is new, so that there is work from some step on.
        machine.file("files/new", format!("{kill}"));
        let mut child = start(&machine, &["-t", "app", "ctx"]);
        // Spread evenly, in an order that repeats none (a low-discrepancy sequence).
        moment = (moment + 0.618_033_988_749_895).fract();
        std::thread::sleep(whole.mul_f64(moment));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let said = machine.tare_build(&["-t", "app", "ctx"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let copy = machine.cat(said.out.trim(), "copy");
    assert_eq!(copy, "made\n");
    machine.assert_clean();
    let again = machine.tare_build(&["--explain", "-t", "app", "ctx"]);
    assert_eq!(again.out, said.out, "{}", again.err);
    assert!(again.err.contains("all 8 steps cached"), "{}", again.err);
    assert_blobs_are_whole(&machine);
    machine::assert_ok(&machine.command("tare-store").arg("gc").output().unwrap());
    assert_eq!(fs::read_dir(machine.path("store/tare/tmp")).unwrap().count(), 0);
    assert_blobs_are_whole(&machine);
    let last = machine.tare_build(&["ctx"]);
    assert_eq!((last.code, last.out), (Some(0), said.out), "{}", last.err);
}

/// Every blob has the digest that is its name.
fn assert_blobs_are_whole(machine: &Machine) {
    let check = r#"for blob in *; do echo "$blob  $blob"; done | sha256sum --quiet -c -"#;
    let mut command = Command::new("sh");
    let command = command.args(["-c", check]).current_dir(machine.path("store/blobs/sha256"));
    machine::assert_ok(&command.output().unwrap());
}

/// None of many builds into one store fails for the others, and each has its own result.
#[test]
fn many_at_once() {
    let machine = Machine::new();
    machine
        .file("Dockerfile", "FROM busybox:base\nARG N\nCOPY . /x\nRUN echo $N > /n; ls /x > /l\n");
    machine.file("file", "f");
    let builds = size("TARE_BUILDS", BUILDS);
    let deadline = Instant::now() + Duration::from_secs(600);
    let started: Vec<(u32, Child)> = (0..builds)
        .map(|number| {
            // Some do the same, some do not.
            let arg = format!("N={}", number / 2);
            let tag = format!("app:{number}");
            (number, start(&machine, &["--build-arg", &arg, "-t", &tag, "ctx"]))
        })
        .collect();
    for (number, build) in started {
        let said = Said::new(&build.wait_with_output().unwrap());
        assert_eq!(said.code, Some(0), "{}", said.err);
        if number % 5 == 0 {
            assert_eq!(machine.cat(said.out.trim(), "n"), format!("{}\n", number / 2));
        }
    }
    assert!(Instant::now() < deadline, "not in time");
    assert_eq!(machine.names().len(), 1 + builds as usize);
    machine.assert_clean();
}
