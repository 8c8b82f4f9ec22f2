//! System call filters: what they answer, when they are loaded, and how a supervisor gets its
//! descriptor (runtime-spec, config-linux.md "Seccomp").

mod support;

use std::io::{IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread;

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use serde_json::{Value, json};
use support::{Bundle, NOTHING, error};

fn profile(action: &str, names: &[&str]) -> Value {
    json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        "syscalls": [{"names": names, "action": action}],
    })
}

fn filtered(bundle: Bundle, profile: Value, no_new_privileges: bool) -> Bundle {
    bundle.with(|config| {
        config["linux"]["seccomp"] = profile;
        config["process"]["noNewPrivileges"] = json!(no_new_privileges);
    })
}

/// Neither way needs a socket's or a descriptor's calls of ours between the filter and the program.
#[test]
fn created_containers_start_under_narrow_filters() {
    let ours = [
        "accept",
        "accept4",
        "recvmsg",
        "recvfrom",
        "sendmsg",
        "close_range",
        "socket",
        "connect",
        "poll",
        "ppoll",
        "clone",
        "clone3",
        "memfd_create",
        "pidfd_open",
        "setsid",
    ];
    for no_new_privileges in [false, true] {
        let bundle = Bundle::new(&["sleep", "600"]);
        let bundle = filtered(bundle, profile("SCMP_ACT_KILL_PROCESS", &ours), no_new_privileges);
        bundle.create();
        bundle.succeed(&["start", "@"]);
        assert_eq!(bundle.status(), "running", "{no_new_privileges}");
    }
}

#[test]
fn a_created_container_starts_once_and_tells_what_fails() {
    let bundle = Bundle::new(&["sleep", "600"]);
    bundle.create();
    std::fs::remove_file(bundle.rootfs().join("bin/busybox")).unwrap();
    assert!(bundle.fail(&["start", "@"]).contains("no such file"));
    let other = Bundle::new(&["sleep", "600"]);
    other.create();
    other.succeed(&["start", "@"]);
    assert!(other.fail(&["start", "@"]).contains("running"));
}

#[test]
fn wrong_profiles_are_named() {
    let broken = |change: &dyn Fn(&mut Value)| {
        let mut profile = profile("SCMP_ACT_ERRNO", &["mkdir"]);
        change(&mut profile);
        let bundle = filtered(Bundle::new(&["true"]), profile, false);
        let message = error(&bundle.run());
        assert_eq!(bundle.leftovers(), NOTHING);
        message
    };
    let six = json!([{"index": 6, "value": 0, "op": "SCMP_CMP_EQ"}]);
    let message = broken(&|profile| profile["syscalls"][0]["args"] = six.clone());
    assert!(message.contains("linux.seccomp.syscalls[0].args"), "{message}");
    let flag = json!(["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]);
    let message = broken(&|profile| profile["flags"] = flag.clone());
    assert!(message.contains("linux.seccomp.flags"), "{message}");
    let message = broken(&|profile| profile["syscalls"][0]["action"] = json!("SCMP_ACT_NOTIFY"));
    assert!(message.contains("linux.seccomp.listenerPath"), "{message}");
    let message = broken(&|profile| profile["flags"] = json!(["SECCOMP_FILTER_FLAG_X"]));
    assert!(message.contains("flags[0]"), "{message}");
}

/// What the supervisor got.
struct Heard {
    state: Value,
    listener: OwnedFd,
}

fn hear(stream: UnixStream) -> Heard {
    let mut bytes = vec![0; 65536];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut parts = [IoSliceMut::new(&mut bytes)];
    let got = recvmsg(&stream, &mut parts, &mut ancillary, RecvFlags::CMSG_CLOEXEC).expect("hear");
    let listener = ancillary
        .drain()
        .find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
            _ => None,
        })
        .expect("a descriptor");
    bytes.truncate(got.bytes);
    (&stream).read_to_end(&mut bytes).expect("hear all");
    Heard { state: serde_json::from_slice(&bytes).expect("JSON"), listener }
}

/// `run`, and `create` with `start`, each with a supervisor that hears of the container and then goes
/// away, whereupon the filtered calls are not known.
#[test]
fn the_supervisor_gets_the_listener() {
    for (no_new_privileges, two_steps) in
        [(false, false), (true, false), (false, true), (true, true)]
    {
        let bundle =
            Bundle::shell("mkdir /dev/shm/x 2> /dev/shm/said; cat /dev/shm/said; sleep 600");
        let path = bundle.directory.path().join("agent.sock");
        let agent = UnixListener::bind(&path).unwrap();
        let heard = thread::spawn(move || hear(agent.accept().unwrap().0));
        let mut profile = profile("SCMP_ACT_NOTIFY", &["mkdir"]);
        profile["listenerPath"] = json!(path);
        profile["listenerMetadata"] = json!("about it");
        profile["flags"] = json!(["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]);
        let bundle = filtered(bundle, profile, no_new_privileges);
        if two_steps {
            bundle.create();
        } else {
            bundle.write();
            let directory = bundle.directory.path().to_str().unwrap().to_owned();
            bundle.succeed(&["run", "--detach", "--bundle", &directory, "@"]);
        }
        let Heard { state, listener } = heard.join().unwrap();
        assert_eq!(state["fds"], json!(["seccompFd"]));
        assert_eq!(state["metadata"], "about it");
        assert_eq!(state["state"]["id"], bundle.id);
        assert_eq!(state["pid"], state["state"]["pid"]);
        let name = std::fs::read_link(format!(
            "/proc/self/fd/{}",
            std::os::fd::AsRawFd::as_raw_fd(&listener)
        ));
        assert_eq!(name.unwrap().to_str(), Some("anon_inode:seccomp notify"));
        drop(listener);
        if two_steps {
            bundle.succeed(&["start", "@"]);
        }
        assert_eq!(bundle.status(), "running");
    }
}

#[test]
fn the_filter_holds_for_further_processes() {
    let bundle = Bundle::new(&["sleep", "600"]);
    let mut refusing = profile("SCMP_ACT_ERRNO", &["mkdir", "mkdirat"]);
    refusing["syscalls"][0]["errnoRet"] = json!(libc_enotty());
    let bundle = filtered(bundle, refusing, true);
    bundle.create();
    bundle.succeed(&["start", "@"]);
    let message = bundle.fail(&["exec", "@", "mkdir", "/dev/shm/x"]);
    assert!(message.contains("Inappropriate ioctl"), "{message}");
}

fn libc_enotty() -> i32 {
    rustix::io::Errno::NOTTY.raw_os_error()
}

/// Calls that are newer than any in the profile are not known instead of deadly: the C library's rseq(2)
/// (number 334 on x86-64) is, when the profile ends with getrandom(2) (318).
#[test]
fn newer_calls_than_the_profiles_are_not_known() {
    let old = [
        "execve",
        "brk",
        "arch_prctl",
        "set_tid_address",
        "set_robust_list",
        "prlimit64",
        "mmap",
        "readlink",
        "readlinkat",
        "mprotect",
        "munmap",
        "newfstatat",
        "read",
        "write",
        "close",
        "prctl",
        "getuid",
        "geteuid",
        "setuid",
        "setgid",
        "exit",
        "exit_group",
        "uname",
    ];
    for (names, runs) in [([&old[..], &["getrandom"]].concat(), true), (vec!["execve"], false)] {
        let mut strict = profile("SCMP_ACT_ALLOW", &names);
        strict["defaultAction"] = json!("SCMP_ACT_KILL_PROCESS");
        let output = filtered(Bundle::new(&["true"]), strict, true).run();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.success(), runs, "{names:?}: {errors}");
    }
}
