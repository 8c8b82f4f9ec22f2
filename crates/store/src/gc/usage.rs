//! What takes how much room, and for whom: what `df` shows. From file metadata and the small documents; no layer
//! is read.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs::{self, File, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use image::Digest;

use super::mark::{Marked, Marker};
use super::survey::{self, Survey, changed};
use super::sweep::builder_files;
use crate::disk_usage::{DiskUsage, room};
use crate::lease::Held;
use crate::{Error, Store, files, index, lock};

/// What the store takes, in bytes on disk. Nothing is counted twice, so that the sum is all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Whether the index and all that it names can be understood. Where not, gc removes nothing.
    pub is_known: bool,
    /// Blobs, but for those that only the build cache has. `total` is the number of images.
    pub images: Room,
    /// Uncompressed layers that are no blobs, their tables of contents, and what they were compressed to.
    /// `total` is the number of layers.
    pub layers: Room,
    /// What drivers made of stacks of layers.
    pub rootfs: Room,
    /// All that the builder keeps, with the blobs, layers and stacks that only its records hold.
    pub build_cache: Room,
    /// Beginnings of blobs, and files in the making.
    pub partial: Room,
    /// Bundles and containers, with what changed in them; not what is mounted.
    pub bundles: Room,
    /// Each image of the index.
    pub by_image: Vec<ImageUsage>,
    /// Each bundle that holds an image.
    pub by_bundle: Vec<BundleUsage>,
}

/// One kind of things.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// How many there are.
    pub total: usize,
    /// How many a bundle or a running process uses.
    pub active: usize,
    /// Bytes on disk.
    pub bytes: u64,
    /// Bytes of these that gc frees now; of the build cache, what taking all of it frees.
    pub reclaimable: u64,
}

/// One image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageUsage {
    /// The digest that the index has.
    pub digest: Digest,
    /// Its names, and `None` for an entry without one.
    pub names: Vec<Option<String>>,
    /// Whether all documents of it could be read. Where not, the figures are of what is known, and gc
    /// removes nothing.
    pub is_readable: bool,
    /// Bytes on disk of all that it holds: blobs, layers, root file systems.
    pub bytes: u64,
    /// Bytes of these that another image holds too.
    pub shared: u64,
    /// How many bundles are made of it.
    pub bundles: usize,
}

/// One bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundleUsage {
    /// Where it is.
    pub path: PathBuf,
    /// Bytes on disk, without what is mounted there.
    pub bytes: u64,
}

impl Store {
    /// How much room everything takes.
    ///
    /// # Errors
    /// The index or a directory cannot be read.
    pub fn usage(&self) -> Result<Usage, Error> {
        let holders = Holders::of(self)?;
        let mut usage =
            Usage { is_known: holders.collects(), by_image: holders.images(), ..Usage::default() };
        let found = Found::of(self)?;
        holders.count(&found, &mut usage);
        holders.build_cache(self, &mut usage.build_cache)?;
        for directory in ["tmp", "partial"] {
            partial(&self.tare(directory), &mut usage.partial)?;
        }
        holders.bundles(&mut usage);
        Ok(usage)
    }
}

/// Who holds what.
struct Holders {
    images: BTreeMap<Digest, Named>,
    /// Whether every entry of the index says what it names.
    is_known: bool,
    leases: Vec<Held>,
    /// What bundles hold, with all that this refers to.
    leased: HashSet<Digest>,
    /// What images and leases hold.
    named: HashSet<Digest>,
    cache: Survey,
    /// What the build cache holds.
    cached: HashSet<Digest>,
    /// Since when everything stays, as a process is at work.
    marked: Marked,
}

/// An image of the index.
#[derive(Default)]
struct Named {
    names: Vec<Option<String>>,
    is_readable: bool,
    holds: HashSet<Digest>,
}

