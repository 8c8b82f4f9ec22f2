//! Secrets and SSH agents: who sees them, and who does not.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod machine;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use machine::{Machine, Said, assert_ok, files_of, wait_until};

/// A secret that stands nowhere else.
fn unique(name: &str) -> String {
    format!("secret-{name}-{}", std::process::id())
}

#[test]
fn as_files_and_variables() {
    let machine = Machine::new();
    fs::write(machine.path("s"), "word").unwrap();
    let given =
        ["--secret", "id=s,src=s", "--secret", "id=a/b,src=s", "--secret", "id=e,env=HOLDS"];
    for (instructions, want) in [
        (
            "RUN --mount=type=secret,id=s cd /run/secrets && stat -c '%a %u %g' s >/seen; cat s >>/seen",
            "400 0 0\nword",
        ),
        (
            "RUN --mount=type=secret,id=s grep /run/secrets/s /proc/self/mounts | grep -o ' ro,nosuid,nodev,noexec' >/seen",
            " ro,nosuid,nodev,noexec\n",
        ),
        (
            "RUN --mount=type=secret,source=s,target=/x,uid=5,gid=6,mode=0123 stat -c '%a %u %g' /x >/seen",
            "123 5 6\n",
        ),
        ("RUN --mount=type=secret,dst=/a/s cat /a/s >/seen", "word"),
        ("RUN --mount=type=secret,id=a/b cat /run/secrets/b >/seen", "word"),
        ("WORKDIR /w\nRUN --mount=type=secret,id=s,target=r/x cat /w/r/x >/seen", "word"),
        ("ARG WHICH=s\nRUN --mount=type=secret,id=$WHICH,target=/$WHICH cat /s >/seen", "word"),
        (
            "RUN --mount=type=secret,id=e,env=V echo $V >/seen; ls /run/secrets || true",
            "in the air\n",
        ),
        (
            "ENV V=env\nRUN --mount=type=secret,id=s,env=V,target=/x echo $V `cat /x` >/seen",
            "word word\n",
        ),
        (
            "RUN --mount=type=secret,id=none,env=V echo ${V-unset} >/seen; ls /run >>/seen 2>&1; true",
            "unset\nls: /run: No such file or directory\n",
        ),
        (
            "RUN --mount=type=secret,id=s,required true; ls -R /run >/seen 2>&1; true",
            "/run:\nsecrets\n\n/run/secrets:\ns\n",
        ),
    ] {
        machine.file("Dockerfile", format!("FROM busybox:base\n{instructions}\n"));
        let mut command = machine.command("tare-build");
        let output = command.args(given).arg("ctx").env("HOLDS", "in the air").output().unwrap();
        let said = Said::new(&output);
        assert_eq!(said.code, Some(0), "{instructions}: {}", said.err);
        let image = said.out.trim_end();
        assert_eq!(machine.cat(image, "seen"), want, "{instructions}");
        let left = machine.paths(image).into_iter().filter(|path| path.starts_with("run"));
        assert_eq!(left.collect::<Vec<_>>(), [] as [String; 0], "{instructions}");
    }
    machine.assert_clean();
}

#[test]
fn nothing_keeps_them() {
    let machine = Machine::new();
    let (file, env) = (unique("file"), unique("env"));
    fs::write(machine.path("s"), &file).unwrap();
    let dockerfile = "\
FROM busybox:base
RUN --mount=type=secret,id=f --mount=type=secret,id=e,env=V \\
    test \"$V\" = \"$(cat /want)\" || grep -q secret-file /run/secrets/f && env | grep -q secret-env
RUN --mount=type=secret,id=e,env=V <<X
#!/bin/sh
env | grep -q secret-env
X
RUN --mount=type=secret,id=f cp /run/secrets/f /tmp/x && rm /tmp/x
";
    machine.file("Dockerfile", dockerfile);
    let mut command = machine.command("tare-build");
    command.args(["--progress", "plain", "--secret", "id=f,src=s", "--secret", "id=e,env=HOLDS"]);
    let said = Said::new(&command.arg("ctx").env("HOLDS", &env).output().unwrap());
    assert_eq!(said.code, Some(0), "{}", said.err);
    for secret in [&file, &env] {
        assert!(!said.err.contains(secret.as_str()) && !said.out.contains(secret.as_str()));
        assert_eq!(holding(&machine.path("store"), secret), "");
        assert_eq!(holding(Path::new("/run"), secret), "");
    }
    machine.assert_clean();
}

