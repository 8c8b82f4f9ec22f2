//! What is known of a container between two commands.
//!
//! ```text
//! <root>/                  0700; a tmpfs, so that nothing survives a boot
//!   <id>/                  0711; its making reserves the id, its removal ends the container
//!     state.json           written once and renamed into place, when the container is created
//!     cgroup               a link whose text tells the cgroups, for when the creation is killed
//!     start.sock           there from create until start: a word to it starts the program
//!     exec.fifo            beside it, for what starting fails of
//! ```
//!
//! A directory without `state.json` belongs to a creation that is under way or was killed; `delete
//! --force` removes it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use oci_spec::runtime::{Hooks, Spec};
use serde::{Deserialize, Serialize};

use crate::cgroup::Cgroup;
use crate::error::{Doing, Error, Result};
use crate::id::ContainerId;
use crate::intel_rdt::RdtGroups;
use crate::process_stat::ProcessStat;
use crate::spec;

/// A container's status (runtime-spec, runtime.md "State"), and runc's `paused`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It is being made.
    Creating,
    /// It waits for `start`.
    Created,
    /// Its program runs.
    Running,
    /// Its processes are frozen.
    Paused,
    /// Its program has ended.
    Stopped,
}

impl Status {
    /// The status in runtime-spec's words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        }
    }
}

/// What `state` and `list` tell, with runc's field names; hooks get it on their standard input.
#[derive(Clone, Debug, Serialize)]
pub struct State {
    /// The version of runtime-spec that this state follows.
    #[serde(rename = "ociVersion")]
    pub oci_version: String,
    /// The container's id.
    pub id: String,
    /// The first process, as the host numbers it; 0 once stopped.
    pub pid: i32,
    /// The status now.
    pub status: Status,
    /// The bundle's directory, absolute.
    pub bundle: PathBuf,
    /// The root filesystem's directory, absolute.
    pub rootfs: PathBuf,
    /// When it was created, RFC 3339.
    pub created: String,
    /// The annotations of `config.json`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// The name of the user who owns the state, empty where it has none.
    pub owner: String,
}

/// `state.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) id: String,
    pub(crate) pid: i32,
    pub(crate) start_time: u64,
    pub(crate) bundle: PathBuf,
    pub(crate) rootfs: PathBuf,
    pub(crate) created: String,
    #[serde(default)]
    pub(crate) annotations: BTreeMap<String, String>,
    pub(crate) cgroup: Cgroup,
    /// Its processes keep their callers' session keyring.
    #[serde(default)]
    pub(crate) no_new_keyring: bool,
    /// The container has no pid namespace of its own: its processes do not end with the first.
    #[serde(default)]
    pub(crate) shares_pids: bool,
    /// Namespaces that `exec` joins, as names below `/proc/<pid>/ns`.
    pub(crate) namespaces: Vec<String>,
    /// Directories of resctrl that were made for it.
    #[serde(default, skip_serializing_if = "RdtGroups::is_empty")]
    pub(crate) rdt: RdtGroups,
    /// What `exec` takes for granted and later hooks need.
    pub(crate) config: Kept,
}

/// The parts of `config.json` that later commands need: the bundle may change meanwhile.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Kept {
    #[serde(default)]
    pub(crate) process: Option<oci_spec::runtime::Process>,
    #[serde(default)]
    pub(crate) seccomp: Option<oci_spec::runtime::LinuxSeccomp>,
    #[serde(default)]
    pub(crate) hooks: Option<Hooks>,
    #[serde(default)]
    pub(crate) personality: Option<oci_spec::runtime::LinuxPersonality>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) memory_policy: Option<oci_spec::runtime::LinuxMemoryPolicy>,
    #[serde(default)]
    pub(crate) external: crate::criu::External,
}

impl Kept {
    pub(crate) fn of(spec: &Spec) -> Self {
        let linux = spec.linux().as_ref();
        Self {
            process: spec.process().clone(),
            seccomp: linux.and_then(|linux| linux.seccomp().clone()),
            hooks: spec.hooks().clone(),
            personality: linux.and_then(|linux| linux.personality().clone()),
            memory_policy: linux.and_then(|linux| linux.memory_policy().clone()),
            external: crate::criu::External::of(spec),
        }
    }
}

/// A container's directory below the state root.
#[derive(Clone, Debug)]
pub(crate) struct StateDir {
    pub(crate) path: PathBuf,
    id: ContainerId,
}

impl StateDir {
    pub(crate) fn new(root: &Path, id: &ContainerId) -> Self {
        Self { path: root.join(id.as_str()), id: id.clone() }
    }

