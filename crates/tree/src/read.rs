//! A layer's tar in, its changeset out: one pass, no seeking, file contents skipped.
//!
//! The tar crate gives the layout of headers. The pass over the archive is our own, because the
//! crate's hides where sparse files' runs lie, reads records of any length into memory, splits PAX
//! values at newlines (an attribute is binary) and cannot go on after a size that only PAX knows.
//!
//! What is understood: v7, POSIX ustar and pax, GNU (long names, base-256 numbers, sparse files in all
//! four forms). As in containerd, global PAX headers have no effect and unknown types are refused.

mod blocks;
mod error;
mod header;
mod pax;
mod sparse;

use std::io::Read;

use tar::Header;

use blocks::Blocks;
pub use error::{ReadCause, ReadError};
use pax::Records;

use crate::entry::is_overlay_private;
use crate::limits::{self, LimitError, MAX_ENTRIES};
use crate::{Changeset, Device, Entry, EntryKind, LayerPath, Metadata, Timestamp};

/// The most bytes of PAX and GNU records before one entry; what Go's archive/tar allows for one.
const MAX_RECORDS: u64 = 1 << 20;

/// The most bytes that names, targets and attributes of one layer may have together.
const MAX_METADATA: usize = 512 << 20;

impl Changeset {
    /// Reads a layer's uncompressed tar from `reader`, to its end: padding and anything else after
    /// the tar's end marker too, so that a digest taken on the way covers all of the blob.
    ///
    /// # Errors
    /// The tar is cut off or malformed, or an entry has what no layer may have: a name that leads out
    /// of the root, an unknown type, absurd sizes. The error says which entry, and where it begins.
    pub fn read_tar<R: Read>(reader: R) -> Result<Self, ReadError> {
        Self::read(reader, false)
    }

    /// As [`Changeset::read_tar`], for a tar without a digest: the end marker must be there, as
    /// nothing else tells a whole archive from one whose writer died between two files.
    ///
    /// # Errors
    /// As [`Changeset::read_tar`], and where there is no end marker.
    pub fn read_whole_tar<R: Read>(reader: R) -> Result<Self, ReadError> {
        Self::read(reader, true)
    }

    fn read<R: Read>(reader: R, needs_marker: bool) -> Result<Self, ReadError> {
        let mut layer = LayerReader {
            blocks: Blocks::new(reader),
            changeset: Self::default(),
            pending: Pending::default(),
            name: String::new(),
            start: 0,
            metadata_size: 0,
        };
        let mut read = layer.run();
        if read.is_ok() && needs_marker && !layer.blocks.is_marked() {
            read = Err(ReadCause::Unmarked);
        }
        match read {
            Ok(()) => Ok(layer.changeset),
            Err(cause) => Err(ReadError { entry: layer.name, offset: layer.start, cause }),
        }
    }
}

/// Records that came before a header and are about it.
#[derive(Default)]
struct Pending {
    /// The bytes of all records.
    size: u64,
    pax: Records,
    gnu_path: Option<Vec<u8>>,
    gnu_link: Option<Vec<u8>>,
}

struct LayerReader<R> {
    blocks: Blocks<R>,
    changeset: Changeset,
    pending: Pending,
    /// The entry at hand, for errors: its name as far as it is known, and where its header is.
    name: String,
    start: u64,
    metadata_size: usize,
}

impl<R: Read> LayerReader<R> {
    fn run(&mut self) -> Result<(), ReadCause> {
        loop {
            self.start = self.blocks.position();
            self.name.clear();
            let Some(block) = self.blocks.header()? else { break };
            let header = Header::from_byte_slice(&block);
            // What has a wrong checksum has no name either.
            header::verify(header)?;
            self.name = String::from_utf8_lossy(&header::path(header)).into_owned();
            self.member(header)?;
        }
        if !self.pending.is_empty() {
            return Err(ReadCause::Truncated);
        }
        self.blocks.drain()
    }

