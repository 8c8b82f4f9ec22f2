//! `checkpoint`: criu writes a running container into a directory of image files.
//!
//! A container that cannot be written goes on as before. One that was written is gone afterwards, unless
//! it shall be left running.

use std::fs;
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

use oci_spec::runtime::LinuxNamespaceType;
use rustix::fs::OFlags;

use crate::criu::{self, CriuOptions, Feature, Kind, Options, PageServer, Service, field};
use crate::delete::{destroy, stop};
use crate::error::{Doing, Error, Result};
use crate::id::ContainerId;
use crate::state::{Record, StateDir, Status};
use crate::syscalls;

/// How `checkpoint` is done; runc's flags of the same names.
#[derive(Clone, Debug, Default)]
pub struct CheckpointOptions {
    /// What `restore` is told too.
    pub criu: CriuOptions,
    /// The image before this one, as a path relative to this one.
    pub parent_path: Option<PathBuf>,
    /// Let the container go on.
    pub leave_running: bool,
    /// Leave out connections that are being made.
    pub tcp_skip_in_flight: bool,
    /// Give files that were deleted a name again.
    pub link_remap: bool,
    /// A descriptor that gets a NUL byte when lazy pages can be fetched.
    pub status_fd: Option<i32>,
    /// Send memory there instead of writing it.
    pub page_server: Option<PageServer>,
    /// Write memory only, and let the container go on.
    pub pre_dump: bool,
}

/// Writes a running or paused container into `image_path`, which is made (0700) where missing.
///
/// # Errors
/// [`Error::WrongState`]; [`Error::Criu`] when criu is missing, too old or fails: the container goes on
/// then.
pub fn checkpoint(root: &Path, id: &ContainerId, options: &CheckpointOptions) -> Result<()> {
    let mut status_fd = status_descriptor(options)?;
    let dir = StateDir::new(root, id);
    let record = dir.load()?;
    let status = dir.status(&record);
    if !matches!(status, Status::Running | Status::Paused) {
        return Err(Error::WrongState { verb: "checkpoint", status: status.as_str() });
    }
    record.config.external.check()?;
    check_parent(options)?;
    let version = criu::version(&options.criu.program, criu::OLDEST, "checkpoint")?;
    if options.pre_dump {
        criu::check_feature(&options.criu.program, Feature::MemTrack, "--pre-dump")?;
    }
    if options.lazy_pages() {
        criu::check_feature(&options.criu.program, Feature::LazyPages, "--lazy-pages")?;
    }
    dump(&record, options, version, &mut status_fd)?;
    if !options.leave_running && !options.pre_dump {
        stop(&record)?;
        destroy(&dir, &record)?;
    }
    Ok(())
}

impl CheckpointOptions {
    fn lazy_pages(&self) -> bool {
        self.criu.lazy_pages
    }
}

/// Taken over before anything else is opened: else the number could be a descriptor of ours.
fn status_descriptor(options: &CheckpointOptions) -> Result<Option<OwnedFd>> {
    let Some(number) = options.status_fd.filter(|_| options.lazy_pages()) else { return Ok(None) };
    let wrong = |reason: &str| Error::spec("--status-fd", format!("descriptor {number} {reason}"));
    if number < 0 || !syscalls::is_open(number) {
        return Err(wrong("is not open"));
    }
    // SAFETY: the caller gave us this open descriptor to use and close; nothing else here owns it.
    let descriptor = unsafe { OwnedFd::from_raw_fd(number) };
    let mode = rustix::fs::fcntl_getfl(&descriptor).doing(|| "look at --status-fd".into())?;
    if !mode.intersects(OFlags::WRONLY | OFlags::RDWR) {
        return Err(wrong("is not writable"));
    }
    Ok(Some(descriptor))
}

