//! `ctr container checkpoint` and `restore`: by containerd, the shim, the runtime, and criu.

use std::os::unix::fs::symlink;
use std::process::Command;

use crate::containerd::{Containerd, TARE, is_alive, text, until};

/// A containerd whose shims find the criu of this machine, and whether that can work here.
fn with_criu() -> (Containerd, bool) {
    let criu = std::env::var("TARE_CRIU").unwrap_or_else(|_| "criu".into());
    let check = Command::new(&criu).arg("check").output().expect("criu is installed");
    let find = Command::new("sh").args(["-c", "command -v \"$0\"", &criu]).output();
    let found = find.expect("there is a shell");
    let mut containerd = Containerd::new();
    symlink(text(&found.stdout).trim(), containerd.path("bin/criu")).expect("a link can be made");
    containerd.stop();
    containerd.start();
    if !check.status.success() {
        eprintln!("CRIU CANNOT WORK HERE: {}", text(&check.stderr));
    }
    (containerd, check.status.success())
}

/// Counts in a file that only it can see, so that a restored one is told from one begun anew.
const COUNT: &str = "i=0; while :; do i=$((i+1)); echo $i > /dev/shm/count; usleep 20000; done";

fn count(containerd: &Containerd, pid: u32) -> u64 {
    let file = format!("/proc/{pid}/root/dev/shm/count");
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.trim().parse().unwrap_or_else(|_| {
        assert!(is_alive(pid), "{}", containerd.log());
        0
    })
}

#[test]
fn a_container_goes_on_from_its_checkpoint() {
    let (containerd, works) = with_criu();
    containerd.detach(TARE, "counts", &["/bin/sh", "-c", COUNT]);
    let (pid, _) = containerd.task("counts").unwrap();
    until("it counts", || count(&containerd, pid) > 20);
    let written = containerd.ctr(&["container", "checkpoint", "--task", "counts", "written"]);
    if !works {
        assert!(text(&written.stderr).contains("criu"), "{}", text(&written.stderr));
        assert_eq!(containerd.task("counts").unwrap().1, "RUNNING");
        return;
    }
    assert!(written.status.success(), "{}\n{}", text(&written.stderr), containerd.log());
    assert_eq!(containerd.task("counts").unwrap(), (pid, "RUNNING".to_owned()));
    containerd.ok(&["task", "delete", "-f", "counts"]);
    containerd.ok(&["container", "delete", "counts"]);
    let restored = containerd.ctr(&["container", "restore", "--live", "counts", "written"]);
    assert!(restored.status.success(), "{}\n{}", text(&restored.stderr), containerd.log());
    let (again, status) = containerd.task("counts").unwrap();
    assert_eq!(status, "RUNNING");
    until("it goes on", || count(&containerd, again) > 20);
    let exec = ["task", "exec", "--exec-id", "e", "counts", "/bin/echo", "still here"];
    assert_eq!(containerd.ok(&exec), "still here");
    containerd.ok(&["task", "delete", "-f", "counts"]);
    containerd.ok(&["container", "delete", "counts"]);
    containerd.assert_clean();
}
