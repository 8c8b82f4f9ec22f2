//! spec.md, "Error Codes": refusals have a body of JSON, and codes that clients know.

use image::Digest;
use serde_json::json;

use crate::http::{MANIFEST, Peer, described};
use crate::{Check, both};

pub(crate) const CHECKS: &[Check] = &[
    both("codes of what is not there", unknown),
    both("a manifest that is none", no_manifest),
    both("a manifest whose blobs are not there", missing_blobs),
    both("digests that are none", bad_digest),
    both("names that are none", bad_name),
];

fn unknown(peer: &Peer) {
    let (repository, absent) = (peer.repository(), Digest::of("absent"));
    peer.image(&repository, "there");
    for (url, code) in [
        (format!("/v2/{repository}/manifests/none"), "MANIFEST_UNKNOWN"),
        (format!("/v2/{repository}/blobs/{absent}"), "BLOB_UNKNOWN"),
        (format!("/v2/{}/tags/list", peer.repository()), "NAME_UNKNOWN"),
    ] {
        let answer = peer.get(&url).expect(404);
        assert_eq!(answer.code(), code, "{url}");
        let kind = answer.header("Content-Type").unwrap_or_default();
        assert!(kind.starts_with("application/json"), "{url}: {kind}");
    }
}

fn no_manifest(peer: &Peer) {
    let url = format!("/v2/{}/manifests/bad", peer.repository());
    let answer = peer.send("PUT", &url, &[("Content-Type", MANIFEST)], b"blablabla").expect(400);
    assert_eq!(answer.code(), "MANIFEST_INVALID");
}

fn missing_blobs(peer: &Peer) {
    let repository = peer.repository();
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST,
        "config": described("application/vnd.oci.image.config.v1+json", b"not pushed"),
        "layers": [],
    });
    let answer = peer.manifest(&repository, "missing", &manifest).expect(400);
    assert_eq!(answer.code(), "MANIFEST_BLOB_UNKNOWN");
}

fn bad_digest(peer: &Peer) {
    let repository = peer.repository();
    let answer = peer.get(&format!("/v2/{repository}/blobs/sha256:00")).one_of(&[400, 404]);
    assert!(["DIGEST_INVALID", "BLOB_UNKNOWN"].contains(&answer.code().as_str()));
    let place = peer.begin(&repository);
    let mark = if place.contains('?') { '&' } else { '?' };
    peer.send("PUT", &format!("{place}{mark}digest=sha256:xyz"), &[], b"x").expect(400);
}

fn bad_name(peer: &Peer) {
    peer.get("/v2/UPPER/tags/list").one_of(&[400, 404]);
    let url = format!("/v2/{}/manifests/.bad", peer.repository());
    peer.get(&url).one_of(&[400, 404]);
}
