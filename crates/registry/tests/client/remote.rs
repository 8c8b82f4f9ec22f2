//! What is in a registry, without pulling it; and copies within one.

use std::sync::atomic::AtomicBool;

use image::manifest::{digest, manifest};
use image::media_type;
use registry::{Error, Remote, copy_within, fetch_image};

use crate::docker_registry::{Registry, Setup};
use crate::fixture::{Layout, Recorder, options, parcel, pull, push, reference, text};
use crate::liar::{Image, Liar, reply};

fn with<T>(name: &str, ask: impl FnOnce(&Remote<'_>) -> Result<T, Error>) -> Result<T, Error> {
    let (name, options, never) = (reference(name), options(), AtomicBool::new(false));
    ask(&Remote::new(&name, &options, &never))
}

#[test]
fn tags_images_and_deletion() {
    let registry = Registry::start(Setup::default());
    let store = Layout::new();
    let image = store.built("linux/amd64", &[("a", 1000)]);
    for tag in ["1", "2"] {
        push(&store, parcel(&image), &registry.name(&format!("app:{tag}")), &options()).unwrap();
    }
    let name = registry.name("app:1");
    let mut tags = with(&name, |remote| remote.tags()).unwrap();
    tags.sort();
    assert_eq!(tags, ["1", "2"]);
    let document = with(&name, |remote| remote.document()).unwrap();
    let found = with(&name, |remote| remote.image()).unwrap();
    assert_eq!(found.manifest.bytes, document.bytes);
    assert_eq!(found.config.architecture, "amd64");
    let gone = with(&name, |remote| remote.delete()).unwrap();
    assert_eq!(gone, digest(&document.descriptor).unwrap());
    let error = with(&registry.name("app:2"), |remote| remote.document()).unwrap_err();
    assert!(text(&error).contains("404 Not Found"), "{}", text(&error));
}

#[test]
fn pages_of_tags_are_followed_to_the_end() {
    let liar = Liar::start(|request, stream| match request.path.as_str() {
        "/v2/a/tags/list?n=1000" => {
            let link = [("Link", "</v2/a/tags/list?n=1000&last=b>; rel=\"next\"")];
            reply(stream, "200 OK", &link, br#"{"name":"a","tags":["a","b"]}"#);
        }
        "/v2/a/tags/list?n=1000&last=b" => reply(stream, "200 OK", &[], br#"{"tags":["c"]}"#),
        _ => reply(stream, "200 OK", &[], b"{}"),
    });
    assert_eq!(with(&liar.name("a"), |remote| remote.tags()).unwrap(), ["a", "b", "c"]);
    let liar = Liar::start(|request, stream| match request.path.as_str() {
        "/v2/" => reply(stream, "200 OK", &[], b"{}"),
        _ => reply(stream, "200 OK", &[], b"<html>"),
    });
    let error = with(&liar.name("a"), |remote| remote.tags()).unwrap_err();
    assert!(text(&error).contains("bad JSON"), "{}", text(&error));
}

#[test]
fn referrers_by_the_api_and_by_the_tag() {
    let image = Image::new(10);
    let about = Image::digest(&image.manifest);
    let entry = |kind: &str| {
        format!(
            r#"{{"mediaType":"{}","digest":"{about}","size":1,"artifactType":"{kind}"}}"#,
            media_type::MANIFEST
        )
    };
    let list = format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[{},{}]}}"#,
        media_type::INDEX,
        entry("a/b"),
        entry("c/d")
    );
    for api in [true, false] {
        let (list, api_path) = (list.clone(), format!("/v2/a/referrers/{about}"));
        let tag = format!("/v2/a/manifests/{}", about.replace(':', "-"));
        let liar = Liar::serving(image.clone(), move |request, stream| {
            let path = request.path.split('?').next().unwrap();
            let kind = [("Content-Type", media_type::INDEX)];
            match (path == api_path, path == tag) {
                (true, _) if api => reply(stream, "200 OK", &kind, list.as_bytes()),
                (true, _) => reply(stream, "404 Not Found", &[], b""),
                (_, true) => reply(stream, "200 OK", &kind, list.as_bytes()),
                _ => return false,
            }
            true
        });
        let all = with(&liar.name("a:1"), |remote| remote.referrers(None)).unwrap();
        assert_eq!(all.len(), 2, "{api}");
        let one = with(&liar.name("a:1"), |remote| remote.referrers(Some("c/d"))).unwrap();
        assert_eq!(one[0].artifact_type().as_ref().unwrap().to_string(), "c/d");
        assert_eq!(one.len(), 1);
    }
    let liar = Liar::serving(image.clone(), |request, stream| {
        let absent = request.path.contains("referrers") || request.path.contains("/sha256-");
        if absent {
            reply(stream, "404 Not Found", &[], b"");
        }
        absent
    });
    assert!(with(&liar.name("a:1"), |remote| remote.referrers(None)).unwrap().is_empty());
}

