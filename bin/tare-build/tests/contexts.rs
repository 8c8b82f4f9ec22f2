//! Contexts from elsewhere, and those that have a name.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod machine;
mod repository;
mod server;

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use machine::{BASE, Machine};
use repository::Repositories;
use server::{Page, Server};

/// Builds and gives the content of `/x`.
fn x(machine: &Machine, args: &[&str]) -> String {
    let said = machine.tare_build(args);
    assert_eq!(said.code, Some(0), "{args:?}: {}", said.err);
    let image = said.out.trim_end();
    let layers = machine.layers(image);
    let mut files = layers.iter().flat_map(|layer| machine.layer(layer));
    let file = files.find(|file| file.path == "x").unwrap();
    String::from_utf8(file.content).unwrap()
}

#[test]
fn a_repository() {
    let (machine, repositories) = (Machine::empty(), Repositories::start());
    repositories.empty("a");
    repositories.commit("a", "Dockerfile", "FROM scratch\nCOPY file /x\n");
    repositories.commit("a", ".dockerignore", "file\n");
    repositories.commit("a", "sub/Dockerfile", "FROM scratch\nCOPY other /x\n");
    repositories.commit("a", "sub/Other", "FROM scratch\nCOPY Other /x\n");
    repositories.commit("a", "sub/other", "in sub");
    repositories.commit("a", "file", "in the root");
    let url = repositories.url("a");
    // What is taken whole: .dockerignore is for directories of the host.
    assert_eq!(x(&machine, &[&url]), "in the root");
    assert_eq!(x(&machine, &[&format!("{url}#main:sub")]), "in sub");
    let other = x(&machine, &["-f", "Other", &format!("{url}?subdir=sub")]);
    assert_eq!(other, "FROM scratch\nCOPY Other /x\n");
    machine.file("mine", "FROM scratch\nCOPY sub/other /x\n");
    let mut command = machine.command("tare-build");
    command.args(["-f", "-", &url]).stdin(fs::File::open(machine.path("ctx/mine")).unwrap());
    let said = machine::Said::new(&command.output().unwrap());
    assert_eq!(said.code, Some(0), "{}", said.err);
    machine.tare_build(&["-f", "none", &url]).refused(&["none", &url]);
    machine.assert_clean();
}

#[test]
fn nothing_of_the_host_is_a_dockerfile_of_a_repository() {
    let (machine, repositories) = (Machine::empty(), Repositories::start());
    let path = repositories.empty("a");
    let outside = machine.file("Dockerfile", "FROM scratch\n");
    symlink(outside, path.join("Dockerfile")).unwrap();
    repositories.commit("a", "file", "x");
    machine.tare_build(&[&repositories.url("a")]).refused(&["there is no Dockerfile"]);
}

#[test]
fn a_tar_or_a_dockerfile_of_a_web_server() {
    let (machine, server) = (Machine::empty(), Server::start());
    machine.file("Dockerfile", "FROM scratch\nCOPY file /x\n");
    machine.file("file", "in the tar");
    for (name, how) in [("/plain", "-c"), ("/gzip", "-cz"), ("/xz", "-cJ")] {
        let tar = Command::new("tar").arg(how).arg("-C").arg(machine.path("ctx")).arg(".").output();
        server.put(name, Page::of(tar.unwrap().stdout).with("ETag", "\"1\""));
        assert_eq!(x(&machine, &[&server.url(name)]), "in the tar", "{name}");
    }
    server.put("/alone", Page::of("FROM scratch\nCOPY <<EOF /x\nalone\nEOF\n"));
    assert_eq!(x(&machine, &[&server.url("/alone")]), "alone\n");
    machine.tare_build(&[&server.url("/none")]).refused(&["404"]);
    server.put("/wrong", Page::of("FROM scratch\nCOPY file /x\n"));
    machine.tare_build(&[&server.url("/wrong")]).refused(&["file", "empty"]);
    machine.assert_clean();
}

