//! What podman's options become: each is looked at from inside the container.

use crate::podman::{IMAGE, Podman};
use crate::support::{CgroupParent, ended, over_both};

/// An option, a script, and all that it prints.
const OPTIONS: &[(&[&str], &str, &str)] = &[
    (&["--user=app"], "id", "uid=1000(app) gid=1001(app) groups=1001(app),2000(extra)\n"),
    (&["--user=5:6", "--group-add=7"], "id", "uid=5 gid=6 groups=6,7\n"),
    (&["--workdir=/data", "--env=A=b"], "pwd; echo $A", "/data\nb\n"),
    (&["--read-only"], "touch /x 2>/dev/null || touch /tmp/x && echo tmp", "tmp\n"),
    (
        &["--tmpfs=/new:size=1m,mode=700"],
        "stat -c %a /new; df -k /new | awk 'NR==2{print $2}'",
        "700\n1024\n",
    ),
    (
        &["--cap-drop=all", "--cap-add=CHOWN"],
        "grep CapEff /proc/self/status",
        "CapEff:\t0000000000000001\n",
    ),
    (&["--security-opt=no-new-privileges"], "grep NoNew /proc/self/status", "NoNewPrivs:\t1\n"),
    (&["--security-opt=seccomp=unconfined"], "grep Seccomp: /proc/self/status", "Seccomp:\t0\n"),
    (&[], "grep Seccomp: /proc/self/status", "Seccomp:\t2\n"),
    (&["--privileged"], "mount -t tmpfs x /data && test -e /dev/kmsg && echo all", "all\n"),
    (
        &["--device=/dev/kmsg:/dev/x:r"],
        "test -c /dev/x && ! true > /dev/x",
        "sh: can't create /dev/x: Operation not permitted\n",
    ),
    (&["--uts=host", "--ipc=host"], "hostname | grep -c .", "1\n"),
    (&["--network=host"], "test -d /sys/class/net/lo && echo lo", "lo\n"),
    (&["--hostname=hallo"], "hostname", "hallo\n"),
    (&["--shm-size=1m"], "df -k /dev/shm | awk 'NR==2{print $2}'", "1024\n"),
    (&["--sysctl=kernel.msgmax=4096"], "cat /proc/sys/kernel/msgmax", "4096\n"),
    (&["--ulimit=nofile=100:200", "--ulimit=nproc=512:512"], "ulimit -n; ulimit -Hn", "100\n200\n"),
    (&["--umask=077"], "umask", "0077\n"),
    (&["--oom-score-adj=500"], "cat /proc/self/oom_score_adj", "500\n"),
    (&["--security-opt=mask=/etc/group"], "cat /etc/group", ""),
    (
        &["--cgroup-parent=/engine-parent"],
        "grep pids /proc/self/cgroup | grep -c engine-parent",
        "1\n",
    ),
    (
        &["--uidmap=0:100000:65536", "--gidmap=0:200000:65536"],
        "touch /x; stat -c %u:%g /x; awk '{print $2}' /proc/self/uid_map /proc/self/gid_map",
        "0:0\n100000\n200000\n",
    ),
    (
        &["--memory=64m", "--cpus=0.5", "--pids-limit=33", "--cpuset-cpus=0"],
        "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes cpu/cpu.cfs_quota_us pids/pids.max cpuset/cpuset.cpus",
        "67108864\n50000\n33\n0\n",
    ),
];

#[test]
fn options_take_effect() {
    over_both(|runtime| {
        let _parent = CgroupParent("engine-parent".into());
        let podman = Podman::new(runtime);
        for (flags, script, expected) in OPTIONS {
            let (_, printed) = podman.run(flags, &["sh", "-c", script]);
            let numbers = printed.replace("(5)", "").replace("(6)", "").replace("(7)", "");
            assert_eq!(numbers, *expected, "{flags:?} {script}");
        }
    });
}

#[test]
fn the_hosts_processes_are_seen_when_asked() {
    over_both(|runtime| {
        let podman = Podman::new(runtime);
        let script = format!("test -d /proc/{}", std::process::id());
        assert_eq!(podman.run(&["--pid=host"], &["sh", "-c", &script]).0, 0);
        assert_eq!(podman.run(&[], &["sh", "-c", "echo $$"]), (0, "1\n".into()));
    });
}

#[test]
fn volumes_are_mounted() {
    over_both(|runtime| {
        let podman = Podman::new(runtime);
        std::fs::create_dir(podman.path("shared")).expect("a folder can be made");
        let flag = |name: &str, more: &str| format!("-v={}:{name}{more}", podman.text("shared"));
        let (writable, read_only) = (flag("/one", ""), flag("/two", ":ro"));
        let script = "echo text > /one/file; cat /two/file; touch /two/x 2>/dev/null || echo ro";
        let printed = podman.run(&[&writable, &read_only], &["sh", "-c", script]);
        assert_eq!(printed, (0, "text\nro\n".into()));
        assert_eq!(podman.run(&["-v=named:/data"], &["touch", "/data/x"]).0, 0);
        assert_eq!(podman.run(&["-v=named:/data"], &["ls", "/data"]), (0, "x\n".into()));
    });
}

/// A profile of the user's own is what the kernel enforces.
#[test]
fn a_seccomp_profile_holds() {
    over_both(|runtime| {
        let podman = Podman::new(runtime);
        let profile = r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO","errnoRet":99}]}"#;
        std::fs::write(podman.path("profile"), profile).expect("a file can be written");
        let flag = format!("--security-opt=seccomp={}", podman.text("profile"));
        let (code, printed) = podman.run(&[&flag], &["mkdir", "/x"]);
        assert!(code == 1 && printed.contains("assign requested address"), "{printed}");
    });
}

/// podman tells these apart by the runtime's words.
#[test]
fn exit_codes_tell_what_is_wrong() {
    over_both(|runtime| {
        let podman = Podman::new(runtime);
        for (program, code, said) in [
            ("nosuch", 127, "executable file not found in $PATH"),
            ("/no/such", 127, "no such file or directory"),
            ("/etc", 126, "permission denied"),
            ("/etc/passwd", 126, "permission denied"),
        ] {
            let (got, printed) = podman.run(&[], &[program]);
            assert!(
                got == code && printed.to_lowercase().contains(&said.to_lowercase()),
                "{program}: {got} {printed}"
            );
        }
        for (script, code) in [("exit 7", 7), ("kill -9 $$", 137), ("kill -TERM $$; sleep 9", 143)]
        {
            let started = ["run", "-d", "--init=false", "--network=none", IMAGE];
            let script = format!("sh -c '{script}'; exit $?");
            let id = podman.ok(&[&started[..], &["sh", "-c", &script]].concat());
            assert_eq!(podman.ok(&["wait", &id]), code.to_string(), "{script}");
            assert_eq!(ended(&podman.any(&["rm", &id])).0, 0);
        }
        let limit =
            podman.run(&["--ulimit=nofile=9999999:9999999", "--ulimit=nproc=512:512"], &["true"]);
        assert!(limit.0 != 0, "{}", limit.1);
    });
}
