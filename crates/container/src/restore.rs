//! `restore`: criu brings a container back from its image files, as our child.
//!
//! ```text
//!  restore                                     criu swrk
//!  ───────                                     ─────────
//!  reserves <root>/<id>, makes cgroups
//!  mount points (in a namespace of its own)
//!  binds the root at <root>/<id>/criu-root
//!      │ starts it, moves it into the cgroups ▶│
//!      │ RESTORE ─────────────────────────────▶│
//!      │◀──────────────────── setup-namespaces │ prestart and createRuntime hooks
//!      │◀──────────────────── orphan-pts-master │ the terminal
//!      │◀──────────────────────── post-restore │ state.json, the pid file
//!      │◀───────────────────────────── RESTORE │ the processes go on; criu ends
//! ```
//!
//! When anything fails all of this is taken back.

use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::time::SystemTime;

use oci_spec::runtime::{LinuxNamespaceType, Spec};
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, PidfdFlags};

use crate::birth::Child;
use crate::console;
use crate::criu::{self, CriuOptions, Kind, Options, Response, Service, field};
use crate::delete::destroy;
use crate::error::{Doing, Error, Result};
use crate::foreground::stay;
use crate::hooks;
use crate::id::ContainerId;
use crate::launch::{self, CreateOptions, Undo};
use crate::process_stat::ProcessStat;
use crate::rootfs::{CriuRoot, prepare_mount_points};
use crate::run::RunOptions;
use crate::signals::SignalQueue;
use crate::spec::{self, Bundle, read_json};
use crate::state::{Record, StateDir, Status};

/// How `restore` is done; runc's flags of the same names.
#[derive(Clone, Debug, Default)]
pub struct RestoreOptions {
    /// What `checkpoint` is told too.
    pub criu: CriuOptions,
    /// `TYPE:NAME` of the security profile to take instead of the image's.
    pub lsm_profile: Option<String>,
    /// The SELinux context of mounts to take instead of the image's.
    pub lsm_mount_context: Option<String>,
}

/// Restores a container. Returns its first process's exit code, or 128 and the signal that killed it; 0
/// when detached.
///
/// # Errors
/// [`Error::Exists`]; [`Error::Criu`] when criu is missing, too old or fails. Nothing of the container
/// is left then.
pub fn restore(
    root: &Path,
    id: &ContainerId,
    create: &CreateOptions,
    run: &RunOptions,
    options: &RestoreOptions,
) -> Result<i32> {
    if !run.detach && !run.no_subreaper {
        rustix::process::set_child_subreaper(Pid::from_raw(1))
            .doing(|| "become a subreaper".into())?;
    }
    let bundle = Bundle::load(&create.bundle)?;
    launch::check_terminal(&bundle.spec, create, !run.detach)?;
    let version = criu::version(&options.criu.program, criu::OLDEST, "restore")?;
    let dir = StateDir::new(root, id);
    dir.reserve()?;
    let mut undo = Undo { dir: Some(dir.clone()), cgroup: None, child: None, record: None };
    let mut record = launch::blank_record(id, &bundle, create)?;
    let _holder = launch::make_cgroup(&mut undo, &dir, &mut record, &bundle, create)?;
    let mut restored =
        Restored { dir: &dir, record, bundle: &bundle, create, child: None, master: None, undo };
    restored.bring_back(options, version)?;
    let Restored { record, child, master, undo, .. } = restored;
    undo.disarm();
    let child = child.ok_or_else(|| Error::Criu("criu restored no process".into()))?;
    if run.detach {
        return Ok(0);
    }
    let code = stay(&child, master, None, &SignalQueue::open()?)?;
    if !run.keep {
        destroy(&dir, &record)?;
    }
    Ok(code)
}

/// A container that is being restored.
struct Restored<'a> {
    dir: &'a StateDir,
    record: Record,
    bundle: &'a Bundle,
    create: &'a CreateOptions,
    child: Option<Child>,
    master: Option<OwnedFd>,
    undo: Undo,
}