impl Holders {
    fn of(store: &Store) -> Result<Self, Error> {
        let mut marker = Marker::new(store);
        let mut images: BTreeMap<Digest, Named> = BTreeMap::new();
        let mut is_known = true;
        for entry in store.read_index()?.entries {
            let Some(digest) = index::digest(&entry) else {
                is_known = false;
                continue;
            };
            let image = images.entry(digest).or_default();
            image.names.push(index::name(&entry).map(str::to_owned));
            if image.holds.is_empty() {
                let holds = marker.named(&entry).and_then(|digest| marker.closure(vec![digest]));
                image.is_readable = holds.is_ok();
                image.holds = holds.unwrap_or_else(|_| HashSet::from([digest]));
            }
        }
        let leases = store.living_leases(true)?;
        let mut named: HashSet<Digest> =
            images.values().flat_map(|image| image.holds.iter().copied()).collect();
        let mut leased = HashSet::new();
        for lease in &leases {
            // An image that cannot be read any more is a matter for fsck.
            let holds = marker.closure(lease.holds.clone()).unwrap_or_default();
            named.extend(holds.iter().copied());
            if lease.bundle.is_some() {
                leased.extend(holds);
            }
        }
        marker.marked.since = leases.iter().filter_map(|lease| lease.since).min();
        let cache = survey::survey(&mut marker)?;
        let cached = cache.units.iter().flat_map(|unit| unit.holds.iter().copied()).collect();
        let marked = marker.marked;
        Ok(Self { images, is_known, leases, leased, named, cache, cached, marked })
    }

    fn images(&self) -> Vec<ImageUsage> {
        let bundles = |digest: &Digest, image: &Named| {
            let of_it = |lease: &&Held| {
                lease.bundle.is_some()
                    && lease.holds.iter().any(|held| held == digest || image.holds.contains(held))
            };
            self.leases.iter().filter(of_it).count()
        };
        let usage = |(digest, image): (&Digest, &Named)| ImageUsage {
            digest: *digest,
            names: image.names.clone(),
            is_readable: image.is_readable,
            bytes: 0,
            shared: 0,
            bundles: bundles(digest, image),
        };
        self.images.iter().map(usage).collect()
    }

    /// Gives each file of the store to its holders.
    fn count(&self, found: &Found, usage: &mut Usage) {
        let mut images_of: HashMap<Digest, Vec<usize>> = HashMap::new();
        for (number, image) in self.images.values().enumerate() {
            for digest in &image.holds {
                images_of.entry(*digest).or_default().push(number);
            }
        }
        for file in found.files.values() {
            let mut holders: Vec<usize> =
                file.digests.iter().filter_map(|it| images_of.get(it)).flatten().copied().collect();
            holders.sort_unstable();
            holders.dedup();
            for &holder in &holders {
                usage.by_image[holder].bytes += file.bytes;
                usage.by_image[holder].shared += if holders.len() > 1 { file.bytes } else { 0 };
            }
            self.count_by_kind(file, usage);
        }
        usage.images.total = self.images.len();
        usage.images.active = usage.by_image.iter().filter(|image| image.bundles > 0).count();
        usage.layers.total = found.layers.len();
        usage.layers.active = found.layers.intersection(&self.leased).count();
        usage.rootfs.total = found.rootfs.len();
        usage.rootfs.active = found.rootfs.intersection(&self.leased).count();
    }

    fn count_by_kind(&self, file: &Stored, usage: &mut Usage) {
        let is_held_by =
            |holders: &HashSet<Digest>| file.digests.iter().any(|it| holders.contains(it));
        let is_named = file.digests.is_empty() || is_held_by(&self.named);
        let room = match file.kind {
            _ if !is_named && is_held_by(&self.cached) => &mut usage.build_cache,
            Kind::Blob => &mut usage.images,
            Kind::Layer => &mut usage.layers,
            Kind::Rootfs => &mut usage.rootfs,
        };
        room.bytes += file.bytes;
        if !is_named && self.collects() && !self.marked.is_young(file.changed) {
            room.reclaimable += file.bytes;
        }
    }

    /// Whether gc would do anything: not where nobody knows what an image holds.
    fn collects(&self) -> bool {
        self.is_known && self.images.values().all(|image| image.is_readable)
    }