    /// The directory of all containers' directories.
    pub(crate) fn root(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("/"))
    }

    /// Makes the directory: of several creations of one id exactly one succeeds.
    pub(crate) fn reserve(&self) -> Result<()> {
        let root = self.root();
        let make = || fs::DirBuilder::new().mode(0o711).create(&self.path);
        let made = match make() {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                fs::DirBuilder::new()
                    .recursive(true)
                    .mode(0o700)
                    .create(root)
                    .doing(|| format!("make the state root {}", root.display()))?;
                make()
            }
            made => made,
        };
        match made {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                return Err(Error::Exists(self.id.to_string()));
            }
            made => made.doing(|| format!("make {}", self.path.display()))?,
        }
        self.check_root().inspect_err(|_| drop(self.remove()))
    }

    /// Where everybody may exchange the directories, anybody says what hooks our caller runs.
    fn check_root(&self) -> Result<()> {
        let root = self.root();
        let mode = fs::metadata(root).map(|metadata| metadata.mode());
        let (everybody, sticky) = (0o002, 0o1000);
        match mode.doing(|| format!("look at the state root {}", root.display()))? {
            mode if mode & everybody != 0 && mode & sticky == 0 => {
                let reason = format!("{} can be written by everybody", root.display());
                Err(Error::spec("--root", reason))
            }
            _ => Ok(()),
        }
    }

    /// Writes `state.json`, whole or not at all.
    pub(crate) fn save(&self, record: &Record) -> Result<()> {
        let (name, temporary) = (self.path.join("state.json"), self.path.join("state.json.new"));
        let bytes = serde_json::to_vec(record)
            .map_err(std::io::Error::other)
            .doing(|| "write the container's state as JSON".into())?;
        let create =
            || fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary);
        // What a killed writer left, or a link that waits under the name, must not be written to.
        let retry = |error: std::io::Error| match error.kind() {
            ErrorKind::AlreadyExists => fs::remove_file(&temporary).and_then(|()| create()),
            _ => Err(error),
        };
        create()
            .or_else(retry)
            .and_then(|mut file| file.write_all(&bytes))
            .and_then(|()| fs::rename(&temporary, &name))
            .doing(|| format!("write {}", name.display()))
    }

    /// Reads `state.json`.
    pub(crate) fn load(&self) -> Result<Record> {
        let name = self.path.join("state.json");
        match fs::read(&name) {
            Ok(bytes) => {
                self.check_root()?;
                serde_json::from_slice(&bytes)
                    .map_err(|error| Error::spec(name.display().to_string(), error.to_string()))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Err(Error::NotFound(self.id.to_string()))
            }
            Err(error) => Err(error).doing(|| format!("read {}", name.display())),
        }
    }

    /// Notes the cgroup before it is made, so that `delete --force` finds it when the creation is
    /// killed: as the text of a link that points nowhere, which is one system call and written whole or
    /// not at all.
    pub(crate) fn note_cgroup(&self, cgroup: &Cgroup) {
        if let Ok(text) = serde_json::to_string(cgroup) {
            let _ = std::os::unix::fs::symlink(text, self.path.join("cgroup"));
        }
    }

    /// The cgroup of a creation that did not come to an end.
    pub(crate) fn noted_cgroup(&self) -> Option<Cgroup> {
        let text = fs::read_link(self.path.join("cgroup")).ok()?;
        serde_json::from_str(text.to_str()?).ok()
    }

    /// The socket that `start` speaks to.
    pub(crate) fn start_socket(&self) -> PathBuf {
        self.path.join("start.sock")
    }

    /// Forgets the container.
    pub(crate) fn remove(&self) -> Result<()> {
        // Most often there is nothing else; looking what there is takes longer.
        let _ = fs::remove_file(self.path.join("state.json"));
        let _ = fs::remove_file(self.path.join("cgroup"));
        if fs::remove_dir(&self.path).is_ok() {
            return Ok(());
        }
        match fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(error).doing(|| format!("remove {}", self.path.display()))
            }
            _ => Ok(()),
        }
    }

    /// The status now.
    pub(crate) fn status(&self, record: &Record) -> Status {
        match ProcessStat::of(record.pid) {
            Some(stat) if stat.start_time == record.start_time && !stat.is_dead() => {
                if record.cgroup.is_frozen() {
                    Status::Paused
                } else if self.start_socket().exists() {
                    Status::Created
                } else {
                    Status::Running
                }
            }
            _ => Status::Stopped,
        }
    }
}

impl Record {
    /// What is told of the container.
    pub(crate) fn state(&self, status: Status) -> State {
        State {
            oci_version: spec::VERSION.into(),
            id: self.id.clone(),
            pid: if status == Status::Stopped { 0 } else { self.pid },
            status,
            bundle: self.bundle.clone(),
            rootfs: self.rootfs.clone(),
            created: self.created.clone(),
            annotations: self.annotations.clone(),
            owner: String::new(),
        }
    }
}
