//! Layers come and go side by side: a registry that answers for one only when another is on its way, too.

use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use image::{Digest, media_type};

use crate::fixture::{Layout, config, describe, noise, options, parcel, pull, push};
use crate::liar::{Liar, Request, reply};

/// Waits until two requests are here, five seconds long; whether they came.
fn meets(here: &AtomicUsize) -> bool {
    here.fetch_add(1, Ordering::SeqCst);
    let deadline = Instant::now() + Duration::from_secs(5);
    while here.load(Ordering::SeqCst) < 2 {
        if Instant::now() > deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(5));
    }
    true
}

/// An answer for the second of two that wait for each other; 403 ends the first at once.
fn answer(met: bool, stream: &mut TcpStream, status: &str, body: &[u8]) {
    match met {
        true => reply(stream, status, &[], body),
        false => reply(stream, "403 Forbidden", &[], b""),
    }
}

#[test]
fn layers_are_fetched_side_by_side() {
    let layers = [noise(1000), noise(2000)];
    let blobs: Vec<_> =
        layers.iter().map(|layer| describe(media_type::LAYER_GZIP, layer)).collect();
    let config = config("linux/amd64", &blobs);
    let of = describe(media_type::CONFIG, &config);
    let manifest = image::manifest::to_json(&image::manifest::manifest(of, blobs));
    let here = AtomicUsize::new(0);
    let liar = Liar::start(move |request, stream| {
        let is = |blob: &[u8]| request.path.ends_with(&Digest::of(blob).to_string());
        match layers.iter().find(|layer| is(layer)) {
            Some(layer) => answer(meets(&here), stream, "200 OK", layer),
            None if is(&config) => reply(stream, "200 OK", &[], &config),
            None if request.path.contains("/manifests/") => {
                reply(stream, "200 OK", &[("Content-Type", media_type::MANIFEST)], &manifest);
            }
            None => reply(stream, "200 OK", &[], b"{}"),
        }
    });
    let store = Layout::new();
    pull(&store, &liar.name("a:1"), &options()).unwrap();
    store.check(1);
}

#[test]
fn layers_are_sent_side_by_side() {
    let store = Layout::new();
    let image = store.built("linux/amd64", &[("a", 100_000), ("b", 200_000)]);
    let (here, sizes) = (AtomicUsize::new(0), Arc::new(Mutex::new(Vec::new())));
    let seen = sizes.clone();
    let liar = Liar::start(move |request: &Request, stream| {
        match (request.method.as_str(), request.path.contains("/manifests/")) {
            ("HEAD", _) => reply(stream, "404 Not Found", &[], b""),
            ("POST", _) => reply(stream, "202 Accepted", &[("Location", "/v2/a/u/1")], b""),
            ("PUT", false) => {
                seen.lock().unwrap().push(request.body.len());
                answer(meets(&here), stream, "201 Created", b"");
            }
            ("PUT", true) => reply(stream, "201 Created", &[], b""),
            _ => reply(stream, "200 OK", &[], b"{}"),
        }
    });
    push(&store, parcel(&image), &liar.name("a:1"), &options()).unwrap();
    assert_eq!(sizes.lock().unwrap().len(), 3);
}
