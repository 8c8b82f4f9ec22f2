//! Pushes that a registry makes hard, or refuses.

use std::collections::HashSet;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use image::Descriptor;
use registry::{Credentials, Error, Options};

use crate::fixture::{Layout, Recorder, options, parcel, push, reference, text};
use crate::liar::{Liar, Request, reply};

/// A store with an image that was built.
fn built() -> (Layout, Descriptor) {
    let store = Layout::new();
    let image = store.built("linux/amd64", &[("a", 400_000)]);
    store.store.tag(&"app".parse().unwrap(), &image).unwrap();
    (store, image)
}

/// A registry that takes everything, but for the requests that `lie` answers by returning true.
fn taking(lie: impl Fn(&Request, &mut TcpStream) -> bool + Send + Sync + 'static) -> Liar {
    let blobs: Mutex<HashSet<String>> = Mutex::default();
    Liar::start(move |request, stream| {
        if request.path == "/v2/" {
            return reply(stream, "200 OK", &[], b"{}");
        }
        if lie(request, stream) {
            return;
        }
        let mut blobs = blobs.lock().unwrap();
        let last = request.path.rsplit(['/', '=']).next().unwrap().replace("%3A", ":");
        let repository = request.path.split('/').nth(2).unwrap();
        let key = format!("{repository} {last}");
        match request.method.as_str() {
            "HEAD" if blobs.contains(&key) => reply(stream, "200 OK", &[], b""),
            "HEAD" => reply(stream, "404 Not Found", &[], b""),
            "POST" => {
                let place = format!("/v2/{repository}/blobs/uploads/7?state=x");
                reply(stream, "202 Accepted", &[("Location", &place)], b"");
            }
            _ => {
                blobs.insert(key);
                reply(stream, "201 Created", &[], b"");
            }
        }
    })
}

fn count(liar: &Liar, method: &str, part: &str) -> usize {
    let requests = liar.requests.lock().unwrap();
    requests.iter().filter(|it| it.method == method && it.path.contains(part)).count()
}

#[test]
fn what_fails_for_the_moment_is_tried_again() {
    let failures = AtomicUsize::new(0);
    let liar = taking(move |request, stream| {
        let turn = || failures.fetch_add(1, Ordering::SeqCst);
        match (request.method.as_str(), request.path.contains("/manifests/")) {
            // No answer at all, then one that says "later", for one upload.
            ("PUT", false) if turn() == 0 => true,
            ("PUT", false) if turn() == 2 => {
                reply(stream, "503 Service Unavailable", &[("Retry-After", "0")], b"");
                true
            }
            ("PUT", true) if turn() < 6 => {
                reply(stream, "429 Too Many Requests", &[], b"");
                true
            }
            _ => false,
        }
    });
    let (store, image) = built();
    let patient = Options { parallel: 1, ..options() };
    let (_, heard) = push(&store, parcel(&image), &liar.name("a:1"), &patient).unwrap();
    assert!(heard.count("Retry") >= 2, "{:?}", heard.0.lock().unwrap());
    assert!(count(&liar, "POST", "/uploads/") > 2);
    // A bar never runs over its end.
    let sent: u64 = heard.0.lock().unwrap().iter().filter_map(|event| received(event)).sum();
    let all: u64 = heard.0.lock().unwrap().iter().filter_map(|event| started(event)).sum();
    assert_eq!(sent, all);
}

fn received(event: &str) -> Option<u64> {
    number(event.strip_prefix("Received")?, "bytes: ")
}

fn started(event: &str) -> Option<u64> {
    number(event.strip_prefix("Started")?, "size: ")
}

fn number(event: &str, field: &str) -> Option<u64> {
    let (_, rest) = event.split_once(field)?;
    rest.trim_end_matches([' ', '}']).parse().ok()
}

#[test]
fn a_registry_that_is_never_well_ends_in_its_own_words() {
    let liar = taking(|request, stream| {
        let lies = request.method == "POST";
        if lies {
            let body = br#"{"errors":[{"code":"UNKNOWN","message":"the disk is on fire"}]}"#;
            reply(stream, "500 Internal Server Error", &[], body);
        }
        lies
    });
    let (store, image) = built();
    let error = push(&store, parcel(&image), &liar.name("a:1"), &options()).err().unwrap();
    let text = text(&error);
    assert!(text.starts_with("cannot push blob sha256:"), "{text}");
    assert!(text.contains(" of a to 127.0.0.1"), "{text}");
    assert!(text.contains("500 Internal Server Error: the disk is on fire"), "{text}");
    assert_eq!(count(&liar, "PUT", "/manifests/"), 0);
    store.check(1);
}

#[test]
fn a_refused_manifest_is_named_with_the_reason() {
    let liar = taking(|request, stream| {
        let lies = request.path.contains("/manifests/");
        if lies {
            let body =
                br#"{"errors":[{"code":"MANIFEST_INVALID","message":"no such thing here"}]}"#;
            reply(stream, "400 Bad Request", &[], body);
        }
        lies
    });
    let (store, image) = built();
    let error = push(&store, parcel(&image), &liar.name("a:1"), &options()).err().unwrap();
    let text = text(&error);
    assert!(text.starts_with("cannot push manifest 1 of a to 127.0.0.1"), "{text}");
    assert!(text.ends_with("no such thing here (MANIFEST_INVALID)"), "{text}");
    assert_eq!(count(&liar, "PUT", "/manifests/"), 1);
}