#[test]
fn names_for_contexts() {
    let (machine, repositories, server) = (Machine::new(), Repositories::start(), Server::start());
    repositories.sample("a");
    server.put("/file", Page::of("fetched"));
    machine.file("other/f", "directory");
    machine.file("Dockerfile", "FROM scratch\nARG FILE=f\nCOPY --from=other $FILE /x\n");
    let directory = machine.path("ctx/other").to_str().unwrap().to_owned();
    let layout = machine.path("layout");
    fs::create_dir(&layout).unwrap();
    let mut copy = Command::new("cp");
    copy.arg("-r").args(["oci-layout", "index.json", "blobs"]).arg(&layout);
    assert!(copy.current_dir(machine.path("store")).status().unwrap().success());
    for (context, file, want) in [
        (directory, "f", "directory"),
        (format!("{}#v1", repositories.url("a")), "file", "one\n"),
        (server.url("/file"), "context", "fetched"),
        (format!("docker-image://{BASE}"), "etc/group", "root:x:0:\napp:x:1001:\nstaff:x:50:\n"),
        (
            format!("oci-layout://{}:base", layout.display()),
            "etc/group",
            "root:x:0:\napp:x:1001:\nstaff:x:50:\n",
        ),
    ] {
        let context = format!("--build-context=other={context}");
        let file = format!("--build-arg=FILE={file}");
        assert_eq!(x(&machine, &[&context, &file, "ctx"]), want, "{context}");
    }
    for (context, words) in [
        ("target:x", "bake"),
        ("/no/such", "there is no directory"),
        ("oci-layout:///no/such", "is not in the store"),
    ] {
        let said = machine.tare_build(&[&format!("--build-context=other={context}"), "ctx"]);
        assert!(matches!(said.code, Some(1 | 2)) && said.err.contains(words), "{}", said.err);
    }
    machine.assert_clean();
}

#[test]
fn an_image_of_another_layout_is_a_base() {
    let (builder, machine) = (Machine::new(), Machine::empty());
    let layout = builder.path("store").to_str().unwrap().to_owned();
    machine.file("Dockerfile", "FROM nowhere/at:all\nCOPY Dockerfile /x\nRUN true\n");
    let context = format!("--build-context=nowhere/at:all=oci-layout://{layout}:base");
    assert!(x(&machine, &[&context, "ctx"]).starts_with("FROM nowhere"));
}

#[test]
fn parents_with_patterns() {
    let machine = Machine::empty();
    for file in ["d/a.txt", "d/e/b.txt", "d/e/c.md", "f/b.txt", "top.txt"] {
        machine.file(&format!("in/{file}"), file);
    }
    for (sources, want) in [
        ("in/**/*.txt", "in in/d in/d/a.txt in/d/e in/d/e/b.txt in/f in/f/b.txt in/top.txt"),
        ("in/./**/b.txt", "d d/e d/e/b.txt f f/b.txt"),
        ("in/./d/*/*.md", "d d/e d/e/c.md"),
        ("in/./d/**", "d d/a.txt d/e d/e/b.txt d/e/c.md"),
        ("in/./*", "d d/a.txt d/e d/e/b.txt d/e/c.md f f/b.txt top.txt"),
        ("in/./d/e", "d d/e d/e/b.txt d/e/c.md"),
        ("in/./none*", ""),
        ("--exclude=**/*.md in/./d/e", "d d/e d/e/b.txt"),
    ] {
        let text = format!("FROM scratch\nCOPY --parents {sources} /x/\n");
        let image = machine.built(&text, &[]);
        let files = machine.layer(&machine.layers(&image)[0]);
        let paths: Vec<&str> =
            files.iter().filter_map(|file| file.path.strip_prefix("x/")).collect();
        assert_eq!(paths.join(" "), want, "{sources}");
    }
    machine
        .build("FROM scratch\nCOPY --parents in/none /x/\n", &[])
        .refused(&["Dockerfile:2", "in/none"]);
}

/// Scripts that were written for docker build go on working.
#[test]
fn flags_that_buildkit_ignores_are_said_to_be() {
    let machine = Machine::new();
    let ignored = ["--compress", "--rm=false", "--force-rm", "--squash", "--isolation=default"];
    let limits = ["-m", "1g", "--memory-swap=2g", "-c", "512", "--cpuset-cpus=0", "--cpu-quota=1"];
    let others = ["--security-opt=a", "--security-opt=b", "-D", "--builder=mine"];
    let all = [&ignored[..], &limits, &others].concat();
    let said = machine.build("FROM busybox:base\n", &all);
    assert_eq!(said.code, Some(0), "{}", said.err);
    for name in ["compress", "rm", "squash", "memory", "cpu-shares", "security-opt", "builder"] {
        assert!(said.err.contains(&format!("--{name} has no effect")), "{name}: {}", said.err);
    }
    let said = machine.build("FROM busybox:base\n", &["--builder=default"]);
    assert!(!said.err.contains("no effect"), "{}", said.err);
}
