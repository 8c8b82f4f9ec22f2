//! The runtime's own program file, within reach of a container that executes it (CVE-2019-5736).

use std::fs;

use super::support::until;
use super::{capable, python};

/// Holds every new process's program by a descriptor and asks again and again to write to it, and tries
/// to make it writable first. Where it succeeds, /tmp/caught is there and the file has changed.
const OVERWRITE: &str = r#"
import ctypes, os
libc = ctypes.CDLL(None)
open('/tmp/ready', 'w').close()
own = os.stat('/usr/bin/python3')
seen, held = set(), []
while not os.path.exists('/tmp/stop'):
    for pid in os.listdir('/proc'):
        if not pid.isdigit() or pid == '1' or pid in seen: continue
        try:
            fd = os.open(f'/proc/{pid}/exe', os.O_PATH)
            stat = os.fstat(fd)
            if stat.st_size < 3000000: os.close(fd); continue
            seen.add(pid); held.append(fd)
        except OSError: pass
    for fd in held[-40:]:
        path = f'/proc/self/fd/{fd}'.encode()
        libc.mount(None, path, None, 4096 | 32, None)
        attr = (ctypes.c_uint64 * 4)(0, 1, 0, 0)
        libc.syscall(442, -100, path, 0, attr, 32)
        try:
            os.open(path, os.O_WRONLY | os.O_APPEND)
            open('/tmp/caught', 'w').close()
        except OSError: pass
open('/tmp/held', 'w').write(str(len(held)))
"#;

#[test]
fn the_runtime_is_never_writable() {
    let program = env!("CARGO_BIN_EXE_tare-runtime");
    let before = fs::read(program).unwrap();
    let bundle = python(OVERWRITE);
    let all = ["CAP_SYS_PTRACE", "CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH"];
    let mut bundle = capable(bundle, &all);
    bundle.config["root"]["readonly"] = false.into();
    fs::create_dir(bundle.rootfs().join("tmp")).unwrap();
    bundle.create();
    bundle.succeed(&["start", "@"]);
    until(|| bundle.rootfs().join("tmp/ready").exists(), "the attacker waits");
    for _ in 0..20 {
        bundle.succeed(&["exec", "@", "true"]);
        // A program that is the runtime itself, as an image's link would have it.
        bundle.fail_with_any_code(&["exec", "@", "/proc/self/exe"]);
    }
    fs::write(bundle.rootfs().join("tmp/stop"), "").unwrap();
    until(|| bundle.rootfs().join("tmp/held").exists(), "the attacker ends");
    assert!(!bundle.rootfs().join("tmp/caught").exists(), "opened for writing");
    assert!(before == fs::read(program).unwrap(), "the program has changed");
}

/// The same where the container's own program is the runtime, by name or as a script's interpreter: what
/// runs then is the copy. Where it is the file itself, appending to it by the descriptor succeeds as
/// soon as nobody executes it. A process of the same pod tries, for it outlives the program.
#[test]
fn a_program_that_is_the_runtime() {
    use std::os::unix::fs::{PermissionsExt, symlink};

    let program = env!("CARGO_BIN_EXE_tare-runtime");
    let before = fs::read(program).unwrap();
    let mut pod = python(OVERWRITE);
    pod.config["root"]["readonly"] = false.into();
    fs::create_dir(pod.rootfs().join("tmp")).unwrap();
    let mut pod = capable(pod, &["CAP_SYS_PTRACE", "CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE"]);
    pod.config["root"]["readonly"] = false.into();
    pod.create();
    pod.succeed(&["start", "@"]);
    until(|| pod.rootfs().join("tmp/ready").exists(), "the attacker waits");
    let state: serde_json::Value = serde_json::from_str(&pod.succeed(&["state", "@"])).unwrap();
    for args in [["/proc/self/exe", "features"], ["/link", "features"], ["/script", "x"]] {
        let mut bundle = super::Bundle::new(&args);
        symlink("/proc/self/exe", bundle.rootfs().join("link")).unwrap();
        let script = bundle.rootfs().join("script");
        fs::write(&script, "#!/proc/self/exe features\n").unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        let spaces = bundle.config["linux"]["namespaces"].as_array_mut().unwrap();
        let pid = spaces.iter_mut().find(|space| space["type"] == "pid").unwrap();
        pid["path"] = format!("/proc/{}/ns/pid", state["pid"]).into();
        for _ in 0..5 {
            let _ = bundle.run();
            // exec has the same two ways.
            pod.fail_with_any_code(&["exec", "@", "/proc/self/exe"]);
        }
        assert_eq!(bundle.leftovers(), super::support::NOTHING);
    }
    fs::write(pod.rootfs().join("tmp/stop"), "").unwrap();
    until(|| pod.rootfs().join("tmp/held").exists(), "the attacker ends");
    assert_ne!(fs::read_to_string(pod.rootfs().join("tmp/held")).unwrap(), "0", "it held none");
    assert!(!pod.rootfs().join("tmp/caught").exists(), "opened for writing");
    assert!(before == fs::read(program).unwrap(), "the program has changed");
}
