//! Containers in the background: ps, logs, exec, stop, kill, wait, rm.

mod support;

use support::{Said, World, until};

#[test]
fn a_container_in_the_background_from_start_to_rm() {
    let world = World::new();
    let id = world.run_args(&[
        "run",
        "-d",
        "--name",
        "bg",
        "box",
        "sh",
        "-c",
        "echo one; echo two >&2; sleep 1000",
    ]);
    assert_eq!((id.code, id.out.trim().len(), id.err.as_str()), (0, 64, ""));
    assert_eq!(world.state("bg"), "running");
    until("the log", || {
        world.run("logs bg") == Said { code: 0, out: "one\n".into(), err: "two\n".into() }
    });
    assert_eq!(world.ok("ps -q"), id.out.trim()[..12]);
    let refused = world.run("rm bg");
    let err = "tare: error: container bg is running\n  hint: stop it first with: tare stop bg, or kill it with: tare rm -f bg\n";
    assert_eq!(refused, Said { code: 1, out: String::new(), err: err.into() });
    assert_eq!(world.ok("stop -t 0 bg"), "bg");
    assert_eq!(world.state("bg"), "exited");
    assert_eq!(world.ok("wait bg"), "137");
    assert_eq!(world.run("logs bg").out, "one\n");
    assert_eq!(world.ok(&format!("rm {}", &id.out[..10])), &id.out[..10]);
    world.assert_clean();
}

#[test]
fn exec_has_streams_user_directory_and_exit_code() {
    let world = World::new();
    world.ok("run -d --name ex box sleep 1000");
    let exec = world.run_args(&[
        "exec",
        "-u",
        "app",
        "-w",
        "/tmp",
        "-e",
        "A=1",
        "ex",
        "sh",
        "-c",
        "id -u; pwd; echo $A $HOME; echo e >&2; exit 3",
    ]);
    assert_eq!(exec, Said { code: 3, out: "1000\n/tmp\n1 /home/app\n".into(), err: "e\n".into() });
    let missing = world.run("exec ex nope");
    assert_eq!(missing.code, 127, "{}", missing.err);
    assert!(missing.err.starts_with("tare: error: cannot execute nope in ex\n"), "{}", missing.err);
    world.ok("exec -d ex touch /tmp/made");
    until("the file", || world.run("exec ex cat /tmp/made").code == 0);
    world.ok("rm -f ex");
    let gone = world.run("exec ex true");
    let err = "tare: error: cannot execute true in ex\n  caused by: no such container: ex\n";
    assert_eq!(gone, Said { code: 1, out: String::new(), err: err.into() });
    world.assert_clean();
}

#[test]
fn stop_sends_the_stop_signal_and_rm_follows() {
    let world = World::new();
    let script = "trap 'echo stopped; exit 5' USR1; echo ready; while true; do sleep 0.05; done";
    world.run_args(&[
        "run",
        "-d",
        "--name",
        "st",
        "--stop-signal",
        "SIGUSR1",
        "box",
        "sh",
        "-c",
        script,
    ]);
    until("the trap", || world.run("logs st").out == "ready\n");
    assert_eq!(world.ok("stop st"), "st");
    assert_eq!(world.ok("wait st"), "5");
    assert_eq!(world.run("logs st").out, "ready\nstopped\n");
    world.ok("rm st");
    world.assert_clean();
}

#[test]
fn rm_option_removes_it_when_it_ends() {
    let world = World::new();
    world.ok("run -d --rm --name gone box sleep 1000");
    world.ok("kill gone");
    world.wait_for_state("gone", "gone");
    until("everything to go", || {
        ["store/tare/containers", "run/containers"]
            .iter()
            .all(|folder| std::fs::read_dir(world.path(folder)).unwrap().next().is_none())
    });
    world.assert_clean();
}

#[test]
fn names_are_unique_and_given_back() {
    let world = World::new();
    let first = world.ok("run -d --name same box sleep 1000");
    let second = world.run("run -d --name same box true");
    let err = format!(
        "tare: error: cannot run box\n  caused by: the name same is in use by container {}\n  hint: remove it with: tare rm same\n",
        &first[..12]
    );
    assert_eq!(second, Said { code: 125, out: String::new(), err });
    world.ok("rm -f same");
    world.ok("run --rm --name same box true");
    world.assert_clean();
}

#[test]
fn of_many_that_want_one_name_one_gets_it() {
    let world = World::new();
    let codes: Vec<i32> = std::thread::scope(|scope| {
        let start = || scope.spawn(|| world.run("run -d --name race box sleep 1000").code);
        let threads: Vec<_> = (0..5).map(|_| start()).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(codes.iter().filter(|code| **code == 0).count(), 1, "{codes:?}");
    world.ok("rm -f race");
    world.assert_clean();
}

#[test]
fn after_the_monitor_was_killed_the_truth_is_told_and_rm_cleans_up() {
    let world = World::new();
    world.ok("run -d --name orphan box sleep 1000");
    rustix::process::kill_process(world.monitor(), rustix::process::Signal::KILL).unwrap();
    // The container itself lives on.
    until("the monitor to end", || world.run("exec orphan true").code == 0);
    assert_eq!(world.state("orphan"), "running");
    world.ok("kill orphan");
    world.wait_for_state("orphan", "dead");
    let unknown = world.run("wait orphan");
    let err = "tare: error: the exit code of container orphan is unknown: its monitor was killed\n";
    assert_eq!(unknown, Said { code: 1, out: String::new(), err: err.into() });
    world.ok("rm orphan");
    world.assert_clean();
    world.ok("run -d --name orphan box sleep 1000");
    rustix::process::kill_process(world.monitor(), rustix::process::Signal::KILL).unwrap();
    world.ok("rm -f orphan");
    world.assert_clean();
}

#[test]
fn what_lost_its_state_is_swept_by_the_next_run() {
    let world = World::new();
    world.ok("run --name left box true");
    // As a reboot does.
    std::fs::remove_dir_all(world.path("run")).unwrap();
    assert!(std::fs::read_dir(world.path("store/tare/containers")).unwrap().next().is_some());
    world.ok("run --rm box true");
    world.assert_clean();
}

#[test]
fn logs_follow_until_the_end_and_show_tails_and_times() {
    let world = World::new();
    world.run_args(&[
        "run",
        "-d",
        "--name",
        "talk",
        "box",
        "sh",
        "-c",
        "for i in 1 2 3; do echo $i; sleep 0.1; done",
    ]);
    assert_eq!(world.ok("logs -f talk"), "1\n2\n3");
    assert_eq!(world.ok("logs --tail 2 talk"), "2\n3");
    assert_eq!(world.ok("logs --tail 0 talk"), "");
    assert_eq!(world.ok("logs --since 1h talk"), "1\n2\n3");
    assert_eq!(world.ok("logs --until 1h talk"), "");
    let stamped = world.ok("logs -t -n 1 talk");
    assert!(stamped.ends_with("Z 3") && stamped.starts_with("20"), "{stamped}");
    world.ok("rm talk");
}

#[test]
fn several_are_all_tried() {
    let world = World::new();
    world.ok("run --name a1 box true");
    let removed = world.run("rm nope a1");
    assert_eq!(
        removed,
        Said { code: 1, out: "a1\n".into(), err: "tare: error: no such container: nope\n".into() }
    );
    world.assert_clean();
}
