//! What is different where the builder is an ordinary user: ids, devices, sandboxes around it. As root these
//! tests do nothing; `scripts/as-user` runs them, and all the others that need no root.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod machine;

use std::fs;
use std::path::Path;

use machine::{Machine, Said, files_of, is_rootless};

/// A shell in the user namespace, or as the user.
fn shell(machine: &Machine, inside: bool, script: &str) -> Said {
    let programs = Path::new(env!("CARGO_BIN_EXE_tare-build")).parent().unwrap().to_owned();
    let mut command = machine.command("tare");
    if inside {
        command.arg("unshare");
    } else {
        command = std::process::Command::new("env");
        command.current_dir(machine.path("")).env("TARE_STORE", machine.path("store"));
    }
    let path = format!("PATH={}:/usr/sbin:/usr/bin:/sbin:/bin", programs.display());
    Said::new(&command.args(["env", &path, "sh", "-ec", script]).output().unwrap())
}

#[test]
fn owners_modes_attributes_and_signs_are_those_of_the_image() {
    let machine = Machine::new();
    let image = machine.built(
        "FROM busybox:base\n\
         RUN mkdir /o /o/sub; echo 1 >/o/one; chown 1000:50 /o/one; chmod 4755 /o/one; chown 7:8 /o\n\
         RUN rm -r /o; mkdir /o; echo 2 >/o/two; /bin/busybox mkfifo /o/pipe; ln /o/two /o/linked; \
         chown 65535:65535 /o/pipe; rm /etc/group; mv /data/real /data/moved\n",
        &["--driver", "directory"],
    );
    let layers = machine.layers(&image);
    let shown = |digest: &str| -> Vec<String> {
        let files = machine.layer(digest).into_iter();
        files
            .map(|it| format!("{} {:o} {:?}", it.path.trim_end_matches('/'), it.mode, it.owner))
            .collect()
    };
    assert_eq!(shown(&layers[1]), ["o 755 (7, 8)", "o/one 4755 (1000, 50)", "o/sub 755 (0, 0)"]);
    let second = shown(&layers[2]);
    for wanted in
        ["etc/.wh.group", "data/.wh.real", "data/moved", "o/.wh..wh..opq", "o/linked", "o/two"]
    {
        assert!(
            second.iter().any(|it| it.starts_with(&format!("{wanted} "))),
            "{wanted}: {second:?}"
        );
    }
    assert!(second.contains(&"o/pipe 644 (65535, 65535)".to_owned()), "{second:?}");
    machine.assert_clean();
}

/// The image with a device: the layer keeps it, the command does without.
#[test]
fn devices_of_an_image_stay_in_it() {
    if !is_rootless() {
        return;
    }
    let machine = Machine::new();
    let made = shell(
        &machine,
        false,
        r#"python3 - <<X
import tarfile
with tarfile.open("dev.tar", "w") as tar:
    for name in ["dev/disk", "dev/same"]:
        info = tarfile.TarInfo(name)
        info.type, info.devmajor, info.devminor = tarfile.BLKTYPE, 8, 0
        if name == "dev/same": info.type, info.linkname = tarfile.LNKTYPE, "dev/disk"
        tar.addfile(info)
X
mv dev.tar ctx/"#,
    );
    assert_eq!(made.code, Some(0), "{}", made.err);
    let image = machine.built("FROM busybox:base\nADD dev.tar /\nRUN echo >/x\n", &[]);
    assert_eq!(machine.paths(&image), ["dev", "dev/disk", "dev/same", "x"]);
    machine
        .built("FROM busybox:base\nADD dev.tar /d/\nRUN test ! -e /d/dev/disk && rm -r /d\n", &[]);
}

#[test]
fn an_id_that_the_user_has_not_is_named_with_what_to_do() {
    if !is_rootless() {
        return;
    }
    let machine = Machine::new();
    let dockerfile = "FROM busybox:base\nCOPY --chown=70000:3 Dockerfile /\nRUN true\n";
    let more = "give tare-tester more with a further line in /etc/subuid";
    machine.build(dockerfile, &[]).refused(&["Dockerfile:3", "70000:3", "65537 ids", more]);
    // Nothing of it is left in the way of the next build, and what runs nothing needs no id.
    machine.built("FROM busybox:base\nRUN true\n", &[]);
    machine.built("FROM busybox:base\nCOPY --chown=70000:3 Dockerfile /\n", &[]);
}

#[test]
fn without_subordinate_ids_there_is_root_alone() {
    if !is_rootless() {
        return;
    }
    let machine = Machine::new();
    machine.file(
        "Dockerfile",
        "FROM scratch\nCOPY --from=busybox:base --chown=0:0 / /\nRUN id -u >/seen\n",
    );
    let alone = |file: &str| {
        let script = format!(
            "touch none; exec unshare --user --map-current-user --mount --keep-caps sh -ec '
             mount --bind none /etc/subuid; exec setpriv --inh-caps=-all --ambient-caps=-all tare-build {file} ctx'"
        );
        shell(&machine, false, &script)
    };
    let said = alone("");
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.err.contains("/etc/subuid has no line for tare-tester"), "{}", said.err);
    assert_eq!(machine.cat(said.out.trim(), "seen"), "0\n");
    fs::write(machine.path("other"), "FROM scratch\nCOPY --chown=5:6 x /\nRUN [\"/x\"]\n").unwrap();
    machine.file("x", "");
    let give = "give tare-tester some with a line tare-tester:100000:65536 in /etc/subuid";
    alone("-f other").refused(&["5:6", "no other id than root's", give]);
}