fn check_parent(options: &CheckpointOptions) -> Result<()> {
    let Some(parent) = &options.parent_path else { return Ok(()) };
    let wrong = |reason: String| Error::spec("--parent-path", reason);
    if parent.components().next() == Some(Component::RootDir) {
        return Err(wrong("must be relative to the image's directory".into()));
    }
    let place = options.criu.image_path.join(parent);
    // The image's directory need not exist yet for a parent beside it.
    options.criu.open(true, "")?;
    match fs::metadata(&place) {
        Ok(there) if there.is_dir() => Ok(()),
        Ok(_) => Err(wrong(format!("{} is no directory", place.display()))),
        Err(error) => Err(wrong(format!("{}: {error}", place.display()))),
    }
}

fn dump(
    record: &Record,
    options: &CheckpointOptions,
    version: u32,
    status_fd: &mut Option<OwnedFd>,
) -> Result<()> {
    let places = options.criu.open(true, "dump.log")?;
    let mut asked = Options::default();
    let config = record.annotations.get("org.criu.config").map(String::as_str);
    options.criu.fill(&mut asked, &places, config);
    describe(&mut asked, record, options);
    namespaces(&mut asked, record, version)?;
    if let (Some(descriptor), true) = (&status_fd, version < criu::EXTERNAL_PID) {
        use std::os::fd::AsFd;
        asked.descriptor(field::STATUS_FD, descriptor.as_fd());
    }
    if !options.pre_dump {
        record.config.external.dump(&mut asked, record.pid, &record.cgroup)?;
        write_descriptors(record, &options.criu.image_path)?;
    }
    let kind = if options.pre_dump { Kind::PreDump } else { Kind::Dump };
    let mut service = Service::start(&options.criu.program, false, &[])?;
    let done = service.converse(&criu::request(kind, Some(&asked)), |heard, _| {
        if heard.script == "status-ready"
            && let Some(descriptor) = status_fd.take()
        {
            rustix::io::write(&descriptor, &[0]).doing(|| "write to --status-fd".into())?;
        }
        Ok(())
    });
    done.and_then(|_| service.finish(!options.pre_dump)).map_err(|error| places.explain(error))
}

fn describe(asked: &mut Options, record: &Record, options: &CheckpointOptions) {
    asked
        .path(field::ROOT, &record.rootfs)
        .number(field::PID, record.pid as u32)
        .flag(field::LEAVE_RUNNING, options.leave_running)
        .flag(field::TCP_SKIP_IN_FLIGHT, options.tcp_skip_in_flight)
        .flag(field::LINK_REMAP, options.link_remap);
    if let Some(server) = &options.page_server {
        asked.page_server(&server.address, server.port);
    }
    if let Some(parent) = &options.parent_path {
        asked.path(field::PARENT_IMG, parent).flag(field::TRACK_MEM, true);
    }
}

/// Namespaces of another's stay outside the image; criu finds them by their inode.
fn namespaces(asked: &mut Options, record: &Record, version: u32) -> Result<()> {
    let external = &record.config.external;
    for (kind, name, key, minimum) in [
        (LinuxNamespaceType::Network, "net", "extRootNetNS", criu::EXTERNAL_NET),
        (LinuxNamespaceType::Pid, "pid", "extRootPidNS", criu::EXTERNAL_PID),
    ] {
        let Some(path) = external.namespace(kind) else { continue };
        criu::require(version, minimum, "a namespace by path")?;
        let there = fs::metadata(path).doing(|| format!("look at {}", path.display()))?;
        asked.text(field::EXTERNAL, &format!("{name}[{}]:{key}", there.ino()));
    }
    // Without it criu stops the processes by ptrace, one after the other.
    let freezer = record.cgroup.group("freezer");
    if let Some(group) = freezer
        && (!record.cgroup.is_unified() || version >= criu::FREEZER_V2)
    {
        asked.path(field::FREEZE_CGROUP, &group.path);
    }
    Ok(())
}

fn write_descriptors(record: &Record, image: &Path) -> Result<()> {
    let place = image.join("descriptors.json");
    let text = serde_json::json!(record.config.external.descriptors(record.pid)).to_string();
    fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&place)
        .and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()))
        .doing(|| format!("write {}", place.display()))
}
