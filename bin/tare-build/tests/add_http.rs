//! `ADD` of what web servers give: which file, checked and cached how, and what a server cannot do.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod machine;
mod server;

use std::fs;
use std::process::{Command, Stdio};

use machine::{FileInLayer, Machine};
use server::{Page, Server};

/// Of "hello\n".
const DIGEST: &str = "sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
/// The day that HTTP's RFCs like, and its seconds since 1970.
const DATE: (&str, u64) = ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777);

fn hello() -> Page {
    Page::of("hello\n")
}

fn added(machine: &Machine, instruction: &str, args: &[&str]) -> Vec<FileInLayer> {
    let image = machine.built(&format!("FROM scratch\nARG URL\n{instruction}\n"), args);
    let layers = machine.layers(&image);
    layers.iter().flat_map(|layer| machine.layer(layer)).collect()
}

#[test]
fn names_modes_owners_and_times() {
    let (machine, server) = (Machine::empty(), Server::start());
    server.put("/dir/a%20file.txt?x=/y", hello().with("Last-Modified", DATE.0));
    server.put("/", hello());
    let url = server.url("/dir/a%20file.txt?x=/y");
    for (flags, destination, path, mode, owner) in [
        ("", "/x/", "x/a file.txt", 0o600, (0, 0)),
        ("", "/x", "x", 0o600, (0, 0)),
        ("--chmod=644", "/x", "x", 0o644, (0, 0)),
        ("--chmod=u+x", "/x", "x", 0o700, (0, 0)),
        ("--chown=5:6", "/x", "x", 0o600, (5, 6)),
        ("--link", "/y/", "y/a file.txt", 0o600, (0, 0)),
    ] {
        let files = added(&machine, &format!("ADD {flags} {url} {destination}"), &[]);
        let file = files.last().unwrap();
        assert_eq!((&*file.path, file.mode, file.owner), (path, mode, owner), "{flags}");
        assert_eq!((&*file.content, file.mtime), (&b"hello\n"[..], DATE.1), "{flags}");
    }
    let files =
        added(&machine, "ADD $URL /x/", &["--build-arg", &format!("URL={}", server.url("/"))]);
    assert_eq!((&*files[1].path, files[1].mtime), ("x/__unnamed__", 0));
}

#[test]
fn several_sources_keep_their_order() {
    let (machine, server) = (Machine::empty(), Server::start());
    server.put("/a", hello());
    machine.file("a", "local\n");
    for (sources, want) in [("a URL/a", "hello\n"), ("URL/a a", "local\n")] {
        let sources = sources.replace("URL", &server.url(""));
        let files = added(&machine, &format!("ADD {sources} /x/"), &[]);
        let paths: Vec<&str> = files.iter().map(|file| &*file.path).collect();
        assert_eq!(paths, ["x", "x/a"], "{sources}");
        assert_eq!(files[1].content, want.as_bytes());
    }
}

#[test]
fn checksums_are_checked_and_spare_the_request() {
    let (machine, server) = (Machine::empty(), Server::start());
    server.put("/a", hello());
    let url = server.url("/a");
    let text = format!("FROM scratch\nADD --checksum={DIGEST} {url} /x\n");
    let image = machine.built(&text, &[]);
    assert_eq!(server.requests().len(), 1);
    server.put("/a", Page::of("changed\n"));
    assert_eq!(machine.built(&text, &[]), image);
    assert_eq!(server.requests().len(), 0, "what it is was known");
    let wrong = DIGEST.replace("5891", "0000");
    let text = format!("FROM scratch\nADD --checksum={wrong} {url} /x\n");
    machine.build(&text, &[]).refused(&["Dockerfile:2", "checksum does not match", &wrong, &url]);
    for (instruction, words) in [
        (format!("ADD --checksum=sha256:12 {url} /x"), "--checksum=sha256:12"),
        (format!("ADD --checksum={DIGEST} {url} {url} /x/"), "single source"),
        (format!("ADD --checksum={DIGEST} a /x"), "URLs"),
        (format!("COPY {url} /x"), "use ADD"),
        ("COPY git@example.com:a /x".to_owned(), "use ADD"),
    ] {
        machine
            .build(&format!("FROM scratch\n{instruction}\n"), &[])
            .refused(&["Dockerfile:2", words]);
    }
}

#[test]
fn unchanged_resources_are_not_sent_again() {
    for (header, value, condition) in
        [("ETag", "\"v1\"", "if-none-match"), ("Last-Modified", DATE.0, "if-modified-since")]
    {
        let (machine, server) = (Machine::empty(), Server::start());
        server.put("/a", hello().with(header, value));
        let text = format!("FROM scratch\nADD {} /x\n", server.url("/a"));
        let image = machine.built(&text, &[]);
        server.requests();
        let again = machine.build(&text, &[]);
        assert_eq!((again.out.trim_end(), again.cached()), (&*image, 1), "{}", again.err);
        let requests = server.requests();
        assert_eq!(requests.len(), 1);
        assert_eq!(requests[0].headers.get(condition).map(String::as_str), Some(value));
        server.put("/a", Page::of("changed\n").with(header, "\"v2\""));
        let changed = machine.build(&text, &[]);
        assert_eq!((changed.code, changed.cached()), (Some(0), 0), "{}", changed.err);
        assert_ne!(changed.out.trim_end(), image);
        // Other bytes than before, but known ones.
        server.put("/a", hello().with(header, "\"v3\""));
        let back = machine.build(&text, &[]);
        assert_eq!((back.out.trim_end(), back.cached()), (&*image, 1), "{}", back.err);
    }
}