    fn member(&mut self, header: &Header) -> Result<(), ReadCause> {
        let kind = header.as_old().linkflag[0];
        let size = header::unsigned(&header.as_old().size, "size")?;
        match kind {
            b'x' | b'X' => {
                let data = self.record(size)?;
                self.pending.pax.parse(&data)
            }
            b'g' | b'V' => self.blocks.skip_content(size), // No effect; a volume's label.
            b'L' | b'K' => {
                let name = Some(until_nul(self.record(size)?));
                let pending = &mut self.pending;
                *(if kind == b'L' { &mut pending.gnu_path } else { &mut pending.gnu_link }) = name;
                Ok(())
            }
            _ => self.file(header, kind, size),
        }
    }

    fn record(&mut self, size: u64) -> Result<Vec<u8>, ReadCause> {
        self.pending.size = self.pending.size.saturating_add(size);
        if self.pending.size > MAX_RECORDS {
            return Err(ReadCause::RecordsTooLarge(self.pending.size));
        }
        self.blocks.content(size as usize)
    }

    fn file(&mut self, header: &Header, kind: u8, size: u64) -> Result<(), ReadCause> {
        let mut pending = std::mem::take(&mut self.pending);
        let raw_path = pending.path(header);
        self.name = String::from_utf8_lossy(&raw_path).into_owned();
        let size = pending.pax.size.unwrap_or(size);
        // As v7 tars have directories, and as GNU tar reads them.
        let slashed = matches!(kind, b'0' | b'\0' | b'7') && raw_path.ends_with(b"/");
        let kind = match kind {
            b'0' | b'\0' | b'7' if !slashed => {
                EntryKind::File(sparse::content(&mut self.blocks, &pending.pax, size)?)
            }
            b'S' => EntryKind::File(sparse::gnu_content(&mut self.blocks, header, size)?),
            _ if slashed => {
                self.blocks.skip_content(size)?;
                EntryKind::Directory
            }
            _ => bodiless(header, kind, &mut pending)?,
        };
        if is_aufs(&raw_path) {
            return Ok(());
        }
        let entry = match marker(&raw_path)? {
            Some((path, kind)) => Entry { path, kind, metadata: Metadata::default() },
            None => {
                let metadata = metadata(header, &mut pending.pax)?;
                Entry { path: LayerPath::cleaned(&raw_path)?, kind, metadata }
            }
        };
        self.push(entry)
    }

    fn push(&mut self, entry: Entry) -> Result<(), ReadCause> {
        limits::check(&entry)?;
        self.metadata_size += weight(&entry);
        if self.metadata_size > MAX_METADATA {
            return Err(ReadCause::MetadataTooLarge);
        }
        if self.changeset.len() >= MAX_ENTRIES {
            return Err(LimitError::Entries.into());
        }
        self.changeset.push(entry);
        Ok(())
    }
}

impl Pending {
    fn is_empty(&self) -> bool {
        self.size == 0
    }

    /// GNU's record goes before PAX's, as in Go's archive/tar.
    fn path(&mut self, header: &Header) -> Vec<u8> {
        let records = self.gnu_path.take().or_else(|| self.pax.path());
        records.unwrap_or_else(|| header::path(header))
    }

    fn link(&mut self, header: &Header) -> Vec<u8> {
        let records = self.gnu_link.take().or_else(|| self.pax.link_path.take());
        records.unwrap_or_else(|| until_nul(header.as_old().linkname.to_vec()))
    }
}

/// The types that have no content. A size in their header means nothing, as in Go's archive/tar: old
/// tools put the target's there.
fn bodiless(header: &Header, kind: u8, pending: &mut Pending) -> Result<EntryKind, ReadCause> {
    Ok(match kind {
        b'1' => EntryKind::HardLink(LayerPath::cleaned(pending.link(header))?),
        b'2' => EntryKind::Symlink(pending.link(header)),
        b'3' => EntryKind::CharDevice(device(header)?),
        b'4' => EntryKind::BlockDevice(device(header)?),
        b'5' => EntryKind::Directory,
        b'6' => EntryKind::Fifo,
        other => return Err(ReadCause::Type(other.escape_ascii().to_string())),
    })
}

