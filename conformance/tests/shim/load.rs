//! Many pods at once, a containerd that goes and comes, and everything killed in turn.

use std::process::{Child, Command, Stdio};

use crate::containerd::{Containerd, TARE, is_alive, processes, text, until};

/// Starts `ctr run -d` of a container that waits, in a pod of this name.
fn begin(containerd: &Containerd, pod: &str, id: &str) -> Child {
    let group = format!("io.containerd.runc.v2.group={pod}");
    let image = containerd.image();
    let args = ["run", "-d", "--null-io", "--annotation", &group, "--runtime", TARE, &image, id];
    let mut command = containerd.command(&args);
    command.args(["/bin/sleep", "1000"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("ctr is installed")
}

fn finish(what: Vec<Child>) {
    for child in what {
        let output = child.wait_with_output().expect("it can be waited for");
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
}

fn kill(pid: u32) {
    let kill = Command::new("kill").args(["-9", &pid.to_string()]).status();
    assert!(kill.expect("kill is there").success());
}

#[test]
fn fifty_pods_at_once() {
    const PODS: usize = 50;
    let containerd = Containerd::new();
    let pods: Vec<String> = (0..PODS).map(|number| format!("pod-{number}")).collect();
    finish(pods.iter().map(|pod| begin(&containerd, pod, pod)).collect());
    assert_eq!(containerd.shims().len(), PODS);
    let side = |pod: &String| begin(&containerd, pod, &format!("{pod}-side"));
    finish(pods.iter().map(side).collect());
    assert_eq!(containerd.shims().len(), PODS, "a pod's containers share its shim");
    let running = containerd.ok(&["task", "ls"]).matches("RUNNING").count();
    assert_eq!(running, 2 * PODS);

    let delete = |id: String| containerd.command(&["task", "delete", "-f", &id]).spawn().unwrap();
    let sides = pods.iter().map(|pod| delete(format!("{pod}-side")));
    finish(sides.collect());
    finish(pods.iter().map(|pod| delete(pod.clone())).collect());
    let ids: Vec<String> = pods.iter().flat_map(|it| [it.clone(), format!("{it}-side")]).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    containerd.ok(&[&["container", "delete"][..], &ids].concat());
    containerd.assert_clean();
}

/// One kills, one deletes as soon as it hears of the end: neither loses its answer.
#[test]
fn a_kill_is_answered_though_the_container_is_gone() {
    let containerd = Containerd::new();
    for round in 0..10 {
        let id = format!("quick-{round}");
        finish(vec![begin(&containerd, &id, &id)]);
        let kill = ["task", "kill", "--all", "-s", "KILL", &id];
        let mut kills = containerd.command(&kill).spawn().expect("ctr is installed");
        until("it is deleted", || containerd.ctr(&["task", "delete", &id]).status.success());
        assert!(kills.wait().expect("it can be waited for").success(), "{}", containerd.log());
        containerd.ok(&["container", "delete", &id]);
    }
    containerd.assert_clean();
}

#[test]
fn a_containerd_is_killed_under_load() {
    let mut containerd = Containerd::new();
    let steady: Vec<String> = (0..5).map(|number| format!("steady-{number}")).collect();
    finish(steady.iter().map(|id| begin(&containerd, id, id)).collect());
    let pids: Vec<u32> = steady.iter().map(|id| containerd.task(id).unwrap().0).collect();
    for round in 0..3 {
        let begun = (0..8).map(|number| format!("load-{round}-{number}"));
        let begun: Vec<Child> = begun.map(|id| begin(&containerd, &id, &id)).collect();
        // In the middle of them, wherever each is.
        std::thread::sleep(std::time::Duration::from_millis(60 * (round + 1)));
        containerd.stop();
        for child in begun {
            // Those that it was asked for may fail, but do not hang.
            child.wait_with_output().unwrap();
        }
        containerd.start();
        for (id, pid) in steady.iter().zip(&pids) {
            assert_eq!(containerd.task(id), Some((*pid, "RUNNING".to_owned())));
        }
    }
    let exec = ["task", "exec", "--exec-id", "e", "steady-0", "/bin/echo", "still here"];
    assert_eq!(containerd.ok(&exec), "still here");
    for id in text(&containerd.ctr(&["task", "ls", "-q"]).stdout).split_whitespace() {
        containerd.ctr(&["task", "delete", "-f", id]);
    }
    for id in containerd.ok(&["container", "ls", "-q"]).split_whitespace() {
        containerd.ok(&["container", "delete", id]);
    }
    if !containerd.is_second() {
        end_unused(&containerd);
    }
    containerd.assert_clean();
}

/// containerd 1.x, killed between starting a shim and asking it for a container, finds it again and keeps it
/// for ever, whichever shim it is (its issue 6860).
fn end_unused(containerd: &Containerd) {
    let bundles =
        containerd.path("state/io.containerd.runtime.v2.task").join(&containerd.namespace);
    for bundle in std::fs::read_dir(bundles).expect("there were containers").flatten() {
        if !bundle.path().join("shim.json").exists() {
            let id = bundle.file_name().to_string_lossy().into_owned();
            let its = |line: &[String]| line.windows(2).any(|it| it[0] == "-id" && it[1] == id);
            let shims = containerd.shims();
            let unused = processes().filter(|(pid, line)| shims.contains(pid) && its(line));
            unused.for_each(|(pid, _)| kill(pid));
        }
    }
}

/// Whatever of a pod's three processes is killed, in whatever order: what remains is told, deleted, and
/// leaves nothing.
#[test]
fn everything_is_killed_in_turn() {
    let mut containerd = Containerd::new();
    for order in ["cis", "csi", "ics", "isc", "sci", "sic"] {
        finish(vec![begin(&containerd, order, order)]);
        let (init, _) = containerd.task(order).unwrap();
        let [shim] = containerd.shims()[..] else { panic!("one shim: {:?}", containerd.shims()) };
        for what in order.chars() {
            match what {
                'c' => containerd.stop(),
                's' => kill(shim),
                // A killed shim's containerd may have ended it already.
                _ => drop(Command::new("kill").args(["-9", &init.to_string()]).output()),
            }
        }
        containerd.start();
        until("all have ended", || !is_alive(init) && !is_alive(shim));
        containerd.ctr(&["task", "delete", "-f", order]);
        containerd.ok(&["container", "delete", order]);
        containerd.assert_clean();
    }
}
