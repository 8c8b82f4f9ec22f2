//! `COPY` and `ADD`: which files arrive where, with which owner, mode and time.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod machine;

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::{Command, Stdio};

use machine::{FileInLayer, Machine, Said};

fn context() -> Machine {
    let machine = Machine::new();
    machine.file("a.txt", "A");
    machine.file("b.txt", "B");
    machine.file("c.md", "C");
    machine.file("dir/one", "1");
    machine.file("dir/sub/two", "2");
    symlink("a.txt", machine.path("ctx/to-a")).unwrap();
    symlink("one", machine.path("ctx/dir/to-one")).unwrap();
    machine
}

/// The paths that `instruction` puts into its layer.
fn copied(machine: &Machine, instructions: &str) -> Vec<String> {
    let image = machine.built(&format!("FROM {}\n{instructions}\n", machine::BASE), &[]);
    machine.paths(&image)
}

fn entry(machine: &Machine, image: &str, path: &str) -> FileInLayer {
    let found = machine.files(image).into_iter().find(|file| file.path == path);
    found.unwrap_or_else(|| panic!("no {path}"))
}

#[test]
fn where_files_go() {
    let machine = context();
    for (instructions, want) in [
        ("COPY a.txt /x", "x"),
        ("COPY a.txt /x/", "x x/a.txt"),
        ("COPY a.txt /data", "data/a.txt"),
        ("COPY a.txt b.txt /x/", "x x/a.txt x/b.txt"),
        ("COPY *.txt /x/", "x x/a.txt x/b.txt"),
        ("COPY [a-b].tx? /x/", "x x/a.txt x/b.txt"),
        ("COPY no* /x/", ""),
        ("COPY dir /x", "x x/one x/sub x/sub/two x/to-one"),
        ("COPY dir/ /x/", "x x/one x/sub x/sub/two x/to-one"),
        ("COPY dir /data", "data/one data/sub data/sub/two data/to-one"),
        ("COPY d*r/s*/two /x", "x"),
        ("COPY dir/sub a.txt /x/", "x x/a.txt x/two"),
        ("COPY a.txt /data/link/", "data/real/a.txt"),
        ("COPY a.txt /data/link", "data/real/a.txt"),
        ("WORKDIR /w\nCOPY a.txt .", "w w/a.txt"),
        ("WORKDIR /w\nCOPY a.txt deep/", "w w/deep w/deep/a.txt"),
        ("WORKDIR /w/v\nCOPY a.txt ../", "w w/v w/a.txt"),
        ("COPY /a.txt /x", "x"),
        ("COPY ../../a.txt /x", "x"),
        ("COPY --parents dir/sub/two /x/", "x x/dir x/dir/sub x/dir/sub/two"),
        ("COPY --parents dir/./sub/two /x/", "x x/sub x/sub/two"),
        ("COPY --exclude=sub dir /x/", "x x/one x/to-one"),
        ("COPY [\"a.txt\", \"/with space\"]", "with space"),
    ] {
        let want: Vec<&str> = match instructions.contains("space") {
            true => vec![want],
            false => want.split_whitespace().collect(),
        };
        let mut got = copied(&machine, instructions);
        got.iter_mut().for_each(|path| *path = path.trim_end_matches('/').to_owned());
        assert_eq!(got, want, "{instructions}");
    }
}

#[test]
fn links_are_followed_as_sources_and_kept_inside() {
    let machine = context();
    let image = machine.built("FROM busybox:base\nCOPY to-a /x\nCOPY dir /d\n", &[]);
    assert_eq!(entry(&machine, &image, "x").content, b"A");
    assert_eq!(entry(&machine, &image, "d/to-one").link.as_deref(), Some("one"));
    symlink("/etc/passwd", machine.path("ctx/out")).unwrap();
    machine.build("FROM busybox:base\nCOPY out /x\n", &[]).refused(&["Dockerfile:2", "out"]);
}

