//! Blobs: whole, or a range of one (RFC 9110, section 14).

use std::fs::File;
use std::io::{ErrorKind, Seek as _, SeekFrom};

use image::Digest;
use store::Removal;

use super::Place;
use super::http::Request;
use super::reply::Reply;

const BLOB: &str = "application/octet-stream";

impl Place<'_> {
    pub(super) fn blob(
        &self,
        digest: &Digest,
        request: &Request<'_>,
    ) -> Result<Reply, store::Error> {
        let path = self.store.blob_path(digest);
        let failed = |source| store::Error::Io { verb: "read", path: path.clone(), source };
        let mut file = match File::open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(unknown()),
            opened => opened.map_err(failed)?,
        };
        let size = file.metadata().map_err(failed)?.len();
        let reply = match request.header("Range").map(|text| range(text, size)) {
            None | Some(Range::Whole) => Reply::file(200, BLOB, file, size),
            Some(Range::Impossible) => {
                let text = "the blob has no such part";
                let reply = Reply::refusal(416, "RANGE_INVALID", text);
                return Ok(reply.with("Content-Range", format!("bytes */{size}")));
            }
            Some(Range::Part(first, last)) => {
                file.seek(SeekFrom::Start(first)).map_err(failed)?;
                Reply::file(206, BLOB, file, last - first + 1)
                    .with("Content-Range", format!("bytes {first}-{last}/{size}"))
            }
        };
        Ok(reply.with("Docker-Content-Digest", digest.to_string()).with("Accept-Ranges", "bytes"))
    }
}

impl Place<'_> {
    /// Removes a blob that no image has: one that an image has would leave that in pieces.
    pub(super) fn delete_blob(&self, digest: &Digest) -> Result<Reply, store::Error> {
        Ok(match self.store.remove_blob(digest)? {
            Removal::Removed => Reply::empty(202),
            Removal::Absent => unknown(),
            Removal::InUse => Reply::unsupported("an image has this blob; remove that first"),
        })
    }
}

fn unknown() -> Reply {
    Reply::refusal(404, "BLOB_UNKNOWN", "there is no such blob")
}

/// What a `Range` asks for, first and last byte.
#[derive(Debug, PartialEq)]
enum Range {
    /// Several parts, or none that can be read: all is sent.
    Whole,
    Part(u64, u64),
    Impossible,
}

fn range(text: &str, size: u64) -> Range {
    let parts = text.trim().strip_prefix("bytes=").and_then(|part| part.split_once('-'));
    let Some((first, last)) = parts else { return Range::Whole };
    let number = |text: &str| text.trim().parse::<u64>();
    let (first, last) = match (first.trim().is_empty(), number(first), number(last)) {
        (true, _, Ok(0)) => return Range::Impossible,
        (true, _, Ok(count)) => (size.saturating_sub(count), u64::MAX),
        (false, Ok(first), Ok(last)) if first <= last => (first, last),
        // RFC 9110, section 14.2: it may be ignored or refused; distribution-spec's tests want the latter.
        (false, Ok(_), Ok(_)) => return Range::Impossible,
        (false, Ok(first), Err(_)) if last.trim().is_empty() => (first, u64::MAX),
        _ => return Range::Whole,
    };
    match first < size {
        true => Range::Part(first, last.min(size - 1)),
        false => Range::Impossible,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        for (text, want) in [
            ("bytes=0-4", Range::Part(0, 4)),
            ("bytes=5-", Range::Part(5, 9)),
            ("bytes=5-99", Range::Part(5, 9)),
            ("bytes=-3", Range::Part(7, 9)),
            ("bytes=-30", Range::Part(0, 9)),
            ("bytes=10-", Range::Impossible),
            ("bytes=-0", Range::Impossible),
            ("bytes=4-2", Range::Impossible),
            ("bytes=0-1,3-4", Range::Whole),
            ("lines=1-2", Range::Whole),
            ("bytes=-", Range::Whole),
        ] {
            assert_eq!(range(text, 10), want, "{text}");
        }
        assert_eq!(range("bytes=0-", 0), Range::Impossible);
    }
}
