//! `tare run` in the foreground, with real containers.

mod support;

use std::io::Write as _;
use std::process::{Command, Stdio};

use support::{Said, World, said, until};

fn out(text: &str) -> Said {
    Said { code: 0, out: text.to_owned(), err: String::new() }
}

#[test]
fn streams_and_exit_code_are_the_containers() {
    let world = World::new();
    let run = world.run_args(&["run", "--rm", "box", "sh", "-c", "echo out; echo err >&2; exit 7"]);
    assert_eq!(run, Said { code: 7, out: "out\n".into(), err: "err\n".into() });
    let killed = world.run_args(&["run", "--rm", "--init", "box", "sh", "-c", "kill -9 $$"]);
    assert_eq!(killed.code, 137);
    world.assert_clean();
}

#[test]
fn standard_input_is_passed_on_only_when_asked_for() {
    let world = World::new();
    for (options, want) in
        [(&["run", "-i", "--rm", "box", "cat"][..], "hello"), (&["run", "--rm", "box", "cat"], "")]
    {
        let mut tare =
            world.tare(options).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        // Where nobody reads, the pipe may be closed already.
        let _ = tare.stdin.take().unwrap().write_all(b"hello");
        assert_eq!(said(tare.wait_with_output().unwrap()), out(want));
    }
}

