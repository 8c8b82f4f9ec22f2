//! A container that stops the process which enters it, to hold up whoever waits for it.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::python;
use super::support::until;

/// Stops every process that runs the runtime still, and says so when that was in time.
const STOP: &str = r#"
import os, signal, time
open('/tmp/ready', 'w').close()
def entering(pid):
    try: return b'tare-runtime' in open(f'/proc/{pid}/cmdline', 'rb').read()
    except OSError: return False
stopped = set()
while not os.path.exists('/tmp/stop'):
    for pid in stopped | set(os.listdir('/proc')):
        if not pid.isdigit() or pid == '1': continue
        try:
            if entering(pid):
                os.kill(int(pid), signal.SIGSTOP)
                stopped.add(pid)
                time.sleep(0.02) # it may have been executing the program
                if entering(pid): open('/tmp/stopped', 'w').close()
            elif pid in stopped:
                stopped.discard(pid)
                os.kill(int(pid), signal.SIGCONT)
        except OSError: pass
"#;

/// A runtime that holds its signals back until the program runs cannot be ended but by SIGKILL, and
/// leaves the stopped process behind then.
#[test]
fn who_waits_for_a_stopped_process_can_be_ended() {
    let mut bundle = python(STOP);
    bundle.config["root"]["readonly"] = false.into();
    fs::create_dir(bundle.rootfs().join("tmp")).unwrap();
    bundle.create();
    bundle.succeed(&["start", "@"]);
    let file = |name: &str| bundle.rootfs().join("tmp").join(name);
    until(|| file("ready").exists(), "it lies in wait");
    for detach in [false, true] {
        let end = Instant::now() + Duration::from_secs(10);
        let mut exec = loop {
            assert!(Instant::now() < end, "never stopped in time");
            let _ = fs::remove_file(file("stopped"));
            let mut command = bundle.runtime();
            command.args(["exec", if detach { "--detach" } else { "--no-subreaper" }]);
            command.args([&bundle.id, "true"]).stdin(Stdio::null());
            let mut exec = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            let mut ended = false;
            until(
                || {
                    ended = exec.try_wait().unwrap().is_some();
                    ended || file("stopped").exists()
                },
                "it enters",
            );
            if !ended {
                break exec;
            }
        };
        let pid = Pid::from_raw(exec.id().cast_signed()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        let deadline = Instant::now() + Duration::from_secs(3);
        let mut status = None;
        while status.is_none() && Instant::now() < deadline {
            status = exec.try_wait().unwrap();
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = exec.kill();
        let _ = exec.wait();
        assert!(!status.expect("SIGTERM ends it").success());
        let listed = || bundle.succeed(&["ps", "--format", "json", "@"]).matches(',').count();
        until(|| listed() == 0, "the stopped process is gone");
    }
}
