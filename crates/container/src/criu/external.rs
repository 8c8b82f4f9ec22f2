//! What of a container belongs to the host: criu does not write it into the image but expects to find
//! it again at restore. Kept in `state.json`, for the bundle may change before a checkpoint.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxNamespaceType, Spec};
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use serde::{Deserialize, Serialize};

use super::request::{Options, field};
use crate::cgroup::Cgroup;
use crate::error::{Doing, Error, Result};

/// The host's part of a container.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct External {
    /// Destinations of bind mounts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) binds: Vec<PathBuf>,
    /// Destinations of mounts that show the container's cgroups.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) cgroups: Vec<PathBuf>,
    /// Masked paths; those that are no directories are the host's null device.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    masked: Vec<PathBuf>,
    /// Device nodes that are bound because no node can be made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) devices: Vec<PathBuf>,
    /// Namespaces by path.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    namespaces: BTreeMap<String, PathBuf>,
    /// Mounts with mapped ids, which criu cannot bring back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    mapped: Vec<PathBuf>,
    /// The pipes that the first process got as its standard streams.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    streams: Vec<String>,
}

const DEVICES: [&str; 6] =
    ["/dev/null", "/dev/zero", "/dev/full", "/dev/tty", "/dev/random", "/dev/urandom"];

impl External {
    /// What a configuration asks for, with the streams of the calling process.
    pub(crate) fn of(spec: &Spec) -> Self {
        let mut external = Self { streams: streams(), ..Self::default() };
        for mount in spec.mounts().iter().flatten() {
            let destination = mount.destination().clone();
            let has = |wanted: fn(&str) -> bool| {
                mount.options().iter().flatten().any(|option| wanted(option))
            };
            let maps = mount.uid_mappings().is_some() || mount.gid_mappings().is_some();
            if maps || has(|option| option.starts_with("idmap") || option.starts_with("ridmap")) {
                external.mapped.push(destination.clone());
            }
            match mount.typ().as_deref() {
                Some("cgroup" | "cgroup2") => external.cgroups.push(destination),
                Some("bind") => external.binds.push(destination),
                _ if has(|option| option == "bind" || option == "rbind") => {
                    external.binds.push(destination);
                }
                _ => {}
            }
        }
        let Some(linux) = spec.linux() else { return external };
        external.masked = linux.masked_paths().iter().flatten().map(PathBuf::from).collect();
        if crate::namespaces::has_user(spec) {
            let configured = linux.devices().iter().flatten().map(|device| device.path().clone());
            external.devices = DEVICES.map(PathBuf::from).into_iter().chain(configured).collect();
        }
        for namespace in linux.namespaces().iter().flatten() {
            if let Some(path) = namespace.path() {
                external.namespaces.insert(namespace.typ().to_string(), path.clone());
            }
        }
        external
    }

    /// The path of a namespace of another's.
    pub(crate) fn namespace(&self, kind: LinuxNamespaceType) -> Option<&Path> {
        self.namespaces.get(&kind.to_string()).map(PathBuf::as_path)
    }

    /// Refuses what criu would bring back wrong without a word.
    pub(crate) fn check(&self) -> Result<()> {
        match self.mapped.first() {
            Some(mount) => {
                let reason = "criu cannot restore a mount with mapped ids";
                Err(Error::spec(format!("mounts: {}", mount.display()), reason))
            }
            None => Ok(()),
        }
    }

    /// Names the host's mounts in the running container `pid` for a dump.
    pub(crate) fn dump(&self, options: &mut Options, pid: i32, cgroup: &Cgroup) -> Result<()> {
        let cgroups = self.cgroups.iter().flat_map(|place| cgroup_mounts(place, cgroup));
        let cgroups = cgroups.map(|(place, _)| place);
        for place in self.binds.iter().chain(&self.devices).cloned().chain(cgroups) {
            let place = resolved(pid, &place);
            options.pair(field::EXT_MNT, &place, &place);
        }
        let root = PathBuf::from(format!("/proc/{pid}/root"));
        for place in &self.masked {
            // criu opens nothing by this: only the kind matters, and a wrong one fails the dump.
            let inside = root.join(place.strip_prefix("/").unwrap_or(place));
            if fs::symlink_metadata(inside).is_ok_and(|there| !there.is_dir()) {
                options.pair(field::EXT_MNT, place, Path::new("/dev/null"));
            }
        }
        Ok(())
    }

    /// What the host's mounts are at restore.
    pub(crate) fn restore(&self, options: &mut Options, cgroup: &Cgroup) {
        for (place, source) in self.cgroups.iter().flat_map(|place| cgroup_mounts(place, cgroup)) {
            options.pair(field::EXT_MNT, &place, &source);
        }
        if !self.masked.is_empty() {
            options.pair(field::EXT_MNT, Path::new("/dev/null"), Path::new("/dev/null"));
        }
        for device in &self.devices {
            options.pair(field::EXT_MNT, device, device);
        }
    }

    /// The streams for `descriptors.json`, in which criu's callers find the pipes to replace.
    pub(crate) fn descriptors(&self, pid: i32) -> Vec<String> {
        (0..3)
            .map(|number| match self.streams.get(number) {
                Some(pipe) if !pipe.is_empty() => pipe.clone(),
                _ => fs::read_link(format!("/proc/{pid}/fd/{number}"))
                    .map_or("/dev/null".into(), |target| target.to_string_lossy().into_owned()),
            })
            .collect()
    }
}

/// A cgroup mount is on v1 a directory with a mount for each hierarchy.
fn cgroup_mounts(place: &Path, cgroup: &Cgroup) -> Vec<(PathBuf, PathBuf)> {
    if cgroup.is_unified() {
        let groups = cgroup.groups().iter().take(1);
        return groups.map(|group| (place.to_owned(), group.path.clone())).collect();
    }
    let groups = cgroup.v1_groups();
    groups.map(|group| (place.join(&group.hierarchy), group.path.clone())).collect()
}

/// A configured destination may lead over symbolic links of the image: criu knows mounts by where they
/// really are. The answer is a name only; nothing is mounted by it.
fn resolved(pid: i32, place: &Path) -> PathBuf {
    let found = || -> Result<PathBuf> {
        let name = format!("/proc/{pid}/root");
        let root = rustix::fs::open(&name, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
            .doing(|| format!("open {name}"))?;
        let place = rustix::fs::openat2(
            &root,
            place,
            OFlags::PATH | OFlags::CLOEXEC,
            Mode::empty(),
            ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
        )
        .doing(|| format!("look up {}", place.display()))?;
        fs::read_link(format!("/proc/self/fd/{}", place.as_raw_fd()))
            .doing(|| "read our own descriptor".into())
    };
    found().unwrap_or_else(|_| place.to_owned())
}

/// The calling process's streams that are pipes, as the kernel names them; empty texts for others.
fn streams() -> Vec<String> {
    use rustix::stdio::{stderr, stdin, stdout};
    let pipe = |stream: BorrowedFd<'_>| {
        let stat = rustix::fs::fstat(stream).ok()?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Fifo {
            return None;
        }
        // A named pipe has a path, by which criu finds it.
        let name = fs::read_link(format!("/proc/self/fd/{}", stream.as_raw_fd())).ok()?;
        name.to_str().filter(|name| name.starts_with("pipe:")).map(str::to_owned)
    };
    let found = [stdin(), stdout(), stderr()].map(|stream| pipe(stream).unwrap_or_default());
    if found.iter().all(String::is_empty) { Vec::new() } else { found.into() }
}
