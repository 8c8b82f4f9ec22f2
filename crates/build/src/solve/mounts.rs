//! `RUN --mount` of files: parts of the context, of stages and images, caches, memory.
//!
//! A bind mount shows layers, those of a stage or those that a `COPY` of the same files would make,
//! so that `.dockerignore` holds and nothing of the host can be written to.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::{self, File};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};

use image::MountKind as Kind;
use rootfs::ReadWrite;
use rustix::fs::OFlags;

use super::caches::{Cache, Taken};
use super::run::bind;
use super::stage::Work;
use super::{Snapshot, Solver};
use crate::Error;
use crate::copy::{self, Sources};
use crate::key::{self, Key};
use crate::plan::{Copy, CopySource, From, Mount, MountKind, Run, Sharing};
use crate::source::Source;

/// So many bytes of a stage are read to tell whether it holds the same as before.
const MUCH: u64 = 256 << 20;

/// The mounts of one container. Dropping it unmounts and unlocks.
pub(super) struct Mounted {
    /// For the container's configuration.
    pub(super) mounts: Vec<image::Mount>,
    held: Vec<rootfs::Mount>,
    /// One and the same for mounts of the same cache.
    caches: BTreeMap<Key, Taken>,
}

/// The cache that a mount shows.
fn cache<'a>(mount: &'a Mount, files: Option<&'a Snapshot>) -> Option<Cache<'a>> {
    let MountKind::Cache { id, sharing, access, source, .. } = &mount.kind else { return None };
    // A part is looked up by its path, which others could change at the same time.
    let alone = *sharing == Sharing::Shared && source != "/";
    let sharing = if alone { Sharing::Locked } else { *sharing };
    Some(Cache { id, sharing, from: files, access: *access })
}

impl Work<'_> {
    /// For each mount of the step: the files that it shows, or that its cache starts with.
    pub(super) fn binds(&self, run: &Run) -> Result<Vec<Option<Snapshot>>, Error> {
        let files = |mount: &Mount| match &mount.kind {
            MountKind::Bind { from, source }
            | MountKind::Cache { from: Some(from), source, .. } => {
                match self.solver.files(*from)? {
                    Some(files) => Ok(Some(files)),
                    None => self.context_files(*from, source).map(Some),
                }
            }
            _ => Ok(None),
        };
        run.mounts.iter().map(files).collect()
    }

    /// For each mount: what names the files that it shows, or starts with, by what they are.
    pub(super) fn mounted_content(
        &self,
        run: &Run,
        binds: &[Option<Snapshot>],
    ) -> Result<Vec<Option<Key>>, Error> {
        let content = |(mount, files): (&Mount, &Option<Snapshot>)| {
            let Some(files) = files else { return Ok(None) };
            match &mount.kind {
                MountKind::Bind { from: From::Stage(_), source } => self.seen(files, source),
                _ => Ok(Some(files.key)),
            }
        };
        run.mounts.iter().zip(binds).map(content).collect()
    }

    /// The content of a part of a stage, times left out; where that is much, the layers' names.
    fn seen(&self, files: &Snapshot, source: &str) -> Result<Option<Key>, Error> {
        let mut files = files.clone();
        let by_layers = files.content_key();
        let layers = files.source("the stage", self.solver.store)?;
        let sources = Sources::new(Source::Layers(&layers));
        let pieces = copy::gather(&part(From::Context, source), &sources, Vec::new())?;
        if copy::size(&pieces) > MUCH {
            return Ok(Some(by_layers));
        }
        copy::hash_missing(&pieces, &sources, &self.solver.interrupt)?;
        Ok(Some(key::content(&pieces).unwrap_or(by_layers)))
    }

    /// A part of a context as layers.
    pub(super) fn context_files(&self, from: From, path: &str) -> Result<Snapshot, Error> {
        let mut work = self.on_nothing();
        let ended = work.copy(&part(from, path), &mut |_| {})?;
        work.take(ended)?;
        Ok(work.files)
    }
}

/// A copy of a part, to where it was.
fn part(from: From, path: &str) -> Copy {
    Copy {
        from,
        sources: vec![CopySource::Path(escaped(path))],
        inline: Vec::new(),
        destination: path.to_owned(),
        chown: None,
        chmod: None,
        link: false,
        parents: false,
        exclude: Vec::new(),
        unpack: false,
    }
}

/// A path as a pattern that matches nothing else.
fn escaped(path: &str) -> String {
    let special = |c: char| matches!(c, '*' | '?' | '[' | '\\');
    path.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c])).collect()
}

