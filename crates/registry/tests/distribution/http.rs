//! Requests to a registry, and what the checks make again and again: blobs, manifests, repositories.

use std::sync::atomic::{AtomicUsize, Ordering};

use image::Digest;
use serde_json::{Value, json};
use ureq::Agent;
use ureq::http::Request;

pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// A registry.
pub(crate) struct Peer {
    agent: Agent,
    base: String,
    repositories: AtomicUsize,
}

/// A whole answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: ureq::http::HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// All headers of a name.
    pub(crate) fn headers(&self, name: &str) -> Vec<&str> {
        self.headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    /// Fails unless it has this status.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        self.one_of(&[status])
    }

    #[track_caller]
    pub(crate) fn one_of(self, statuses: &[u16]) -> Self {
        let body = String::from_utf8_lossy(&self.body);
        assert!(statuses.contains(&self.status), "{}, not {statuses:?}: {body}", self.status);
        self
    }

    /// The code of the first error in the body.
    pub(crate) fn code(&self) -> String {
        self.json()["errors"][0]["code"].as_str().expect("errors with a code").to_owned()
    }
}

impl Peer {
    pub(crate) fn new(port: u16) -> Self {
        let config = Agent::config_builder().http_status_as_error(false).max_redirects(0);
        let agent = config.max_idle_connections(0).build().new_agent();
        let base = format!("http://127.0.0.1:{port}");
        Self { agent, base, repositories: AtomicUsize::new(0) }
    }

    /// A repository that no other check has.
    pub(crate) fn repository(&self) -> String {
        format!("checks/r{}", self.repositories.fetch_add(1, Ordering::Relaxed))
    }

    /// Sends a request; `url` is a path or a place that the registry gave.
    pub(crate) fn send(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let url = if url.starts_with('/') { self.base.clone() + url } else { url.to_owned() };
        let request = Request::builder().method(method).uri(url);
        let request = headers.iter().fold(request, |it, (name, value)| it.header(*name, *value));
        let bodiless = matches!(method, "GET" | "HEAD" | "DELETE");
        let response = match bodiless {
            true => self.agent.run(request.body(()).unwrap()),
            false => self.agent.run(request.body(body).unwrap()),
        };
        let (head, mut body) = response.unwrap().into_parts();
        let limit = body.with_config().limit(64 << 20);
        let body = limit.read_to_vec().unwrap();
        Answer { status: head.status.as_u16(), headers: head.headers, body }
    }

    pub(crate) fn get(&self, url: &str) -> Answer {
        self.send("GET", url, &[("Accept", &format!("{MANIFEST}, {INDEX}, */*"))], b"")
    }

    pub(crate) fn head(&self, url: &str) -> Answer {
        self.send("HEAD", url, &[("Accept", &format!("{MANIFEST}, {INDEX}, */*"))], b"")
    }

    pub(crate) fn delete(&self, url: &str) -> Answer {
        self.send("DELETE", url, &[], b"")
    }

    /// Begins an upload; gives its place.
    pub(crate) fn begin(&self, repository: &str) -> String {
        let begun =
            self.send("POST", &format!("/v2/{repository}/blobs/uploads/"), &[], b"").expect(202);
        begun.header("Location").expect("a place").to_owned()
    }

    /// Pushes a blob; gives its digest.
    pub(crate) fn blob(&self, repository: &str, content: &[u8]) -> Digest {
        let digest = Digest::of(content);
        let place = with_digest(&self.begin(repository), &digest);
        self.send("PUT", &place, &[], content).expect(201);
        digest
    }

    /// Pushes a manifest; gives the answer.
    pub(crate) fn manifest(&self, repository: &str, name: &str, manifest: &Value) -> Answer {
        let kind = manifest["mediaType"].as_str().unwrap_or(MANIFEST);
        let url = format!("/v2/{repository}/manifests/{name}");
        self.send("PUT", &url, &[("Content-Type", kind)], manifest.to_string().as_bytes())
    }

    /// Pushes an image of its own under a tag; gives its manifest.
    pub(crate) fn image(&self, repository: &str, tag: &str) -> Value {
        let image = self.unnamed_image(repository, tag);
        self.manifest(repository, tag, &image).expect(201);
        image
    }

    /// Pushes the blobs of an image; gives its manifest.
    pub(crate) fn unnamed_image(&self, repository: &str, content: &str) -> Value {
        let config = json!({"architecture": "amd64", "os": "linux", "author": content,
            "rootfs": {"type": "layers", "diff_ids": []}});
        let (config, layer) = (config.to_string(), format!("layer of {repository}:{content}"));
        self.blob(repository, config.as_bytes());
        self.blob(repository, layer.as_bytes());
        json!({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": described("application/vnd.oci.image.config.v1+json", config.as_bytes()),
            "layers": [described("application/vnd.oci.image.layer.v1.tar", layer.as_bytes())],
        })
    }
}

/// A descriptor of bytes.
pub(crate) fn described(media_type: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": Digest::of(bytes).to_string(), "size": bytes.len()})
}

/// The digest of a manifest as it is sent.
pub(crate) fn digest(manifest: &Value) -> Digest {
    Digest::of(manifest.to_string())
}

/// An upload's place, with the digest that it ends with.
pub(crate) fn with_digest(place: &str, digest: &Digest) -> String {
    let mark = if place.contains('?') { '&' } else { '?' };
    format!("{place}{mark}digest={digest}")
}
