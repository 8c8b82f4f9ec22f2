//! The files of an archive: documents in memory, all else in the store.

use std::collections::HashMap;
use std::io::{self, Read, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};

use image::Digest;
use image::manifest::descriptor;
use store::{Blob, Store};
use tar::EntryType;

use crate::Error;

/// The documents that say what is in an archive.
const DOCUMENTS: [&str; 2] = ["index.json", "manifest.json"];
/// Files that no image needs.
const NEEDLESS: [&str; 4] = ["oci-layout", "repositories", "VERSION", "json"];
/// The largest document, in bytes.
const MAX_DOCUMENT: u64 = 32 << 20;
/// The most files.
const MAX_FILES: u64 = 200_000;
/// How many links lead to a file at most.
const MAX_LINKS: usize = 8;
/// What is read at a time.
const PIECE: usize = 256 << 10;

/// What an archive has, by paths without `./` in front.
#[derive(Default)]
pub(super) struct Files {
    documents: HashMap<String, Vec<u8>>,
    blobs: HashMap<String, Blob>,
    /// Links, by what they lead to.
    links: HashMap<String, String>,
}

impl Files {
    /// Reads the whole stream.
    pub(super) fn read<R: Read>(store: &Store, input: R, stop: &AtomicBool) -> Result<Self, Error> {
        let mut archive =
            tar::Archive::new(store::decompressed(input, PIECE).map_err(Error::Read)?);
        let mut files = Self::default();
        let mut count = 0;
        for entry in archive.entries().map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            count += 1;
            if count > MAX_FILES {
                return Err(Error::TooLarge {
                    what: "the list of files".to_owned(),
                    max: MAX_FILES,
                });
            }
            files.take(store, entry, stop)?;
        }
        // What follows the end of the tar is read, so that who writes into a pipe can end.
        io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(Error::Read)?;
        Ok(files)
    }

    pub(super) fn document(&self, name: &str) -> Option<&[u8]> {
        self.documents.get(name).map(Vec::as_slice)
    }

    /// The blob that a path in the archive leads to.
    pub(super) fn blob(&self, name: &str) -> Result<Blob, Error> {
        let mut path = normal("", name);
        for _ in 0..=MAX_LINKS {
            match (self.blobs.get(&path), self.links.get(&path)) {
                (Some(blob), _) => return Ok(*blob),
                (None, Some(next)) => path.clone_from(next),
                (None, None) => break,
            }
        }
        Err(Error::Missing { name: name.to_owned() })
    }

    fn take<R: Read>(
        &mut self,
        store: &Store,
        mut entry: tar::Entry<'_, R>,
        stop: &AtomicBool,
    ) -> Result<(), Error> {
        let name = normal("", &String::from_utf8_lossy(&entry.path_bytes()));
        let kind = entry.header().entry_type();
        if matches!(kind, EntryType::Symlink | EntryType::Link) {
            let target = entry.link_name_bytes().unwrap_or_default();
            // A hard link's target is a path in the archive, a symbolic one's begins at its own.
            let parent = if kind == EntryType::Symlink { name.as_str() } else { "" };
            let target = normal(parent, &String::from_utf8_lossy(&target));
            self.links.insert(name, target);
        } else if kind.is_file() || kind == EntryType::GNUSparse {
            if DOCUMENTS.contains(&name.as_str()) {
                let bytes = document(&mut entry, &name)?;
                self.documents.insert(name, bytes);
            } else if !NEEDLESS.contains(&name.rsplit('/').next().unwrap_or(&name)) {
                let blob = keep(store, &mut entry, &name, stop)?;
                self.blobs.insert(name, blob);
            }
        }
        Ok(())
    }
}

fn document(entry: &mut impl Read, name: &str) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    entry.take(MAX_DOCUMENT + 1).read_to_end(&mut bytes).map_err(Error::Read)?;
    match bytes.len() as u64 > MAX_DOCUMENT {
        true => Err(Error::TooLarge { what: name.to_owned(), max: MAX_DOCUMENT }),
        false => Ok(bytes),
    }
}

/// Writes a file into the store as a blob. One that is named by its digest must have it.
fn keep<R: Read>(
    store: &Store,
    entry: &mut tar::Entry<'_, R>,
    name: &str,
    stop: &AtomicBool,
) -> Result<Blob, Error> {
    let named = name.strip_prefix("blobs/sha256/").and_then(|hex| Digest::from_hex(hex).ok());
    let expected = named.map(|digest| descriptor("blob", digest, entry.size()));
    if let (Some(digest), Some(expected)) = (named, &expected)
        && store.has_blob(expected)?
    {
        return Ok(Blob { digest, size: entry.size() });
    }
    let mut writer = store.blob_writer()?;
    let mut piece = vec![0; PIECE];
    loop {
        if stop.load(Ordering::Relaxed) {
            return Err(Error::Interrupted);
        }
        let count = entry.read(&mut piece).map_err(Error::Read)?;
        if count == 0 && writer.size() < entry.size() {
            return Err(Error::Truncated { name: name.to_owned() });
        }
        if count == 0 {
            break;
        }
        writer
            .write_all(&piece[..count])
            .map_err(|source| Error::Keep { name: name.to_owned(), source })?;
    }
    Ok(match expected {
        Some(expected) => writer.finish_verified(&expected)?,
        None => writer.finish()?,
    })
}

/// A path as it is looked up: without `.` and `..`, relative to the parent of `from`.
fn normal(from: &str, path: &str) -> String {
    let parent = from.rsplit_once('/').map_or("", |(parent, _)| parent);
    let whole = if path.starts_with('/') { path.to_owned() } else { format!("{parent}/{path}") };
    let mut parts: Vec<&str> = Vec::new();
    for part in whole.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// What is wrong with a header. The library quotes what stands in a number's place, at any length.
fn unreadable(error: io::Error) -> Error {
    match error.to_string().contains("numeric field") {
        true => Error::NoTar,
        false => Error::Read(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_looked_up_in_one_form() {
        for (from, path, want) in [
            ("", "./a/b", "a/b"),
            ("", "/a//b/", "a/b"),
            ("x/layer.tar", "../y/layer.tar", "y/layer.tar"),
            ("x/layer.tar", "../../../etc/passwd", "etc/passwd"),
        ] {
            assert_eq!(normal(from, path), want, "{from} {path}");
        }
    }
}
