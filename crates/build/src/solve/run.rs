//! `RUN`: a container on the files so far; what it changes becomes a layer.
//!
//! ```text
//! run-N/bundle/config.json, rootfs     the bundle; rootfs is an overlay of the layers and upper
//! run-N/upper, work                    what the command changes; never synced
//! run-N/mounts/M                       what --mount=type=bind shows
//! ```
//!
//! The container has docker's default capabilities, seccomp profile and masked paths, and the host's
//! network unless the build or the step says `none`: there is no bridge yet. /etc/resolv.conf is the
//! host's and /etc/hosts knows the container itself, both read-only. Neither they, nor any other mount point that the runtime
//! makes, get into the layer.

use std::fs;
use std::path::{Path, PathBuf};

use image::{ImageConfig, MountKind, Network, Platform, Propagation, RunOptions};
use rootfs::{Lower, ReadWrite};
use tree::LayerPath;

use super::Shown;
use super::mounts::Mounted;
use super::stage::{Ended, Outcome, Work};
use crate::Error;
use crate::key::{Definition, Key};
use crate::plan::{self, Run};
use crate::record::LayerRef;
use crate::scratch::Step;

/// How much of a command's output an error shows.
const TAIL_LINES: usize = 10;
const TAIL_BYTES: usize = 4096;

/// The host name inside: the same on every machine, for some programs write it into files.
const HOSTNAME: &str = "tare-build";

impl Work<'_> {
    pub(super) fn run(&mut self, run: &Run, shown: &Shown<'_>) -> Result<Ended, Error> {
        let binds = self.binds(run)?;
        let key = self.run_key(run, &binds);
        if let Some(ended) = self.cached(key)? {
            return Ok(ended);
        }
        self.runs_here()?;
        let turn = self.solver.turn(key);
        let _mine = turn.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        self.solver.check()?;
        if let Some(ended) = self.done_before(key) {
            return Ok(ended);
        }
        let scratch = self.solver.scratch()?;
        let step = scratch.step()?;
        let layer = self.contain(run, &step, binds, shown)?;
        self.remember(key, Outcome { layer, output: None })
    }

    /// The definition of a `RUN`.
    fn run_key(&self, run: &Run, binds: &[Option<super::Snapshot>]) -> Key {
        let mut definition = Definition::new("run/2")
            .field("parent", self.files.key.as_bytes())
            .field("platform", self.stage.platform.to_string())
            .list("args", &run.args)
            .list("env", &run.env)
            .field("user", &run.user)
            .field("directory", &run.working_dir)
            .field("network", [u8::from(run.network == plan::Network::None)]);
        if let Some((name, content)) = &run.script {
            definition = definition.field("script", name).field("content", content);
        }
        for (mount, bind) in run.mounts.iter().zip(binds) {
            super::mounts::define(mount, bind.as_ref(), &mut definition);
        }
        if let Some(epoch) = self.solver.options.source_date_epoch {
            definition.add("epoch", &epoch.to_le_bytes());
        }
        definition.key()
    }

    fn runs_here(&self) -> Result<(), Error> {
        let platform = &self.stage.platform;
        let binfmt = |architecture: &str| {
            let name = match architecture {
                "amd64" => "x86_64",
                "arm64" => "aarch64",
                "386" => "i386",
                other => other,
            };
            Path::new("/proc/sys/fs/binfmt_misc").join(format!("qemu-{name}")).exists()
        };
        match Platform::host().accepts(platform) || binfmt(platform.architecture()) {
            true => Ok(()),
            false => Err(Error::ForeignPlatform { platform: platform.to_string() }),
        }
    }

    /// Runs the command and captures what it changed.
    fn contain(
        &mut self,
        run: &Run,
        step: &Step,
        binds: Vec<Option<super::Snapshot>>,
        shown: &Shown<'_>,
    ) -> Result<(LayerRef, tree::Changeset), Error> {
        let solver = self.solver;
        let bundle = step.path().join("bundle");
        let target = bundle.join("rootfs");
        fs::create_dir_all(&target).map_err(|error| Error::io("create", &target, error))?;
        let prepared = self.files.prepare(solver.driver(), solver.store)?;
        let mounted = Mounted::new(solver, run, binds, step.path())?;
        let excluded = self.configure(run, &mounted, step)?;
        let upper = step.path().join("upper");
        let rw = ReadWrite { upper: upper.clone(), work: step.path().join("work"), volatile: true };
        let mount = rootfs::mount(&prepared, Some(&rw), &target)?;
        let result = self.execute(&bundle, step.id(), shown);
        mount.unmount()?;
        drop(mounted);
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
            code => Err(Error::ExitCode { code, output: last_lines(&tail) }),
        }
    }

    /// Writes config.json. Returns where the runtime mounts something: never part of the layer.
    fn configure(
        &mut self,
        run: &Run,
        mounted: &Mounted,
        step: &Step,
    ) -> Result<Vec<LayerPath>, Error> {
        let users = self.users()?;
        let mut mounts = super::network::mounts(self.solver.scratch()?.path());
        mounts.extend(
            self.solver
                .options
                .volumes
                .iter()
                .map(|volume| bind(volume.source.clone(), volume.target.clone(), true)),
        );
        if let Some((name, content)) = &run.script {
            mounts.push(script(name, content, step.path())?);
        }
        mounts.extend(mounted.mounts.iter().cloned());
        let tree = self.files.tree(self.solver.store)?;
        for mount in &mut mounts {
            mount.destination = inside(&tree, &mount.destination)?;
        }
        let spec = image::runtime_spec(&self.image(), &options(run, mounts, step.id()), &users)?;
        let path = step.path().join("bundle/config.json");
        let json = serde_json::to_vec(&spec).map_err(|_| Error::internal("a spec is no JSON"))?;
        fs::write(&path, json).map_err(|error| Error::io("write", &path, error))?;
        let made = spec.mounts().iter().flatten().map(|mount| mount.destination());
        made.map(|destination| layer_path(destination)).collect()
    }

    /// The image as the command's environment: everything is in the options.
    fn image(&self) -> ImageConfig {
        ImageConfig::empty(&self.stage.platform)
    }
}

fn options(run: &Run, mounts: Vec<image::Mount>, id: &str) -> RunOptions {
    RunOptions {
        args: run.args.clone(),
        env: environment(run),
        workdir: Some(run.working_dir.clone()),
        user: Some(run.user.clone()).filter(|user| !user.is_empty()),
        hostname: Some(HOSTNAME.to_owned()),
        network: match run.network {
            plan::Network::Host => Network::Host,
            plan::Network::None => Network::None,
        },
        mounts,
        cgroups_path: Some(Path::new("/tare").join(id)),
        ..RunOptions::default()
    }
}

/// What the command sees of the environment; the name of the host, which differs from builder to
/// builder, only where the Dockerfile sets one.
fn environment(run: &Run) -> Vec<String> {
    let mut env: Vec<String> = run.env.iter().chain(&run.proxies).cloned().collect();
    if !env.iter().any(|entry| entry.starts_with("HOSTNAME=")) {
        env.push("HOSTNAME".to_owned());
    }
    env
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
