//! spec.md, "Pull".

use image::Digest;

use crate::http::{Peer, digest};
use crate::{Check, both, ours};

pub(crate) const CHECKS: &[Check] = &[
    both("the API is there", api),
    both("a blob that is not there", absent_blob),
    both("a blob, and what its head says", blob),
    both("a part of a blob", ranges),
    ours("a part that no blob has", no_range, "2.8 closes the connection"),
    both("a manifest that is not there", absent_manifest),
    both("a manifest by its tag and by its digest", manifest),
];

fn api(peer: &Peer) {
    peer.get("/v2/").expect(200);
}

fn absent_blob(peer: &Peer) {
    let url = format!("/v2/{}/blobs/{}", peer.repository(), Digest::of("absent"));
    peer.get(&url).expect(404);
    peer.head(&url).expect(404);
}

fn blob(peer: &Peer) {
    let repository = peer.repository();
    let hash = peer.blob(&repository, b"a blob");
    let url = format!("/v2/{repository}/blobs/{hash}");
    let head = peer.head(&url).expect(200);
    assert_eq!(head.header("Content-Length"), Some("6"));
    assert_eq!(head.header("Docker-Content-Digest"), Some(hash.to_string().as_str()));
    assert_eq!(peer.get(&url).expect(200).body, b"a blob");
}

fn ranges(peer: &Peer) {
    let repository = peer.repository();
    let hash = peer.blob(&repository, b"0123456789");
    let url = format!("/v2/{repository}/blobs/{hash}");
    let part = |range| peer.send("GET", &url, &[("Range", range)], b"");
    let middle = part("bytes=2-4").expect(206);
    assert_eq!(middle.header("Content-Range"), Some("bytes 2-4/10"));
    assert_eq!(middle.body, b"234");
    assert_eq!(part("bytes=7-").expect(206).body, b"789");
    assert_eq!(part("bytes=-2").expect(206).body, b"89");
}

fn no_range(peer: &Peer) {
    let repository = peer.repository();
    let hash = peer.blob(&repository, b"0123456789");
    let url = format!("/v2/{repository}/blobs/{hash}");
    let refused = peer.send("GET", &url, &[("Range", "bytes=10-")], b"").expect(416);
    assert_eq!(refused.header("Content-Range"), Some("bytes */10"));
}

fn absent_manifest(peer: &Peer) {
    let repository = peer.repository();
    for name in ["none", &Digest::of("absent").to_string()] {
        let url = format!("/v2/{repository}/manifests/{name}");
        peer.get(&url).expect(404);
        peer.head(&url).expect(404);
    }
}

fn manifest(peer: &Peer) {
    let repository = peer.repository();
    let image = peer.image(&repository, "one");
    let hash = digest(&image).to_string();
    for name in ["one", &hash] {
        let url = format!("/v2/{repository}/manifests/{name}");
        let head = peer.head(&url).expect(200);
        assert_eq!(head.header("Docker-Content-Digest"), Some(hash.as_str()));
        assert_eq!(head.header("Content-Type"), image["mediaType"].as_str());
        assert_eq!(peer.get(&url).expect(200).body, image.to_string().as_bytes());
    }
}
