//! A tree of files as an EROFS index: an image that has all metadata and no file content.
//!
//! ```text
//! byte 0       1024          1152                 meta                            end
//! │ unused     │ superblock  │ device table       │ inodes, each with its         │ blocks of large
//! │            │ 128 bytes   │ 128 bytes a layer  │ attributes, names or chunks   │ directories
//! ```
//!
//! The kernel mounts it with the layers' tars as devices (`device=`), in the order of the layers: a
//! regular file is a list of chunks, each a device and a block in it. A tar keeps contents at
//! boundaries of 512 bytes, and that is the block size here, so a file that is not sparse is one chunk.
//!
//! The format is described in the kernel's `Documentation/filesystems/erofs.rst` and in
//! <https://erofs.docs.kernel.org>. No compression, no shared attributes, and only extended inodes,
//! since compact ones have no time of their own. The same tree always gives the same bytes. Nothing
//! here touches a file.

mod chunks;
mod directory;
mod inode;
mod layout;
mod superblock;
mod xattrs;

use tree::{LayerPath, NodeId, Tree};

/// Why a tree cannot be an EROFS image over its layers' tars.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A sparse file's runs do not lie at boundaries of 512 bytes, in the file and in the tar.
    #[error("{path} is sparse in a way that blocks of 512 bytes cannot show")]
    Unaligned {
        /// The file.
        path: LayerPath,
    },
    /// A layer's tar lacks the padding after its last file, as `umoci insert` writes it. The kernel
    /// reads whole blocks only; a padded copy of the tar would do.
    #[error("{path} ends with its layer, without the padding that tars have")]
    Unpadded {
        /// The file.
        path: LayerPath,
    },
    /// A sparse file is so large and its runs so fine that its index would be huge.
    #[error("{path} is sparse with too many runs to index")]
    TooSparse {
        /// The file.
        path: LayerPath,
    },
    /// A file lies beyond the end of its layer, in a layer that was not given, or beyond 2 TiB.
    #[error("{path} has content outside of layer {layer}")]
    Outside {
        /// The file.
        path: LayerPath,
        /// The number of its layer.
        layer: u32,
    },
    /// An extended attribute is 65,536 bytes long; EROFS ends one byte before that.
    #[error("extended attribute {name:?} of {path} is too long for EROFS")]
    Xattr {
        /// The file.
        path: LayerPath,
        /// The attribute's name.
        name: String,
    },
    /// There are more layers than EROFS can have devices.
    #[error("{0} layers are too many for EROFS")]
    Devices(usize),
    /// A layer is larger than 2 TiB, or the index would be larger than 4 GiB.
    #[error("a layer is larger than 2 TiB or the index larger than 4 GiB")]
    TooLarge,
}

/// What is wrong with one node; [`index`] finds its path.
enum Fault {
    Unaligned,
    Unpadded,
    TooSparse,
    Outside(u32),
    Xattr(Vec<u8>),
}

/// The largest index, in bytes: several times that of the largest tree, or room for some files with
/// very many runs, but not for layers made to exhaust memory.
const MAX_INDEX: u64 = 4 << 30;

const BLOCK: u64 = 512;
const BLOCK_BITS: u8 = 9;

/// The bytes of an EROFS image that holds all metadata of `tree`. Layer n's tar, `devices[n]` bytes
/// long, is to be the mount's device n + 1.
///
/// Extended attributes outside of `user.`, `trusted.`, `security.` and the POSIX ACLs are left out,
/// since Linux file systems have no others.
///
/// # Errors
/// A sparse file cannot be mapped, or something is beyond what EROFS can hold.
pub fn index(tree: &Tree, devices: &[u64]) -> Result<Vec<u8>, Error> {
    let first_inode = superblock::size(devices)?;
    let layout = layout::plan(tree, devices, first_inode)
        .map_err(|(id, fault)| fault.at(path_of(tree, id)))?;
    if layout.end > MAX_INDEX {
        return Err(Error::TooLarge);
    }
    let blocks = (layout.end / BLOCK) as u32; // MAX_INDEX sees to it.
    let mut image = vec![0; layout.end as usize];
    for place in &layout.places {
        inode::write(&mut image, tree, &layout, place);
    }
    superblock::write(
        &mut image,
        &superblock::Facts {
            blocks,
            first_inode,
            root: layout.numbers[tree.root().index()],
            inodes: layout.places.len() as u64,
            devices,
        },
    );
    Ok(image)
}

fn path_of(tree: &Tree, id: NodeId) -> LayerPath {
    let found = tree.walk().find(|&(_, other)| other == id);
    found.map_or_else(LayerPath::root, |(path, _)| path)
}

impl Fault {
    fn at(self, path: LayerPath) -> Error {
        match self {
            Self::Unaligned => Error::Unaligned { path },
            Self::Unpadded => Error::Unpadded { path },
            Self::TooSparse => Error::TooSparse { path },
            Self::Outside(layer) => Error::Outside { path, layer },
            Self::Xattr(name) => {
                Error::Xattr { path, name: String::from_utf8_lossy(&name).into_owned() }
            }
        }
    }
}

/// Writes `bytes` into `image` at `at`.
fn put<const N: usize>(image: &mut [u8], at: usize, bytes: [u8; N]) {
    image[at..at + N].copy_from_slice(&bytes);
}
