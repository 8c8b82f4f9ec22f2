//! Instructions by what their containers see and what the image says.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod machine;

use std::fs;
use std::process::Command;

use machine::Machine;
use serde_json::json;

#[test]
fn what_a_command_sees() {
    let machine = Machine::new();
    for (instructions, want) in [
        ("ENV A=1\nARG B=2\nRUN echo $A$B", "12"),
        ("WORKDIR /w\nRUN pwd", "/w"),
        ("USER app\nRUN id -u; id -g", "1000\n1001"),
        ("USER 5:6\nRUN id -u; id -g", "5\n6"),
        ("SHELL [\"/bin/busybox\", \"sh\", \"-c\"]\nRUN echo $0", "sh"),
        ("RUN [\"/bin/sh\", \"-c\", \"echo exec $HOME\"]", "exec /root"),
        ("RUN <<EOF\necho one\necho two\nEOF", "one\ntwo"),
        ("RUN <<EOF\n#!/bin/busybox sh\necho script $0\nEOF", "script /dev/pipes/EOF"),
        ("RUN cat <<A - <<B\na\nA\nb\nB", "b"),
        ("RUN hostname", "tare-build"),
        ("RUN grep -c nosuch /etc/resolv.conf; echo $?", "0\n1"),
        ("RUN --network=none ls /sys/class/net", "lo"),
        ("RUN echo 1 > /x\nRUN cat /x && rm /x && ls /x 2>/dev/null; echo gone", "1\ngone"),
        ("RUN grep NoNewPrivs /proc/self/status", "NoNewPrivs:\t0"),
        ("RUN grep CapEff /proc/self/status", "CapEff:\t00000000a80425fb"),
    ] {
        // Output of the last RUN, redirected by the stage that follows.
        let said = machine.build(
            &format!("FROM busybox:base\n{instructions}\n"),
            &["--progress", "plain", "--no-cache"],
        );
        assert_eq!(said.code, Some(0), "{instructions}: {}", said.err);
        let seen = last_output(&said.err);
        assert_eq!(seen, want, "{instructions}");
    }
}