    /// What the builder keeps in its own directory, but for the directories that stay when all is gone.
    fn build_cache(&self, store: &Store, room: &mut Room) -> Result<(), Error> {
        let is_active =
            |unit: &&survey::Unit| self.marked.is_young(unit.changed) || unit.lock().is_none();
        let size = |units: &[&survey::Unit]| units.iter().map(|unit| unit.size).sum::<u64>();
        let (active, idle): (Vec<_>, Vec<_>) = self.cache.units.iter().partition(is_active);
        let mut rest = 0;
        for name in builder_files(&store.build_dir())? {
            rest += DiskUsage::default().add(&store.build_dir().join(name));
        }
        room.total = self.cache.units.len();
        room.active = active.len();
        room.bytes += size(&active) + size(&idle) + rest;
        if self.collects() {
            // With a process at work the other files stay.
            let rest = if self.marked.since.is_none() { rest } else { 0 };
            room.reclaimable += size(&idle) + rest;
        }
        Ok(())
    }

    fn bundles(&self, usage: &mut Usage) {
        let paths: BTreeSet<&PathBuf> =
            self.leases.iter().filter_map(|lease| lease.bundle.as_ref()).collect();
        for path in paths {
            let bytes = DiskUsage::default().add(path);
            usage.by_bundle.push(BundleUsage { path: path.clone(), bytes });
            usage.bundles.bytes += bytes;
        }
        usage.bundles.total = usage.by_bundle.len();
        usage.bundles.active = usage.by_bundle.len();
    }
}

/// The files of blobs, layers and stacks.
#[derive(Default)]
struct Found {
    /// By device and inode, as a layer may be a blob as well.
    files: HashMap<(u64, u64), Stored>,
    layers: HashSet<Digest>,
    rootfs: HashSet<Digest>,
    disk: DiskUsage,
}

/// A file, or a directory with all below it.
struct Stored {
    kind: Kind,
    bytes: u64,
    /// What its names begin with.
    digests: Vec<Digest>,
    changed: (i64, i64),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Blob,
    Layer,
    Rootfs,
}

impl Found {
    fn of(store: &Store) -> Result<Self, Error> {
        let mut found = Self::default();
        // The blobs first: what is a blob as well counts as one.
        found.directory(&store.root().join("blobs/sha256"), Kind::Blob)?;
        found.directory(&store.tare("layers"), Kind::Layer)?;
        found.directory(&store.tare("rootfs"), Kind::Rootfs)?;
        Ok(found)
    }

    fn directory(&mut self, directory: &Path, kind: Kind) -> Result<(), Error> {
        for name in files::names(directory)? {
            let path = directory.join(&name);
            match path.symlink_metadata() {
                Ok(metadata) => self.file(&path, &name, &metadata, kind),
                // Gone meanwhile.
                Err(error) if files::is_absent(&error) => {}
                Err(error) => return Err(Error::io("read", &path)(error)),
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &Path, name: &str, metadata: &Metadata, kind: Kind) {
        let (stem, ending) = name.split_once('.').unwrap_or((name, ""));
        let digest = Digest::from_hex(stem).ok();
        match kind {
            Kind::Layer if ending == "tar" => self.layers.extend(digest),
            Kind::Rootfs => self.rootfs.extend(digest),
            _ => {}
        }
        let disk = &mut self.disk;
        let file = self.files.entry((metadata.dev(), metadata.ino())).or_insert_with(|| Stored {
            kind,
            bytes: if metadata.is_dir() { disk.add(path) } else { room(metadata) },
            digests: Vec::new(),
            changed: changed(metadata),
        });
        file.digests.extend(digest);
    }
}

/// Files in the making: those that nobody works at go with the next gc.
fn partial(directory: &Path, usage: &mut Room) -> Result<(), Error> {
    for path in files::names(directory)?.into_iter().map(|name| directory.join(name)) {
        let bytes = DiskUsage::default().add(&path);
        let is_active = File::open(&path).is_ok_and(|file| lock::is_locked(&file));
        if fs::exists(&path).unwrap_or(false) {
            usage.total += 1;
            usage.active += usize::from(is_active);
            usage.bytes += bytes;
            usage.reclaimable += if is_active { 0 } else { bytes };
        }
    }
    Ok(())
}
