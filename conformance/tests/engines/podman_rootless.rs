//! podman of an ordinary user: it calls the runtime as user 0 of a user namespace, without rights on the
//! machine's cgroups and folders.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::process::Command;

use conformance::succeed;

use crate::support::{Scratch, over_both};

/// The user with further ids exists only in a mount namespace of the test's own; podman keeps a process
/// of its own waiting, which ends with the pid namespace.
const SCRIPT: &str = r#"
mount -t proc proc /proc
for name in passwd group subuid subgid; do mount --bind $DIR/$name /etc/$name; done
exec setpriv --reuid 12345 --regid 12345 --clear-groups \
    env -i PATH=$PATH HOME=$DIR/home XDG_RUNTIME_DIR=$DIR/own DIR=$DIR sh -ec '
cd $DIR/home
export CONTAINERS_CONF=$DIR/containers.conf
podman() {
    command podman --root $DIR/home/root --runroot $DIR/own/run --tmpdir $DIR/own/tmp \
        --storage-driver vfs --cgroup-manager cgroupfs --events-backend file --runtime $DIR/runtime "$@"
}
podman import -q $DIR/base.tar busybox:base >&2
podman run --rm --network none busybox:base sh -c "id -u; cut -c-21 /proc/self/uid_map; exit 0"
podman run -d --network none --name one busybox:base sleep 1000 >&2
podman exec -u app -e A=b one sh -c "id -u; echo \$A"
podman exec one nosuch || echo $?
podman rm -f -t 0 one >&2
'"#;

#[test]
fn an_ordinary_user_runs_containers() {
    over_both(|runtime| {
        let scratch = Scratch::new();
        fs::copy(runtime, scratch.path("runtime")).expect("a file can be copied");
        let files = [
            ("passwd", "root:x:0:0::/root:/bin/sh\nordinary:x:12345:12345::/:/bin/sh\n"),
            ("group", "root:x:0:\nordinary:x:12345:\n"),
            ("subuid", "ordinary:300000:65536\n"),
            ("subgid", "ordinary:300000:65536\n"),
            (
                "containers.conf",
                "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\n",
            ),
        ];
        for (name, text) in files {
            fs::write(scratch.path(name), text).expect("a file can be written");
        }
        for name in ["home", "own"] {
            fs::create_dir(scratch.path(name)).expect("a folder can be made");
            chown(scratch.path(name), Some(12345), Some(12345)).expect("root may");
        }
        fs::set_permissions(scratch.path(""), Permissions::from_mode(0o755)).expect("ours");
        let mut command = Command::new("unshare");
        command.args(["--mount", "--pid", "--fork", "--kill-child", "bash", "-euc", SCRIPT]);
        let printed = succeed(command.env("DIR", scratch.path("")));
        let lines: Vec<_> = printed.out.lines().map(str::trim).collect();
        assert_eq!(lines.len(), 6, "{printed:#?}");
        assert_eq!(lines[0], "0", "{printed:#?}");
        assert_eq!(lines[1].split_whitespace().collect::<Vec<_>>(), ["0", "12345"]);
        assert_eq!(lines[3..], ["1000", "b", "127"], "{printed:#?}");
    });
}