/// What the steps wrote, as plain progress has it: `#4 0.123 text`.
fn last_output(progress: &str) -> String {
    let line = |line: &str| {
        let mut words = line.splitn(3, ' ');
        let (number, time) = (words.next()?, words.next()?);
        let is_output = number.starts_with('#') && time.parse::<f64>().is_ok();
        is_output.then(|| words.next().unwrap_or_default().to_owned())
    };
    progress.lines().filter_map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn what_the_image_says() {
    let machine = Machine::new();
    let image = machine.built(
        "\
FROM busybox:base AS base
ENV A=1
LABEL a=b
CMD [\"old\"]
FROM base
ENV B=\"$A 2\"
EXPOSE 80 53/udp
VOLUME [\"/data\"]
WORKDIR /srv
USER app:staff
STOPSIGNAL SIGQUIT
HEALTHCHECK --interval=5s --retries=2 CMD [\"true\"]
ONBUILD RUN echo later
SHELL [\"/bin/sh\", \"-e\", \"-c\"]
ENTRYPOINT run me
MAINTAINER someone
RUN true
",
        &["--label", "c=d"],
    );
    let config = machine.config(&image);
    let want = json!({
        "User": "app:staff",
        "ExposedPorts": { "53/udp": {}, "80/tcp": {} },
        "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "A=1", "B=1 2"],
        "Entrypoint": ["/bin/sh", "-e", "-c", "run me"],
        "Volumes": { "/data": {} },
        "WorkingDir": "/srv",
        "Labels": { "a": "b", "c": "d" },
        "StopSignal": "SIGQUIT",
        "ArgsEscaped": true,
        "Healthcheck": { "Test": ["CMD", "true"], "Interval": 5_000_000_000_u64, "Retries": 2 },
        "OnBuild": ["RUN echo later"],
        "Shell": ["/bin/sh", "-e", "-c"],
    });
    for (name, value) in want.as_object().unwrap() {
        assert_eq!(&config["config"][name], value, "{name}");
    }
    assert_eq!(config["author"], "someone");
    assert_eq!((&config["os"], &config["architecture"]), (&json!("linux"), &json!(arch())));
    let history = config["history"].as_array().unwrap();
    let layers = history.iter().filter(|entry| entry["empty_layer"] != json!(true)).count();
    assert_eq!(layers, config["rootfs"]["diff_ids"].as_array().unwrap().len());
    assert!(history.iter().all(|entry| entry["created"].is_string()), "{history:?}");
    assert_eq!(config["created"], history.last().unwrap()["created"]);
    let run = history.iter().find(|entry| entry["created_by"].as_str().unwrap().contains("RUN"));
    assert_eq!(run.unwrap()["created_by"], "RUN /bin/sh -e -c true # buildkit");
}

fn arch() -> &'static str {
    if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }
}

#[test]
fn triggers_run_in_the_image_that_builds_on_it() {
    let machine = Machine::new();
    machine.file("own", "mine");
    let base = "FROM busybox:base\nONBUILD COPY own /own\nONBUILD RUN cat /own > /seen\n";
    machine.built(base, &["-t", "onbuild:1"]);
    let image = machine.built("FROM onbuild:1\nRUN echo own >> /seen\n", &[]);
    assert_eq!(machine.files(&image).last().unwrap().content, b"mineown\n");
    assert!(machine.config(&image)["config"]["OnBuild"].is_null());
}

#[test]
fn only_what_a_command_changed_is_in_its_layer() {
    for driver in machine::drivers() {
        let machine = Machine::new();
        let dockerfile = "FROM busybox:base\n\
            RUN mkdir -p /a/b && echo x > /a/b/c && rm /etc/group && touch /etc\n";
        let image = machine.built(dockerfile, &["--driver", driver]);
        let mut paths = machine.paths(&image);
        paths.iter_mut().for_each(|path| *path = path.trim_end_matches('/').to_owned());
        assert_eq!(paths, ["a", "a/b", "a/b/c", "etc", "etc/.wh.group"], "{driver}");
        let more = format!("{dockerfile}RUN cat /a/b/c > /dev/null\nRUN true\nRUN touch /d\n");
        let image = machine.built(&more, &["--driver", driver]);
        let layers = machine.layers(&image);
        assert_eq!(layers.len(), 5, "a RUN that changes nothing has an empty layer");
        assert_eq!(layers[2], layers[3]);
        assert_eq!(machine.paths(&image).len(), 6, "{driver}");
        machine.assert_clean();
    }
}

/// On an image that has nothing at all, the runtime makes places to mount. As with BuildKit those of
/// /proc, /sys and /dev stay, and no other.
#[test]
fn mount_points_do_not_stay() {
    let machine = Machine::new();
    fs::copy("/bin/busybox", machine.path("ctx/busybox")).unwrap();
    let image = machine.built(
        "FROM scratch\nCOPY busybox /busybox\nRUN [\"/busybox\", \"sh\", \"-c\", \"echo 1 > /made\"]\n",
        &["-v", &format!("{}:/some/place:ro", machine.path("ctx").display())],
    );
    let layers = machine.layers(&image);
    assert_eq!(layers.len(), 2);
    assert_eq!(machine.paths(&image), ["dev", "made", "proc", "sys"]);
    let stat = Command::new("ls").arg(machine.path("store/tare/build/tmp")).output().unwrap();
    assert_eq!(stat.stdout, b"");
}

#[test]
fn volumes_are_seen_and_cannot_be_written() {
    let machine = Machine::new();
    fs::write(machine.path("certs"), "trusted").unwrap();
    let volume = format!("{}:/etc/certs", machine.path("certs").display());
    let dockerfile =
        "FROM busybox:base\nRUN cat /etc/certs; echo x >> /etc/certs || echo refused\n";
    let said = machine.build(dockerfile, &["-v", &volume]);
    assert!(said.err.contains("trusted") && said.err.contains("refused"), "{}", said.err);
    assert_eq!(fs::read_to_string(machine.path("certs")).unwrap(), "trusted");
    assert!(machine.paths(said.out.trim()).is_empty());
    let wrong = machine.build(dockerfile, &["-v", "/nowhere:/x"]);
    assert_eq!(wrong.code, Some(2));
}

#[test]
fn mounts_of_a_run() {
    let machine = Machine::new();
    machine.file("src/code", "code");
    machine.file("src/hidden", "h");
    machine.file(".dockerignore", "src/hidden\n");
    let image = machine.built(
        "\
FROM busybox:base AS tool
RUN echo tool > /tool
FROM busybox:base
RUN --mount=type=bind,target=/ctx cat /ctx/src/code > /bound; ls /ctx/src >> /bound
RUN --mount=type=bind,source=src,target=/s,rw echo x > /s/new && ls /s > /written
RUN --mount=from=tool,source=/tool,target=/t cat /t > /staged
RUN --mount=type=cache,target=/cache echo 1 >> /cache/runs; wc -l < /cache/runs > /cached
RUN --mount=type=tmpfs,target=/mem,size=1m touch /mem/x && ls /mem > /tmpfs
RUN --mount=type=secret,id=none ls /run/secrets > /secret 2>&1 || true
",
        &[],
    );
    assert_eq!(machine.cat(&image, "bound"), "codecode\n");
    assert_eq!(machine.cat(&image, "written"), "code\nnew\n");
    assert_eq!(machine.cat(&image, "staged"), "tool\n");
    assert_eq!(machine.cat(&image, "cached"), "1\n");
    assert_eq!(machine.cat(&image, "tmpfs"), "x\n");
    let left = ["ctx", "s", "t", "cache", "mem", "run"];
    assert!(!machine.paths(&image).iter().any(|path| left.contains(&path.trim_end_matches('/'))));
    assert!(!machine.path("ctx/src/new").exists(), "the context is not written to");
    let again = machine.built(
        "FROM busybox:base\nRUN --mount=type=cache,target=/cache,sharing=locked wc -l < /cache/runs > /x\n",
        &[],
    );
    assert_eq!(machine.cat(&again, "x"), "1\n", "a cache outlives its build");
    machine.file("src/code", "changed");
    let said = machine.build(&fs::read_to_string(machine.path("ctx/Dockerfile")).unwrap(), &[]);
    assert_eq!(said.cached(), 2, "{}", said.err);
    machine.assert_clean();
}

#[test]
fn another_machine_cannot_be_run_here() {
    let machine = Machine::new();
    let foreign = if arch() == "amd64" { "s390x" } else { "mips64le" };
    let dockerfile = "FROM scratch\nCOPY Dockerfile /\nRUN true\n";
    let platform = format!("linux/{foreign}");
    machine.build(dockerfile, &["--platform", &platform]).refused(&[
        "Dockerfile:3",
        &platform,
        "binfmt",
    ]);
    let image = machine.built("FROM scratch\nCOPY Dockerfile /\n", &["--platform", &platform]);
    assert_eq!(machine.config(&image)["architecture"], foreign);
}

#[test]
fn only_the_digest_is_on_standard_output() {
    let machine = Machine::new();
    let dockerfile = "FROM busybox:base\nRUN echo hello\n";
    let said = machine.build(dockerfile, &["-q"]);
    assert_eq!(said.err, "");
    let id = machine.path("id");
    let loud = machine.build(dockerfile, &["--iidfile", id.to_str().unwrap(), "--no-cache"]);
    assert!(
        loud.err.contains("[2/2] RUN echo hello") && loud.err.contains("hello"),
        "{}",
        loud.err
    );
    assert_eq!(fs::read_to_string(id).unwrap(), loud.out.trim_end());
    assert_eq!(machine.build(dockerfile, &[]).out, loud.out);
}

#[test]
fn runc_runs_the_same_bundles() {
    let machine = Machine::new();
    let image = machine.built(
        "FROM busybox:base\nUSER app\nRUN id -un > /tmp/who; touch /tmp/x\n",
        &["--runtime", "runc"],
    );
    assert_eq!(machine.cat(&image, "tmp/who"), "app\n");
    machine.assert_clean();
}
