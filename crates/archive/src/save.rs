//! Images as an archive: an OCI layout in a tar, and for docker a `manifest.json` beside.
//!
//! Since version 25 `docker save` writes both at once, and every reader takes the part that it knows:
//! image-spec, image-layout.md; docker's image specification v1.2, "Combined Image JSON + Filesystem
//! Changeset Format". The documents stand first, so that a reader of the stream knows what comes.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use image::manifest::REF_NAME;
use image::{Descriptor, Digest, ImageManifest, Platform, Reference, media_type};
use serde_json::{Value, json};
use store::{Content, LayerForm, Outgoing, Store, Watch};
use tree::{Entry, EntryKind, LayerPath, LayerSink, LayerWriter, Metadata};

use crate::Error;
use crate::name::CONTAINERD;

/// What `oci-layout` says.
pub(crate) const LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// The kinds of archives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// What `docker load` and `podman load` read, and readers of OCI archives as well. An image that is
    /// there for several platforms is saved for one.
    Docker,
    /// An OCI layout alone.
    Oci,
}

/// What `org.opencontainers.image.ref.name` is to say of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefName {
    /// All of it, as podman writes it.
    Full,
    /// The tag, as docker and buildx write it.
    Tag,
}

/// How images are saved.
#[derive(Clone, Copy, Debug)]
pub struct Saving<'a> {
    /// The kind of archive.
    pub format: Format,
    /// Of an index, the image for this platform alone.
    pub platform: Option<&'a Platform>,
    /// How layers are compressed.
    pub form: LayerForm,
    /// How names are written.
    pub ref_name: RefName,
}

/// An image to save, and the names that it is to have in the archive.
#[derive(Clone, Debug)]
pub struct Saved {
    /// What names it in the store.
    pub image: Descriptor,
    /// Its names.
    pub names: Vec<Reference>,
    /// One more name for its entry in a layout's index, which need not be a reference; it takes the
    /// place of the first of the names.
    pub ref_name: Option<String>,
}

/// Writes an archive of images, and gives what names each of them in it.
///
/// The same images give the same bytes. Nothing is buffered on a disk; layers that have to be compressed
/// are compressed before the first byte is written.
///
/// # Errors
/// An image is not whole, or the stream cannot be written: what was written of it is no archive.
pub fn save(
    store: &Store,
    images: &[Saved],
    saving: Saving<'_>,
    out: impl Write,
    watch: Watch<'_>,
) -> Result<Vec<Descriptor>, Error> {
    let packed = pack(store, images, saving, watch)?;
    let mut archive = Archive { tar: LayerWriter::new(Guarded { out, stop: watch.stop }) };
    archive.documents(&packed, saving)?;
    archive.blobs(packed.iter().map(|(outgoing, _)| outgoing))?;
    let (mut out, _) = archive.tar.finish().map_err(failed(watch.stop))?;
    out.flush().map_err(|error| Error::Write(tree::WriteError::Finish(error)))?;
    Ok(packed.iter().map(|(outgoing, _)| outgoing.image().descriptor.clone()).collect())
}

/// The images in the form that is asked for, each with its names.
pub(crate) fn pack<'a>(
    store: &Store,
    images: &'a [Saved],
    saving: Saving<'_>,
    watch: Watch<'_>,
) -> Result<Vec<(Outgoing, &'a Saved)>, Error> {
    let host = Platform::host();
    let mut packed = Vec::new();
    for image in images {
        let platform = match saving.format {
            Format::Docker => Some(saving.platform.unwrap_or(&host)),
            Format::Oci => saving.platform,
        };
        let platform = platform.filter(|_| is_index(&image.image) || saving.platform.is_some());
        let outgoing = store.outgoing(&image.image, platform, saving.form, watch);
        packed.push((outgoing.map_err(stopped)?, image));
    }
    Ok(packed)
}

fn is_index(image: &Descriptor) -> bool {
    media_type::is_index(image.media_type().as_ref())
}

fn stopped(error: store::Error) -> Error {
    match error {
        store::Error::Stopped => Error::Interrupted,
        error => error.into(),
    }
}

/// The stream, which ends when the user asks for it.
pub(crate) struct Guarded<'a, W> {
    pub(crate) out: W,
    pub(crate) stop: &'a AtomicBool,
}

impl<W: Write> Write for Guarded<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(io::Error::other("interrupted"));
        }
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl<W: Write> LayerSink for Guarded<'_, W> {}

/// A failure to write, which may be the user's wish.
pub(crate) fn failed(stop: &AtomicBool) -> impl Fn(tree::WriteError) -> Error + '_ {
    |error| match stop.load(Ordering::Relaxed) {
        true => Error::Interrupted,
        false => Error::Write(error),
    }
}

struct Archive<'a, W: Write> {
    tar: LayerWriter<Guarded<'a, W>>,
}