#[test]
fn a_server_that_ignores_conditions_is_not_listened_to() {
    let (machine, server) = (Machine::empty(), Server::start());
    server.put("/a", hello().with("ETag", "\"v1\""));
    let text = format!("FROM scratch\nADD {} /x\n", server.url("/a"));
    let image = machine.built(&text, &[]);
    // The same tag, weakly, and a body that would never end.
    server.put("/a", Page { endless: true, ..Page::of("no").with("ETag", "W/\"v1\"") });
    assert_eq!(machine.built(&text, &[]), image);
}

#[test]
fn archives_are_unpacked_only_when_asked_for() {
    let (machine, server) = (Machine::empty(), Server::start());
    let tar = tar(&machine, "-c");
    server.put("/t.tar", Page::of(&tar));
    server.put("/t.tar.gz", Page::of(self::tar(&machine, "-cz")));
    machine.file("local.tar", &tar);
    let url = server.url("/t.tar");
    for (instruction, want) in [
        (format!("ADD {url} /x/"), "x x/t.tar"),
        (format!("ADD --unpack=false {url} /x/"), "x x/t.tar"),
        (format!("ADD --unpack {url} /x/"), "x x/in x/in/file"),
        (format!("ADD --unpack=true {url}.gz /x"), "x x/in x/in/file"),
        ("ADD local.tar /x/".to_owned(), "x x/in x/in/file"),
        ("ADD --unpack=false local.tar /x/".to_owned(), "x x/local.tar"),
        ("ADD --unpack=true local.tar /x/".to_owned(), "x x/in x/in/file"),
    ] {
        let files = added(&machine, &instruction, &[]);
        let paths: Vec<&str> = files.iter().map(|file| &*file.path).collect();
        assert_eq!(paths.join(" "), want, "{instruction}");
    }
}

/// A tar with one directory and one file.
fn tar(machine: &Machine, how: &str) -> Vec<u8> {
    let folder = machine.path("tarred/in");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("file"), "packed").unwrap();
    let tar = Command::new("tar").arg(how).arg("-C").arg(machine.path("tarred")).arg("in").output();
    tar.unwrap().stdout
}

#[test]
fn redirects_are_followed_within_reason() {
    let (machine, server) = (Machine::empty(), Server::start());
    server.put("/a", Page::status(302).with("Location", "/b"));
    server.put("/b", Page::status(301).with("Location", &server.url("/c")));
    server.put("/c", hello());
    server.put("/loop", Page::status(302).with("Location", "/loop"));
    let files = added(&machine, &format!("ADD {} /x/", server.url("/a")), &[]);
    assert_eq!((&*files[1].path, &*files[1].content), ("x/a", &b"hello\n"[..]));
    let text = format!("FROM scratch\nADD {} /x\n", server.url("/loop"));
    machine.build(&text, &[]).refused(&["Dockerfile:2", "redirects too often"]);
}

#[test]
fn what_servers_cannot_do() {
    let (machine, server) = (Machine::empty(), Server::start());
    server.put("/500", Page::status(500));
    server.put("/cut", Page { cut: Some(3), ..hello() });
    for (path, words) in [("/none", "404 Not Found"), ("/500", "500")] {
        let url = server.url(path);
        let said = machine.build(&format!("FROM scratch\nADD {url} /x\n"), &[]);
        said.refused(&["Dockerfile:2", &url, words]);
        machine.assert_clean();
    }
    let said = machine.build(&format!("FROM scratch\nADD {} /x\n", server.url("/cut")), &[]);
    said.refused(&["Dockerfile:2", "3 of 6 bytes"]);
    let left = fs::read_dir(machine.path("store/tare/tmp")).map(Iterator::count).unwrap_or(0);
    assert_eq!(left, 0, "temporary files");
}

#[test]
fn a_limit_stops_a_body_without_end() {
    let (machine, server) = (Machine::empty(), Server::start());
    server.put("/a", Page { endless: true, ..Page::of([b'x'; 4096]) });
    let fetch = |args: &[&str]| {
        let mut command = machine.command("tare-store");
        command.arg("fetch").args(args).arg(server.url("/a"));
        machine::Said::new(&command.stdin(Stdio::null()).output().unwrap())
    };
    fetch(&["--max-size", "1000000"]).refused(&["larger than the 1000000 bytes"]);
    let blobs = fs::read_dir(machine.path("store/blobs/sha256")).map(Iterator::count).unwrap_or(0);
    assert_eq!(blobs, 0);
}

#[test]
fn passwords_are_used_and_seen_nowhere() {
    let (machine, server) = (Machine::empty(), Server::start());
    server.put("/a", hello());
    let url = server.url("/a").replace("http://", "http://user:hunter2@");
    let said = machine.build(&format!("FROM scratch\nADD {url} /x\n"), &["--progress=plain"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let requests = server.requests();
    let header = requests[0].headers.get("authorization").map(String::as_str);
    assert_eq!(header, Some("Basic dXNlcjpodW50ZXIy"));
    server.put("/a", Page::status(403));
    let failed = machine.build(&format!("FROM scratch\nADD --link {url} /y\n"), &["--no-cache"]);
    failed.refused(&["Dockerfile:2", "403"]);
    for said in [&said, &failed] {
        assert!(!said.err.contains("hunter2"), "{}", said.err);
    }
    let output =
        Command::new("grep").args(["-r", "-l", "hunter2"]).arg(machine.path("store")).output();
    let output = output.unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "in the store");
    let history = machine.config(said.out.trim_end())["history"][0]["created_by"].clone();
    let shown = server.url("/a").replace("http://", "http://xxxxx:xxxxx@");
    assert_eq!(history, format!("ADD {shown} /x # buildkit"));
}
