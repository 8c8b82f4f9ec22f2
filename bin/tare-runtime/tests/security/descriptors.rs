//! Descriptors of the host's that reach the container's lookups (CVE-2024-21626).

use std::fs;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::process::Output;

use serde_json::json;

use super::support::{Bundle, NOTHING};

/// Runs with a directory of the host's left open by the caller, as a careless engine does.
fn run_with_leak(bundle: &Bundle, leak: &OwnedFd) -> Output {
    rustix::io::fcntl_setfd(leak.as_fd(), rustix::io::FdFlags::empty()).expect("keep it open");
    bundle.run()
}

fn leak() -> OwnedFd {
    fs::File::open("/usr/share").expect("open a directory").into()
}

/// As a program: where it succeeds, the host's busybox runs in the container, its file writable by
/// `/proc/self/exe`. A runtime that only marks descriptors to be closed on exec runs it.
#[test]
fn no_program_through_a_leaked_directory() {
    let leak = leak();
    let mut bundle = Bundle::new(&["true"]);
    let program = format!("/proc/self/fd/{}/../../bin/busybox", leak.as_raw_fd());
    bundle.config["process"]["args"] = json!([program, "echo", "escaped"]);
    for link in [false, true] {
        if link {
            symlink(&program, bundle.rootfs().join("bin/link")).unwrap();
            bundle.config["process"]["args"] = json!(["/bin/link", "echo", "escaped"]);
        }
        let output = run_with_leak(&bundle, &leak);
        assert_eq!(String::from_utf8_lossy(&output.stdout), "", "link: {link}");
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(bundle.leftovers(), NOTHING);
    }
}

/// As a working directory, by name and through a link of the image's, in run and in exec.
#[test]
fn no_working_directory_through_a_descriptor() {
    let leak = leak();
    let bundle = Bundle::new(&["sleep", "600"]);
    for fd in 0..24 {
        symlink(format!("/proc/self/fd/{fd}"), bundle.rootfs().join(format!("to{fd}"))).unwrap();
    }
    bundle.create();
    bundle.succeed(&["start", "@"]);
    for fd in 0..24 {
        for cwd in [format!("/proc/self/fd/{fd}"), format!("/to{fd}")] {
            bundle.fail_with_any_code(&["exec", "--cwd", &cwd, "@", "true"]);
            let args = ["/bin/busybox", "cat", "../../etc/passwd"];
            let other = Bundle::new(&args).with(|config| config["process"]["cwd"] = json!(cwd));
            if cwd.starts_with("/to") {
                symlink(format!("/proc/self/fd/{fd}"), other.rootfs().join(&cwd[1..])).unwrap();
            }
            let output = run_with_leak(&other, &leak);
            assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{cwd}");
        }
    }
}
