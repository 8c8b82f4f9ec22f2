//! Blobs on their way in: in one request or in parts (distribution-spec, "Pushing blobs").

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use image::Digest;
use image::manifest::descriptor;
use store::BlobWriter;

use super::Place;
use super::http::Request;
use super::reply::Reply;
use super::route::{self, Route};

/// How long an upload may lie still.
const PATIENCE: Duration = Duration::from_secs(3600);
/// How many uploads there may be at a time.
const MAX_UPLOADS: usize = 1000;
/// What is read at a time.
const PIECE: usize = 256 * 1024;

/// The uploads that have begun.
#[derive(Default)]
pub(super) struct Uploads {
    all: Mutex<HashMap<String, Slot>>,
}

/// An upload, which one request holds at a time.
#[derive(Clone)]
struct Slot {
    writer: Arc<Mutex<Option<BlobWriter>>>,
    touched: Instant,
}

impl Uploads {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Slot>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a new upload; `None` where there are too many.
    fn add(&self, writer: BlobWriter) -> Option<String> {
        let mut all = self.lock();
        all.retain(|_, slot| slot.touched.elapsed() < PATIENCE);
        if all.len() >= MAX_UPLOADS {
            return None;
        }
        let id = unguessable();
        let writer = Arc::new(Mutex::new(Some(writer)));
        all.insert(id.clone(), Slot { writer, touched: Instant::now() });
        Some(id)
    }

    fn get(&self, id: &str) -> Option<Arc<Mutex<Option<BlobWriter>>>> {
        let mut all = self.lock();
        let slot = all.get_mut(id)?;
        slot.touched = Instant::now();
        Some(slot.writer.clone())
    }

    fn remove(&self, id: &str) -> Option<Slot> {
        self.lock().remove(id)
    }
}

/// The name of an upload: nobody else's client finds it by counting.
fn unguessable() -> String {
    use std::hash::{BuildHasher as _, RandomState};
    let half = || RandomState::new().hash_one(Instant::now());
    format!("{:016x}{:016x}", half(), half())
}

impl Place<'_> {
    /// Begins an upload; ends it at once where the blob comes with it, or is here already.
    pub(super) fn begin(
        &self,
        route: &Route,
        request: &mut Request<'_>,
    ) -> Result<Reply, store::Error> {
        if let Some(Ok(digest)) = route.query("mount").map(str::parse::<Digest>)
            && self.store.blob_path(&digest).is_file()
        {
            return Ok(created(route, &digest));
        }
        let mut writer = self.store.blob_writer()?;
        if let Some(wanted) = route.query("digest") {
            return match receive(request, &mut writer) {
                Ok(()) => finish(route, writer, wanted),
                Err(reply) => Ok(reply),
            };
        }
        match self.uploads.add(writer) {
            Some(id) => Ok(accepted(route, &id, 0)),
            None => Ok(Reply::refusal(429, "TOOMANYREQUESTS", "there are too many uploads")),
        }
    }

    /// Takes a part, which must begin where the last one ended.
    pub(super) fn append(
        &self,
        route: &Route,
        id: &str,
        request: &mut Request<'_>,
    ) -> Result<Reply, store::Error> {
        let Some(slot) = self.uploads.get(id) else { return Ok(unknown()) };
        let mut held = slot.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(writer) = held.as_mut() else { return Ok(unknown()) };
        let start = request.header("Content-Range").map(start_of);
        if start.is_some_and(|start| start != Some(writer.size())) {
            return Ok(out_of_order(route, id, writer.size()));
        }
        match receive(request, writer) {
            Ok(()) => Ok(accepted(route, id, writer.size())),
            Err(reply) => {
                held.take();
                self.uploads.remove(id);
                Ok(reply)
            }
        }
    }

    /// Takes the last part, and gives the blob its name.
    pub(super) fn end(
        &self,
        route: &Route,
        id: &str,
        request: &mut Request<'_>,
    ) -> Result<Reply, store::Error> {
        let Some(slot) = self.uploads.get(id) else { return Ok(unknown()) };
        let Some(wanted) = route.query("digest") else {
            return Ok(Reply::refusal(400, "DIGEST_INVALID", "the digest is not given"));
        };
        let mut held = slot.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(writer) = held.as_mut() else { return Ok(unknown()) };
        let start = request.header("Content-Range").map(start_of);
        if start.is_some_and(|start| start != Some(writer.size())) {
            return Ok(out_of_order(route, id, writer.size()));
        }
        let received = receive(request, writer);
        self.uploads.remove(id);
        match (received, held.take()) {
            (Ok(()), Some(writer)) => finish(route, writer, wanted),
            (Err(reply), _) => Ok(reply),
            (_, None) => Ok(unknown()),
        }
    }

    /// How far an upload has come.
    pub(super) fn progress(&self, route: &Route, id: &str) -> Result<Reply, store::Error> {
        let Some(slot) = self.uploads.get(id) else { return Ok(unknown()) };
        let held = slot.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(match held.as_ref() {
            Some(writer) => placed(Reply::empty(204), route, id, writer.size()),
            None => unknown(),
        })
    }

    pub(super) fn cancel(&self, id: &str) -> Result<Reply, store::Error> {
        Ok(match self.uploads.remove(id) {
            Some(_) => Reply::empty(204),
            None => unknown(),
        })
    }
}

