//! Containers on disk: there is no daemon that knows them.
//!
//! ```text
//! $TARE_ROOT   (/run/tare for root)          gone after a reboot, as the containers are
//!   lock                                     held while a name is taken or given back
//!   names/<name> -> ../containers/<id>
//!   containers/<id>/container.json           what was asked for; never changed
//!                   process.json             the first process, once it runs
//!                   exit.json                how it ended
//!                   lock                     held (flock) by the monitor while it lives
//!   runtime/                                 the runtime's own state
//! $TARE_STORE/tare/containers/<id>/          on disk, as it can be large
//!                   bundle/                  config.json, rootfs/, rw/
//!                   log                      output, see [`crate::log`]
//!                   state -> $TARE_ROOT/containers/<id>
//! ```
//!
//! Roles: the *monitor* is `tare run` itself, or for `-d` a process of its own; it starts the
//! container, copies its output and records its end. Every file appears complete, by rename. After
//! `kill -9` of a monitor the state tells the truth: the lock is free, so a first process that is gone
//! without `exit.json` ended with an unknown code. What `rm` could not finish, a dangling `state` link
//! tells, and the next `tare run` with that store finishes it; and it removes what was started with
//! `--rm` and has ended unseen ([`sweep`]).

mod id;
mod leftovers;
mod record;
mod status;

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use cli::ErrorExt as _;
use rustix::fs::{FlockOperation, flock};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) use id::{ContainerId, check_name};
pub(crate) use leftovers::sweep;
pub(crate) use record::{Exit, Process, Record};
pub(crate) use status::Status;

/// The directory of all containers' state.
#[derive(Clone, Debug)]
pub(crate) struct Root {
    path: PathBuf,
}

/// One container: its directory and what it was made from.
#[derive(Clone, Debug)]
pub(crate) struct Container {
    root: Root,
    pub(crate) record: Record,
}

/// Held by a container's monitor; others see by it that the monitor lives.
#[derive(Debug)]
pub(crate) struct MonitorLock(File);

impl Root {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Where the runtime keeps its own state.
    pub(crate) fn runtime_root(&self) -> PathBuf {
        self.path.join("runtime")
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Records a new container under its name, with the lock of its monitor.
    pub(crate) fn create(&self, record: Record) -> anyhow::Result<(Container, MonitorLock)> {
        let container = Container { root: self.clone(), record };
        let _names = self.lock()?;
        let name = self.names().join(&container.record.name);
        if let Some(holder) = self.holder(&name)? {
            return Err(anyhow::anyhow!(
                "the name {} is in use by container {}",
                container.record.name,
                holder.short()
            ))
            .hint(format!("remove it with: tare rm {}", container.record.name));
        }
        let dir = container.dir();
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&dir)
            .with_context(|| cannot("make", &dir))?;
        // Before it can be seen: whoever sees it sees that it is watched.
        let lock = container.lock_monitor()?;
        write_json(&dir.join("container.json"), &container.record)?;
        symlink(Path::new("../containers").join(container.record.id.as_str()), &name)
            .with_context(|| cannot("make", &name))?;
        Ok((container, lock))
    }

    /// The container with this name, id, or the beginning of exactly one id.
    pub(crate) fn find(&self, name: &str) -> anyhow::Result<Container> {
        if let Some(id) = self.holder(&self.names().join(name)).ok().flatten() {
            return self.load(&id);
        }
        let all = self.list()?;
        let mut found =
            all.iter().filter(|one| !name.is_empty() && one.record.id.as_str().starts_with(name));
        match (found.next(), found.next()) {
            (Some(one), None) => Ok(one.clone()),
            (Some(_), Some(_)) => {
                bail!("more than one container has an id that begins with {name}")
            }
            (None, _) => {
                Err(anyhow::anyhow!("no such container: {name}")).hint_with(|| nearest(name, &all))
            }
        }
    }

    /// All containers, youngest first. Directories that are being made or removed are left out.
    pub(crate) fn list(&self) -> anyhow::Result<Vec<Container>> {
        let dir = self.path.join("containers");
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error).with_context(|| cannot("read", &dir)),
        };
        let mut all: Vec<Container> = entries
            .filter_map(|entry| ContainerId::parse(entry.ok()?.file_name().to_str()?))
            .filter_map(|id| self.load(&id).ok())
            .collect();
        all.sort_by_key(|one| std::cmp::Reverse(one.record.created));
        Ok(all)
    }

    fn load(&self, id: &ContainerId) -> anyhow::Result<Container> {
        let path = self.container_dir(id).join("container.json");
        let record =
            read_json(&path)?.with_context(|| format!("no such container: {}", id.short()))?;
        Ok(Container { root: self.clone(), record })
    }

    /// The container that a name belongs to; a link that crashed work left behind is removed.
    fn holder(&self, name: &Path) -> anyhow::Result<Option<ContainerId>> {
        let target = match fs::read_link(name) {
            Ok(target) => target,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| cannot("read", name)),
        };
        let id = target.file_name().and_then(|id| ContainerId::parse(id.to_str()?));
        Ok(id.filter(|id| self.container_dir(id).join("container.json").exists()))
    }

    fn lock(&self) -> anyhow::Result<File> {
        let names = self.names();
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&names)
            .with_context(|| cannot("make", &names))?;
        let path = self.path.join("lock");
        let file = File::create(&path).with_context(|| cannot("open", &path))?;
        flock(&file, FlockOperation::LockExclusive).with_context(|| cannot("lock", &path))?;
        Ok(file)
    }

    fn names(&self) -> PathBuf {
        self.path.join("names")
    }

    fn container_dir(&self, id: &ContainerId) -> PathBuf {
        self.path.join("containers").join(id.as_str())
    }
}