impl Restored<'_> {
    fn bring_back(&mut self, options: &RestoreOptions, version: u32) -> Result<()> {
        let external = self.record.config.external.clone();
        external.check()?;
        let places = options.criu.open(false, "restore.log")?;
        let mut asked = Options::default();
        let config = self.record.annotations.get("org.criu.config").map(String::as_str);
        options.criu.fill(&mut asked, &places, config);
        labels(&mut asked, options, version)?;
        let passed = namespaces(&mut asked, &self.bundle.spec, version)?;
        for (place, source) in prepare_mount_points(&self.bundle.spec, self.bundle)? {
            asked.pair(field::EXT_MNT, &place, &source);
        }
        external.restore(&mut asked, &self.record.cgroup);
        inherit_streams(&mut asked, &options.criu.image_path)?;
        let root = CriuRoot::bind(&self.bundle.rootfs, &self.dir.path.join("criu-root"))?;
        asked
            .path(field::ROOT, root.path())
            .flag(field::EVASIVE_DEVICES, true)
            .flag(field::RST_SIBLING, true);
        let mut service = Service::start(&options.criu.program, true, &passed)?;
        self.enter_cgroups(&mut asked, service.pid())?;
        let request = criu::request(Kind::Restore, Some(&asked));
        let done = service.converse(&request, |heard, descriptor| self.notified(heard, descriptor));
        done.and_then(|_| service.finish(true)).map_err(|error| places.explain(error))
    }

    /// What criu puts where its own cgroups were is where it is itself.
    fn enter_cgroups(&self, asked: &mut Options, pid: i32) -> Result<()> {
        for group in self.record.cgroup.groups() {
            let door = group.path.join("cgroup.procs");
            fs::write(&door, pid.to_string()).doing(|| format!("write {}", door.display()))?;
        }
        let name = format!("/proc/{pid}/cgroup");
        let table = fs::read_to_string(&name).doing(|| format!("read {name}"))?;
        for line in table.lines() {
            let mut parts = line.splitn(3, ':').skip(1);
            let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
            for controller in controllers.split(',') {
                asked.pair(field::CG_ROOT, Path::new(controller), Path::new(path));
            }
        }
        Ok(())
    }

    fn notified(&mut self, heard: &Response, descriptor: Option<OwnedFd>) -> Result<()> {
        match (heard.script.as_str(), descriptor) {
            ("setup-namespaces", _) => {
                let mut state = self.record.state(Status::Creating);
                state.pid = heard.pid;
                hooks::run_for_runtime(self.bundle.spec.hooks().as_ref(), state, None)
            }
            ("orphan-pts-master", Some(master)) => match &self.create.console_socket {
                Some(socket) => console::send_master(socket, master),
                None => {
                    self.master = Some(master);
                    Ok(())
                }
            },
            ("post-restore", _) => self.restored(heard.pid),
            _ => Ok(()),
        }
    }

    /// The processes are there and do not run yet.
    fn restored(&mut self, pid: i32) -> Result<()> {
        let gone = || Error::Criu(format!("the restored process {pid} is gone"));
        let number = Pid::from_raw(pid).ok_or_else(gone)?;
        self.undo.child = Some(number);
        let pidfd = rustix::process::pidfd_open(number, PidfdFlags::empty())
            .doing(|| format!("open the restored process {pid}"))?;
        self.child = Some(Child { pid: number, pidfd });
        self.record.pid = pid;
        self.record.start_time = ProcessStat::of(pid).ok_or_else(gone)?.start_time;
        self.record.created = crate::time::rfc3339(SystemTime::now());
        if has_own_time(pid) && !self.record.namespaces.iter().any(|name| name == "time") {
            self.record.namespaces.push("time".into());
        }
        self.dir.save(&self.record)?;
        self.undo.record = Some(self.record.clone());
        match &self.create.pid_file {
            Some(file) => launch::write_pid_file(file, pid),
            None => Ok(()),
        }
    }
}

/// criu restores the clocks, for which it makes a time namespace that the configuration may not have.
fn has_own_time(pid: i32) -> bool {
    let of = |process: &str| fs::read_link(format!("/proc/{process}/ns/time")).ok();
    let theirs = of(&pid.to_string());
    theirs.is_some() && theirs != of("self")
}

fn labels(asked: &mut Options, options: &RestoreOptions, version: u32) -> Result<()> {
    for (flag, number, value) in [
        ("--lsm-profile", field::LSM_PROFILE, &options.lsm_profile),
        ("--lsm-mount-context", field::LSM_MOUNT_CONTEXT, &options.lsm_mount_context),
    ] {
        let Some(value) = value.as_deref().filter(|value| !value.is_empty()) else { continue };
        criu::require(version, criu::LSM, flag)?;
        asked.text(number, value);
    }
    Ok(())
}

/// Namespaces by path: criu takes over descriptors for those of network and processes, and joins the
/// others itself.
fn namespaces(asked: &mut Options, spec: &Spec, version: u32) -> Result<Vec<OwnedFd>> {
    let mut passed = Vec::new();
    for namespace in spec::linux(spec)?.namespaces().iter().flatten() {
        let Some(path) = namespace.path() else { continue };
        let kind = namespace.typ();
        let (key, minimum) = match kind {
            LinuxNamespaceType::Network => ("extRootNetNS", criu::EXTERNAL_NET),
            LinuxNamespaceType::Pid => ("extRootPidNS", criu::EXTERNAL_PID),
            LinuxNamespaceType::Cgroup | LinuxNamespaceType::Mount => {
                let reason = format!("criu cannot restore into an existing {kind} namespace");
                return Err(Error::spec("linux.namespaces", reason));
            }
            _ => {
                asked.pair(field::JOIN_NS, Path::new(&kind.to_string()), path);
                continue;
            }
        };
        criu::require(version, minimum, "a namespace by path")?;
        let namespace = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .doing(|| format!("open the {kind} namespace {}", path.display()))?;
        asked.inherit(key, namespace.as_raw_fd());
        passed.push(namespace);
    }
    Ok(passed)
}

/// Pipes of the old standard streams become ours.
fn inherit_streams(asked: &mut Options, image: &Path) -> Result<()> {
    let names: Vec<String> = read_json(&image.join("descriptors.json"))?;
    for (number, name) in names.iter().take(3).enumerate() {
        if name.contains("pipe:") {
            asked.inherit(name, number as i32);
        }
    }
    Ok(())
}