#[test]
fn a_registry_that_took_something_else_is_not_believed() {
    let liar = taking(|request, stream| {
        let lies = request.method == "PUT" && request.path.contains("/manifests/");
        if lies {
            let other = image::Digest::of("other").to_string();
            reply(stream, "201 Created", &[("Docker-Content-Digest", &other)], b"");
        }
        lies
    });
    let (store, image) = built();
    let error = push(&store, parcel(&image), &liar.name("a:1"), &options()).err().unwrap();
    assert!(text(&error).contains("took something else"), "{}", text(&error));
}

#[test]
fn an_upload_without_a_place_is_an_error() {
    let liar = taking(|request, stream| {
        let lies = request.method == "POST";
        if lies {
            reply(stream, "202 Accepted", &[], b"");
        }
        lies
    });
    let (store, image) = built();
    let error = push(&store, parcel(&image), &liar.name("a:1"), &options()).err().unwrap();
    assert!(text(&error).contains("it names no place"), "{}", text(&error));
}

#[test]
fn a_damaged_blob_is_the_stores_fault_and_not_pushed() {
    let liar = taking(|_, _| false);
    let (store, image) = built();
    let manifest: image::ImageManifest = serde_json::from_slice(&store.blob(&image)).unwrap();
    let config = store.store.blob_path(&image::manifest::digest(manifest.config()).unwrap());
    let mut bytes = std::fs::read(&config).unwrap();
    let at = bytes.iter().position(|&byte| byte == b'/').unwrap();
    bytes[at] = b'\\';
    std::fs::write(&config, bytes).unwrap();
    let kept = registry::Parcel { form: store::LayerForm::AsStored, ..parcel(&image) };
    let error = push(&store, kept, &liar.name("a:1"), &options()).err().unwrap();
    assert!(matches!(error, Error::Read { .. }), "{}", text(&error));
    assert!(text(&error).contains("is corrupt"), "{}", text(&error));
    assert_eq!(count(&liar, "PUT", "/manifests/"), 0);
}

#[test]
fn a_token_is_asked_for_all_that_the_push_needs() {
    let liar = taking(|request, stream| {
        if request.path.starts_with("/token") {
            reply(stream, "200 OK", &[], br#"{"token":"t"}"#);
            return true;
        }
        let refused = request.header("authorization") != Some("Bearer t");
        if refused {
            let host = request.header("host").unwrap();
            let challenge =
                format!(r#"Bearer realm="http://{host}/token",scope="repository:a:pull""#);
            reply(stream, "401 Unauthorized", &[("WWW-Authenticate", &challenge)], b"");
        }
        refused
    });
    let (store, image) = built();
    store.store.tag(&reference(&liar.name("base:1")), &image).unwrap();
    push(&store, parcel(&image), &liar.name("base:1"), &options()).unwrap();
    liar.requests.lock().unwrap().clear();
    push(&store, parcel(&image), &liar.name("a:1"), &options()).unwrap();
    let requests = liar.requests.lock().unwrap();
    let asked: Vec<_> = requests.iter().filter(|it| it.path.starts_with("/token")).collect();
    assert_eq!(asked.len(), 1);
    for scope in ["repository%3Aa%3Apull%2Cpush", "repository%3Abase%3Apull"] {
        assert!(asked[0].path.contains(scope), "{}", asked[0].path);
    }
    assert!(
        requests.iter().any(|it| it.path.contains("mount=sha256") && it.path.contains("from=base"))
    );
}

#[test]
fn an_upload_to_another_host_gets_no_password() {
    let stranger = Liar::start(|_, stream| reply(stream, "201 Created", &[], b""));
    let port = stranger.port;
    let liar = taking(move |request, stream| {
        if request.header("authorization").is_none() {
            reply(stream, "401 Unauthorized", &[("WWW-Authenticate", "Basic realm=\"x\"")], b"");
            return true;
        }
        let lies = request.method == "POST";
        if lies {
            let place = format!("http://localhost:{port}/elsewhere");
            reply(stream, "202 Accepted", &[("Location", &place)], b"");
        }
        lies
    });
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("auth.json");
    let host = format!("127.0.0.1:{}", liar.port);
    std::fs::write(&file, format!(r#"{{"auths":{{"{host}":{{"auth":"dTpw"}}}}}}"#)).unwrap();
    let login = Options { credentials: Credentials::read([file]).unwrap(), ..options() };
    let (store, image) = built();
    push(&store, parcel(&image), &liar.name("a:1"), &login).unwrap();
    let sent = stranger.headers("/elsewhere?digest=sha256%3A", "authorization");
    assert_eq!(sent, [None, None]);
}

#[test]
fn a_push_is_interrupted_while_it_waits() {
    let waiting = Arc::new(AtomicBool::new(false));
    let seen = waiting.clone();
    let liar = taking(move |request, _| {
        let stalls = request.method == "PUT";
        if stalls {
            seen.store(true, Ordering::SeqCst);
            std::thread::sleep(Duration::from_secs(4));
        }
        stalls
    });
    let (store, image) = built();
    let interrupt = AtomicBool::new(false);
    let started = Instant::now();
    let result = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !waiting.load(Ordering::SeqCst) && started.elapsed() < Duration::from_secs(30) {
                std::thread::sleep(Duration::from_millis(5));
            }
            interrupt.store(true, Ordering::SeqCst);
        });
        let name = reference(&liar.name("a:1"));
        let heard = Recorder::default();
        registry::push(&store.store, parcel(&image), &name, &options(), &heard, &interrupt)
    });
    assert!(matches!(result, Err(Error::Interrupted)), "{result:?}");
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    store.check(1);
}
