//! Opening a store, and making it where there is none.
//!
//! Opening one that is there reads one small file and looks whether all is there: what is ours is a
//! cache, and anybody may delete any of it. Making one is done under a lock on the directory itself, so
//! that two processes may start at once; `tare/lock` comes last. Nothing is lost while a store has no
//! image: it is put on disk with the first one, and what a power cut leaves of it before is made again.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ocidir::OciDir;
use ocidir::cap_std::{ambient_authority, fs::Dir};
use rustix::fs::FlockOperation;
use serde::Deserialize;

use crate::temp::sync_directory;
use crate::{Error, Store, files, lock};

/// Our directories below `tare`.
const DIRECTORIES: [&str; 7] =
    ["tmp", "partial", "layers", "rootfs", "build", "build/records", "leases"];

/// What a directory may have in it and still become a store: what an interrupted start leaves, and
/// what a new file system brings.
const HARMLESS: [&str; 5] = ["blobs", "tare", "index.json", "oci-layout", "lost+found"];

/// Of this age the kernel has long put a file on disk by itself.
const OLD: Duration = Duration::from_secs(600);

/// What says that a directory is an image layout (image-spec, image-layout.md).
const LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// An index without images (image-spec, image-index.md).
const EMPTY_INDEX: &[u8] =
    br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;

#[derive(Deserialize)]
struct LayoutFile {
    #[serde(rename = "imageLayoutVersion")]
    version: String,
}

impl Store {
    /// Opens the store at `root`, and makes it where nothing or an empty directory is. An image layout
    /// that another tool made becomes a store. One that may not be written is opened for reading.
    ///
    /// # Errors
    /// The directory holds something else, or cannot be read or made.
    pub fn open(root: &Path) -> Result<Self, Error> {
        let root = std::path::absolute(root).map_err(Error::io("find", root))?;
        let complete = is_layout(&root)? && is_complete(&root);
        let layout = if complete {
            open_directory(&root).and_then(|dir| OciDir::open(dir).map_err(layout_error(&root)))?
        } else {
            make(&root)?
        };
        let opened = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
        let (session, written) = (Mutex::new(None), Arc::default());
        Ok(Self {
            root,
            layout,
            session,
            max_layer: u64::MAX,
            opened,
            written,
            layout_is_synced: AtomicBool::new(false),
            has_new_names: AtomicBool::new(false),
        })
    }
}

impl Store {
    /// Puts a store on disk that was made a moment ago, but for its index and its root.
    ///
    /// # Errors
    /// The file system's.
    pub fn sync_layout(&self) -> Result<(), Error> {
        if self.layout_is_synced.load(Ordering::Relaxed) {
            return Ok(());
        }
        let path = self.root.join("oci-layout");
        let file = File::open(&path).map_err(Error::io("open", &path))?;
        let made = file.metadata().and_then(|metadata| metadata.modified());
        if !made.is_ok_and(|made| made.elapsed().is_ok_and(|age| age > OLD)) {
            file.sync_all().map_err(Error::io("sync", &path))?;
            sync_directory(&self.root.join("blobs"))?;
        }
        self.layout_is_synced.store(true, Ordering::Relaxed);
        Ok(())
    }
}

fn layout_error(root: &Path) -> impl FnOnce(ocidir::Error) -> Error {
    move |source| Error::Layout { path: root.to_owned(), source: Box::new(source) }
}

fn open_directory(root: &Path) -> Result<Dir, Error> {
    Dir::open_ambient_dir(root, ambient_authority()).map_err(Error::io("open", root))
}

/// Whether the directory is an image layout of the version that we know. A file with nothing in it is what
/// a power cut leaves.
fn is_layout(root: &Path) -> Result<bool, Error> {
    let path = root.join("oci-layout");
    let bytes = files::read_optional(&path, 1 << 16)?.unwrap_or_default();
    if bytes.is_empty() {
        return Ok(false);
    }
    let layout: LayoutFile = serde_json::from_slice(&bytes)
        .map_err(|source| Error::Json { path: path.clone(), source })?;
    match layout.version.as_str() {
        "1.0.0" => Ok(true),
        version => Err(Error::LayoutVersion { path, version: version.to_owned() }),
    }
}

fn is_complete(root: &Path) -> bool {
    let tare = root.join("tare");
    tare.join("lock").exists() && DIRECTORIES.iter().all(|name| tare.join(name).is_dir())
}

fn make(root: &Path) -> Result<OciDir, Error> {
    fs::create_dir_all(root).map_err(Error::io("create", root))?;
    let handle = File::open(root).map_err(Error::io("open", root))?;
    lock::wait(&handle, FlockOperation::LockExclusive).map_err(Error::sys("lock", root))?;
    let layout = is_layout(root)?;
    if !layout && !is_free(root)? {
        return Err(Error::NotALayout(root.to_owned()));
    }
    match complete(root, layout) {
        // A layout on a read-only medium, or somebody else's: it can still be read.
        Err(Error::Io { source, .. }) if layout && is_refused(&source) => {}
        done => done?,
    }
    open_directory(root).and_then(|dir| OciDir::open(dir).map_err(layout_error(root)))
}

fn is_refused(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

fn is_free(root: &Path) -> Result<bool, Error> {
    let mut names = files::names(root)?.into_iter();
    // ocidir writes oci-layout through a file with a dot in front.
    Ok(names.all(|name| HARMLESS.contains(&name.as_str()) || name.starts_with(".tmp")))
}

/// Makes what is missing: `tare`, the index, where there is none the layout; `tare/lock` last.
fn complete(root: &Path, layout: bool) -> Result<(), Error> {
    let tare = root.join("tare");
    let blobs = (!layout).then(|| root.join("blobs/sha256"));
    for directory in DIRECTORIES.iter().map(|name| tare.join(name)).chain(blobs) {
        fs::create_dir_all(&directory).map_err(Error::io("create", &directory))?;
    }
    let new = tare.join("tmp/new");
    let write = |bytes| fs::write(&new, bytes).map_err(Error::io("write", &new));
    let rename = |path: &Path| fs::rename(&new, path).map_err(Error::io("create", path));
    let index = root.join("index.json");
    if !index.exists() {
        write(EMPTY_INDEX)?;
        // An index with nothing in it means that images were lost.
        File::open(&new).and_then(|file| file.sync_all()).map_err(Error::io("sync", &new))?;
        rename(&index)?;
    }
    if !layout {
        write(LAYOUT)?;
        rename(&root.join("oci-layout"))?;
    }
    for name in ["gc.lock", "lock"] {
        let path = tare.join(name);
        let made = File::options().create(true).append(true).open(&path);
        made.map_err(Error::io("create", &path))?;
    }
    Ok(())
}