#[test]
fn owners_and_modes() {
    let machine = context();
    let secret = machine.file("run.sh", "#!/bin/sh\n");
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o750)).unwrap();
    for (flags, owner, mode, new_folder) in [
        ("", (0, 0), 0o750, 0o755),
        ("--chown=app", (1000, 1001), 0o750, 0o755),
        ("--chown=app:staff", (1000, 50), 0o750, 0o755),
        ("--chown=7", (7, 7), 0o750, 0o755),
        ("--chown=7:8", (7, 8), 0o750, 0o755),
        ("--chmod=4711", (0, 0), 0o4711, 0o711),
        ("--chown=app --chmod=600", (1000, 1001), 0o600, 0o600),
        ("--chmod=u=rwX,go=rX", (0, 0), 0o755, 0o755),
        ("--link --chown=7", (7, 7), 0o750, 0o755),
    ] {
        let image = machine.built(&format!("FROM busybox:base\nCOPY {flags} run.sh /x/\n"), &[]);
        let file = entry(&machine, &image, "x/run.sh");
        assert_eq!((file.owner, file.mode), (owner, mode), "{flags}");
        let folder = entry(&machine, &image, "x");
        assert_eq!((folder.owner, folder.mode, folder.mtime), (owner, new_folder, 0), "{flags}");
    }
    // As BuildKit has it; but not without a word.
    let dockerfile = "FROM busybox:base\nCOPY --chown=nobody:app run.sh /x\n";
    let said = machine.build(dockerfile, &["--progress=plain"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.err.contains("unable to find user nobody"), "{}", said.err);
    assert_eq!(entry(&machine, said.out.trim_end(), "x").owner, (0, 1001));
    let said = machine.build("FROM scratch\nCOPY --chown=nobody run.sh /x\n", &[]);
    said.refused(&["Dockerfile:2", "nobody"]);
}

#[test]
fn from_a_stage_an_index_and_an_image() {
    let machine = context();
    let dockerfile = "\
FROM busybox:base AS first
RUN mkdir /out && echo made > /out/file && ln /out/file /out/same && chmod 640 /out/file
FROM busybox:base
COPY --from=first /out /named
COPY --from=0 /out/file /numbered
COPY --from=busybox:base /etc/group /image
COPY --from=first --chown=app /out/file /mine
";
    let image = machine.built(dockerfile, &[]);
    assert_eq!(machine.cat(&image, "named/file"), "made\n");
    assert_eq!(entry(&machine, &image, "named/same").link.as_deref(), Some("named/file"));
    assert_eq!(machine.cat(&image, "numbered"), "made\n");
    assert_eq!(entry(&machine, &image, "numbered").mode, 0o640);
    assert!(machine.cat(&image, "image").contains("staff"));
    assert_eq!(entry(&machine, &image, "mine").owner, (1000, 1001));
    machine
        .build("FROM busybox:base\nCOPY --from=9 /a /b\n", &[])
        .refused(&["Dockerfile:2", "no stage 9"]);
}

#[test]
fn heredocs() {
    let machine = context();
    let image = machine.built(
        "FROM busybox:base\nARG WHO=me\nCOPY <<one <<-'two' /x/\nhello $WHO\none\n\traw $WHO\ntwo\n",
        &[],
    );
    assert_eq!(machine.cat(&image, "x/one"), "hello me\n");
    assert_eq!(machine.cat(&image, "x/two"), "raw $WHO\n");
}

#[test]
fn archives_are_unpacked_by_add_alone() {
    let machine = context();
    let tar = |flags: &str, name: &str| {
        let script = format!("cd ctx && tar {flags} -cf {name} --owner=5 --group=6 dir a.txt");
        let status =
            Command::new("sh").arg("-c").arg(script).current_dir(machine.path("")).status();
        assert!(status.unwrap().success());
    };
    tar("", "plain.tar");
    tar("-z", "gzip.tgz");
    tar("--zstd", "zstd.tar.zst");
    for name in ["plain.tar", "gzip.tgz", "zstd.tar.zst"] {
        let image = machine.built(&format!("FROM busybox:base\nADD {name} /x\n"), &[]);
        assert_eq!(machine.cat(&image, "x/dir/sub/two"), "2", "{name}");
        assert_eq!(entry(&machine, &image, "x/a.txt").owner, (5, 6), "{name}");
        let image = machine.built(&format!("FROM busybox:base\nCOPY {name} /x/\n"), &[]);
        assert_eq!(machine.paths(&image), ["x", &format!("x/{name}")]);
    }
}

