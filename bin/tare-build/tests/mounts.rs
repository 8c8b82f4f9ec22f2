//! `RUN --mount` of caches and memory, and what is granted to a `RUN` beyond the sandbox.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod machine;

use std::fs;
use std::process::{Command, Stdio};

use machine::{Machine, Said};

fn cache(machine: &Machine, options: &str, command: &str) -> String {
    let run = format!("RUN --mount=type=cache,{options} {command}");
    machine.seen(&format!("FROM busybox:base\n{run}\n"), &["--no-cache"])
}

#[test]
fn a_cache_is_made_as_the_dockerfile_says() {
    let machine = Machine::new();
    let stat = "stat -c '%a %u %g' /c >/seen";
    assert_eq!(cache(&machine, "target=/c", stat), "755 0 0\n");
    assert_eq!(cache(&machine, "target=/c,uid=3,gid=4,mode=0700", stat), "700 3 4\n");
    assert_eq!(cache(&machine, "target=/c", stat), "755 0 0\n", "those are two");
    assert_eq!(
        cache(&machine, "target=/c,uid=3,gid=4,mode=0700", "touch /c/x; ls /c >/seen"),
        "x\n"
    );
    assert_eq!(cache(&machine, "target=/c", "ls /c >/seen"), "");
    assert_eq!(cache(&machine, "id=/c,target=/other", "touch /other/y; echo >/seen"), "\n");
    assert_eq!(cache(&machine, "target=/c,ro", "ls /c >/seen; touch /c/z || true"), "y\n");
    assert_eq!(cache(&machine, "target=/c/", "ls /c >/seen"), "y\n", "as its path is");
    machine.assert_clean();
}

#[test]
fn a_cache_starts_with_files() {
    let machine = Machine::new();
    let etc = "from=busybox:base,source=/etc,target=/c";
    assert_eq!(cache(&machine, etc, "ls /c >/seen; touch /c/new"), "group\npasswd\n");
    assert_eq!(cache(&machine, etc, "ls /c >/seen; rm /c/group"), "group\nnew\npasswd\n");
    let all = "from=busybox:base,target=/c";
    assert_eq!(cache(&machine, all, "ls /c/etc >/seen"), "new\npasswd\n", "a part of the same");
    let link = "from=busybox:base,source=/data/link,target=/c";
    assert_eq!(cache(&machine, link, "touch /c/through; echo >/seen"), "\n");
    assert_eq!(cache(&machine, all, "ls /c/data/real >/seen"), "through\n");
    assert_eq!(cache(&machine, all, "ln -s / /c/escape; echo >/seen"), "\n");
    let escape = "from=busybox:base,source=/escape/etc,target=/c";
    assert_eq!(cache(&machine, escape, "ls /c >/seen"), "new\npasswd\n", "links stay inside");
    machine
        .build("FROM busybox:base\nRUN --mount=type=cache,target=/c,source=/no true\n", &[])
        .refused(&["Dockerfile:2", "No such file"]);
    machine.assert_clean();
}

