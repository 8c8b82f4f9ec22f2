//! Archives, files and servers that mean harm, or have no end: what they can cost is bounded, Ctrl-C ends
//! it, and nothing of it stays.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod machine;
mod server;

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use machine::{Machine, Said, wait_until};
use server::{Page, Server};

/// A tar that says it holds one file of zeros, compressed by a program; `megabytes` of it are there.
fn bomb(machine: &Machine, name: &str, program: &[&str], megabytes: usize) {
    let target = fs::File::create(machine.path("ctx").join(name)).unwrap();
    let mut command = Command::new(program[0]);
    command.args(&program[1..]).stdin(Stdio::piped()).stdout(target);
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{}: {error}", program[0]));
    let mut input = child.stdin.take().unwrap();
    input.write_all(&header(megabytes << 20)).unwrap();
    let zeros = vec![0; 1 << 20];
    (0..=megabytes).for_each(|_| input.write_all(&zeros).unwrap());
    drop(input);
    assert!(child.wait().unwrap().success());
}

/// The header of a file `big` (POSIX pax, "ustar Interchange Format").
fn header(size: usize) -> [u8; 512] {
    let mut header = [0; 512];
    let mut put = |at: usize, text: &[u8]| header[at..at + text.len()].copy_from_slice(text);
    put(0, b"big");
    put(100, b"0000644\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{size:011o}\0").as_bytes());
    put(136, b"00000000000\0");
    put(148, b"        ");
    put(156, b"0");
    put(257, b"ustar\x0000");
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}

/// A small disk for the store, gone with the value.
struct SmallDisk<'a>(&'a Machine);

impl<'a> SmallDisk<'a> {
    fn mount(machine: &'a Machine) -> Self {
        let path = machine.path("store");
        fs::create_dir_all(&path).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=16m", "tare-test"]).arg(&path);
        assert!(mount.status().unwrap().success());
        Self(machine)
    }

    fn used(&self) -> u64 {
        let left = rustix::fs::statvfs(self.0.path("store")).unwrap();
        (left.f_blocks - left.f_bfree) * left.f_frsize
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path("store")).status();
    }
}

#[test]
fn a_bomb_fills_the_disk_and_leaves_nothing() {
    // Only root can mount a small disk.
    if machine::is_rootless() {
        return;
    }
    let machine = Machine::empty();
    let disk = SmallDisk::mount(&machine);
    for (name, program) in [
        ("b.tar.gz", &["gzip", "-1"][..]),
        ("b.tar.bz2", &["bzip2", "-1"]),
        ("b.tar.xz", &["xz", "-0"]),
        ("b.tar.zst", &["zstd", "-q", "-1"]),
    ] {
        bomb(&machine, name, program, 40);
        let size = fs::metadata(machine.path("ctx").join(name)).unwrap().len();
        assert!(size < 1 << 20, "{name} has {size} bytes");
        let said = machine.build(&format!("FROM scratch\nADD {name} /\n"), &["-t", "app"]);
        said.refused(&["Dockerfile:2", "No space left on device", "tare-store gc"]);
        assert!(disk.used() < 1 << 20, "{name}: {} bytes are left", disk.used());
    }
}

