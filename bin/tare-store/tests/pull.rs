//! `tare-store pull` as users meet it: output, exit codes, signals. What registries may do is tested
//! where the client is.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use image::manifest::{descriptor, manifest, to_json};
use image::{Digest, media_type};
use tempfile::TempDir;

/// Larger than what the kernel holds on the way, so that a transfer is seen to be under way.
const LAYER: usize = 20 << 20;

/// A registry with one image, `app:1`, that can be told to stop in the middle of the layer.
#[derive(Default)]
struct Registry {
    stall: AtomicBool,
    /// How often the layer was asked for.
    asked: AtomicUsize,
    /// How many bytes of it were sent before it stalls, of ten parts.
    tenths: AtomicUsize,
    /// From which byte on the layer was asked for.
    starts: Mutex<Vec<usize>>,
    port: u16,
    blobs: Vec<Vec<u8>>,
    manifest: Vec<u8>,
}

impl Registry {
    fn start(stall: bool) -> Arc<Self> {
        let layer = vec![7; LAYER];
        let blob = descriptor(media_type::LAYER, Digest::of(&layer), LAYER as u64);
        let config = serde_json::json!({
            "os": "linux", "architecture": image::Platform::host().architecture(),
            "rootfs": {"type": "layers", "diff_ids": [blob.digest().to_string()]},
        });
        let config = config.to_string().into_bytes();
        let of = descriptor(media_type::CONFIG, Digest::of(&config), config.len() as u64);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let registry = Arc::new(Self {
            stall: stall.into(),
            tenths: 5.into(),
            port: listener.local_addr().unwrap().port(),
            manifest: to_json(&manifest(of, vec![blob])),
            blobs: vec![layer, config],
            ..Self::default()
        });
        let served = registry.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let served = served.clone();
                thread::spawn(move || served.serve(stream.unwrap()));
            }
        });
        registry
    }

    fn name(&self, image: &str) -> String {
        format!("127.0.0.1:{}/{image}", self.port)
    }

    fn digest(&self) -> String {
        Digest::of(&self.manifest).to_string()
    }

    /// One request, one answer. The client may go in between.
    fn serve(&self, mut stream: TcpStream) {
        let Some((path, start)) = asked_for(&stream) else { return };
        let blob = self.blobs.iter().find(|blob| path.ends_with(&Digest::of(blob).to_string()));
        let (status, kind, body) = match (path.as_str(), blob) {
            (_, Some(blob)) => ("200 OK", "application/octet-stream", blob.as_slice()),
            ("/v2/", _) => ("200 OK", "application/json", b"{}".as_slice()),
            ("/v2/app/manifests/1", _) => ("200 OK", media_type::MANIFEST, &self.manifest[..]),
            _ => (
                "404 Not Found",
                "application/json",
                &br#"{"errors":[{"code":"NAME_UNKNOWN"}]}"#[..],
            ),
        };
        if body.len() == LAYER {
            self.send_layer(&mut stream, body, start);
            return;
        }
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\
             Connection: close\r\n\r\n"
        );
        let _ = stream.write_all(head.as_bytes());
        let _ = stream.write_all(body);
    }

    fn send_layer(&self, stream: &mut TcpStream, layer: &[u8], start: usize) {
        self.starts.lock().unwrap().push(start);
        let (status, length) = match start {
            0 => ("200 OK", LAYER),
            _ => ("206 Partial Content", LAYER - start),
        };
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\
             Content-Range: bytes {start}-{}/{LAYER}\r\n\r\n",
            LAYER - 1
        );
        let _ = stream.write_all(head.as_bytes());
        let stop = (LAYER / 10 * self.tenths.load(Ordering::SeqCst)).max(start);
        let (first, rest) = layer[start..].split_at(stop - start);
        let _ = stream.write_all(first);
        self.asked.fetch_add(1, Ordering::SeqCst);
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.stall.load(Ordering::SeqCst) && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(10));
        }
        let _ = stream.write_all(rest);
    }
}

/// The path of a request, and the first byte of its range; `None` for what is none, such as a TLS
/// handshake.
fn asked_for(stream: &TcpStream) -> Option<(String, usize)> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next()?.ok()?;
    let mut start = 0;
    loop {
        let line = lines.next()?.ok()?.to_ascii_lowercase();
        if line.is_empty() {
            return Some((first.split(' ').nth(1)?.to_owned(), start));
        }
        if let Some(range) = line.strip_prefix("range: bytes=") {
            start = range.trim_end_matches('-').parse().ok()?;
        }
    }
}

