//! `RUN`: a container on the files so far; what it changes becomes a layer.
//!
//! ```text
//! run-N/bundle/config.json, rootfs     the bundle; rootfs is an overlay of the layers and upper
//! run-N/upper, work                    what the command changes; never synced
//! run-N/mounts/M                       what --mount=type=bind shows
//! run-N/agents/M                       the sockets of --mount=type=ssh
//! ```
//!
//! The bundle of a step that is given secrets is a file system in memory.
//!
//! The container has docker's default capabilities, seccomp profile and masked paths, and the host's
//! network unless the build or the step says `none`: there is no bridge yet. /etc/resolv.conf is the
//! host's and /etc/hosts knows the container itself, both read-only. Neither they, nor any other mount
//! point that the runtime makes, get into the layer; but /proc, /sys and /dev, as with BuildKit.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use image::{ImageConfig, MountKind, Propagation};
use rootfs::{Lower, ReadWrite};
use tree::LayerPath;

use super::foreign::{self, Ability};
use super::mounts::Mounted;
use super::stage::{Ended, Keys, Outcome, Work};
use super::{Shown, Snapshot, agents, container, secrets};
use crate::Error;
use crate::key::{self, Definition, Key, Surroundings};
use crate::plan::{Network, Run};
use crate::record::LayerRef;
use crate::scratch::Step;

/// Where the runtime mounts something, and what it makes for that stays in the image.
const STAYING: [&str; 3] = ["/proc", "/sys", "/dev"];

/// How much of a command's output an error shows.
const TAIL_LINES: usize = 10;
const TAIL_BYTES: usize = 4096;

impl Work<'_> {
    pub(super) fn run(&mut self, run: &Run, shown: &Shown<'_>) -> Result<Ended, Error> {
        let binds = self.binds(run)?;
        let (key, fields) = self.definition(run, &keys_of(&binds), self.files.key).parts();
        if let Some(ended) = self.cached(key)? {
            return Ok(ended);
        }
        let keys = Keys { own: key, same: self.same_key(run, &binds, key)? };
        if let Some(ended) = self.cached_by(&keys)? {
            return Ok(ended);
        }
        self.runs_here()?;
        let turn = self.solver.turn(key);
        let _mine = turn.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        self.solver.check()?;
        if let Some(ended) = self.done_before(key) {
            return Ok(ended);
        }
        let traced = self.missed(key, fields, None);
        let scratch = self.solver.scratch()?;
        let step = scratch.step()?;
        let layer = self.contain(run, &step, binds, shown)?;
        self.remember(keys, Outcome { traced, layer, output: None })
    }

    fn definition(&self, run: &Run, mounted: &[Option<Key>], parent: Key) -> Definition {
        let platform = &self.stage.platform;
        key::run(run, &Surroundings { parent, platform, mounted, build: self.solver.options })
    }

    /// The key of the same command on the same files, whatever steps they come from.
    fn same_key(
        &self,
        run: &Run,
        binds: &[Option<Snapshot>],
        own: Key,
    ) -> Result<Option<Key>, Error> {
        let mounted = self.mounted_content(run, binds)?;
        let same = self.definition(run, &mounted, self.files.content_key()).key();
        Ok(Some(same).filter(|same| *same != own))
    }

    fn runs_here(&self) -> Result<(), Error> {
        let platform = self.stage.platform.to_string();
        match foreign::ability(&self.stage.platform) {
            Ability::Runs => Ok(()),
            Ability::NotFixed => Err(Error::EmulatorOutside { platform }),
            Ability::Missing => Err(Error::ForeignPlatform { platform }),
        }
    }

    /// Runs the command and captures what it changed.
    fn contain(
        &mut self,
        run: &Run,
        step: &Step,
        binds: Vec<Option<Snapshot>>,
        shown: &Shown<'_>,
    ) -> Result<(LayerRef, tree::Changeset), Error> {
        let solver = self.solver;
        let bundle = step.path().join("bundle");
        let target = bundle.join("rootfs");
        make_directory(&bundle)?;
        // Before anything of the secrets is written; dropped after what is mounted in it.
        let _memory = match run.secrets.is_empty() {
            true => None,
            false => Some(rootfs::mount_memory(&bundle)?),
        };
        make_directory(&target)?;
        let prepared = self.files.prepare(solver.driver(), solver.store)?;
        let mounted = Mounted::new(solver, run, binds, step.path())?;
        let secrets = secrets::show(solver, run, &bundle.join("secrets"))?;
        let agents = agents::show(solver, run, &step.path().join("agents"))?;
        let mounts = [&*mounted.mounts, &*secrets.mounts, &*agents.mounts].concat();
        let excluded = self.configure(run, mounts, &secrets.env, step)?;
        let upper = step.path().join("upper");
        let rw = ReadWrite { upper: upper.clone(), work: step.path().join("work"), volatile: true };
        let mount = rootfs::mount(&prepared, Some(&rw), &target)?;
        let result = self.execute(&bundle, step.id(), shown);
        mount.unmount()?;
        drop((mounted, agents));
        result?;
        let tree = self.files.tree(solver.store)?;
        let lower = Lower { tree: &tree, layers: &prepared.layers };
        solver.layer(|out| Ok(rootfs::capture(&upper, &lower, out, &excluded)?))
    }

    fn execute(&self, bundle: &Path, id: &str, shown: &Shown<'_>) -> Result<(), Error> {
        let solver = self.solver;
        let mut tail = Vec::new();
        let mut output = |bytes: &[u8]| {
            shown.output(bytes);
            tail.extend_from_slice(bytes);
            if tail.len() > 4 * TAIL_BYTES {
                tail.drain(..tail.len() - TAIL_BYTES);
            }
        };
        let code =
            solver.runner.run(bundle, id, &mut output, &solver.interrupt).map_err(|source| {
                Error::Runtime { program: solver.runner.name().to_owned(), source }
            })?;
        solver.check()?;
        match code {
            0 => Ok(()),
            code => {
                let (output, disk_full) =
                    (last_lines(&tail), is_full(bundle.parent().unwrap_or(bundle)));
                Err(Error::ExitCode { code, output, disk_full })
            }
        }
    }

    /// Writes config.json. Returns where the runtime mounts something: never part of the layer.
    fn configure(
        &mut self,
        run: &Run,
        given: Vec<image::Mount>,
        env: &[String],
        step: &Step,
    ) -> Result<Vec<LayerPath>, Error> {
        let users = self.users()?;
        let build = self.solver.options;
        let own_network = match run.network {
            Network::Default => self.solver.own_network()?,
            Network::Host | Network::None => None,
        };
        let scratch = self.solver.scratch()?;
        let mut mounts = super::network::mounts(scratch.path(), own_network.is_some());
        mounts.extend(
            build
                .volumes
                .iter()
                .map(|volume| bind(volume.source.clone(), volume.target.clone(), true)),
        );
        if let Some((name, content)) = &run.script {
            mounts.push(script(name, content, step.path())?);
        }
        mounts.extend(given);
        let tree = self.files.tree(self.solver.store)?;
        for mount in &mut mounts {
            mount.destination = inside(&tree, &mount.destination)?;
        }
        let mut options = container::options(run, build, own_network, step.id());
        options.mounts = without_hidden(mounts);
        options.env.extend(env.iter().cloned());
        let spec = image::runtime_spec(&self.image(), &options, &users)?;
        let path = step.path().join("bundle/config.json");
        let json = serde_json::to_vec(&spec).map_err(|_| Error::internal("a spec is no JSON"))?;
        fs::write(&path, json).map_err(|error| Error::io("write", &path, error))?;
        let mounts = spec.mounts().iter().flatten().map(|mount| mount.destination());
        let made =
            mounts.filter(|place| !STAYING.iter().any(|staying| *place == Path::new(staying)));
        made.map(|destination| layer_path(destination)).collect()
    }

    /// The image as the command's environment: everything is in the options.
    fn image(&self) -> ImageConfig {
        ImageConfig::empty(&self.stage.platform)
    }
}

