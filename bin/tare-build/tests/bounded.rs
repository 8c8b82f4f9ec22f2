//! The build cache under its bound, and builds beside those who collect.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod machine;

use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};

use machine::{BASE, Machine};

/// What the records hold, in bytes on disk.
fn cache(machine: &Machine) -> u64 {
    let mut command = machine.command("tare-store");
    let output = command.args(["gc", "--build-cache", "--dry-run", "--json"]).output().unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    report["FreedBytes"].as_u64().unwrap()
}

#[test]
fn a_build_leaves_the_cache_within_its_bound() {
    let machine = Machine::new();
    let mut largest = 0;
    for number in 0..12_u8 {
        let noise: Vec<u8> = (0..1 << 20).map(|at: u32| (at as u8) ^ number).collect();
        machine.file("noise", noise);
        machine.file("Dockerfile", format!("FROM {BASE}\nCOPY noise /\nRUN true\n"));
        let mut command = machine.command("tare-build");
        command.env("TARE_BUILD_CACHE", "4m").args(["-o", "type=cacheonly", "ctx"]);
        let output = command.stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        largest = largest.max(cache(&machine));
    }
    assert!((2 << 20..5 << 20).contains(&largest), "{largest} bytes");
    // The last ones are those that are left.
    let said = machine.tare_build(&["--progress=plain", "-o", "type=cacheonly", "ctx"]);
    assert!(said.err.contains("CACHED"), "{}", said.err);
}

#[test]
fn a_bound_that_is_none_is_refused() {
    let machine = Machine::new();
    machine.file("Dockerfile", format!("FROM {BASE}\n"));
    let mut command = machine.command("tare-build");
    let output = command.env("TARE_BUILD_CACHE", "much").arg("ctx").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("TARE_BUILD_CACHE is \"much\""), "{said}");
}

#[test]
fn builds_succeed_whatever_is_collected_meanwhile() {
    let machine = Machine::new();
    for number in 0..4 {
        machine.file(&format!("f{number}"), format!("{number}"));
    }
    let dockerfile = format!(
        "FROM {BASE} AS a\nCOPY f0 /\nRUN --mount=type=cache,target=/c cp /f0 /c/f && cp /c/f /g0\nCOPY f1 /\n\
         FROM {BASE}\nCOPY f2 f3 /\nRUN cat /f2 /f3 > /g1\nCOPY --from=a /g0 /f1 /\n"
    );
    let first = machine.built(&dockerfile, &["-t", "app"]);
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                let mut prune = machine.command("tare-store");
                let output = prune.args(["prune", "--all"]).output().unwrap();
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            }
        });
        let builders: Vec<_> = (0..3)
            .map(|builder| {
                let machine = &machine;
                scope.spawn(move || {
                    for round in 0..8 {
                        let archive = machine.path(&format!("{builder}-{round}.tar"));
                        let output = format!("type=oci,dest={}", archive.display());
                        let epoch = ["--build-arg", "SOURCE_DATE_EPOCH=1000000000"];
                        let said =
                            machine.tare_build(&[&["-o", &*output], &epoch[..], &["ctx"]].concat());
                        if said.code != Some(0) {
                            return Err(said.err);
                        }
                    }
                    Ok(())
                })
            })
            .collect();
        let results: Vec<_> = builders.into_iter().map(|builder| builder.join().unwrap()).collect();
        ended.store(true, Ordering::Relaxed);
        assert_eq!(results, [Ok(()), Ok(()), Ok(())]);
    });
    assert_eq!(machine.files(&first).len(), 5);
}

#[test]
fn prune_takes_what_it_is_asked_for() {
    let machine = Machine::new();
    machine.file("f", "text");
    let dockerfile =
        format!("FROM {BASE}\nCOPY f /\nRUN --mount=type=cache,target=/c echo > /c/kept\n");
    machine.built(&dockerfile, &["-o", "type=cacheonly"]);
    let prune = |args: &[&str]| {
        let output = machine.command("tare-store").arg("prune").args(args).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    for nothing in [&["--filter", "until=1h"][..], &["--keep-storage=1g"], &["--max-used-space=1g"]]
    {
        let said = prune(nothing);
        assert!(!said.contains("build record"), "{nothing:?}: {said}");
    }
    let said = prune(&["-f"]);
    assert!(said.contains("build records") && said.contains("1 cache mount"), "{said}");
    let output = machine.command("tare-store").args(["prune", "--filter", "label=x"]).output();
    assert_eq!(output.unwrap().status.code(), Some(2));
}