impl<W: Write> Archive<'_, W> {
    fn documents(
        &mut self,
        packed: &[(Outgoing, &Saved)],
        saving: Saving<'_>,
    ) -> Result<(), Error> {
        self.file("oci-layout", LAYOUT)?;
        self.file("index.json", &bytes(&index(packed, saving.ref_name)))?;
        if saving.format == Format::Docker {
            self.file("manifest.json", &bytes(&docker_list(packed)?))?;
        }
        Ok(())
    }

    /// All blobs, manifests among them, each once and in the order of their digests.
    fn blobs<'b>(&mut self, packed: impl Iterator<Item = &'b Outgoing>) -> Result<(), Error> {
        let (mut texts, mut contents) = (BTreeMap::new(), BTreeMap::new());
        for outgoing in packed {
            texts.extend(outgoing.documents.iter().map(|it| (it.digest, &it.bytes)));
            contents.extend(outgoing.contents.iter().map(|it| (it.digest, it)));
        }
        self.directory("blobs")?;
        self.directory("blobs/sha256")?;
        for (digest, text) in texts {
            self.file(&blob_path(&digest), text)?;
        }
        contents.into_values().try_for_each(|content| self.content(content))
    }

    fn directory(&mut self, name: &str) -> Result<(), Error> {
        let metadata = Metadata { mode: 0o755, ..Metadata::default() };
        let entry = Entry { path: path(name), kind: EntryKind::Directory, metadata };
        self.tar.append(&entry).map_err(Error::Write)
    }

    fn file(&mut self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let size = bytes.len() as u64;
        self.tar.append_file(&path(name), &file_metadata(), size, bytes).map_err(Error::Write)
    }

    fn content(&mut self, content: &Content) -> Result<(), Error> {
        let name = path(&blob_path(&content.digest));
        let reader = content.open()?;
        self.tar.append_file(&name, &file_metadata(), content.size, reader).map_err(Error::Write)
    }
}

fn file_metadata() -> Metadata {
    Metadata { mode: 0o644, ..Metadata::default() }
}

fn path(name: &str) -> LayerPath {
    LayerPath::new(name).expect("the names of an archive are short and plain")
}

pub(crate) fn blob_path(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

pub(crate) fn bytes(value: &Value) -> Vec<u8> {
    serde_json::to_vec(value).expect("a JSON value is JSON")
}

/// The index of the layout.
fn index(packed: &[(Outgoing, &Saved)], ref_name: RefName) -> Value {
    let entries: Vec<Value> =
        packed.iter().flat_map(|(outgoing, saved)| entries(outgoing, saved, ref_name)).collect();
    json!({ "schemaVersion": 2, "mediaType": media_type::INDEX, "manifests": entries })
}

/// What an image has in the index: an entry for each name. What the store's own entry says of it
/// besides its name, it says, too.
pub(crate) fn entries(outgoing: &Outgoing, saved: &Saved, ref_name: RefName) -> Vec<Value> {
    let image = &outgoing.image().descriptor;
    let mut entry = json!({
        "mediaType": image.media_type().to_string(),
        "digest": image.digest().to_string(),
        "size": image.size(),
    });
    let own = saved.image.annotations().iter().flatten();
    let own: BTreeMap<&String, &String> =
        own.filter(|(name, _)| ![CONTAINERD, REF_NAME].contains(&name.as_str())).collect();
    if !own.is_empty() {
        entry["annotations"] = json!(own);
    }
    let named = |name: &Reference| {
        let mut entry = entry.clone();
        entry["annotations"][CONTAINERD] = name.to_string().into();
        entry["annotations"][REF_NAME] = match ref_name {
            RefName::Full => name.to_string(),
            RefName::Tag => name.tag().unwrap_or("latest").to_owned(),
        }
        .into();
        entry
    };
    let mut entries: Vec<Value> = saved.names.iter().map(named).collect();
    if let Some(name) = &saved.ref_name {
        if entries.is_empty() {
            entries.push(entry.clone());
        }
        entries[0]["annotations"][REF_NAME] = name.clone().into();
    }
    if entries.is_empty() { vec![entry] } else { entries }
}

/// Docker's `manifest.json`.
pub(crate) fn docker_list(packed: &[(Outgoing, &Saved)]) -> Result<Value, Error> {
    let images = packed.iter().map(|(outgoing, saved)| docker_entry(outgoing, &saved.names));
    Ok(Value::Array(images.collect::<Result<_, _>>()?))
}

/// An image as docker's `manifest.json` lists it.
fn docker_entry(outgoing: &Outgoing, names: &[Reference]) -> Result<Value, Error> {
    let image = outgoing.image();
    let manifest: ImageManifest =
        serde_json::from_slice(&image.bytes).map_err(Error::json("the manifest"))?;
    let blob = |blob: &Descriptor| {
        let digest = image::manifest::digest(blob).map_err(store::Error::from)?;
        Ok::<_, Error>(blob_path(&digest))
    };
    let layers: Result<Vec<String>, Error> = manifest.layers().iter().map(blob).collect();
    let names: Vec<String> = names.iter().map(Reference::familiar).collect();
    Ok(json!({ "Config": blob(manifest.config())?, "RepoTags": names, "Layers": layers? }))
}