/// A store in a container's own overlay, which cannot hold another one's.
#[test]
fn where_the_kernels_overlay_refuses_fuse_overlayfs_works() {
    if !is_rootless() {
        return;
    }
    let machine = Machine::new();
    machine.file(
        "Dockerfile",
        "FROM busybox:base\n\
         RUN mkdir /o; echo 1 >/o/one; chown 3:4 /o/one; rm /etc/group\n\
         RUN rm -r /o; mkdir /o; echo 2 >/o/two; rm -r /data\n",
    );
    let script = "mkdir lower upper work merged; \
         mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work,userxattr none merged; \
         export TARE_STORE=$PWD/merged/store; tare-store import -q base.tar busybox:base >/dev/null; \
         tare-build -o type=oci,dest=out,tar=false ctx >&2; ! grep $PWD/merged/ /proc/self/mounts >&2";
    let said = shell(&machine, true, script);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let layer = |number: usize| {
        let script = format!(
            "d=out/blobs/sha256; m=$(grep -l rootfs $d/* >/dev/null; python3 -c '
import json; i=json.load(open(\"out/index.json\")); print(i[\"manifests\"][0][\"digest\"][7:])'); \
             l=$(python3 -c \"import json; print(json.load(open('$d/$m'))['layers'][{number}]['digest'][7:])\"); \
             zcat $d/$l >layer.tar"
        );
        let said = shell(&machine, false, &script);
        assert_eq!(said.code, Some(0), "{}", said.err);
        let files = files_of(&fs::read(machine.path("layer.tar")).unwrap()).into_iter();
        files.map(|it| (it.path.trim_end_matches('/').to_owned(), it.owner)).collect::<Vec<_>>()
    };
    let names = |number| layer(number).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    assert_eq!(names(1), ["etc", "etc/.wh.group", "o", "o/one"]);
    assert_eq!(layer(1)[3].1, (3, 4));
    assert_eq!(names(2), [".wh.data", "o", "o/.wh..wh..opq", "o/two"]);
}

#[test]
fn the_store_tells_what_an_ordinary_user_has() {
    if !is_rootless() {
        return;
    }
    let machine = Machine::new();
    let said = shell(&machine, false, "tare-store info");
    let user = rustix::process::geteuid().as_raw();
    let line = format!("Rootless: in a user namespace with 65537 ids, for user {user}\n");
    assert!(said.out.contains(&line), "{}", said.out);
    assert!(said.out.contains("Driver:  directory"), "{}", said.out);
    assert!(said.out.contains(&format!("Store:   {}\n", machine.path("store").display())));
}

/// By whichever of the two programs is there, the better one first; without either it is the host's.
#[test]
fn commands_have_a_network_of_their_own() {
    if !is_rootless() {
        return;
    }
    let machine = Machine::new();
    let see = "FROM busybox:base\nRUN readlink /proc/self/ns/net >/seen; ip route >>/seen; \
               grep -v '^#' /etc/resolv.conf >>/seen; ls /sys/class/net >>/seen\n"
        .replace("readlink", "/bin/busybox readlink");
    let seen = |programs: &[&str], args: &str| {
        machine.file("Dockerfile", &see);
        let links: String = ["newuidmap", "newgidmap", "env", "sh"]
            .iter()
            .chain(programs)
            .map(|it| format!("ln -s $(command -v {it}) only/; "))
            .collect();
        let script = format!(
            "rm -rf only; mkdir only; {links} build=$(command -v tare-build); \
             PATH=$PWD/only $build --no-cache {args} ctx"
        );
        let said = shell(&machine, false, &script);
        assert_eq!(said.code, Some(0), "{}", said.err);
        machine.assert_clean();
        machine.cat(said.out.trim(), "seen")
    };
    let host = fs::read_link("/proc/self/ns/net").unwrap().to_str().unwrap().to_owned();
    let programs = ["pasta", "slirp4netns"];
    assert!(seen(&[], "").starts_with(&host), "neither is there");
    assert!(seen(&programs, "--network host").starts_with(&host), "--network host");
    assert!(seen(&programs, "--network none").ends_with("\nlo\n"), "--network none");
    for (programs, mark) in
        [(&programs[..], "default via"), (&programs[1..], "default via 10.0.2.2 dev tap0")]
    {
        let own = seen(programs, "");
        assert!(!own.starts_with(&host) && own.contains(mark), "{programs:?}: {own}");
        assert!(!own.contains("nameserver 127."), "{own}");
    }
}