#[test]
fn much_input_and_output_at_once_do_not_block() {
    let world = World::new();
    let data = vec![b'x'; 4 << 20];
    let mut tare = world
        .tare(&["run", "-i", "--rm", "box", "cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = tare.stdin.take().unwrap();
    let copy = data.clone();
    let writer = std::thread::spawn(move || stdin.write_all(&copy).unwrap());
    let output = tare.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.stdout == data, "{} bytes came back", output.stdout.len());
}

#[test]
fn a_reader_that_goes_away_ends_the_container() {
    let world = World::new();
    let mut tare = world
        .tare(&["run", "--rm", "box", "yes"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    drop(tare.stdout.take());
    until("the container to end", || tare.try_wait().unwrap().is_some());
    world.assert_clean();
}

#[test]
fn options_reach_the_process() {
    let world = World::new();
    std::fs::write(world.path("env"), "# comment\nFILE=1\nBOTH=file\n").unwrap();
    let env_file = world.path("env");
    let script = "id; pwd; echo $FILE $BOTH $ONE; echo $0";
    let run = world.run_args(&[
        "run",
        "--rm",
        "--env-file",
        env_file.to_str().unwrap(),
        "-e",
        "BOTH=flag",
        "-e",
        "ONE=a b",
        "-u",
        "app",
        "-w",
        "/tmp",
        "--entrypoint",
        "sh",
        "box",
        "-c",
        script,
        "zero",
    ]);
    let want = "uid=1000(app) gid=1000(app) groups=1000(app),2000(extra)\n/tmp\n1 flag a b\nzero\n";
    assert_eq!(run, out(want));
}

#[test]
fn options_may_be_empty_repeated_and_have_values() {
    let world = World::new();
    let empty = ["--name", "", "-w", "", "-u", "", "--cpuset-cpus", "", "--cpus", "0"];
    let repeated = ["--rm", "--rm=true", "-w", "/nope", "-w", "/tmp", "--init=false", "-it=false"];
    let run = |options: &[&str]| {
        let words = [&["run", "--rm"], options, &["box", "/bin/busybox", "pwd"]].concat();
        world.run_args(&words)
    };
    assert_eq!(run(&empty), out("/\n"));
    assert_eq!(run(&repeated), out("/tmp\n"));
    world.assert_clean();
}

#[test]
fn volumes_are_shown_and_missing_ones_made() {
    let world = World::new();
    let dir = world.path("new/dir");
    let volume = format!("{}:/data", dir.display());
    let run = world.run_args(&["run", "--rm", "-v", &volume, "box", "touch", "/data/file"]);
    assert_eq!(run, out(""));
    assert!(dir.join("file").is_file());
    let read_only = format!("{volume}:ro");
    let run = world.run_args(&["run", "--rm", "-v", &read_only, "box", "touch", "/data/other"]);
    assert_eq!(
        run,
        Said {
            code: 1,
            out: String::new(),
            err: "touch: /data/other: Read-only file system\n".into()
        }
    );
}

#[test]
fn a_read_only_root_and_a_private_network() {
    let world = World::new();
    let run = world.run("run --rm --read-only --tmpfs /tmp box touch /file");
    assert_eq!((run.code, run.err.as_str()), (1, "touch: /file: Read-only file system\n"));
    assert_eq!(world.run("run --rm --read-only --tmpfs /tmp box touch /tmp/file"), out(""));
    let links = world.ok("run --rm --network none box cat /proc/net/dev");
    let names: Vec<&str> =
        links.lines().skip(2).filter_map(|line| line.split(':').next()).map(str::trim).collect();
    assert!(names.contains(&"lo") && !names.iter().any(|name| name.starts_with('e')), "{names:?}");
}

#[test]
fn limits_are_those_of_the_cgroup() {
    let world = World::new();
    let script = "cd /sys/fs/cgroup; \
        cat memory/memory.limit_in_bytes 2>/dev/null || cat memory.max; \
        cat pids/pids.max 2>/dev/null || cat pids.max; \
        cat cpu/cpu.cfs_quota_us 2>/dev/null || cat cpu.max";
    let run = world.run_args(&[
        "run",
        "--rm",
        "-m",
        "64m",
        "--pids-limit",
        "50",
        "--cpus",
        "1.5",
        "box",
        "sh",
        "-c",
        script,
    ]);
    // Who may not make cgroups is told that there are no limits.
    if support::is_rootless() {
        assert_eq!(run.code, 125);
        assert!(
            run.err.contains("linux.resources.memory: rootless needs no limits"),
            "{}",
            run.err
        );
        return;
    }
    assert_eq!(run.code, 0, "{}", run.err);
    let lines: Vec<&str> = run.out.lines().collect();
    assert_eq!(lines[..2], ["67108864", "50"]);
    assert!(lines[2].starts_with("150000"), "{lines:?}");
    world.assert_clean();
}

#[test]
fn a_memory_limit_below_6_mib_is_refused_with_the_reason() {
    let world = World::new();
    let run = world.run("run --rm -m 5m box true");
    let err = "tare: error: cannot run box\n  caused by: a memory limit of 5242880 bytes is too small: at least 6MiB are needed, as the runtime itself starts within the limit\n";
    assert_eq!(run, Said { code: 125, out: String::new(), err: err.into() });
    world.assert_clean();
}

#[test]
fn an_unknown_image_is_an_error_with_a_suggestion() {
    let world = World::new();
    let run = world.run("run --rm bxo true");
    let err = "tare: error: cannot run bxo\n  caused by: no such image: bxo\n  hint: get it with: tare store pull bxo, build it with: tare build -t bxo DIR, or import a root file system with: tare store import FILE bxo\n";
    assert_eq!(run, Said { code: 125, out: String::new(), err: err.into() });
    let near = world.run("run --rm boxx true");
    assert!(near.err.ends_with("  hint: did you mean box?\n"), "{}", near.err);
}

#[test]
fn a_command_that_cannot_be_executed_has_dockers_exit_codes() {
    let world = World::new();
    for (command, code) in [("nope", 127), ("/bin/nope", 127), ("/etc/passwd", 126)] {
        for options in ["run --rm", "run", "run -d", "run --rm --init"] {
            let run = world.run(&format!("{options} box {command}"));
            // An init cannot tell before it runs: its caller has the container already.
            if options.contains("--init") {
                assert_eq!(run.code, code, "{options} {command}: {}", run.err);
                continue;
            }
            assert_eq!(
                (run.code, run.out.as_str()),
                (code, ""),
                "{options} {command}: {}",
                run.err
            );
            assert!(
                run.err.starts_with("tare: error: cannot run box\n  caused by: "),
                "{}",
                run.err
            );
        }
    }
    world.assert_clean();
}

#[test]
fn an_init_is_process_1_and_passes_signals_on() {
    let world = World::new();
    let first = world.ok("run --rm --init box cat /proc/1/comm");
    assert_eq!(first, "tare-init");
    let mut tare = world
        .tare(&["run", "--rm", "--init", "--name", "sleeper", "box", "sleep", "1000"])
        .spawn()
        .unwrap();
    // Only then are its handlers in place: what comes before, the kernel drops, as for any process 1.
    until("the command to run", || {
        let processes = world.run("exec sleeper ps").out;
        processes.lines().any(|line| line.ends_with(" sleep 1000") && !line.contains("tare-init"))
    });
    let pid = rustix::process::Pid::from_child(&tare);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    until("the container to end", || tare.try_wait().unwrap().is_some());
    assert_eq!(tare.wait().unwrap().code(), Some(143));
    world.assert_clean();
}

#[test]
fn a_container_that_does_not_listen_is_killed_at_the_third_signal() {
    let world = World::new();
    let mut tare =
        world.tare(&["run", "--rm", "--name", "deaf", "box", "sleep", "1000"]).spawn().unwrap();
    world.wait_for_state("deaf", "running");
    let pid = rustix::process::Pid::from_child(&tare);
    until("the container to be killed", || {
        // Signals that come together count once.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::INT);
        tare.try_wait().unwrap().is_some()
    });
    assert_eq!(tare.wait().unwrap().code(), Some(137));
    world.assert_clean();
}

#[test]
fn a_terminal_is_one_inside_and_outside() {
    let world = World::new();
    let tare = world.tare(&[
        "run",
        "-it",
        "--rm",
        "box",
        "sh",
        "-c",
        "stty size; stty rows 33 cols 77; stty size; tty",
    ]);
    let line: Vec<String> = std::iter::once(tare.get_program())
        .chain(tare.get_args())
        .map(|word| format!("'{}'", word.to_str().unwrap()))
        .collect();
    let mut script = Command::new("script");
    let line = format!("stty rows 20 cols 90; exec {}", line.join(" "));
    script.args(["-qec", &line, "/dev/null"]).stdin(Stdio::null());
    script.envs(tare.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let run = said(script.output().unwrap());
    assert_eq!(run.code, 0, "{}", run.out);
    // `script` types a NUL at the end of its input, and the terminal shows it.
    assert_eq!(run.out.replace("^@", ""), "20 90\r\n33 77\r\n/dev/pts/0\r\n");
}

#[test]
fn a_terminal_without_ours_is_refused_with_i_and_works_without() {
    let world = World::new();
    let run = world.run("run --rm -it box true");
    let err = "tare: error: cannot run box\n  caused by: standard input is not a terminal\n  hint: use -i without -t, or -t without -i\n";
    assert_eq!(run, Said { code: 1, out: String::new(), err: err.into() });
    assert_eq!(world.run("run --rm -t box tty"), out("/dev/pts/0\r\n"));
}

#[test]
fn both_drivers_give_the_same_container() {
    let world = World::new();
    for driver in support::drivers() {
        let run = world.run(&format!("run --rm --driver {driver} box cat /etc/group"));
        assert_eq!(run, out("root:x:0:\napp:x:1000:\nextra:x:2000:app\n"), "{driver}");
    }
    world.assert_clean();
}