/// Kills the program with the guard.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn command(store: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tare-store"));
    command.arg("--store").arg(store).args(arguments);
    // What the machine that runs the tests is logged in to is none of their business.
    command.env_clear().env("HOME", store);
    command
}

fn pull(store: &Path, arguments: &[&str]) -> Output {
    command(store, &[&["pull"], arguments].concat()).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn names(store: &Path) -> String {
    let output = command(store, &["ls", "--json"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

fn nothing_half_written(store: &Path) {
    let left: Vec<_> = std::fs::read_dir(store.join("tare/tmp")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn the_digest_is_all_that_goes_to_standard_output() {
    let registry = Registry::start(false);
    let store = TempDir::new().unwrap();
    let output = pull(store.path(), &[&registry.name("app:1")]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(
        String::from_utf8(output.stdout.clone()).unwrap(),
        format!("{}\n", registry.digest())
    );
    assert!(stderr(&output).contains("21MB"), "{}", stderr(&output));
    assert!(names(store.path()).contains(&registry.name("app:1")));

    let transport = format!("docker://{}", registry.name("app:1"));
    let output = pull(store.path(), &["-q", &transport]);
    assert_eq!(
        String::from_utf8(output.stdout.clone()).unwrap(),
        format!("{}\n", registry.digest())
    );
    assert_eq!(stderr(&output), "");
    assert_eq!(registry.asked.load(Ordering::SeqCst), 1);
}

#[test]
fn an_error_says_what_failed_where_and_why_and_what_to_try() {
    let registry = Registry::start(false);
    let (store, name) = (TempDir::new().unwrap(), registry.name("app:2"));
    let output = pull(store.path(), &[&name]);
    let host = registry.name("");
    let host = host.trim_end_matches('/');
    assert_eq!(
        stderr(&output),
        format!(
            "tare-store: error: cannot pull {name}\n  \
             caused by: cannot get manifest 2 of app from {host}\n  \
             caused by: the registry answered 404 Not Found: NAME_UNKNOWN\n  \
             hint: check the name and the tag; list the tags with: \
             tare-store list-tags {host}/app\n"
        )
    );
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
    assert_eq!(names(store.path()).trim(), "[]");
}

#[test]
fn a_name_that_is_none_is_a_usage_error() {
    let store = TempDir::new().unwrap();
    for arguments in [&["Upper/Case"][..], &["a", "--tls-verify=maybe"], &["a", "--jobs=0"], &[]] {
        assert_eq!(pull(store.path(), arguments).status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn files_that_were_named_and_are_not_there_are_errors() {
    let store = TempDir::new().unwrap();
    let output = pull(store.path(), &["--authfile", "/nowhere/auth.json", "127.0.0.1:1/a"]);
    assert!(stderr(&output).contains("/nowhere/auth.json"), "{}", stderr(&output));
    let mut command = command(store.path(), &["pull", "127.0.0.1:1/a"]);
    let output = command.env("SSL_CERT_FILE", "/nowhere/ca.pem").output().unwrap();
    assert!(stderr(&output).contains("/nowhere/ca.pem"), "{}", stderr(&output));
    assert_eq!(output.status.code(), Some(1));
}

/// Starts a pull that stops in the middle of its layer.
fn stalled(registry: &Registry, store: &Path) -> Running {
    let mut command = command(store, &["pull", &registry.name("app:1")]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let running = Running(child);
    let deadline = Instant::now() + Duration::from_secs(60);
    while registry.asked.load(Ordering::SeqCst) == 0 {
        assert!(Instant::now() < deadline, "the layer is not asked for");
        thread::sleep(Duration::from_millis(10));
    }
    running
}

fn signal(running: &Running, signal: &str) {
    let pid = running.0.id().to_string();
    assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
}

#[test]
fn ctrl_c_cleans_up() {
    let registry = Registry::start(true);
    let store = TempDir::new().unwrap();
    let mut running = stalled(&registry, store.path());
    let asked = Instant::now();
    signal(&running, "-INT");
    let status = running.0.wait().unwrap();
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    assert_eq!(status.code(), Some(1));
    let mut text = String::new();
    std::io::Read::read_to_string(running.0.stderr.as_mut().unwrap(), &mut text).unwrap();
    assert!(text.ends_with("caused by: interrupted\n"), "{text}");
    nothing_half_written(store.path());
    assert_eq!(names(store.path()).trim(), "[]");
    registry.stall.store(false, Ordering::SeqCst);
}

/// How much of the layer is on the disk, under the name that the next pull looks for.
fn kept(store: &Path) -> usize {
    let mut files = std::fs::read_dir(store.join("tare/partial")).unwrap().flatten();
    files.next().map_or(0, |file| file.metadata().unwrap().len() as usize)
}

#[test]
fn a_pull_that_was_killed_at_nine_tenths_costs_the_last_tenth() {
    let registry = Registry::start(true);
    registry.tenths.store(9, Ordering::SeqCst);
    let store = TempDir::new().unwrap();
    let mut running = stalled(&registry, store.path());
    let nearly = LAYER / 10 * 9 - (512 << 10);
    let deadline = Instant::now() + Duration::from_secs(60);
    while kept(store.path()) < nearly {
        assert!(Instant::now() < deadline, "{} bytes came", kept(store.path()));
        thread::sleep(Duration::from_millis(10));
    }
    signal(&running, "-KILL");
    running.0.wait().unwrap();
    let kept = kept(store.path());
    registry.stall.store(false, Ordering::SeqCst);
    let output = pull(store.path(), &["-q", &registry.name("app:1")]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(*registry.starts.lock().unwrap(), [0, kept]);
    let left = std::fs::read_dir(store.path().join("tare/partial")).unwrap().count();
    assert_eq!(left, 0);
}

#[test]
fn a_pull_may_be_killed_again_and_again() {
    let registry = Registry::start(true);
    let store = TempDir::new().unwrap();
    for tenths in [0, 1, 2, 5, 8, 9] {
        registry.tenths.store(tenths, Ordering::SeqCst);
        registry.asked.store(0, Ordering::SeqCst);
        let mut running = stalled(&registry, store.path());
        let enough = (LAYER / 10 * tenths).saturating_sub(1 << 20);
        let deadline = Instant::now() + Duration::from_secs(60);
        while kept(store.path()) < enough {
            assert!(Instant::now() < deadline, "{} bytes came", kept(store.path()));
            thread::sleep(Duration::from_millis(10));
        }
        signal(&running, "-KILL");
        running.0.wait().unwrap();
        assert_eq!(names(store.path()).trim(), "[]");
    }
    registry.stall.store(false, Ordering::SeqCst);
    let output = pull(store.path(), &["-q", &registry.name("app:1")]);
    assert!(output.status.success(), "{}", stderr(&output));
    let starts = registry.starts.lock().unwrap();
    assert!(starts.is_sorted() && starts[4] > LAYER / 3, "{starts:?}");
}

#[test]
fn what_a_killed_pull_left_is_believed_only_after_a_look() {
    let registry = Registry::start(false);
    for left in [vec![8; LAYER / 2], vec![7; LAYER], vec![8; LAYER], vec![7; LAYER + 1]] {
        let store = TempDir::new().unwrap();
        assert!(command(store.path(), &["ls"]).output().unwrap().status.success());
        let hex = Digest::of(&registry.blobs[0]).hex();
        std::fs::write(store.path().join("tare/partial").join(hex), &left).unwrap();
        let output = pull(store.path(), &["-q", &registry.name("app:1")]);
        assert!(output.status.success(), "{}", stderr(&output));
    }
    // Half of it, and then all; nothing; all; all.
    assert_eq!(*registry.starts.lock().unwrap(), [LAYER / 2, 0, 0, 0]);
}

#[test]
fn gc_takes_what_a_killed_pull_left() {
    let registry = Registry::start(true);
    let store = TempDir::new().unwrap();
    let mut running = stalled(&registry, store.path());
    assert!(command(store.path(), &["gc"]).output().unwrap().status.success());
    assert!(kept(store.path()) > 0, "it is still being written");
    signal(&running, "-INT");
    running.0.wait().unwrap();
    assert!(kept(store.path()) > 0, "the next pull can go on with it");
    assert!(command(store.path(), &["gc"]).output().unwrap().status.success());
    assert_eq!(kept(store.path()), 0);
    registry.stall.store(false, Ordering::SeqCst);
}

#[test]
fn what_was_killed_is_pulled_by_the_next_one() {
    let registry = Registry::start(true);
    let store = TempDir::new().unwrap();
    let mut running = stalled(&registry, store.path());
    signal(&running, "-KILL");
    running.0.wait().unwrap();
    assert_eq!(names(store.path()).trim(), "[]");
    registry.stall.store(false, Ordering::SeqCst);
    let output = pull(store.path(), &["-q", &registry.name("app:1")]);
    assert!(output.status.success(), "{}", stderr(&output));
    let output = command(store.path(), &["gc"]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    nothing_half_written(store.path());
    assert!(names(store.path()).contains(&registry.digest()));
}
