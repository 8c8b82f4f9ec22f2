//! Images to push, stores to pull into, and what a store must look like afterwards.

use std::io::Write as _;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use image::manifest::{descriptor, digest, manifest};
use image::{Descriptor, Digest, Platform, Reference, media_type};
use registry::{Error, Event, Options, Parcel, Progress, Pulled, Pushed, Retries, Timeouts};
use store::{LayerForm, Recipe, Store};
use tempfile::TempDir;
use tree::{LayerPath, LayerWriter, Metadata};

/// A directory with an image layout in it.
pub(crate) struct Layout {
    pub(crate) directory: TempDir,
    pub(crate) store: Store,
}

impl Layout {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        Self { directory, store }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// A layout with one image of this platform and layers of these sizes, and its manifest.
    pub(crate) fn with_image(platform: &str, sizes: &[usize]) -> (Self, Descriptor) {
        let layout = Self::new();
        let image = layout.image(platform, sizes);
        layout.store.tag(&"fixture".parse().unwrap(), &image).unwrap();
        (layout, image)
    }

    /// Adds an image without a name.
    pub(crate) fn image(&self, platform: &str, sizes: &[usize]) -> Descriptor {
        let layers: Vec<Descriptor> = sizes.iter().map(|&size| self.layer(size)).collect();
        let config = self.store.put_blob(media_type::CONFIG, &config(platform, &layers)).unwrap();
        self.store.put_manifest(&manifest(config, layers)).unwrap()
    }

    /// Registries do not look into layers. They are compressed, because skopeo would do it.
    fn layer(&self, size: usize) -> Descriptor {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(&noise(size)).unwrap();
        self.store.put_blob(media_type::LAYER_GZIP, &gzip.finish().unwrap()).unwrap()
    }

    /// Adds an image whose layers are real, and uncompressed as builds leave them: one file each.
    pub(crate) fn built(&self, platform: &str, files: &[(&str, usize)]) -> Descriptor {
        let mut layers = Vec::new();
        for (name, size) in files {
            let mut tar = LayerWriter::new(Vec::new());
            let text = b"all work and no play makes a dull registry ".repeat(size / 43 + 1);
            let path = LayerPath::new(name).unwrap();
            tar.append_file(&path, &Metadata::default(), *size as u64, &text[..*size]).unwrap();
            let (bytes, _) = tar.finish().unwrap();
            layers.push(self.store.import_layer(&bytes[..]).unwrap().0);
        }
        let config = self.store.put_blob(media_type::CONFIG, &config(platform, &layers)).unwrap();
        self.store.put_manifest(&manifest(config, layers)).unwrap()
    }

    /// What the store holds under a name.
    pub(crate) fn named(&self, name: &str) -> Option<Descriptor> {
        self.store.resolve(name).unwrap().map(|(_, found)| found)
    }

    pub(crate) fn blob(&self, blob: &Descriptor) -> Vec<u8> {
        self.store.read_blob(blob).unwrap()
    }

    /// Fails unless every blob is what its name says, nothing is half-written, and there are this
    /// many names.
    pub(crate) fn check(&self, names: usize) {
        for entry in std::fs::read_dir(self.path().join("blobs/sha256")).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            assert_eq!(Digest::of(std::fs::read(&path).unwrap()).hex(), name);
        }
        let temporary = self.path().join("tare/tmp");
        let left: Vec<_> = std::fs::read_dir(&temporary).map_or_else(|_| vec![], Iterator::collect);
        assert!(left.is_empty(), "{left:?}");
        assert_eq!(self.store.references().unwrap().len(), names);
    }
}

pub(crate) fn config(platform: &str, layers: &[Descriptor]) -> Vec<u8> {
    let (os, architecture) = platform.split_once('/').unwrap();
    let diff_ids: Vec<String> = layers.iter().map(|layer| layer.digest().to_string()).collect();
    serde_json::to_vec(&serde_json::json!({
        "architecture": architecture, "os": os,
        "config": {"Cmd": ["/bin/true"]},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    }))
    .unwrap()
}

/// Bytes that no two sizes share and nothing compresses.
pub(crate) fn noise(size: usize) -> Vec<u8> {
    let mut state = size as u64 + 0x9e37_79b9_7f4a_7c15;
    let step = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..size).map(step).collect()
}

/// Options for tests: impatient.
pub(crate) fn options() -> Options {
    Options {
        timeouts: Timeouts {
            connect: Duration::from_secs(5),
            response: Duration::from_secs(5),
            stall: Duration::from_secs(5),
        },
        retries: Retries {
            attempts: 3,
            pause: Duration::from_millis(10),
            longest: Duration::from_millis(1500),
        },
        platform: Some("linux/amd64".parse::<Platform>().unwrap()),
        ..Options::default()
    }
}

pub(crate) fn reference(name: &str) -> Reference {
    name.parse().unwrap()
}

/// Pulls without being interrupted.
pub(crate) fn pull(into: &Layout, name: &str, options: &Options) -> Result<Pulled, Error> {
    registry::pull(&into.store, &reference(name), options, &(), &AtomicBool::new(false))
}

/// As users push it, without being interrupted.
pub(crate) fn parcel(image: &Descriptor) -> Parcel<'_> {
    Parcel { image, platform: None, form: LayerForm::Compressed(gzip()), by_digest: false }
}

pub(crate) fn gzip() -> Recipe {
    Recipe::new(media_type::Compression::Gzip, None).unwrap()
}

pub(crate) fn push(
    from: &Layout,
    parcel: Parcel<'_>,
    name: &str,
    options: &Options,
) -> Result<(Pushed, Recorder), Error> {
    let (heard, never) = (Recorder::default(), AtomicBool::new(false));
    let pushed = registry::push(&from.store, parcel, &reference(name), options, &heard, &never)?;
    Ok((pushed, heard))
}

/// Remembers what happened.
#[derive(Default)]
pub(crate) struct Recorder(pub(crate) Mutex<Vec<String>>);

impl Recorder {
    pub(crate) fn count(&self, kind: &str) -> usize {
        self.0.lock().unwrap().iter().filter(|event| event.starts_with(kind)).count()
    }
}

impl Progress for Recorder {
    fn event(&self, event: Event<'_>) {
        self.0.lock().unwrap().push(format!("{event:?}"));
    }
}

/// An error with its causes, as users see it.
pub(crate) fn text(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text += &format!(": {error}");
        source = error.source();
    }
    text
}

/// A descriptor of bytes.
pub(crate) fn describe(media_type: &str, bytes: &[u8]) -> Descriptor {
    descriptor(media_type, Digest::of(bytes), bytes.len() as u64)
}

pub(crate) fn hash(blob: &Descriptor) -> Digest {
    digest(blob).unwrap()
}