/// Runs two builds at once that meet in a file of the host, and says what each saw in the cache.
fn two_at_once(sharing: &str) -> [String; 2] {
    let machine = Machine::new();
    let build = |name: &str| {
        let run = format!(
            "RUN --mount=type=cache,id=x,target=/c,sharing={sharing} touch /c/{name}; \
             for i in 1 2 3 4 5 6 7 8 9 10; do sleep 0.1; done; ls /c >/seen; rm /c/{name}"
        );
        fs::write(machine.path(name), format!("FROM busybox:base\n{run}\n")).unwrap();
        let mut command = machine.command("tare-build");
        command.args(["-f", name, "ctx"]).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    // Both are on their way before the first one waits.
    [build("one"), build("two")].map(|child| {
        let said = Said::new(&child.wait_with_output().unwrap());
        assert_eq!(said.code, Some(0), "{}", said.err);
        machine.cat(said.out.trim_end(), "seen")
    })
}

#[test]
fn a_locked_cache_has_one_user_at_a_time() {
    assert_eq!(two_at_once("locked"), ["one\n", "two\n"]);
}

#[test]
fn a_private_cache_is_another_when_it_is_in_use() {
    assert_eq!(two_at_once("private"), ["one\n", "two\n"]);
}

#[test]
fn stages_that_lock_the_same_caches_in_any_order_do_not_wait_for_ever() {
    let machine = Machine::new();
    let [a, b] =
        ["a", "b"].map(|id| format!("--mount=type=cache,id={id},target=/{id},sharing=locked"));
    machine.built(
        &format!(
            "FROM busybox:base AS one\nRUN {a} {b} sleep 0.2; echo 1 >/1\n\
             FROM busybox:base AS two\nRUN {b} {a} sleep 0.2; echo 2 >/2\n\
             FROM busybox:base\nCOPY --from=one /1 /\nCOPY --from=two /2 /\n\
             RUN {a} --mount=type=cache,id=a,target=/again touch /a/x && ls /again/x\n"
        ),
        &[],
    );
    machine.assert_clean();
}

#[test]
fn memory() {
    let machine = Machine::new();
    let seen = machine.seen(
        "FROM busybox:base\nRUN --mount=type=tmpfs,target=/t,size=1m --mount=type=tmpfs,target=/r,ro \
         echo 'echo ran' >/t/x && chmod +x /t/x && /t/x >/seen; \
         grep -o ' /[tr] tmpfs r[ow],[a-z,]*' /proc/self/mounts >>/seen\n",
        &[],
    );
    // In a user namespace a file system in memory shows whose it is.
    let seen = seen.replace(",uid\n", "\n");
    assert_eq!(seen, "ran\n /t tmpfs rw,nosuid,relatime,size\n /r tmpfs ro,nosuid,relatime\n");
}

#[test]
fn what_is_not_granted_is_refused() {
    let machine = Machine::new();
    for (flag, entitlement) in
        [("--network=host", "network.host"), ("--security=insecure", "security.insecure")]
    {
        let dockerfile = format!("FROM busybox:base\nRUN {flag} true\n");
        let needs = format!("needs the entitlement {entitlement}");
        let allow = format!("--allow {entitlement}");
        machine.build(&dockerfile, &[]).refused(&["Dockerfile:2", flag, &needs, &allow]);
        machine.built(&dockerfile, &["--allow", entitlement]);
    }
    machine.built("FROM busybox:base\nRUN --network=host true\n", &["--network", "host"]);
    let unknown = machine.build("FROM busybox:base\n", &["--allow", "all"]);
    assert_eq!(unknown.code, Some(2));
}

#[test]
fn an_insecure_command_may_do_what_the_builder_may() {
    let machine = Machine::new();
    // In a user namespace root may do all that concerns the namespace.
    let words: &[&str] =
        if machine::is_rootless() { &["unshare", "--user", "cat"] } else { &["cat"] };
    let status = Command::new(words[0]).args(&words[1..]).arg("/proc/self/status").output();
    let status = String::from_utf8(status.unwrap().stdout).unwrap();
    let bound = status.lines().find_map(|line| line.strip_prefix("CapBnd:\t")).unwrap();
    let seen = machine.seen(
        "FROM busybox:base\nRUN --security=insecure grep CapEff /proc/self/status >/seen; \
         grep Seccomp: /proc/self/status >>/seen; mount -t tmpfs x /tmp && echo mounted >>/seen; \
         test -w /proc/sys/kernel/hostname && ls /dev/loop-control >>/seen\n",
        &["--allow", "security.insecure"],
    );
    let want = format!("CapEff:\t{bound}\nSeccomp:\t0\nmounted\n/dev/loop-control\n");
    assert_eq!(seen, want);
}

#[test]
fn limits_hosts_and_names() {
    let machine = Machine::new();
    let own_cgroup = ["--cgroup-parent", "parent-of-builds"];
    // An ordinary user has no cgroup to put it in, and is told.
    let cgroup = if machine::is_rootless() { &[][..] } else { &own_cgroup[..] };
    if machine::is_rootless() {
        let said = machine.build("FROM busybox:base\nRUN true\n", &own_cgroup);
        said.refused(&["parent-of-builds", "permission denied"]);
    }
    let seen = machine.seen(
        "FROM busybox:base\nRUN ulimit -n >/seen; ulimit -Hn >>/seen; hostname >>/seen; \
         grep /dev/shm /proc/self/mounts | grep -o 'size=[0-9]*k' >>/seen; cat /etc/hosts >>/seen; \
         grep -c parent-of-builds /proc/self/cgroup >>/seen || true\n",
        &[
            &[
                "--ulimit",
                "nofile=100:200",
                "--shm-size",
                "3m",
                "--add-host",
                "one:10.0.0.1",
                "--add-host=six=[::1]",
                "--build-arg",
                "BUILDKIT_SANDBOX_HOSTNAME=sandbox",
            ][..],
            cgroup,
        ]
        .concat(),
    );
    assert!(
        seen.starts_with("100\n200\nsandbox\nsize=3072k\n127.0.0.1\tlocalhost sandbox\n"),
        "{seen}"
    );
    assert!(seen.contains("\n10.0.0.1\tone\n::1\tsix\n"), "{seen}");
    for wrong in ["--add-host=x", "--add-host=x:y", "--ulimit=x=1", "--shm-size=x"] {
        let said = machine.build("FROM busybox:base\n", &[wrong]);
        assert_eq!(said.code, Some(2), "{wrong}: {}", said.err);
    }
}

/// Names of hosts count for the cache, their addresses do not.
#[test]
fn what_counts_for_the_cache() {
    let machine = Machine::new();
    let cached = |args: &[&str]| machine.build("FROM busybox:base\nRUN true\n", args).cached();
    assert_eq!(cached(&[]), 1);
    assert_eq!(cached(&["--add-host", "a:10.0.0.1"]), 1);
    assert_eq!(cached(&["--add-host", "a:10.0.0.2"]), 2);
    assert_eq!(cached(&["--ulimit", "nofile=100"]), 1);
    assert_eq!(cached(&["--ulimit", "nofile=100"]), 2);
    assert_eq!(cached(&["--shm-size", "1m"]), 1);
    assert_eq!(cached(&["--build-arg", "BUILDKIT_SANDBOX_HOSTNAME=x"]), 1);
    assert_eq!(cached(&["--build-arg", "http_proxy=http://p"]), 2);
    assert_eq!(cached(&[]), 2);
}
