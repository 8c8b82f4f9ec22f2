//! spec.md, "Push".

use image::Digest;
use serde_json::json;

use crate::http::{INDEX, MANIFEST, Peer, described, digest, with_digest};
use crate::{Check, both, ours};

const IGNORES_RANGES: &str = "it takes what comes as the next part, whatever Content-Range says";

pub(crate) const CHECKS: &[Check] = &[
    both("a blob in one PUT", put),
    both("a blob in one POST, or the place for a PUT", post),
    both("a blob as one stream", streamed),
    both("a blob in parts", parts),
    ours("parts out of their order", disorder, IGNORES_RANGES),
    both("an upload tells how far it is", progress),
    both("an upload can be cancelled", cancel),
    both("a blob that is not what its digest says", wrong_digest),
    both("a mount from a repository that has it", mount),
    both("a mount of what is not there begins an upload", failed_mount),
    both("a mount without a source", anonymous_mount),
    both("a manifest by its tag, and its place", manifest),
    both("a manifest by its digest", by_digest),
    ours("a manifest by its digest, with tags", by_digest_with_tags, "2.8 knows no tags there"),
    both("a manifest under another digest", other_digest),
    both("a manifest without layers", bare),
    both("a manifest of nearly 4 MiB", large),
    both("an artifact of kinds that nobody knows", artifact),
    both("an index", index),
    ours("a manifest that is about another says so", subject, "2.8 knows no subjects"),
];

fn put(peer: &Peer) {
    let repository = peer.repository();
    let hash = Digest::of("monolithic");
    let place = with_digest(&peer.begin(&repository), &hash);
    let headers = [("Content-Type", "application/octet-stream")];
    let created = peer.send("PUT", &place, &headers, b"monolithic").expect(201);
    let url = created.header("Location").expect("the blob's place");
    assert_eq!(peer.get(url).expect(200).body, b"monolithic");
}

fn post(peer: &Peer) {
    let repository = peer.repository();
    let hash = Digest::of("in one request");
    let url = format!("/v2/{repository}/blobs/uploads/?digest={hash}");
    let answer = peer.send("POST", &url, &[], b"in one request").one_of(&[201, 202]);
    if answer.status == 202 {
        let place = with_digest(answer.header("Location").expect("a place"), &hash);
        peer.send("PUT", &place, &[], b"in one request").expect(201);
    }
    let blob = peer.get(&format!("/v2/{repository}/blobs/{hash}")).expect(200);
    assert_eq!(blob.body, b"in one request");
}

fn streamed(peer: &Peer) {
    let repository = peer.repository();
    let headers = [("Content-Type", "application/octet-stream")];
    let sent = peer.send("PATCH", &peer.begin(&repository), &headers, b"streamed").expect(202);
    let place = with_digest(sent.header("Location").expect("a place"), &Digest::of("streamed"));
    peer.send("PUT", &place, &[], b"").expect(201);
    let url = format!("/v2/{repository}/blobs/{}", Digest::of("streamed"));
    assert_eq!(peer.get(&url).expect(200).body, b"streamed");
}

fn parts(peer: &Peer) {
    let repository = peer.repository();
    let part = |place: &str, range, bytes: &[u8]| {
        let headers = [("Content-Type", "application/octet-stream"), ("Content-Range", range)];
        peer.send("PATCH", place, &headers, bytes)
    };
    let first = part(&peer.begin(&repository), "0-4", b"01234").expect(202);
    assert_eq!(first.header("Range"), Some("0-4"));
    let second = part(first.header("Location").expect("a place"), "5-6", b"56").expect(202);
    assert_eq!(second.header("Range"), Some("0-6"));
    let place = with_digest(second.header("Location").expect("a place"), &Digest::of("0123456789"));
    // The last part may come with the end.
    peer.send("PUT", &place, &[("Content-Range", "7-9")], b"789").expect(201);
    let url = format!("/v2/{repository}/blobs/{}", Digest::of("0123456789"));
    assert_eq!(peer.get(&url).expect(200).body, b"0123456789");
}

fn disorder(peer: &Peer) {
    let repository = peer.repository();
    let part = |place: &str, range, bytes: &[u8]| {
        peer.send("PATCH", place, &[("Content-Range", range)], bytes)
    };
    part(&peer.begin(&repository), "3-4", b"34").expect(416);
    let first = part(&peer.begin(&repository), "0-4", b"01234").expect(202);
    let place = first.header("Location").expect("a place");
    part(place, "0-4", b"01234").expect(416);
    let place = with_digest(place, &Digest::of("01234"));
    peer.send("PUT", &place, &[("Content-Range", "7-9")], b"789").expect(416);
}

fn progress(peer: &Peer) {
    let repository = peer.repository();
    let sent = peer.send("PATCH", &peer.begin(&repository), &[], b"01234").expect(202);
    let told = peer.get(sent.header("Location").expect("a place")).expect(204);
    assert_eq!(told.header("Range"), Some("0-4"));
    assert!(told.header("Location").is_some());
}

fn cancel(peer: &Peer) {
    let place = peer.begin(&peer.repository());
    peer.delete(&place).expect(204);
    peer.get(&place).expect(404);
}

fn wrong_digest(peer: &Peer) {
    let repository = peer.repository();
    let wrong = Digest::of("something else");
    let place = with_digest(&peer.begin(&repository), &wrong);
    let refused = peer.send("PUT", &place, &[], b"this").expect(400);
    assert_eq!(refused.code(), "DIGEST_INVALID");
    peer.head(&format!("/v2/{repository}/blobs/{wrong}")).expect(404);
}

