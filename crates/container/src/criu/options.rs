//! What `checkpoint` and `restore` are told, and the part of criu's options that they share.

use std::fs::{self, DirBuilder};
use std::io::ErrorKind;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use rustix::fs::{Mode, OFlags};

use super::request::{Options, field};
use crate::error::{Doing, Error, Result};

/// What criu does with cgroups (criu.org/CGroups).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CgroupMode {
    /// Whatever criu does of itself: soft.
    #[default]
    Default,
    /// Restore the properties of cgroups that did not exist.
    Soft,
    /// Restore all properties.
    Full,
    /// Restore all; no cgroup may exist.
    Strict,
    /// Leave cgroups alone.
    Ignore,
}

impl FromStr for CgroupMode {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Ok(match text {
            "" => Self::Default,
            "soft" => Self::Soft,
            "full" => Self::Full,
            "strict" => Self::Strict,
            "ignore" => Self::Ignore,
            _ => {
                let reason = format!("{text:?} is none of soft, full, strict, ignore");
                return Err(Error::spec("manage-cgroups-mode", reason));
            }
        })
    }
}

impl CgroupMode {
    fn number(self) -> u32 {
        match self {
            Self::Ignore => 0,
            Self::Soft => 3,
            Self::Full => 4,
            Self::Strict => 5,
            Self::Default => 6,
        }
    }
}

/// `ADDRESS:PORT` of a criu page server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageServer {
    pub(crate) address: String,
    pub(crate) port: u16,
}

impl FromStr for PageServer {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = |reason: &str| Error::spec("--page-server", reason);
        let (address, port) =
            text.rsplit_once(':').ok_or_else(|| wrong("use --page-server ADDRESS:PORT"))?;
        let inside = address.strip_prefix('[').and_then(|address| address.strip_suffix(']'));
        let address = inside.unwrap_or(address);
        if address.is_empty() || port.is_empty() || inside.is_none() && address.contains(':') {
            return Err(wrong("use --page-server ADDRESS:PORT"));
        }
        let port = port.parse().map_err(|_| wrong("invalid port number"))?;
        Ok(Self { address: address.to_owned(), port })
    }
}

/// Options that `checkpoint` and `restore` share; runc's flags of the same names.
#[derive(Clone, Debug, Default)]
pub struct CriuOptions {
    /// The criu program; looked up in `PATH` without a slash.
    pub program: PathBuf,
    /// The directory of the image.
    pub image_path: PathBuf,
    /// The directory of criu's log and statistics; the image's without it.
    pub work_path: Option<PathBuf>,
    /// Take established TCP connections along.
    pub tcp_established: bool,
    /// Allow Unix sockets that lead outside.
    pub ext_unix_sk: bool,
    /// Allow a container whose session leader is outside.
    pub shell_job: bool,
    /// Take file locks along.
    pub file_locks: bool,
    /// What happens with cgroups.
    pub cgroup_mode: CgroupMode,
    /// Drop pages from the parent image that the child image has.
    pub auto_dedup: bool,
    /// Restore memory when it is touched.
    pub lazy_pages: bool,
}

/// The open directories of an image.
pub(crate) struct Directories {
    pub(crate) image: OwnedFd,
    pub(crate) work: Option<OwnedFd>,
    log: PathBuf,
}

impl CriuOptions {
    /// Opens the directories; those that criu writes to are made, 0700.
    pub(crate) fn open(&self, make_image: bool, log: &str) -> Result<Directories> {
        if make_image {
            make(&self.image_path, true)?;
        }
        let image = open(&self.image_path)?;
        let work = self.work_path.as_deref().filter(|path| !path.as_os_str().is_empty());
        let log = work.unwrap_or(&self.image_path).join(log);
        let work = work.map(|path| make(path, false).and_then(|()| open(path))).transpose()?;
        Ok(Directories { image, work, log })
    }

    /// criu's options for what both commands have in common.
    pub(crate) fn fill(&self, options: &mut Options, places: &Directories, config: Option<&str>) {
        let log = places.log.file_name().unwrap_or_default();
        options
            .descriptor(field::IMAGES_DIR_FD, places.image.as_fd())
            .number(field::LOG_LEVEL, 4)
            .path(field::LOG_FILE, Path::new(log))
            .flag(field::MANAGE_CGROUPS, true)
            .number(field::MANAGE_CGROUPS_MODE, self.cgroup_mode.number())
            .flag(field::NOTIFY_SCRIPTS, true)
            .flag(field::SHELL_JOB, self.shell_job)
            .flag(field::EXT_UNIX_SK, self.ext_unix_sk)
            .flag(field::TCP_ESTABLISHED, self.tcp_established)
            .flag(field::FILE_LOCKS, self.file_locks)
            // Whoever made the network namespace set it up, and does so again.
            .number(field::EMPTY_NS, libc::CLONE_NEWNET as u32)
            .flag(field::ORPHAN_PTS_MASTER, true)
            .flag(field::AUTO_DEDUP, self.auto_dedup)
            .flag(field::LAZY_PAGES, self.lazy_pages);
        if let Some(work) = &places.work {
            options.descriptor(field::WORK_DIR_FD, work.as_fd());
        }
        // An annotation may name another file, or by being empty none.
        let config = config.unwrap_or("/etc/criu/runc.conf");
        if !config.is_empty() {
            options.text(field::CONFIG_FILE, config);
        }
    }
}

impl Directories {
    /// criu's own words to a failure: the last error of its log, and where the rest is.
    pub(crate) fn explain(&self, error: Error) -> Error {
        let Error::Criu(text) = error else { return error };
        let Ok(log) = fs::read(&self.log) else { return Error::Criu(text) };
        let log = String::from_utf8_lossy(&log);
        // That criu may not raise its own limit is no failure.
        let said = log.lines().filter(|line| !line.contains("rlimit: Can't setup"));
        let said = said.filter_map(|line| line.split_once("Error (")).map(|(_, said)| said);
        let said =
            said.filter_map(|said| said.split_once("): ")).map(|(_, said)| said.trim()).next();
        let said = said.map_or(String::new(), |said| format!(": {said}"));
        Error::Criu(format!("{text}{said} (log file: {})", self.log.display()))
    }
}

fn make(path: &Path, recursive: bool) -> Result<()> {
    match DirBuilder::new().mode(0o700).recursive(recursive).create(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            Err(error).doing(|| format!("make {}", path.display()))
        }
        _ => Ok(()),
    }
}

fn open(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).doing(|| format!("open {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_page_servers() {
        let server: PageServer = "10.0.0.1:27".parse().unwrap();
        assert_eq!((server.address.as_str(), server.port), ("10.0.0.1", 27));
        assert_eq!("[::1]:5".parse::<PageServer>().unwrap().address, "::1");
        for text in ["", "host", ":5", "host:", "host:x", "::1:5", "host:70000"] {
            assert!(text.parse::<PageServer>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn knows_the_cgroup_modes() {
        let modes = [("", 6), ("soft", 3), ("full", 4), ("strict", 5), ("ignore", 0)];
        for (text, number) in modes {
            assert_eq!(text.parse::<CgroupMode>().unwrap().number(), number);
        }
        assert!("other".parse::<CgroupMode>().is_err());
    }
}