fn metadata(header: &Header, pax: &mut Records) -> Result<Metadata, ReadCause> {
    let old = header.as_old();
    let mut xattrs = std::mem::take(&mut pax.xattrs);
    xattrs.retain(|name, _| !is_overlay_private(name));
    Ok(Metadata {
        mode: (header::number(&old.mode, "mode")? & 0o7777) as u16,
        uid: owner(pax.uid, &old.uid, "uid")?,
        gid: owner(pax.gid, &old.gid, "gid")?,
        mtime: match pax.mtime {
            Some(mtime) => mtime,
            None => Timestamp { seconds: header::number(&old.mtime, "mtime")?, nanoseconds: 0 },
        },
        xattrs,
    })
}

fn owner(pax: Option<u64>, field: &[u8], name: &'static str) -> Result<u32, ReadCause> {
    let number = match pax {
        Some(number) => number,
        None => header::unsigned(field, name)?,
    };
    u32::try_from(number).map_err(|_| ReadCause::Number(name))
}

fn device(header: &Header) -> Result<Device, ReadCause> {
    let (major, minor) = match (header.as_ustar(), header.as_gnu()) {
        (Some(ustar), _) => (&ustar.dev_major, &ustar.dev_minor),
        (_, Some(gnu)) => (&gnu.dev_major, &gnu.dev_minor),
        _ => return Ok(Device { major: 0, minor: 0 }),
    };
    let number = |field: &[u8; 8], name| {
        u32::try_from(header::unsigned(field, name)?).map_err(|_| ReadCause::Number(name))
    };
    Ok(Device { major: number(major, "device major")?, minor: number(minor, "device minor")? })
}

/// Whether the path is one of AUFS's own, which mean nothing to others: a component starts with
/// `.wh..wh.` and it is not the mark of an opaque directory.
fn is_aufs(raw_path: &[u8]) -> bool {
    let mut names = raw_path.split(|&byte| byte == b'/').filter(|name| !name.is_empty());
    let last = names.next_back().unwrap_or_default();
    let private = |name: &[u8]| name.starts_with(b".wh..wh.");
    names.any(private) || (private(last) && last != b".wh..wh..opq")
}

/// What a name that starts with `.wh.` means instead (OCI image-spec, layer.md, "Whiteouts"). It may be
/// longer by that than a name can be.
fn marker(raw_path: &[u8]) -> Result<Option<(LayerPath, EntryKind)>, ReadCause> {
    let end = raw_path.iter().rposition(|&byte| byte != b'/').map_or(0, |last| last + 1);
    let path = &raw_path[..end];
    let (directory, name) =
        path.split_at(path.iter().rposition(|&b| b == b'/').map_or(0, |at| at + 1));
    let Some(hidden) = name.strip_prefix(b".wh.") else { return Ok(None) };
    match hidden {
        b"" | b"." | b".." => Err(ReadCause::Whiteout),
        b".wh..opq" => Ok(Some((LayerPath::cleaned(directory)?, EntryKind::Opaque))),
        _ => Ok(Some((LayerPath::cleaned([directory, hidden].concat())?, EntryKind::Whiteout))),
    }
}

fn weight(entry: &Entry) -> usize {
    let target = match &entry.kind {
        EntryKind::Symlink(target) => target.len(),
        EntryKind::HardLink(target) => target.as_bytes().len(),
        EntryKind::File(content) => size_of_val(&content.extents[..]),
        _ => 0,
    };
    let xattrs = entry.metadata.xattrs.iter().map(|(name, value)| 64 + name.len() + value.len());
    entry.path.as_bytes().len() + target + xattrs.sum::<usize>()
}

fn until_nul(mut bytes: Vec<u8>) -> Vec<u8> {
    if let Some(end) = bytes.iter().position(|&byte| byte == 0) {
        bytes.truncate(end);
    }
    bytes
}
