//! The two ways to have a root file system, and which one works here.

use std::fmt;
use std::fs::{self, DirBuilder};
use std::io::{self, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::str::FromStr;
use std::sync::atomic::{AtomicU32, Ordering};

use tree::{LayerPath, LayerWriter, Metadata, Tree};

use crate::mount::{ReadWrite, read_detached};
use crate::prepare::{LayerTar, Prepared};
use crate::{Error, remove};

/// How a root file system stands below its read-write layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Driver {
    /// An EROFS index whose file data are the layer tars themselves. Needs Linux 6.12.
    Erofs,
    /// The files, unpacked once per chain of layers.
    Directory,
}

/// A word that names no driver.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no driver is called {0:?}: use erofs or directory")]
pub struct DriverError(String);

impl Driver {
    /// Finds the better driver that works for files in `dir`, by really mounting a tiny image there,
    /// out of sight. Also says why. Nothing is left behind, nothing is remembered.
    pub fn probe(dir: &Path) -> (Self, String) {
        match try_erofs(dir) {
            Ok(()) => (Self::Erofs, "layer tars can be mounted as they are".to_owned()),
            Err(error) => (Self::Directory, with_causes(&error)),
        }
    }
}

impl fmt::Display for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Erofs => "erofs",
            Self::Directory => "directory",
        })
    }
}

impl FromStr for Driver {
    type Err = DriverError;

    fn from_str(word: &str) -> Result<Self, DriverError> {
        match word {
            "erofs" => Ok(Self::Erofs),
            "directory" => Ok(Self::Directory),
            _ => Err(DriverError(word.to_owned())),
        }
    }
}

const NAME: &str = "probe";
const CONTENT: &[u8] = b"a file in a tar";

fn try_erofs(dir: &Path) -> Result<(), Error> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let scratch = dir.join(format!(".probe-{}-{count}", std::process::id()));
    DirBuilder::new().mode(0o700).create(&scratch).map_err(Error::io("create", &scratch))?;
    let result = mount_and_read(&scratch);
    remove(&scratch)?;
    result
}

fn mount_and_read(scratch: &Path) -> Result<(), Error> {
    let path = scratch.join("layer.tar");
    let (tar, tree) = tiny_layer().map_err(Error::Tree)?;
    fs::write(&path, &tar).map_err(Error::io("write", &path))?;
    let index = scratch.join("index");
    let bytes = erofs::index(&tree, &[tar.len() as u64]).map_err(Error::Index)?;
    fs::write(&index, bytes).map_err(Error::io("write", &index))?;
    let layers = vec![LayerTar { path, size: tar.len() as u64 }];
    let prepared = Prepared { driver: Driver::Erofs, path: index, layers };
    let rw = ReadWrite { upper: scratch.join("upper"), work: scratch.join("work"), volatile: true };
    let mut content = Vec::new();
    read_detached(&prepared, &rw, scratch, NAME)?
        .read_to_end(&mut content)
        .map_err(Error::io("read through the mount in", scratch))?;
    match content == CONTENT {
        true => Ok(()),
        false => Err(Error::io("read back a file in", scratch)(io::Error::other("it differs"))),
    }
}

fn tiny_layer() -> Result<(Vec<u8>, Tree), Box<dyn std::error::Error + Send + Sync>> {
    let mut writer = LayerWriter::new(Vec::new());
    let metadata = Metadata { mode: 0o644, ..Metadata::default() };
    writer.append_file(&LayerPath::new(NAME)?, &metadata, CONTENT.len() as u64, CONTENT)?;
    let (tar, changeset) = writer.finish()?;
    Ok((tar, Tree::fold([&changeset])?))
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
