//! A registry that lies gives one clear error, and leaves nothing in the store that has a name.

use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use image::media_type;
use store::Store;

use crate::fixture::{self, Layout, describe, options, pull, text};
use crate::liar::{Image, Liar, Request, endless, head, manifest, reply};

type Lie = fn(&Image, &Request, &mut TcpStream) -> bool;

/// Whether the request is for a path with this in it; `answer` answers it then.
fn on(request: &Request, part: &str, answer: impl FnOnce()) -> bool {
    let lies = request.path.contains(part);
    if lies {
        answer();
    }
    lies
}

fn json(stream: &mut TcpStream, media_type: &str, text: &str) {
    reply(stream, "200 OK", &[("Content-Type", media_type)], text.as_bytes());
}

fn moved(stream: &mut TcpStream, to: &str) {
    reply(stream, "307 Temporary Redirect", &[("Location", to)], b"");
}

/// Indexes that each have the next as their only entry, outermost first.
fn nested_indexes(depth: usize) -> Vec<String> {
    let mut nested = vec![r#"{"schemaVersion":2,"manifests":[]}"#.to_owned()];
    for _ in 1..depth {
        let inner = &nested[0];
        let (media_type, digest, size) =
            (media_type::INDEX, Image::digest(inner.as_bytes()), inner.len());
        let entry = format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":{size}}}"#);
        nested.insert(0, format!(r#"{{"schemaVersion":2,"manifests":[{entry}]}}"#));
    }
    nested
}

const LIES: &[(&str, &str, Lie)] = &[
    ("another blob of the same size", "its digest is", |image, request, stream| {
        let lies = image.is_layer(request);
        if lies {
            reply(stream, "200 OK", &[], &vec![1; image.layer.len()]);
        }
        lies
    }),
    ("a shorter blob", "9999 bytes, not 10000", |image, request, stream| {
        let lies = image.is_layer(request);
        if lies {
            reply(stream, "200 OK", &[], &image.layer[1..]);
        }
        lies
    }),
    ("an endless blob", "more than the 10000 bytes", |image, request, stream| {
        let lies = image.is_layer(request);
        if lies {
            endless(stream, "application/octet-stream");
        }
        lies
    }),
    ("a blob that is an error page", "bytes, not 10000", |image, request, stream| {
        let lies = image.is_layer(request);
        if lies {
            reply(stream, "200 OK", &[("Content-Type", "text/html")], b"<html>sorry</html>");
        }
        lies
    }),
    ("a missing blob", "404 Not Found", |image, request, stream| {
        let lies = image.is_layer(request);
        if lies {
            reply(stream, "404 Not Found", &[], b"");
        }
        lies
    }),
    ("an endless manifest", "more than the 4194304 bytes", |_, request, stream| {
        on(request, "/manifests/", || endless(stream, media_type::MANIFEST))
    }),
    ("a manifest that is announced as huge", "4194304", |_, request, stream| {
        on(request, "/manifests/", || {
            head(stream, "200 OK", &[("Content-Type", media_type::MANIFEST)], 1 << 40);
            let _ = std::io::Write::write_all(stream, &vec![b' '; 5 << 20]);
        })
    }),
    ("a web page", "it is of type text/html", |_, request, stream| {
        on(request, "/manifests/", || {
            json(stream, "text/html; charset=utf-8", "<html>log in</html>")
        })
    }),
    ("bad JSON", "bad JSON", |_, request, stream| {
        on(request, "/manifests/", || json(stream, media_type::MANIFEST, "{\"layers\":["))
    }),
    ("deep JSON", "bad JSON", |_, request, stream| {
        on(request, "/manifests/", || json(stream, media_type::MANIFEST, &"[".repeat(1 << 20)))
    }),
    ("a wrong Docker-Content-Digest", "its digest is", |image, request, stream| {
        on(request, "/manifests/", || {
            let digest = Image::digest(b"other");
            let headers = [
                ("Content-Type", media_type::MANIFEST),
                ("Docker-Content-Digest", digest.as_str()),
            ];
            reply(stream, "200 OK", &headers, &image.manifest);
        })
    }),
    ("schema 1", "schema 1", |_, request, stream| {
        let signed = "application/vnd.docker.distribution.manifest.v1+prettyjws";
        on(request, "/manifests/", || json(stream, signed, r#"{"schemaVersion":1,"fsLayers":[]}"#))
    }),
    ("an artifact", "no container image", |image, request, stream| {
        on(request, "/manifests/", || {
            let text = String::from_utf8(image.manifest.clone()).unwrap();
            let text = text.replace(media_type::CONFIG, "application/vnd.cncf.helm.config.v1+json");
            json(stream, media_type::MANIFEST, &text);
        })
    }),
    ("indexes in indexes", "too deep", |_, request, stream| {
        on(request, "/manifests/", || {
            let nested = nested_indexes(10);
            let asked =
                nested.iter().find(|text| request.path.ends_with(&Image::digest(text.as_bytes())));
            json(stream, media_type::INDEX, asked.unwrap_or(&nested[0]));
        })
    }),
    ("platforms with a terminal's commands in them", "only for", |_, request, stream| {
        on(request, "/manifests/", || {
            let entry = |number: usize| {
                format!(
                    r#"{{"mediaType":"{}","digest":"{}","size":1,
                        "platform":{{"os":"linux","architecture":"x\\u001b[2J\\n{number}"}}}}"#,
                    media_type::MANIFEST,
                    Image::digest(b"x")
                )
            };
            let entries: Vec<String> = (0..1000).map(entry).collect();
            let text = format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, entries.join(","));
            json(stream, media_type::INDEX, &text);
        })
    }),
    ("a configuration with a terminal's commands in it", "bad JSON", |image, request, stream| {
        let config = br#"{"os":"linux","rootfs":{"type":"layers","diff_ids":["\u001b[2J\n"]}}"#;
        let layer = describe(media_type::LAYER_GZIP, &image.layer);
        if request.path.ends_with(&Image::digest(config)) {
            reply(stream, "200 OK", &[], config);
            return true;
        }
        on(request, "/manifests/", || {
            let text = String::from_utf8(manifest(config, &layer)).unwrap();
            json(stream, media_type::MANIFEST, &text);
        })
    }),
    ("a layer of two sizes", "has two sizes", |image, request, stream| {
        on(request, "/manifests/", || {
            let good = describe(media_type::LAYER_GZIP, &image.layer);
            let mut bad = good.clone();
            bad.set_size(good.size() + 1);
            let config = describe(media_type::CONFIG, &image.config);
            let manifest = image::manifest::manifest(config, vec![good, bad]);
            let text = String::from_utf8(image::manifest::to_json(&manifest)).unwrap();
            json(stream, media_type::MANIFEST, &text);
        })
    }),
    ("a digest that is a path", "bad JSON", |_, request, stream| {
        on(request, "/manifests/", || {
            let text = format!(
                r#"{{"schemaVersion":2,"config":{{"mediaType":"{}","digest":"sha256:../../etc/passwd","size":1}},"layers":[]}}"#,
                media_type::CONFIG
            );
            json(stream, media_type::MANIFEST, &text);
        })
    }),
    ("a redirect loop", "redirects", |_, request, stream| {
        on(request, "/manifests/", || moved(stream, "/v2/a/manifests/1"))
    }),
    ("a redirect to nowhere", "cannot get manifest", |_, request, stream| {
        on(request, "/manifests/", || moved(stream, "file:///etc/passwd"))
    }),
    ("a refusal with a terminal's commands in it", "go [31m away", |_, request, stream| {
        on(request, "/manifests/", || {
            let body = b"{\"errors\":[{\"code\":\"DENIED\",\"message\":\"go\\u001b[31m\\naway\"}]}";
            reply(stream, "403 Forbidden", &[], body);
        })
    }),
    ("nonsense instead of HTTP", "cannot get manifest", |_, request, stream| {
        on(request, "/manifests/", || {
            let _ = std::io::Write::write_all(stream, b"SSH-2.0-OpenSSH_9.2\r\n\r\n");
        })
    }),
    ("endless headers", "cannot get manifest", |_, request, stream| {
        on(request, "/manifests/", || {
            let mut sent = std::io::Write::write_all(stream, b"HTTP/1.1 200 OK\r\n");
            while sent.is_ok() {
                sent = std::io::Write::write_all(stream, &b"X-Header: x\r\n".repeat(1000));
            }
        })
    }),
];

#[test]
fn lies_are_seen_through() {
    for (name, want, lie) in LIES {
        let image = Image::new(10_000);
        let served = image.clone();
        let liar = Liar::serving(image, move |request, stream| lie(&served, request, stream));
        let (store, started) = (Layout::new(), Instant::now());
        let error = match pull(&store, &liar.name("a:1"), &options()) {
            Ok(_) => panic!("{name}: believed"),
            Err(error) => text(&error),
        };
        assert!(error.contains(want), "{name}: {error}");
        assert!(error.contains(&format!("a from 127.0.0.1:{}", liar.port)), "{name}: {error}");
        assert!(!error.contains(['\u{1b}', '\n']), "{name}: {error:?}");
        assert!(error.len() < 1000, "{name}: {error}");
        assert!(started.elapsed() < Duration::from_secs(20), "{name}: {:?}", started.elapsed());
        store.check(0);
    }
}

#[test]
fn a_digest_is_believed_to_nobody() {
    let liar = Liar::serving(Image::new(10), |_, _| false);
    let store = Layout::new();
    let name = liar.name(&format!("a@{}", Image::digest(b"wanted")));
    let error = text(&pull(&store, &name, &options()).unwrap_err());
    assert!(error.contains(&format!("not {}", Image::digest(b"wanted"))), "{error}");
    store.check(0);
}

#[test]
fn a_configuration_for_other_layers_is_refused_before_the_layers_are_fetched() {
    let good = Image::new(10_000);
    let layer = describe(media_type::LAYER_GZIP, &good.layer);
    let config = fixture::config("linux/amd64", &[layer.clone(), layer.clone()]);
    let image = Image { manifest: manifest(&config, &layer), config, ..good };
    let liar = Liar::serving(image.clone(), |_, _| false);
    let store = Layout::new();
    let error = text(&pull(&store, &liar.name("a:1"), &options()).unwrap_err());
    assert!(error.contains("for 2 layers, its manifest for 1"), "{error}");
    assert_eq!(liar.count(&Image::digest(&image.layer)), 0);
    store.check(0);
}

#[test]
fn a_huge_configuration_is_not_asked_for() {
    let good = Image::new(10);
    let text_of = String::from_utf8(good.manifest.clone()).unwrap();
    let huge =
        text_of.replacen(&format!("\"size\":{}", good.config.len()), "\"size\":99999999999", 1);
    let image = Image { manifest: huge.into_bytes(), ..good };
    let liar = Liar::serving(image, |_, _| false);
    let store = Layout::new();
    let error = text(&pull(&store, &liar.name("a:1"), &options()).unwrap_err());
    assert!(error.contains("more than the 8388608 bytes"), "{error}");
    assert_eq!(liar.count("/blobs/"), 0);
    store.check(0);
}

#[test]
fn a_failed_pull_leaves_the_old_image_under_its_name() {
    let image = Image::new(1000);
    let served = image.clone();
    let breaks = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let broken = breaks.clone();
    let newer = Image::new(2000);
    let liar = Liar::serving(image, move |request, stream| {
        use std::sync::atomic::Ordering;
        let lies = broken.load(Ordering::SeqCst) && request.path.contains("/manifests/");
        if lies {
            // Its blobs are not served.
            json(stream, media_type::MANIFEST, std::str::from_utf8(&newer.manifest).unwrap());
        }
        lies
    });
    let store = Layout::new();
    let name = liar.name("a:1");
    pull(&store, &name, &options()).unwrap();
    breaks.store(true, std::sync::atomic::Ordering::SeqCst);
    pull(&store, &name, &options()).unwrap_err();
    let kept = store.named(&name).unwrap();
    assert_eq!(kept.digest().to_string(), Image::digest(&served.manifest));
    store.check(1);
}

#[test]
fn nobody_at_home_is_said_at_once() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let store = Layout::new();
    let started = Instant::now();
    let error = pull(&store, &format!("127.0.0.1:{port}/a"), &options()).unwrap_err();
    assert!(text(&error).contains("refused"), "{}", text(&error));
    assert!(error.hint().unwrap().contains("network"), "{:?}", error.hint());
    assert!(started.elapsed() < Duration::from_secs(2));
    store.check(0);
}

/// A file system of one mebibyte, unmounted with its guard.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Self {
        let disk = Self(tempfile::tempdir().unwrap());
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=1m", "tare-test"])
            .arg(disk.0.path())
            .status()
            .unwrap();
        assert!(status.success(), "mounting needs root");
        disk
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_is_said_and_left_as_it_was() {
    let disk = SmallDisk::mount();
    let store = Store::open(disk.0.path()).unwrap();
    let image = Image::new(3_000_000);
    let layer = Image::digest(&image.layer);
    let liar = Liar::serving(image, |_, _| false);
    let name = fixture::reference(&liar.name("a:1"));
    let error =
        registry::pull(&store, &name, &options(), &(), &AtomicBool::new(false)).unwrap_err();
    let text = text(&error);
    assert!(text.contains("No space left on device") && text.contains(&layer), "{text}");
    assert!(store.references().unwrap().is_empty());
    let left = std::fs::read_dir(disk.0.path().join("tare/tmp")).unwrap().count();
    assert_eq!(left, 0);
    drop(store);
}
