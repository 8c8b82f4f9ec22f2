//! spec.md, "Content Discovery".

use image::Digest;
use serde_json::{Value, json};

use crate::http::{INDEX, MANIFEST, Peer, described, digest};
use crate::{Check, both, ours};

const NO_PAGES: &str = "2.8 gives all tags, whatever n and last say";
const NO_REFERRERS: &str = "2.8 has no referrers API";

pub(crate) const CHECKS: &[Check] = &[
    both("the tags", tags),
    both("the tags of what is no repository", no_tags),
    ours("so many tags, and the way to the rest", pages, NO_PAGES),
    ours("no tags where none are wanted", no_page, NO_PAGES),
    ours("nothing is about this", nothing, NO_REFERRERS),
    ours("what is about an image, and what it is", referrers, NO_REFERRERS),
    ours("what is about it, of one kind", filtered, NO_REFERRERS),
    ours("what is about an image that is not there yet", early, NO_REFERRERS),
    ours("an index that is about an image", about_by_index, NO_REFERRERS),
];

fn tagged(peer: &Peer) -> String {
    let repository = peer.repository();
    let image = peer.unnamed_image(&repository, "tags");
    for tag in ["b", "d", "a", "c"] {
        peer.manifest(&repository, tag, &image).expect(201);
    }
    repository
}

fn tags(peer: &Peer) {
    let repository = tagged(peer);
    let mut list = peer.get(&format!("/v2/{repository}/tags/list")).expect(200).json();
    // docker-registry gives them as they lie on the disk; the pages show our order.
    list["tags"].as_array_mut().unwrap().sort_by_key(Value::to_string);
    assert_eq!(list, json!({"name": repository, "tags": ["a", "b", "c", "d"]}));
}

fn no_tags(peer: &Peer) {
    peer.get(&format!("/v2/{}/tags/list", peer.repository())).expect(404);
}

fn pages(peer: &Peer) {
    let url = format!("/v2/{}/tags/list", tagged(peer));
    let first = peer.get(&format!("{url}?n=2")).expect(200);
    assert_eq!(first.json()["tags"], json!(["a", "b"]));
    let link = first.header("Link").expect("the way to the rest");
    let next = link.strip_prefix('<').and_then(|it| it.split_once(">; rel=\"next\"")).unwrap().0;
    let second = peer.get(next).expect(200);
    assert_eq!(second.json()["tags"], json!(["c", "d"]));
    assert_eq!(second.header("Link"), None);
    let rest = peer.get(&format!("{url}?n=9&last=c")).expect(200);
    assert_eq!(rest.json()["tags"], json!(["d"]));
}

fn no_page(peer: &Peer) {
    let url = format!("/v2/{}/tags/list?n=0", tagged(peer));
    assert_eq!(peer.get(&url).expect(200).json()["tags"], json!([]));
}

/// The list of what is about a manifest.
fn listed(peer: &Peer, repository: &str, about: &Digest, query: &str) -> Vec<Value> {
    let url = format!("/v2/{repository}/referrers/{about}{query}");
    let answer = peer.get(&url).expect(200);
    assert_eq!(answer.header("Content-Type"), Some(INDEX));
    let applied = answer.header("OCI-Filters-Applied").map(str::to_owned);
    assert_eq!(applied.as_deref(), (!query.is_empty()).then_some("artifactType"));
    let index = answer.json();
    assert_eq!((&index["schemaVersion"], &index["mediaType"]), (&json!(2), &json!(INDEX)));
    index["manifests"].as_array().expect("a list").clone()
}

fn nothing(peer: &Peer) {
    let repository = peer.repository();
    assert!(listed(peer, &repository, &Digest::of("unknown"), "").is_empty());
}

/// An artifact about these bytes; without a kind of its own its configuration's is taken.
fn signature(peer: &Peer, repository: &str, about: &[u8], kind: Option<&str>) -> Value {
    peer.blob(repository, b"{}");
    let mut signature = json!({
        "schemaVersion": 2, "mediaType": MANIFEST,
        "config": described("application/vnd.example.config", b"{}"), "layers": [],
        "subject": described(MANIFEST, about), "annotations": {"of": "a test"},
    });
    if let Some(kind) = kind {
        signature["artifactType"] = json!(kind);
    }
    peer.manifest(repository, &digest(&signature).to_string(), &signature).expect(201);
    signature
}

fn entry(manifest: &Value, kind: &str) -> Value {
    let mut entry = described(MANIFEST, manifest.to_string().as_bytes());
    entry["artifactType"] = json!(kind);
    entry["annotations"] = json!({"of": "a test"});
    entry
}

fn referrers(peer: &Peer) {
    let repository = peer.repository();
    let image = peer.image(&repository, "signed").to_string();
    let own = signature(peer, &repository, image.as_bytes(), Some("application/vnd.example.own"));
    let other = signature(peer, &repository, image.as_bytes(), None);
    let found = listed(peer, &repository, &Digest::of(&image), "");
    assert_eq!(found.len(), 2, "{found:?}");
    for wanted in [
        entry(&own, "application/vnd.example.own"),
        entry(&other, "application/vnd.example.config"),
    ] {
        assert!(found.contains(&wanted), "{found:?}");
    }
}

fn filtered(peer: &Peer) {
    let repository = peer.repository();
    let image = peer.image(&repository, "signed-twice").to_string();
    let one = signature(peer, &repository, image.as_bytes(), Some("application/vnd.example.one"));
    signature(peer, &repository, image.as_bytes(), Some("application/vnd.example.two"));
    let query = "?artifactType=application/vnd.example.one";
    let found = listed(peer, &repository, &Digest::of(&image), query);
    assert_eq!(found, [entry(&one, "application/vnd.example.one")]);
}

fn early(peer: &Peer) {
    let repository = peer.repository();
    let later = b"a manifest that comes later";
    let early = signature(peer, &repository, later, Some("application/vnd.example.early"));
    let found = listed(peer, &repository, &Digest::of(later), "");
    assert_eq!(found, [entry(&early, "application/vnd.example.early")]);
}

fn about_by_index(peer: &Peer) {
    let repository = peer.repository();
    let image = peer.image(&repository, "attested").to_string();
    let index = json!({
        "schemaVersion": 2, "mediaType": INDEX, "artifactType": "application/vnd.example.index",
        "manifests": [], "subject": described(MANIFEST, image.as_bytes()),
    });
    peer.manifest(&repository, &digest(&index).to_string(), &index).expect(201);
    let found = listed(peer, &repository, &Digest::of(&image), "");
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0]["mediaType"], INDEX);
}