fn mount(peer: &Peer) {
    let (source, target) = (peer.repository(), peer.repository());
    let hash = peer.blob(&source, b"to be mounted");
    let url = format!("/v2/{target}/blobs/uploads/?mount={hash}&from={source}");
    let mounted = peer.send("POST", &url, &[], b"").expect(201);
    let place = mounted.header("Location").expect("the blob's place");
    assert!(place.contains(&format!("/v2/{target}/blobs/{hash}")), "{place}");
    assert_eq!(peer.get(place).expect(200).body, b"to be mounted");
}

fn failed_mount(peer: &Peer) {
    let (source, target) = (peer.repository(), peer.repository());
    let hash = Digest::of("nobody has this");
    let url = format!("/v2/{target}/blobs/uploads/?mount={hash}&from={source}");
    let begun = peer.send("POST", &url, &[], b"").expect(202);
    let place = with_digest(begun.header("Location").expect("a place"), &hash);
    peer.send("PUT", &place, &[], b"nobody has this").expect(201);
}

fn anonymous_mount(peer: &Peer) {
    let hash = peer.blob(&peer.repository(), b"mounted from anywhere");
    let target = peer.repository();
    let url = format!("/v2/{target}/blobs/uploads/?mount={hash}");
    let answer = peer.send("POST", &url, &[], b"").one_of(&[201, 202]);
    if answer.status == 201 {
        peer.get(&format!("/v2/{target}/blobs/{hash}")).expect(200);
    }
}

fn manifest(peer: &Peer) {
    let repository = peer.repository();
    let image = peer.unnamed_image(&repository, "tagged");
    let url = format!("/v2/{repository}/manifests/tagged");
    peer.head(&url).expect(404);
    let created = peer.manifest(&repository, "tagged", &image).expect(201);
    let hash = digest(&image).to_string();
    assert_eq!(created.header("Docker-Content-Digest"), Some(hash.as_str()));
    let place = created.header("Location").expect("the manifest's place");
    assert_eq!(peer.get(place).expect(200).body, image.to_string().as_bytes());
    peer.head(&url).expect(200);
}

fn by_digest(peer: &Peer) {
    let repository = peer.repository();
    let image = peer.unnamed_image(&repository, "by digest");
    let hash = digest(&image).to_string();
    peer.manifest(&repository, &hash, &image).expect(201);
    peer.get(&format!("/v2/{repository}/manifests/{hash}")).expect(200);
}

fn by_digest_with_tags(peer: &Peer) {
    let repository = peer.repository();
    let image = peer.unnamed_image(&repository, "tagged on its way");
    let put = |query| peer.manifest(&repository, &format!("{}{query}", digest(&image)), &image);
    let created = put("?tag=one&tag=two").expect(201);
    assert_eq!(created.headers("OCI-Tag"), ["one", "two"]);
    for tag in ["one", "two"] {
        peer.get(&format!("/v2/{repository}/manifests/{tag}")).expect(200);
    }
    assert_eq!(put("?tag=three&tag=no%20tag").expect(400).code(), "TAG_INVALID");
    peer.get(&format!("/v2/{repository}/manifests/three")).expect(404);
}

fn other_digest(peer: &Peer) {
    let repository = peer.repository();
    let image = peer.unnamed_image(&repository, "pinned");
    let other = Digest::of("another manifest").to_string();
    let refused = peer.manifest(&repository, &other, &image).expect(400);
    assert_eq!(refused.code(), "DIGEST_INVALID");
}

fn bare(peer: &Peer) {
    let repository = peer.repository();
    let mut image = peer.unnamed_image(&repository, "bare");
    image["layers"] = json!([]);
    peer.manifest(&repository, "bare", &image).expect(201);
}

fn large(peer: &Peer) {
    let repository = peer.repository();
    let mut image = peer.unnamed_image(&repository, "large");
    image["annotations"] = json!({"much": "x".repeat((4 << 20) - 2000)});
    peer.manifest(&repository, "large", &image).expect(201);
    peer.get(&format!("/v2/{repository}/manifests/large")).expect(200);
}

fn artifact(peer: &Peer) {
    let repository = peer.repository();
    peer.blob(&repository, b"{}");
    peer.blob(&repository, b"some data");
    let artifact = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": "application/vnd.example",
        "config": described("application/vnd.oci.empty.v1+json", b"{}"),
        "layers": [described("application/vnd.example.data", b"some data")],
    });
    peer.manifest(&repository, "artifact", &artifact).expect(201);
    let got = peer.get(&format!("/v2/{repository}/manifests/artifact")).expect(200);
    assert_eq!(got.body, artifact.to_string().as_bytes());
}

fn index(peer: &Peer) {
    let repository = peer.repository();
    let image = peer.unnamed_image(&repository, "in an index");
    peer.manifest(&repository, &digest(&image).to_string(), &image).expect(201);
    let mut entry = described(MANIFEST, image.to_string().as_bytes());
    entry["platform"] = json!({"os": "linux", "architecture": "amd64"});
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]});
    peer.manifest(&repository, "index", &index).expect(201);
    let got = peer.get(&format!("/v2/{repository}/manifests/index")).expect(200);
    assert_eq!(got.header("Content-Type"), Some(INDEX));
}

fn subject(peer: &Peer) {
    let repository = peer.repository();
    let image = peer.image(&repository, "subject");
    peer.blob(&repository, b"{}");
    let about = digest(&image).to_string();
    let signature = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": "application/vnd.example",
        "config": described("application/vnd.oci.empty.v1+json", b"{}"), "layers": [],
        "subject": described(MANIFEST, image.to_string().as_bytes()),
    });
    let hash = digest(&signature).to_string();
    let created = peer.manifest(&repository, &hash, &signature).expect(201);
    assert_eq!(created.header("OCI-Subject"), Some(about.as_str()));
}
