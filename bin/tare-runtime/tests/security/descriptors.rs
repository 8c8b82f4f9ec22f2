//! Descriptors of the host's that reach the container (CVE-2024-21626).

use std::fs;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use super::support::{Bundle, NOTHING, text, until};

/// A directory of the host's left open by the caller, as a careless engine does.
fn leak() -> OwnedFd {
    let leak: OwnedFd = fs::File::open("/usr/share").expect("open a directory").into();
    rustix::io::fcntl_setfd(leak.as_fd(), rustix::io::FdFlags::empty()).expect("keep it open");
    leak
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
        let output = bundle.run();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "", "link: {link}");
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(bundle.leftovers(), NOTHING);
    }
}

/// As a working directory, by name and through a link of the image's: where it succeeds, the program
/// reads the host's password file from there. One of the descriptors is the caller's, the others are
/// what the runtime itself may have open.
#[test]
fn no_working_directory_through_a_descriptor() {
    let leak = leak();
    let read = ["/bin/busybox", "cat", "../../etc/passwd"];
    let bundle = Bundle::new(&["sleep", "600"]);
    bundle.create();
    bundle.succeed(&["start", "@"]);
    let ours = leak.as_raw_fd();
    for fd in (3..12).filter(|fd| *fd != ours).chain([ours]) {
        let way = format!("/proc/self/fd/{fd}");
        symlink(&way, bundle.rootfs().join(format!("to{fd}"))).unwrap();
        for cwd in [way.clone(), format!("/to{fd}")] {
            let mut exec = bundle.runtime();
            exec.args(["exec", "--cwd", &cwd, &bundle.id]).args(read);
            nothing_read(&exec.stdin(Stdio::null()).output().unwrap(), &cwd);
            let other = Bundle::new(&read).with(|config| config["process"]["cwd"] = json!(cwd));
            symlink(&way, other.rootfs().join(format!("to{fd}"))).unwrap();
            nothing_read(&other.run(), &cwd);
        }
    }
}

/// The same with `create` and `start`, whose link turns up only when the directory has been looked at:
/// a hook stands for another container that shares the root.
#[test]
fn no_working_directory_that_becomes_a_descriptor() {
    let leak = leak();
    let bundle = Bundle::new(&["/bin/busybox", "cat", "../../etc/passwd"]);
    let work = bundle.rootfs().join("work");
    fs::create_dir(&work).unwrap();
    let script =
        format!("rmdir {0} && ln -s /proc/self/fd/{1} {0}", work.display(), leak.as_raw_fd());
    let mut bundle = bundle.with(|config| {
        config["process"]["cwd"] = json!("/work");
        let hook = json!([{"path": "/bin/sh", "args": ["sh", "-c", script]}]);
        config["hooks"] = json!({"createRuntime": hook});
    });
    bundle.config["root"]["readonly"] = false.into();
    bundle.write();
    let mut create = bundle.runtime();
    create.args(["create", "-b"]).arg(bundle.directory.path()).arg(&bundle.id);
    let out = fs::File::create(bundle.directory.path().join("out")).unwrap();
    create.stdin(Stdio::null()).stdout(out).stderr(Stdio::null());
    if create.status().unwrap().success() {
        bundle.succeed(&["start", "@"]);
        bundle.wait_for("stopped");
    }
    assert!(fs::symlink_metadata(&work).unwrap().is_symlink(), "the hook has run");
    assert_eq!(fs::read_to_string(bundle.directory.path().join("out")).unwrap(), "");
}

fn nothing_read(output: &Output, cwd: &str) {
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{cwd}");
    assert!(!output.status.success(), "{cwd}");
}

/// What the caller left open: without `--preserve-fds` no program sees it, in run, exec and start.
#[test]
fn nothing_of_the_callers_is_inherited() {
    let leak = leak();
    let show = "for fd in /proc/self/fd/*; do echo ${fd##*/}; done";
    let three = "0\n1\n2\n3\n"; // 3 is the directory being listed
    assert_eq!(text(&Bundle::shell(show).run(), 0), three);
    let script = format!("seen=$({show}); echo \"$seen\" >/seen; while :; do sleep 1; done");
    let mut bundle = Bundle::shell(&script);
    bundle.config["root"]["readonly"] = false.into();
    bundle.create();
    bundle.succeed(&["start", "@"]);
    let seen = || fs::read_to_string(bundle.rootfs().join("seen")).unwrap_or_default();
    until(|| seen() == three, "the program of create and start has nothing more");
    assert_eq!(bundle.succeed(&["exec", "@", "sh", "-c", show]), three);
    drop(leak);
}

/// Nor does a hook get it, or a signal mask that is the runtime's own: where that fails, the hook writes
/// down more than its three streams.
#[test]
fn hooks_get_nothing_of_the_callers() {
    let leak = leak();
    let points =
        ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];
    let bundle = Bundle::new(&["sleep", "0.1"]);
    let seen = |place: &str, point: &str| {
        let script = format!(
            "cd /proc/$$/fd; for n in *; do [ $n -le 2 ] || readlink $n; done >{place}/{point}; \
             exec grep SigBlk /proc/self/status >>{place}/{point}"
        );
        json!([{"path": "/bin/sh", "args": ["sh", "-c", script]}])
    };
    let host = bundle.directory.path().to_str().unwrap().to_owned();
    let mut bundle = bundle.with(|config| {
        let place = |point| if point == "startContainer" { "" } else { host.as_str() };
        let hooks = points.iter().map(|&point| (point.to_owned(), seen(place(point), point)));
        config["hooks"] = Value::Object(hooks.collect());
    });
    bundle.config["root"]["readonly"] = false.into();
    text(&bundle.run(), 0);
    for point in points {
        let place = if point == "startContainer" {
            bundle.rootfs()
        } else {
            bundle.directory.path().into()
        };
        let said = fs::read_to_string(place.join(point)).unwrap();
        // What the shell itself puts aside is its standard output.
        let aside = |line: &str| line == "/dev/null" || line.starts_with("/memfd:stdout");
        let others = said.lines().filter(|line| !aside(line)).collect::<Vec<_>>();
        assert_eq!(others, ["SigBlk:\t0000000000000000"], "{point}");
    }
    drop(leak);
}

/// A terminal that the program inherits is not its controlling one: with it, it could type what the
/// caller's shell runs next (TIOCSTI). `setsid` of the caller's gives script(1) its own.
#[test]
fn an_inherited_terminal_cannot_be_typed_on() {
    let check = "read -r pid name state parent group session rest </proc/self/stat; \
        [ $session = 1 ] && echo own; [ -t 0 ] && echo terminal; true 2>&- </dev/tty && echo typed";
    let bundle = Bundle::shell(&format!("{check}; true"));
    bundle.write();
    let program = env!("CARGO_BIN_EXE_tare-runtime");
    let (root, place) = (bundle.state_root(), bundle.directory.path());
    let run =
        format!("{program} --root {} run -b {} {}", root.display(), place.display(), bundle.id);
    let output =
        Command::new("script").args(["-qec", &run, "/dev/null"]).stdin(Stdio::null()).output();
    let said = String::from_utf8(output.unwrap().stdout).unwrap().replace('\r', "");
    assert!(said.contains("own\nterminal\n") && !said.contains("typed"), "{said}");
}