/// The files below a folder, of its own file system only, that hold this text.
fn holding(folder: &Path, text: &str) -> String {
    let script = "find \"$1\" -xdev -type f -exec grep -laF -- \"$2\" {} +";
    let output = Command::new("sh").args(["-c", script, "sh"]).arg(folder).arg(text).output();
    String::from_utf8(output.unwrap().stdout).unwrap()
}

#[test]
fn a_killed_build_leaves_them_in_memory_until_the_next() {
    let machine = Machine::new();
    let secret = unique("killed");
    let mark = machine.path("started");
    machine.file(
        "Dockerfile",
        "FROM busybox:base\nRUN --mount=type=secret,id=HOLDS,env=V,target=/s touch /mark/it; sleep 1000\n",
    );
    fs::create_dir(&mark).unwrap();
    let mut command = machine.command("tare-build");
    command.args(["--secret", "id=HOLDS", "ctx"]).env("HOLDS", &secret);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_until("the bundle is mounted", || {
        machine.mounts_of(child.id()).iter().any(|mount| mount.ends_with("/bundle/rootfs"))
    });
    child.kill().unwrap();
    child.wait().unwrap();
    let stays = machine.mounts().iter().any(|mount| mount.ends_with("/bundle"));
    assert!(stays || machine::is_rootless(), "in memory");
    assert_eq!(holding(&machine.path("store"), &secret), "");
    // In a user namespace what is left may still be ending, and is another build's to take away.
    wait_until("the next build cleans up", || {
        machine.built("FROM busybox:base\n", &[]);
        !machine::is_rootless() || machine.left().is_empty()
    });
    machine.assert_clean();
}

#[test]
fn their_content_is_not_part_of_the_key() {
    let machine = Machine::new();
    let dockerfile = "FROM busybox:base\nRUN --mount=type=secret,id=s,env=V true\n";
    let build = |content: &str| {
        fs::write(machine.path("s"), content).unwrap();
        machine.build(dockerfile, &["--secret", "id=s,src=s"])
    };
    let (one, two) = (build("one"), build("two"));
    assert_eq!((one.cached(), two.cached()), (1, 2), "{}", two.err);
    assert_eq!(one.out, two.out);
    let other = dockerfile.replace("env=V", "env=W");
    assert_eq!(machine.build(&other, &["--secret", "id=s,src=s"]).cached(), 1);
}

#[test]
fn what_is_missing_is_said() {
    let machine = Machine::new();
    let base = "FROM busybox:base\nRUN ";
    for (mount, args, words) in [
        (
            "--mount=type=secret,id=s,required true",
            &[][..],
            &["Dockerfile:2", "secret \"s\"", "--secret id=s"][..],
        ),
        (
            "--mount=type=ssh,required true",
            &[],
            &["Dockerfile:2", "agent \"default\"", "--ssh default"],
        ),
        ("--mount=type=ssh,id=x,required=true true", &[], &["agent \"x\"", "--ssh x=SOCKET"]),
        ("true", &["--secret", "id=s,src=nosuch"], &["secret s", "nosuch", "No such file"]),
        ("true", &["--secret", "id=nosuch"], &["secret nosuch", "No such file"]),
        ("true", &["--secret", "id=s,src=big"], &["larger than a secret may be, 512000 bytes"]),
        ("--mount=type=secret,id=s,env=V true", &["--secret", "id=s,src=binary"], &["is no text"]),
        (
            "true",
            &["--ssh", "default"],
            &["SSH agent default", "SSH_AUTH_SOCK is not set", "--ssh default=FILE"],
        ),
        ("true", &["--ssh", "x=nosuch"], &["nosuch", "No such file"]),
    ] {
        fs::write(machine.path("big"), vec![b'x'; (500 << 10) + 1]).unwrap();
        fs::write(machine.path("binary"), [0xff, 0xfe]).unwrap();
        machine.file("Dockerfile", format!("{base}{mount}\n"));
        let mut command = machine.command("tare-build");
        command.args(args).arg("ctx").env_remove("SSH_AUTH_SOCK");
        Said::new(&command.output().unwrap()).refused(words);
    }
    let wrong = machine.tare_build(&["--secret", "src=x", "ctx"]);
    assert_eq!(wrong.code, Some(2), "{}", wrong.err);
    machine.assert_clean();
}