fn start(machine: &Machine, dockerfile: &str) -> Child {
    machine.file("Dockerfile", dockerfile);
    let mut command = machine.command("tare-build");
    command.args(["-t", "app", "ctx"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// Bytes in the store's files.
fn stored(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(found) if found.is_dir() => stored(&entry.path()),
        found => found.map_or(0, |found| found.len()),
    };
    entries.map(size).sum()
}

fn interrupted(machine: &Machine, child: Child) {
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    Said::new(&child.wait_with_output().unwrap()).refused(&["interrupted"]);
    machine.assert_clean();
    let left = stored(&machine.path("store"));
    assert!(left < 64 << 10, "{left} bytes are left");
}

/// The archive goes on for two gigabytes: only the interrupt ends the build soon.
#[test]
fn a_bomb_can_be_interrupted() {
    let machine = Machine::empty();
    bomb(&machine, "b.tar.zst", &["zstd", "-q", "-1"], 2 << 10);
    let child = start(&machine, "FROM scratch\nADD b.tar.zst /\n");
    wait_until("it unpacks", || stored(&machine.path("store")) > 1 << 20);
    interrupted(&machine, child);
}

#[test]
fn a_download_can_be_interrupted() {
    let (machine, server) = (Machine::empty(), Server::start());
    server.put("/a", Page { endless: true, ..Page::of([b'x'; 4096]) });
    let child = start(&machine, &format!("FROM scratch\nADD {} /\n", server.url("/a")));
    wait_until("it downloads", || stored(&machine.path("store")) > 1 << 20);
    interrupted(&machine, child);
}

/// The only file of an image that is only that.
fn added(machine: &Machine, said: &Said) -> Vec<u8> {
    assert_eq!(said.code, Some(0), "{}", said.err);
    let layers = machine.layers(said.out.trim_end());
    let mut files: Vec<_> = layers.iter().flat_map(|layer| machine.layer(layer)).collect();
    assert_eq!(files.len(), 1);
    files.remove(0).content
}

#[test]
fn downloads_through_a_proxy() {
    let (machine, server) = (Machine::empty(), Server::start());
    let url = "http://tare.invalid/a";
    server.put("tare.invalid:80", Page::of(""));
    server.put("/a", Page::of("by proxy\n"));
    machine.file("Dockerfile", format!("FROM scratch\nADD {url} /x\n"));
    let build = |no_proxy: &str| {
        let mut command = machine.command("tare-build");
        command.args(["-q", "ctx"]).stdin(Stdio::null());
        command.env("http_proxy", server.url("")).env("no_proxy", no_proxy);
        Said::new(&command.output().unwrap())
    };
    let said = build("");
    assert_eq!(added(&machine, &said), b"by proxy\n");
    let lines: Vec<String> = server.requests().into_iter().map(|request| request.line).collect();
    assert_eq!(lines, ["CONNECT tare.invalid:80", "GET /a"]);
    build("tare.invalid").refused(&["Dockerfile:2", "tare.invalid"]);
}

/// As other programs that fetch files; a checksum is there for those who mind.
#[test]
fn a_redirect_may_lead_to_plain_http() {
    let (machine, server) = (Machine::empty(), Server::start());
    server.put("/b", Page::of("plain\n"));
    let (port, mut tls) = tls_server(&machine, &server.url("/b"));
    let mut command = machine.command("tare-build");
    machine.file("Dockerfile", format!("FROM scratch\nADD https://127.0.0.1:{port}/a /x\n"));
    command.args(["-q", "ctx"]).stdin(Stdio::null()).env("SSL_CERT_FILE", machine.path("ca"));
    let said = Said::new(&command.output().unwrap());
    tls.kill().unwrap();
    tls.wait().unwrap();
    assert_eq!(added(&machine, &said), b"plain\n");
}

/// A server with TLS that redirects `/a`; who signed its certificate is in `ca`.
fn tls_server(machine: &Machine, to: &str) -> (u16, Child) {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let script = "set -e
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
            -subj '/CN=Test authority' -keyout ca.key -out ca
        openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=x \
            -keyout key -out request
        printf 'subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n' > extensions
        openssl x509 -req -in request -CA ca -CAkey ca.key -CAcreateserial -days 2 \
            -extfile extensions -out cert";
    let output = Command::new("sh").args(["-c", script]).current_dir(machine.path("")).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let folder = machine.path("www");
    fs::create_dir(&folder).unwrap();
    let answer = format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n");
    fs::write(folder.join("a"), answer).unwrap();
    let mut command = Command::new("openssl");
    command.args(["s_server", "-quiet", "-HTTP", "-accept", &format!("127.0.0.1:{port}")]);
    command.arg("-key").arg(machine.path("key")).arg("-cert").arg(machine.path("cert"));
    command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let child = command.spawn().unwrap();
    wait_until("the server listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    (port, child)
}
