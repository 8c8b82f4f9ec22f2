//! `RUN --mount`: parts of the context, of stages and images, caches, memory.
//!
//! A bind mount shows layers, those of a stage or those that a `COPY` of the same files would make,
//! so that `.dockerignore` holds and nothing of the host can be written to.

use std::fs::{self, File};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use image::MountKind as Kind;
use rootfs::ReadWrite;
use rustix::fs::{FlockOperation, flock};

use super::run::bind;
use super::stage::Work;
use super::{Snapshot, Solver};
use crate::Error;
use crate::key::Definition;
use crate::plan::{Copy, From, Mount, MountKind, Run};

/// The mounts of one container. Dropping it unmounts and unlocks.
pub(super) struct Mounted {
    /// For the container's configuration.
    pub(super) mounts: Vec<image::Mount>,
    held: Vec<rootfs::Mount>,
    locks: Vec<File>,
}

/// What a mount adds to the key of its `RUN`. The content of a cache does not count: it may be lost
/// at any time.
pub(super) fn define(mount: &Mount, bind: Option<&Snapshot>, definition: &mut Definition) {
    definition.add("mount", mount.target.as_bytes());
    definition.add("read-only", &[u8::from(mount.read_only)]);
    match &mount.kind {
        MountKind::Bind { source, .. } => {
            definition.add("bind", source.as_bytes());
            let key = bind.map(|files| *files.key.as_bytes()).unwrap_or_default();
            definition.add("files", &key);
        }
        MountKind::Cache { id, .. } => definition.add("cache", id.as_bytes()),
        MountKind::Tmpfs { size } => definition.add("tmpfs", &size.unwrap_or(0).to_le_bytes()),
    }
}

impl Work<'_> {
    /// For each mount of the step: the files that it shows, for a bind mount.
    pub(super) fn binds(&self, run: &Run) -> Result<Vec<Option<Snapshot>>, Error> {
        let files = |mount: &Mount| match &mount.kind {
            MountKind::Bind { from, source } => match self.solver.files(*from)? {
                Some(files) => Ok(Some(files)),
                None => self.context_files(source).map(Some),
            },
            _ => Ok(None),
        };
        run.mounts.iter().map(files).collect()
    }

    /// A part of the context as layers.
    fn context_files(&self, path: &str) -> Result<Snapshot, Error> {
        let mut work = self.on_nothing();
        let ended = work.copy(&Copy {
            from: From::Context,
            sources: vec![escaped(path)],
            inline: Vec::new(),
            destination: path.to_owned(),
            chown: None,
            chmod: None,
            link: false,
            parents: false,
            exclude: Vec::new(),
            unpack: false,
        })?;
        work.take(ended)?;
        Ok(work.files)
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
        let mut mounted = Self { mounts: Vec::new(), held: Vec::new(), locks: Vec::new() };
        for (number, (mount, files)) in run.mounts.iter().zip(binds).enumerate() {
            let folder = step.join("mounts").join(number.to_string());
            let shown = match (&mount.kind, files) {
                (MountKind::Bind { source, .. }, Some(files)) => {
                    mounted.bind(solver, mount, source, files, &folder)?
                }
                (MountKind::Bind { .. }, None) => {
                    return Err(Error::internal("a bind mount shows nothing"));
                }
                (MountKind::Cache { .. }, _) => mounted.cache(solver, mount)?,
                (MountKind::Tmpfs { size }, _) => image::Mount {
                    destination: PathBuf::from(&mount.target),
                    kind: Kind::Tmpfs,
                    read_only: mount.read_only,
                    options: size.map(|size| format!("size={size}")).into_iter().collect(),
                },
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

    fn cache(&mut self, solver: &Solver<'_>, mount: &Mount) -> Result<image::Mount, Error> {
        let MountKind::Cache { id, locked, mode, owner } = &mount.kind else {
            return Err(Error::internal("a cache mount is none"));
        };
        let folder = solver.store.build_dir().join("mounts");
        let name = Definition::new("cache-mount/1").field("id", id).key().to_string();
        let path = folder.join(&name);
        make_cache(&path, *mode, *owner).map_err(|error| Error::io("create", &path, error))?;
        if *locked {
            let lock = folder.join(format!("{name}.lock"));
            let file = File::options().create(true).append(true).open(&lock);
            let file = file.map_err(|error| Error::io("create", &lock, error))?;
            wait_for(&file, &lock, solver)?;
            self.locks.push(file);
        }
        Ok(bind(path, PathBuf::from(&mount.target), mount.read_only))
    }
}

fn make_cache(path: &Path, mode: u32, owner: (u32, u32)) -> std::io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    // Complete before it has its name: another build may be making the same.
    let hidden = path.with_extension(crate::names::unique().to_string());
    fs::DirBuilder::new().recursive(true).mode(0o755).create(&hidden)?;
    fs::set_permissions(&hidden, fs::Permissions::from_mode(mode))?;
    std::os::unix::fs::chown(&hidden, Some(owner.0), Some(owner.1))?;
    match fs::rename(&hidden, path) {
        Err(_) if path.is_dir() => fs::remove_dir(&hidden),
        other => other,
    }
}

/// Waits for another build to let go of a cache, or for the user to lose patience.
fn wait_for(file: &File, path: &Path, solver: &Solver<'_>) -> Result<(), Error> {
    loop {
        match flock(file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(()),
            Err(rustix::io::Errno::WOULDBLOCK) => {
                solver.check()?;
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(error) => return Err(Error::io("lock", path, error)),
        }
    }
}
