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