/// An index of an image and of an artifact that is none.
fn mixed(store: &Layout) -> image::Descriptor {
    let image = store.built("linux/amd64", &[("a", 100_000)]);
    let text = store.store.put_blob("text/plain", b"signed").unwrap();
    let empty = store.store.put_blob("application/vnd.oci.empty.v1+json", b"{}").unwrap();
    let artifact = store.store.put_manifest(&manifest(empty, vec![text])).unwrap();
    let platform = |name: &str| name.parse::<image::Platform>().unwrap();
    let index = image::manifest::index([
        (image, platform("linux/amd64")),
        (artifact, platform("unknown/unknown")),
    ]);
    store.store.put_json(media_type::INDEX, &index).unwrap()
}

#[test]
fn an_index_comes_whole_and_without_a_name() {
    let registry = Registry::start(Setup::default());
    let (store, name) = (Layout::new(), registry.name("mixed:1"));
    let (pushed, _) = push(&store, parcel(&mixed(&store)), &name, &options()).unwrap();
    let fresh = Layout::new();
    let never = AtomicBool::new(false);
    let fetched =
        fetch_image(&fresh.store, &reference(&name), true, &options(), &(), &never).unwrap();
    assert_eq!(fetched.digest(), pushed.manifest.digest());
    fresh.check(0);
    let watch = store::Watch { hear: &|_| {}, stop: &never };
    let whole = fresh.store.outgoing(&fetched, None, store::LayerForm::AsStored, watch).unwrap();
    assert_eq!((whole.documents.len(), whole.contents.len()), (3, 4));
}

#[test]
fn within_a_registry_no_blob_passes() {
    let registry = Registry::start(Setup::default());
    let (store, from) = (Layout::new(), registry.name("from:1"));
    push(&store, parcel(&mixed(&store)), &from, &options()).unwrap();
    let (heard, never) = (Recorder::default(), AtomicBool::new(false));
    let copied = |to: &str, all| {
        let (from, to) = (reference(&from), reference(to));
        copy_within(&from, &to, all, &options(), &heard, &never).unwrap()
    };
    let whole = copied(&registry.name("to:1"), true).unwrap();
    assert_eq!((heard.count("Mounted"), heard.count("Started")), (4, 0));
    let there = with(&registry.name("to:1"), |remote| remote.document()).unwrap();
    assert_eq!(there.descriptor.digest(), whole.digest());
    let one = copied(&registry.name("one:1"), false).unwrap();
    let pulled = pull(&Layout::new(), &registry.name("one:1"), &options()).unwrap();
    assert_eq!(pulled.manifest.digest(), one.digest());
    // Another registry cannot mount.
    assert!(copied("127.0.0.1:1/x:1", false).is_none());
}

#[test]
fn a_registry_that_does_not_mount_leaves_the_copy_to_others() {
    let image = Image::new(1000);
    let liar = Liar::serving(image, |request, stream| {
        match request.method.as_str() {
            "HEAD" => reply(stream, "404 Not Found", &[], b""),
            "POST" => reply(stream, "202 Accepted", &[("Location", "/u")], b""),
            _ => return false,
        }
        true
    });
    let never = AtomicBool::new(false);
    let (from, to) = (reference(&liar.name("a:1")), reference(&liar.name("b:1")));
    let copied = copy_within(&from, &to, false, &options(), &(), &never).unwrap();
    assert!(copied.is_none());
    let requests = liar.requests.lock().unwrap();
    assert!(requests.iter().all(|request| request.method != "PUT"));
}