#[test]
fn values_of_their_variables_are_not_shown() {
    let machine = Machine::new();
    let said = machine.build(
        "FROM busybox:base\nENV V=before\nRUN --mount=type=secret,id=no,env=V echo $V >/seen\n",
        &["--progress", "plain"],
    );
    assert!(said.err.contains("echo **** >/seen"), "{}", said.err);
    assert_eq!(machine.cat(said.out.trim_end(), "seen"), "before\n");
}

/// Keys and an agent, and an image that has `ssh-add`.
struct Keys {
    machine: Machine,
    agent: Child,
}

impl Keys {
    fn new() -> Self {
        let machine = Machine::new();
        for name in ["one", "two"] {
            let key = machine.path(name);
            let made = Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-C", &format!("key-{name}"), "-f"])
                .arg(&key)
                .output();
            assert_ok(&made.expect("openssh-client is installed"));
        }
        let socket = machine.path("agent");
        let mut agent = Command::new("ssh-agent");
        let agent = agent.args(["-D", "-a"]).arg(&socket).stdout(Stdio::null()).spawn().unwrap();
        wait_until("the agent listens", || socket.exists());
        let keys = Self { machine, agent };
        let added = Command::new("ssh-add")
            .arg(keys.machine.path("one"))
            .env("SSH_AUTH_SOCK", &socket)
            .output();
        assert_ok(&added.unwrap());
        keys.machine.file(
            "Dockerfile",
            "FROM busybox:base\nCOPY root /\nRUN ssh-add -L 2>/dev/null; true\n",
        );
        copy_program(Path::new("/usr/bin/ssh-add"), &keys.machine.path("ctx/root"));
        let said = keys.machine.tare_build(&["-t", "ssh:base", "ctx"]);
        assert_eq!(said.code, Some(0), "{}", said.err);
        keys
    }

    fn build(&self, run: &str, args: &[&str]) -> Said {
        self.machine.file("Dockerfile", format!("FROM ssh:base\n{run}\n"));
        let mut command = self.machine.command("tare-build");
        command.args(args).arg("ctx").env("SSH_AUTH_SOCK", self.machine.path("agent"));
        Said::new(&command.output().unwrap())
    }

    fn seen(&self, run: &str, args: &[&str]) -> String {
        let said = self.build(run, args);
        assert_eq!(said.code, Some(0), "{run}: {}", said.err);
        // The layers below hold libraries, which take long to look at.
        let layers = self.machine.layers(said.out.trim_end());
        let files = files_of(&self.machine.blob(layers.last().unwrap()));
        let seen = files.into_iter().find(|file| file.path == "seen").expect("it wrote /seen");
        String::from_utf8(seen.content).unwrap()
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        let _ = self.agent.kill();
        let _ = self.agent.wait();
    }
}