#[test]
fn what_is_ignored_is_not_there() {
    let machine = context();
    machine.file(".dockerignore", "*.md\ndir/*\n!dir/sub\n");
    assert_eq!(
        copied(&machine, "COPY . /x/")
            .iter()
            .map(|path| path.trim_end_matches('/'))
            .collect::<Vec<_>>(),
        [
            "x",
            "x/.dockerignore",
            "x/Dockerfile",
            "x/a.txt",
            "x/b.txt",
            "x/dir",
            "x/dir/sub",
            "x/dir/sub/two",
            "x/to-a"
        ]
    );
    machine.build("FROM busybox:base\nCOPY c.md /x\n", &[]).refused(&[
        "Dockerfile:2",
        "c.md",
        ".dockerignore",
    ]);
    machine.file("Dockerfile.dockerignore", "a.txt\n");
    machine.file("Dockerfile", "FROM busybox:base\nCOPY c.md /x\n");
    assert_eq!(machine.tare_build(&["-f", "ctx/Dockerfile", "ctx"]).code, Some(0));
}

#[test]
fn a_file_does_not_replace_a_directory() {
    let machine = context();
    machine.build("FROM busybox:base\nCOPY dir/one /x/sub\nCOPY dir /x\n", &[]).refused(&[
        "Dockerfile:3",
        "a directory",
        "/x/sub",
    ]);
    machine
        .build("FROM busybox:base\nCOPY dir /etc/passwd\n", &[])
        .refused(&["Dockerfile:2", "/etc/passwd"]);
}

#[test]
fn a_context_may_be_a_tar_or_absent() {
    let machine = context();
    machine.file("Dockerfile", "FROM busybox:base\nCOPY dir /x/\n");
    machine.file(".dockerignore", "dir/sub\n");
    let from = |input: &str| {
        let script = format!("{input} | \"$0\" -q -");
        let program = machine.command("tare-build").get_program().to_owned();
        let output = Command::new("sh")
            .args(["-c", &script])
            .arg(program)
            .current_dir(machine.path("ctx"))
            .env("TARE_STORE", machine.path("store"))
            .stdin(Stdio::null())
            .output();
        Said::new(&output.unwrap())
    };
    for tar in ["tar -c .", "tar -cz .", "tar -c --zstd ."] {
        let said = from(tar);
        assert_eq!(said.code, Some(0), "{}", said.err);
        // It is taken whole: .dockerignore is for directories of the host.
        let whole = ["x", "x/one", "x/sub", "x/sub/two", "x/to-one"];
        assert_eq!(machine.paths(said.out.trim()), whole, "{tar}");
    }
    let said = from("printf 'FROM busybox:base\\nLABEL a=b\\n'");
    assert_eq!(machine.config(said.out.trim())["config"]["Labels"]["a"], "b");
    from("printf 'FROM busybox:base\\nCOPY a /b\\n'").refused(&["-:2", "empty"]);
}

/// With `--link` the layer is the same on any base: it is found again when the base changes, and links
/// of the base are not followed.
#[test]
fn a_linked_copy_does_not_depend_on_what_is_below() {
    let machine = context();
    let dockerfile = |below: &str| {
        format!("FROM busybox:base\nRUN echo {below} > /below\nCOPY --link a.txt /data/link/x\n")
    };
    let first = machine.built(&dockerfile("one"), &[]);
    let said = machine.build(&dockerfile("two"), &[]);
    assert_eq!(said.cached(), 2, "FROM and COPY: {}", said.err);
    let paths = machine.paths(&first);
    assert!(paths.contains(&"data/link/x".to_owned()), "{paths:?}");
    assert_eq!(machine.layers(&first).last(), machine.layers(said.out.trim()).last());
    let after = |number: &str| {
        let said = machine.build(&(dockerfile(number) + "RUN cat /below > /after\n"), &[]);
        machine.cat(said.out.trim(), "after")
    };
    assert_eq!((after("one"), after("two")), ("one\n".to_owned(), "two\n".to_owned()));
}