/// Whether the file system that a path lies in has no room for more than a few files.
fn is_full(path: &Path) -> bool {
    const LITTLE: u64 = 256 << 10;
    rustix::fs::statvfs(path).is_ok_and(|found| {
        found.f_bavail.saturating_mul(found.f_frsize) < LITTLE
            || (found.f_files > 0 && found.f_favail < 8)
    })
}

/// The mounts less those that a later one at the same place would hide.
fn without_hidden(mounts: Vec<image::Mount>) -> Vec<image::Mount> {
    let mut seen = BTreeSet::new();
    let mut kept: Vec<_> =
        mounts.into_iter().rev().filter(|mount| seen.insert(mount.destination.clone())).collect();
    kept.reverse();
    kept
}

fn keys_of(binds: &[Option<Snapshot>]) -> Vec<Option<Key>> {
    binds.iter().map(|files| files.as_ref().map(|files| files.key)).collect()
}

fn make_directory(path: &Path) -> Result<(), Error> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|error| Error::io("create", path, error))
}

pub(super) fn bind(source: PathBuf, destination: PathBuf, read_only: bool) -> image::Mount {
    let kind = MountKind::Bind { source, recursive: true, propagation: Propagation::RPrivate };
    image::Mount { destination, kind, read_only, options: Vec::new() }
}

/// A heredoc that begins with `#!`, to be executed where BuildKit puts it.
fn script(name: &str, content: &str, step: &Path) -> Result<image::Mount, Error> {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = step.join("pipes");
    let path = folder.join(name);
    let write = || {
        fs::create_dir(&folder)?;
        fs::write(&path, content)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
    };
    write().map_err(|error| Error::io("write", &path, error))?;
    Ok(bind(folder, PathBuf::from("/dev/pipes"), true))
}

/// Where a path leads inside the image: the runtime and the capture must agree on it.
fn inside(tree: &tree::Tree, path: &Path) -> Result<PathBuf, Error> {
    use std::os::unix::ffi::OsStrExt as _;
    let bytes = path.as_os_str().as_bytes();
    let resolved = tree
        .resolve_path(bytes)
        .map_err(|source| Error::Destination { path: path.display().to_string(), source })?;
    let name = std::ffi::OsStr::from_bytes(resolved.as_bytes());
    Ok(Path::new("/").join(name))
}

fn layer_path(path: &Path) -> Result<LayerPath, Error> {
    use std::os::unix::ffi::OsStrExt as _;
    LayerPath::new(path.as_os_str().as_bytes())
        .map_err(|error| Error::path(&LayerPath::root(), error))
}

fn last_lines(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(&output[output.len().saturating_sub(TAIL_BYTES)..]);
    let printable = |c: char| if c.is_control() && c != '\n' { ' ' } else { c };
    let text: String = text.chars().map(printable).collect();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}