/// Copies a program and the libraries that it needs below a folder.
fn copy_program(program: &Path, root: &Path) {
    let output = Command::new("ldd").arg(program).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let paths = text.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from);
    for path in paths.chain([program.to_owned()]) {
        let target = root.join(path.strip_prefix("/").unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(&path, &target).unwrap();
        fs::set_permissions(&target, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

#[test]
fn agents() {
    let keys = Keys::new();
    for (run, args, want) in [
        (
            "RUN --mount=type=ssh echo $SSH_AUTH_SOCK >/seen; ssh-add -l | grep -o 'key-[a-z]*' >>/seen",
            &["--ssh", "default"][..],
            "/run/buildkit/ssh_agent.0\nkey-one\n",
        ),
        (
            "RUN --mount=type=ssh,target=/a --mount=type=ssh,id=k stat -c '%a %u %n' /a >/seen; \
          SSH_AUTH_SOCK=/run/buildkit/ssh_agent.1 ssh-add -l | grep -o 'key-[a-z]*' >>/seen",
            &["--ssh", "default=agent", "--ssh", "k=one,two"],
            "600 0 /a\nkey-one\nkey-two\n",
        ),
        (
            "USER app\nRUN --mount=type=ssh,uid=1000,mode=0640 ssh-add -l | grep -o 'key-[a-z]*' >/tmp/s; \
          stat -c '%a %u' $SSH_AUTH_SOCK >>/tmp/s\nUSER root\nRUN cp /tmp/s /seen",
            &["--ssh", "default"],
            "key-one\n640 1000\n",
        ),
        // Not given, and not required: the variable is there, the socket is not.
        (
            "RUN --mount=type=ssh echo $SSH_AUTH_SOCK >/seen; ls $SSH_AUTH_SOCK || true",
            &[],
            "/run/buildkit/ssh_agent.0\n",
        ),
        ("ENV SSH_AUTH_SOCK=mine\nRUN --mount=type=ssh echo $SSH_AUTH_SOCK >/seen", &[], "mine\n"),
        // It lists and signs, and does nothing else.
        (
            "RUN --mount=type=ssh ssh-add -D 2>&1 | tail -n 1 >/seen; ssh-add -l | wc -l >>/seen",
            &["--ssh", "default"],
            "Failed to remove all identities.\n1\n",
        ),
    ] {
        // busybox has no tail in the base.
        let run = run.replace("| tail -n 1", "| head -n 1");
        assert_eq!(keys.seen(&run, args), want, "{run}");
    }
    let said = keys.build("RUN --mount=type=ssh ls -d /run/buildkit\n", &[]);
    assert_eq!(said.code, Some(1), "no mount point for what is not there: {}", said.err);
    keys.machine.assert_clean();
    assert_eq!(agents_of(&keys.machine), 0, "agents are left");
}

#[test]
fn keys_with_a_passphrase_are_refused() {
    let keys = Keys::new();
    let locked = keys.machine.path("locked");
    let mut made = Command::new("ssh-keygen");
    made.args(["-q", "-t", "ed25519", "-N", "phrase", "-f"]).arg(&locked);
    assert_ok(&made.output().unwrap());
    let said = keys.build("RUN --mount=type=ssh true", &["--ssh", "default=locked"]);
    said.refused(&["Dockerfile:2", "SSH agent \"default\"", "passphrase"]);
    assert_eq!(agents_of(&keys.machine), 0, "agents are left");
}

/// The agent for key files goes with the builder, however that ends.
#[test]
fn an_agent_does_not_outlive_a_killed_build() {
    let keys = Keys::new();
    keys.machine.file("Dockerfile", "FROM ssh:base\nRUN --mount=type=ssh sleep 1000\n");
    let mut command = keys.machine.command("tare-build");
    command.args(["--ssh", "default=one", "ctx"]).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    wait_until("the agent runs", || agents_of(&keys.machine) > 0);
    child.kill().unwrap();
    child.wait().unwrap();
    wait_until("the agent is gone", || agents_of(&keys.machine) == 0);
    keys.machine.built("FROM busybox:base\n", &[]);
}

/// The agents that builds on this machine have started: they work in its folder.
fn agents_of(machine: &Machine) -> usize {
    let folder = machine.path("");
    let is_agent = |entry: &fs::DirEntry| {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let cwd = fs::read_link(entry.path().join("cwd")).unwrap_or_default();
        let agent = line.starts_with(b"ssh-agent\0sh\0");
        cwd == folder && (agent || line.starts_with(b"sh\0-c\0\nfor key"))
    };
    fs::read_dir("/proc").unwrap().flatten().filter(is_agent).count()
}