impl Container {
    pub(crate) fn dir(&self) -> PathBuf {
        self.root.container_dir(&self.record.id)
    }

    pub(crate) fn root(&self) -> &Root {
        &self.root
    }

    /// The directory beside the store's: bundle and log.
    pub(crate) fn data_dir(&self) -> PathBuf {
        leftovers::data_dir(&self.record.store).join(self.record.id.as_str())
    }

    pub(crate) fn bundle(&self) -> PathBuf {
        self.data_dir().join("bundle")
    }

    pub(crate) fn log_path(&self) -> PathBuf {
        self.data_dir().join("log")
    }

    pub(crate) fn pid_file(&self) -> PathBuf {
        self.dir().join("pid")
    }

    /// Makes the directory for bundle and log, with the link that tells whose it is.
    pub(crate) fn make_data_dir(&self) -> anyhow::Result<()> {
        let dir = self.data_dir();
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&dir)
            .with_context(|| cannot("make", &dir))?;
        symlink(self.dir(), dir.join("state")).with_context(|| cannot("make", &dir.join("state")))
    }

    pub(crate) fn record_process(&self, process: &Process) -> anyhow::Result<()> {
        write_json(&self.dir().join("process.json"), process)
    }

    /// Writes how it ended: into `exit.json`, and into the lock for those who wait for that, as with
    /// `--rm` the directory goes at once.
    pub(crate) fn record_exit(&self, exit: &Exit) -> anyhow::Result<()> {
        let lock = self.dir().join("lock");
        fs::write(&lock, exit.code.to_string()).with_context(|| cannot("write", &lock))?;
        write_json(&self.dir().join("exit.json"), exit)
    }

    /// The first process: as its monitor wrote it down, or as the runtime did where that was killed.
    pub(crate) fn process(&self) -> Option<Process> {
        let recorded = read_json(&self.dir().join("process.json")).ok().flatten();
        recorded.or_else(|| status::unrecorded(self))
    }

    pub(crate) fn exit(&self) -> Option<Exit> {
        read_json(&self.dir().join("exit.json")).ok().flatten()
    }

    pub(crate) fn status(&self) -> Status {
        status::of(self)
    }

    /// Takes the monitor's lock.
    fn lock_monitor(&self) -> anyhow::Result<MonitorLock> {
        let path = self.dir().join("lock");
        let file = File::create_new(&path).with_context(|| cannot("make", &path))?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)
            .with_context(|| cannot("lock", &path))?;
        Ok(MonitorLock(file))
    }

    /// Whether a monitor watches the container.
    pub(crate) fn is_watched(&self) -> bool {
        File::open(self.dir().join("lock")).is_ok_and(|file| {
            flock(&file, FlockOperation::NonBlockingLockShared)
                == Err(rustix::io::Errno::WOULDBLOCK)
        })
    }

    /// Waits until no monitor watches the container any more; the exit code that the monitor recorded.
    pub(crate) fn wait_unwatched(&self) -> anyhow::Result<Option<u8>> {
        let path = self.dir().join("lock");
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| cannot("open", &path)),
        };
        flock(&file, FlockOperation::LockShared).with_context(|| cannot("lock", &path))?;
        let code = std::io::read_to_string(file).with_context(|| cannot("read", &path))?;
        Ok(code.parse().ok())
    }

    /// Releases the bundle, and removes what is beside the store. Idempotent.
    pub(crate) fn remove_data(&self) -> anyhow::Result<()> {
        leftovers::remove_data(&self.data_dir())
    }

    /// Removes everything of a container that does not run: mounts, read-write layer, log, name, state.
    /// Idempotent; the state goes last, so that a removal cut short can be repeated.
    pub(crate) fn remove(&self) -> anyhow::Result<()> {
        self.remove_data()?;
        let _names = self.root.lock()?;
        let name = self.root.names().join(&self.record.name);
        if self.root.holder(&name)?.as_ref() == Some(&self.record.id) {
            remove_file(&name)?;
        }
        remove_tree(&self.dir())
    }
}

impl MonitorLock {
    /// The lock as a standard input for the process that is to hold it.
    pub(crate) fn into_stdio(self) -> std::process::Stdio {
        self.0.into()
    }
}

fn nearest(name: &str, all: &[Container]) -> Option<String> {
    let names = all.iter().map(|one| one.record.name.as_str());
    let near = cli::nearest(name, names).join(", ");
    (!near.is_empty()).then(|| format!("did you mean {near}?"))
}

fn write_json(path: &Path, value: &impl Serialize) -> anyhow::Result<()> {
    let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
    let text = serde_json::to_vec(value).with_context(|| cannot("write", path))?;
    File::create(&temporary)
        .and_then(|mut file| file.write_all(&text))
        .and_then(|()| fs::rename(&temporary, path))
        .with_context(|| cannot("write", path))
}

fn read_json<T: DeserializeOwned>(path: &Path) -> anyhow::Result<Option<T>> {
    match fs::read(path) {
        Ok(text) => {
            Ok(Some(serde_json::from_slice(&text).with_context(|| cannot("understand", path))?))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| cannot("read", path)),
    }
}

fn remove_file(path: &Path) -> anyhow::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| cannot("remove", path))
        }
        _ => Ok(()),
    }
}

fn remove_tree(path: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| cannot("remove", path))
        }
        _ => Ok(()),
    }
}

fn cannot(verb: &str, path: &Path) -> String {
    format!("cannot {verb} {}", path.display())
}
