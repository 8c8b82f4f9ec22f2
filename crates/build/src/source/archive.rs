//! Archives: tars, plain or compressed, that `ADD` unpacks and contexts arrive as.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::sync::Arc;

use tree::{Changeset, Tree};

use super::Layers;
use super::layers::Spool;
use crate::{Error, Interrupt};

/// How a stream is compressed, told by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compression {
    None,
    Gzip,
    Zstd,
    Bzip2,
    Xz,
}

/// How much of a file is looked at to tell what it is: one tar header.
const HEAD: usize = 512;

/// How many bytes of an archive are read, or written, at once.
const BUFFER: usize = 128 << 10;

/// The most memory, in KiB, that unpacking xz may take; `xz -9` needs a quarter of it.
const XZ_MEMORY: u32 = 256 << 10;

/// The bytes of a tar at rest, with what is in it.
pub(crate) struct Archive {
    /// Its files, as a source to copy from.
    pub(crate) layers: Layers,
    /// Holds the bytes.
    _spool: Spool,
}

impl Archive {
    /// Reads a tar, compressed or not, into a file in `folder`, and lists it. What it unpacks to may be
    /// a thousand times as much: the disk bounds it, and an interrupt ends it.
    pub(crate) fn read(
        name: &Path,
        reader: impl Read,
        folder: &Path,
        interrupt: &Interrupt,
    ) -> Result<Self, Error> {
        let shown = name.to_string_lossy();
        Self::written(&shown, folder, interrupt, |file| {
            let fail = |error| Error::io("unpack the archive", name, error);
            let reader = decompressed(reader).map_err(fail)?;
            let mut reader = Stopping { reader, interrupt };
            let mut file = BufWriter::with_capacity(BUFFER, file);
            io::copy(&mut reader, &mut file).and_then(|_| file.flush()).map_err(fail)
        })
    }

    /// A tar that `write` writes into a file in `folder`.
    pub(crate) fn written(
        name: &str,
        folder: &Path,
        interrupt: &Interrupt,
        write: impl FnOnce(&File) -> Result<(), Error>,
    ) -> Result<Self, Error> {
        let made = Self::spooled(name, folder, interrupt, write);
        // Whatever the reader said then.
        if interrupt.is_set() { Err(Error::Interrupted) } else { made }
    }

    fn spooled(
        name: &str,
        folder: &Path,
        interrupt: &Interrupt,
        write: impl FnOnce(&File) -> Result<(), Error>,
    ) -> Result<Self, Error> {
        let name = Path::new(name);
        let fail = |error| Error::io("read the archive", name, error);
        fs::create_dir_all(folder).map_err(|error| Error::io("create", folder, error))?;
        let path = folder.join(format!("{}.tar", crate::names::unique()));
        let mut file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(|error| Error::io("create", &path, error))?;
        let spool = Spool::new(path, &file).map_err(fail)?;
        write(&file)?;
        file.seek(SeekFrom::Start(0)).map_err(fail)?;
        let reader = BufReader::with_capacity(BUFFER, Stopping { reader: file, interrupt });
        let listed = Changeset::read_tar(reader);
        let changeset = listed.map_err(|error| Error::archive(name, error))?;
        let tree = Tree::fold([&changeset]).map_err(|error| Error::archive(name, error))?;
        let tars = [spool.path().to_owned()];
        let layers = Layers::new("the build context", Arc::new(tree), tars);
        Ok(Self { layers, _spool: spool })
    }
}

/// A reader that fails once it is asked to stop.
struct Stopping<'a, R> {
    reader: R,
    interrupt: &'a Interrupt,
}

impl<R: Read> Read for Stopping<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.interrupt.is_set() {
            true => Err(io::Error::other("interrupted")),
            false => self.reader.read(buffer),
        }
    }
}

/// Whether a file is a tar that `ADD` unpacks: what its first bytes decompress to is a tar header.
pub(crate) fn is_archive(mut reader: impl Read) -> io::Result<bool> {
    let head = head(&mut reader, HEAD)?;
    if compression(&head) == Compression::None {
        return Ok(is_tar(&head));
    }
    let Ok(mut inner) = decompressed(head.chain(reader)) else { return Ok(true) };
    // What looks compressed and is not decompressible is an ordinary file to docker.
    let Ok(inner) = self::head(&mut inner, HEAD) else { return Ok(false) };
    Ok(is_tar(&inner))
}

fn head(reader: &mut impl Read, length: usize) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    reader.take(length as u64).read_to_end(&mut head)?;
    Ok(head)
}

/// A header whose checksum is right (POSIX pax, "ustar Interchange Format"; old tars have no magic).
fn is_tar(head: &[u8]) -> bool {
    let Some(checksum) = head.get(148..156).filter(|_| head.len() == HEAD) else { return false };
    let text = String::from_utf8_lossy(checksum);
    let stored = u32::from_str_radix(text.trim_matches([' ', '\0']), 8);
    let sum =
        |index: usize, byte: u8| if (148..156).contains(&index) { 32 } else { u32::from(byte) };
    stored == Ok(head.iter().enumerate().map(|(index, &byte)| sum(index, byte)).sum())
}

fn compression(head: &[u8]) -> Compression {
    match head {
        [0x1f, 0x8b, 0x08, ..] => Compression::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Compression::Zstd,
        [b'B', b'Z', b'h', ..] => Compression::Bzip2,
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Compression::Xz,
        _ => Compression::None,
    }
}

/// The stream behind a compressed one.
fn decompressed<'a>(mut reader: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let head = head(&mut reader, 6)?;
    let kind = compression(&head);
    let whole = io::Cursor::new(head).chain(reader);
    match kind {
        Compression::None => Ok(Box::new(whole)),
        Compression::Gzip => {
            Ok(Box::new(store::Gunzip::new(BufReader::with_capacity(BUFFER, whole))))
        }
        Compression::Zstd => Ok(Box::new(zstd::Decoder::new(whole)?)),
        Compression::Bzip2 => Ok(Box::new(bzip2::read::MultiBzDecoder::new(whole))),
        Compression::Xz => {
            Ok(Box::new(lzma_rust2::XzReader::new_mem_limit(whole, true, XZ_MEMORY)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tar() -> Vec<u8> {
        let mut writer = tree::LayerWriter::new(Vec::new());
        let path = tree::LayerPath::new("a").unwrap();
        writer.append_file(&path, &tree::Metadata::default(), 1, &b"x"[..]).unwrap();
        writer.finish().unwrap().0
    }

    #[test]
    fn tells_archives_from_files() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&tar()).unwrap();
        let mut text = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        text.write_all(b"text").unwrap();
        for (bytes, want) in [
            (tar(), true),
            (gzip.finish().unwrap(), true),
            (text.finish().unwrap(), false),
            (zstd::encode_all(&tar()[..], 1).unwrap(), true),
            (b"text".to_vec(), false),
            (vec![0; 1024], false),
            (Vec::new(), false),
        ] {
            assert_eq!(is_archive(&bytes[..]).unwrap(), want, "{} bytes", bytes.len());
        }
    }
}