/// Writes a request's body.
fn receive(request: &mut Request<'_>, writer: &mut BlobWriter) -> Result<(), Reply> {
    let mut piece = vec![0; PIECE];
    loop {
        let broken = |_| Reply::refusal(400, "BLOB_UPLOAD_INVALID", "the blob did not come whole");
        match request.body().read(&mut piece).map_err(broken)? {
            0 => return Ok(()),
            count => writer.write_all(&piece[..count]).map_err(|source| {
                Reply::failed(&store::Error::Io { verb: "write", path: "a blob".into(), source })
            })?,
        }
    }
}

fn finish(route: &Route, writer: BlobWriter, wanted: &str) -> Result<Reply, store::Error> {
    let digest = match route::digest(wanted) {
        Ok(digest) => digest,
        Err(reply) => return Ok(reply),
    };
    let expected = descriptor("blob", digest, writer.size());
    match writer.finish_verified(&expected) {
        Ok(_) => Ok(created(route, &digest)),
        Err(store::Error::Unexpected { .. }) => {
            Ok(Reply::refusal(400, "DIGEST_INVALID", "the blob has another digest"))
        }
        Err(error) => Err(error),
    }
}

fn created(route: &Route, digest: &Digest) -> Reply {
    Reply::empty(201)
        .with("Location", format!("/v2/{}/blobs/{digest}", route.repository))
        .with("Docker-Content-Digest", digest.to_string())
}

fn accepted(route: &Route, id: &str, size: u64) -> Reply {
    placed(Reply::empty(202), route, id, size)
}

fn out_of_order(route: &Route, id: &str, size: u64) -> Reply {
    let text = "the part does not begin where the last one ended";
    placed(Reply::refusal(416, "BLOB_UPLOAD_INVALID", text), route, id, size)
}

/// With the upload's place, and how far it has come: the number of its last byte.
fn placed(reply: Reply, route: &Route, id: &str, size: u64) -> Reply {
    reply
        .with("Location", format!("/v2/{}/blobs/uploads/{id}", route.repository))
        .with("Range", format!("0-{}", size.saturating_sub(1)))
        .with("Docker-Upload-UUID", id)
}

fn unknown() -> Reply {
    Reply::refusal(404, "BLOB_UPLOAD_UNKNOWN", "there is no such upload")
}

/// The first byte of `5-9` (which this API writes without a unit).
fn start_of(range: &str) -> Option<u64> {
    range.trim().trim_start_matches("bytes ").split('-').next()?.trim().parse().ok()
}
