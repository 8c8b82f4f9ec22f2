//! What can go wrong with a root file system, and where.

use std::io;
use std::path::{Path, PathBuf};

use tree::LayerPath;

/// Why a root file system could not be made, mounted, unmounted, captured or unpacked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A system call failed on a path.
    #[error("cannot {verb} {path:?}")]
    Io {
        /// What was being done.
        verb: &'static str,
        /// To what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The kernel refused a mount.
    #[error("cannot mount {filesystem} for {target:?}: {detail}")]
    Mount {
        /// `erofs`, `overlay`, …
        filesystem: &'static str,
        /// What was to be mounted, or where.
        target: PathBuf,
        /// What the kernel says about it, or what to do.
        detail: String,
        /// The error of the call.
        source: io::Error,
    },
    /// A mount that is not ours stands at, on or in a root file system that is to go away.
    #[error("{mountpoint:?} is mounted there by someone else: unmount it first")]
    Foreign {
        /// Where the other mount is.
        mountpoint: PathBuf,
    },
    /// The tree of the image could not be had.
    #[error("cannot read the layers")]
    Tree(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The tree has no EROFS index.
    #[error("cannot index the layers")]
    Index(#[source] erofs::Error),
    /// A layer of the tree has no tar.
    #[error("layer {0} of the tree has no tar")]
    MissingLayer(u32),
    /// A layer's tar ends before the content of a file.
    #[error("the layer tar {tar:?} ends within {path}")]
    ShortTar {
        /// The tar.
        tar: PathBuf,
        /// The file whose content it should hold.
        path: LayerPath,
    },
    /// A file changed while it was read.
    #[error("{0} changed while it was captured")]
    Changed(LayerPath),
    /// A file's name cannot stand in a layer.
    #[error("cannot put {path:?} into a layer")]
    Name {
        /// The file.
        path: PathBuf,
        /// What is wrong with its name.
        source: tree::PathError,
    },
    /// The layer could not be written.
    #[error(transparent)]
    Write(#[from] tree::WriteError),
    /// Owners, devices or privileged attributes need root.
    #[error("cannot {verb} {path}: this needs root")]
    Privilege {
        /// What was being done.
        verb: &'static str,
        /// To what, inside the tree.
        path: LayerPath,
    },
    /// The user namespace has no such owner.
    #[error("cannot give {path:?} to {uid}:{gid}: the user namespace {}", missing(*.count, .user))]
    NoId {
        /// The file.
        path: PathBuf,
        /// Its user.
        uid: u32,
        /// Its group.
        gid: u32,
        /// How many users the namespace has.
        count: u64,
        /// Whose namespace it is: name, else number.
        user: String,
    },
    /// The target of an unpack has something in it already.
    #[error("{0:?} is not empty")]
    NotEmpty(PathBuf),
}

impl Error {
    /// The file cannot belong to these, in this process's user namespace.
    pub(crate) fn no_id(path: &Path, uid: u32, gid: u32) -> Self {
        let (path, ids) = (path.to_owned(), crate::ids());
        let user = crate::user_namespace::owner().unwrap_or_else(|| "USER".to_owned());
        Self::NoId { path, uid, gid, count: ids.map_or(0, crate::Ids::users), user }
    }

    /// An [`Error::Io`] maker, for `map_err`.
    pub(crate) fn io<E: Into<io::Error>>(
        verb: &'static str,
        path: &Path,
    ) -> impl FnOnce(E) -> Self + use<E> {
        let path = path.to_owned();
        move |error| Self::Io { verb, path, source: error.into() }
    }
}

/// What the namespace lacks, and where its user gets it.
fn missing(count: u64, user: &str) -> String {
    match count {
        0 | 1 => format!(
            "has no other id than root's: give {user} some with a line {user}:100000:65536 in \
             /etc/subuid and in /etc/subgid, and install newuidmap (package uidmap)"
        ),
        count => format!(
            "has {count} ids: give {user} more with a further line in /etc/subuid and in /etc/subgid"
        ),
    }
}
