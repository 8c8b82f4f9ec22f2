//! From a layer blob to the layer's tar.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use image::manifest::{self, Descriptor};
use image::media_type::{self, Compression};
use image::{DiffId, Digest};
use sha2::{Digest as _, Sha256};
use tree::Changeset;

use super::Layer;
use super::decode::{Decoded, decode};
use crate::temp::Temp;
use crate::{Error, Store, files};

/// Unpacks, checks and names a layer. Its tar is not there yet.
///
/// What is decompressed is checked against the diff ID, so that what is compressed need not be: whoever put
/// it here has. Where something is wrong, it tells whether the blob is.
pub(super) fn unpack(store: &Store, layer: &Descriptor, want: &DiffId) -> Result<Layer, Error> {
    let digest = manifest::digest(layer)?;
    let path = store.blob_path(&digest);
    // The size is checked here.
    drop(store.open_blob(layer)?);
    let is_plain = media_type::compression(layer.media_type().as_ref()) == Some(Compression::None)
        && digest == *want.digest();
    let made = match is_plain {
        true => link(store, &path, want),
        false => decompress(store, &path, &digest, want),
    };
    match made {
        Err(error) if !error.is_full_disk() => {
            let file = files::open(&path).map_err(Error::io("open", &path))?;
            let got = Hashed::new(file).finish().map_err(Error::io("read", &path))?;
            match got == digest {
                true => Err(error),
                false => Err(Error::Corrupt { want: digest, got, path }),
            }
        }
        made => made,
    }
}

/// The blob is the tar: there is nothing to write, and its digest is taken where it is read.
fn link(store: &Store, path: &Path, want: &DiffId) -> Result<Layer, Error> {
    let file = files::open(path).map_err(Error::io("open", path))?;
    let mut input = Hashed::new(file);
    let decoded = decode(&mut input, &mut |_| Ok(()), |tar| Changeset::read_tar(tar));
    let got = input.finish().map_err(Error::io("read", path))?;
    if got != *want.digest() {
        return Err(Error::Corrupt { want: *want.digest(), got, path: path.to_owned() });
    }
    store.link_layer(path, want, &checked(decoded, want.digest())?)
}

fn decompress(store: &Store, path: &Path, blob: &Digest, want: &DiffId) -> Result<Layer, Error> {
    let mut input = files::open(path).map_err(Error::io("open", path))?;
    let mut tar = Tar::new(store, blob)?;
    let decoded = decode(&mut input, &mut |chunk| tar.take(chunk), |tar| Changeset::read_tar(tar));
    if let Err(error) = &decoded.sink {
        let copy = io::Error::new(error.kind(), error.to_string());
        let overflow = tar.overflow.take();
        return Err(overflow.unwrap_or_else(|| Error::io("write", tar.temp.path())(copy)));
    }
    let changeset = checked(decoded, blob)?;
    let temp = tar.finish(blob, want)?;
    store.write_toc(want, &changeset)?;
    temp.sync()?;
    let tar = store.layer_path(want, "tar");
    let _names = store.lock_names()?;
    let size = temp.file().metadata().map_err(Error::io("read", temp.path()))?.len();
    temp.publish(&tar)?;
    Ok(Layer { diff_id: *want, tar, size })
}

fn checked(decoded: Decoded, layer: &Digest) -> Result<Changeset, Error> {
    let layer = || layer.to_string();
    decoded.stream.map_err(|source| Error::Decompress { layer: layer(), source })?;
    decoded.changeset.map_err(|source| Error::Tar { layer: layer(), source })
}

/// The blob, hashed as it is read.
pub(super) struct Hashed {
    file: File,
    hasher: Sha256,
}

impl Hashed {
    pub(super) fn new(file: File) -> Self {
        Self { file, hasher: Sha256::new() }
    }

    /// The digest of the whole file: what the decoder left unread is read here.
    pub(super) fn finish(mut self) -> io::Result<Digest> {
        let mut rest = vec![0; 128 << 10];
        while self.read(&mut rest)? > 0 {}
        Ok(Digest::from_bytes(self.hasher.finalize().into()))
    }
}

impl Read for Hashed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }
}

struct Tar {
    temp: Temp,
    hasher: Sha256,
    written: u64,
    /// What it may have.
    max: u64,
    /// What there is room for.
    room: u64,
    layer: Digest,
    overflow: Option<Error>,
}

impl Tar {
    fn new(store: &Store, layer: &Digest) -> Result<Self, Error> {
        let (temp, max, room) = (store.temp()?, store.max_layer, store.space()?.free);
        let (hasher, layer) = (Sha256::new(), *layer);
        Ok(Self { temp, hasher, written: 0, max, room, layer, overflow: None })
    }

    fn take(&mut self, chunk: &[u8]) -> io::Result<()> {
        self.written += chunk.len() as u64;
        if self.written > self.max {
            let what = format!("layer {}, decompressed,", self.layer);
            self.overflow = Some(Error::TooLarge { what, max: self.max });
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        if self.written > self.room {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.hasher.update(chunk);
        self.temp.file().write_all(chunk)?;
        self.temp.write_early(self.written - chunk.len() as u64, self.written);
        Ok(())
    }

    fn finish(self, layer: &Digest, want: &DiffId) -> Result<Temp, Error> {
        let got = DiffId::new(Digest::from_bytes(self.hasher.finalize().into()));
        match got == *want {
            true => Ok(self.temp),
            false => Err(Error::DiffId { layer: *layer, want: *want, got }),
        }
    }
}
