//! spec.md, "Content Management".

use image::Digest;
use serde_json::json;

use crate::http::{MANIFEST, Peer, described, digest};
use crate::{Check, both, ours};

pub(crate) const CHECKS: &[Check] = &[
    ours("a tag goes, and its image stays", tag, "2.8 removes by digest alone"),
    both("an image goes, with its tags", image),
    both("what is not there cannot go", absent),
    both("a blob goes", blob),
    ours("a blob that an image has stays", used_blob, "it leaves the image in pieces"),
    ours("what was about an image is no longer", referrer, "2.8 has no referrers API"),
];

fn tag(peer: &Peer) {
    let repository = peer.repository();
    let image = peer.image(&repository, "first");
    peer.manifest(&repository, "second", &image).expect(201);
    peer.delete(&format!("/v2/{repository}/manifests/first")).expect(202);
    peer.get(&format!("/v2/{repository}/manifests/first")).expect(404);
    let list = peer.get(&format!("/v2/{repository}/tags/list")).expect(200).json();
    assert_eq!(list["tags"], json!(["second"]));
    peer.get(&format!("/v2/{repository}/manifests/{}", digest(&image))).expect(200);
}

fn image(peer: &Peer) {
    let repository = peer.repository();
    let image = peer.image(&repository, "one");
    peer.manifest(&repository, "two", &image).expect(201);
    let url = format!("/v2/{repository}/manifests/{}", digest(&image));
    peer.delete(&url).expect(202);
    peer.get(&url).expect(404);
    for tag in ["one", "two"] {
        peer.get(&format!("/v2/{repository}/manifests/{tag}")).expect(404);
    }
    peer.delete(&url).expect(404);
}

fn absent(peer: &Peer) {
    let (repository, absent) = (peer.repository(), Digest::of("absent"));
    peer.delete(&format!("/v2/{repository}/manifests/{absent}")).expect(404);
    peer.delete(&format!("/v2/{repository}/blobs/{absent}")).expect(404);
}

fn blob(peer: &Peer) {
    let repository = peer.repository();
    let hash = peer.blob(&repository, b"a blob that goes");
    let url = format!("/v2/{repository}/blobs/{hash}");
    peer.delete(&url).expect(202);
    peer.get(&url).expect(404);
}

fn used_blob(peer: &Peer) {
    let repository = peer.repository();
    let image = peer.image(&repository, "whole");
    let layer = image["layers"][0]["digest"].as_str().unwrap();
    let url = format!("/v2/{repository}/blobs/{layer}");
    assert_eq!(peer.delete(&url).expect(405).code(), "UNSUPPORTED");
    peer.get(&url).expect(200);
    peer.delete(&format!("/v2/{repository}/manifests/{}", digest(&image))).expect(202);
    peer.delete(&url).expect(202);
}

fn referrer(peer: &Peer) {
    let repository = peer.repository();
    let image = peer.image(&repository, "subject").to_string();
    peer.blob(&repository, b"{}");
    let signature = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": "application/vnd.example",
        "config": described("application/vnd.oci.empty.v1+json", b"{}"), "layers": [],
        "subject": described(MANIFEST, image.as_bytes()),
    });
    let url = format!("/v2/{repository}/manifests/{}", digest(&signature));
    peer.manifest(&repository, &digest(&signature).to_string(), &signature).expect(201);
    let count = || {
        let list = peer.get(&format!("/v2/{repository}/referrers/{}", Digest::of(&image)));
        list.expect(200).json()["manifests"].as_array().unwrap().len()
    };
    assert_eq!(count(), 1);
    peer.delete(&url).expect(202);
    assert_eq!(count(), 0);
    peer.get(&url).expect(404);
}