impl Mounted {
    pub(super) fn new(
        solver: &Solver<'_>,
        run: &Run,
        binds: Vec<Option<Snapshot>>,
        step: &Path,
    ) -> Result<Self, Error> {
        let caches = take_caches(solver, run, &binds)?;
        let mut mounted = Self { mounts: Vec::new(), held: Vec::new(), caches };
        for (number, (mount, files)) in run.mounts.iter().zip(binds).enumerate() {
            let folder = step.join("mounts").join(number.to_string());
            let shown = match (&mount.kind, files) {
                (MountKind::Bind { source, .. }, Some(files)) => {
                    mounted.bind(solver, mount, source, files, &folder)?
                }
                (MountKind::Bind { .. }, None) => {
                    return Err(Error::internal("a bind mount shows nothing"));
                }
                (MountKind::Cache { source, .. }, files) => {
                    mounted.cache(mount, source, files.as_ref())?
                }
                (MountKind::Tmpfs { size }, _) => memory(mount, *size),
            };
            mounted.mounts.push(shown);
        }
        Ok(mounted)
    }

    fn bind(
        &mut self,
        solver: &Solver<'_>,
        mount: &Mount,
        source: &str,
        mut files: Snapshot,
        folder: &Path,
    ) -> Result<image::Mount, Error> {
        let tree = files.tree(solver.store)?;
        let fail = |error| Error::Destination { path: source.to_owned(), source: error };
        tree.resolve(source.as_bytes()).map_err(fail)?;
        let inside = tree.resolve_path(source.as_bytes()).map_err(fail)?;
        let target = folder.join("rootfs");
        fs::create_dir_all(&target).map_err(|error| Error::io("create", &target, error))?;
        let prepared = files.prepare(solver.driver(), solver.store)?;
        let rw =
            ReadWrite { upper: folder.join("upper"), work: folder.join("work"), volatile: true };
        let rw = (!mount.read_only).then_some(&rw);
        self.held.push(rootfs::mount(&prepared, rw, &target)?);
        let source = target.join(inside.to_string().trim_start_matches('/'));
        Ok(bind(source, PathBuf::from(&mount.target), mount.read_only))
    }

    fn cache(
        &self,
        mount: &Mount,
        source: &str,
        files: Option<&Snapshot>,
    ) -> Result<image::Mount, Error> {
        let taken = cache(mount, files).and_then(|cache| self.caches.get(&cache.key()));
        let taken = taken.ok_or_else(|| Error::internal("a cache was not taken"))?;
        let path = inside(&taken.files, source)?;
        Ok(bind(path, PathBuf::from(&mount.target), mount.read_only))
    }
}

/// Takes the caches of a step, in an order that all steps keep: no two wait for each other.
fn take_caches(
    solver: &Solver<'_>,
    run: &Run,
    binds: &[Option<Snapshot>],
) -> Result<BTreeMap<Key, Taken>, Error> {
    let caches = run.mounts.iter().zip(binds);
    let caches = caches.filter_map(|(mount, files)| cache(mount, files.as_ref()));
    let mut wanted = BTreeMap::new();
    for cache in caches {
        match wanted.entry(cache.key()) {
            Entry::Vacant(entry) => drop(entry.insert(cache)),
            // The strictest of its mounts counts for all.
            Entry::Occupied(mut entry) if entry.get().sharing == Sharing::Shared => {
                entry.insert(cache);
            }
            Entry::Occupied(_) => {}
        }
    }
    wanted.into_iter().map(|(key, cache)| Ok((key, cache.take(solver)?))).collect()
}

/// A part of a cache, which commands have written: no link leads out of it. Nobody else uses the cache
/// meanwhile, so that what was found stays where it is.
fn inside(files: &Path, source: &str) -> Result<PathBuf, Error> {
    if source == "/" {
        return Ok(files.to_owned());
    }
    let find = || {
        let root = File::open(files)?;
        let part = rootfs::open_inside(&root, Path::new(&source[1..]), OFlags::PATH)?;
        fs::read_link(format!("/proc/self/fd/{}", part.as_raw_fd()))
    };
    find().map_err(|error| Error::io("find a part of the cache", files.join(&source[1..]), error))
}

/// As BuildKit has it: programs in it can be started.
fn memory(mount: &Mount, size: Option<u64>) -> image::Mount {
    let size = size.map(|size| format!("size={size}"));
    let options = ["exec", "dev"].map(str::to_owned).into_iter().chain(size).collect();
    image::Mount {
        destination: PathBuf::from(&mount.target),
        kind: Kind::Tmpfs,
        read_only: mount.read_only,
        options,
    }
}
