//! `config.json`: read, bounded, parsed and checked before anything is made.
//!
//! What this kernel or this runtime cannot do for a container is refused here, by the field's name.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{Linux, LinuxNamespaceType, Process, Spec};
use rustix::fs::{Mode, OFlags};
use serde::de::DeserializeOwned;

use crate::error::{Doing, Error, Result};

/// The largest `config.json` that is read, in bytes. Real ones have some tens of kilobytes.
const MAX_SIZE: u64 = 16 << 20;

/// A bundle: its directory and its checked configuration.
pub(crate) struct Bundle {
    /// The directory, absolute.
    pub(crate) path: PathBuf,
    /// The root filesystem's directory, absolute, without symbolic links.
    pub(crate) rootfs: PathBuf,
    pub(crate) spec: Spec,
}

impl Bundle {
    /// Reads `<path>/config.json` (runtime-spec, bundle.md).
    pub(crate) fn load(path: &Path) -> Result<Self> {
        let path = path.canonicalize().doing(|| format!("find the bundle {}", path.display()))?;
        let spec: Spec = parse_json(&path.join("config.json"), OFlags::NONBLOCK)?;
        check(&spec)?;
        let root = spec.root().as_ref().map(|root| path.join(root.path()));
        let root = root.ok_or_else(|| Error::spec("root", "missing"))?;
        let rootfs =
            root.canonicalize().doing(|| format!("find the root filesystem {}", root.display()))?;
        if !rootfs.is_dir() {
            return Err(Error::spec("root.path", format!("{} is no directory", rootfs.display())));
        }
        Ok(Self { path, rootfs, spec })
    }
}

/// Reads a JSON document of bounded size, waiting for whoever writes it if it is a pipe.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    parse_json(path, OFlags::empty())
}

fn parse_json<T: DeserializeOwned>(path: &Path, wait: OFlags) -> Result<T> {
    let mut bytes = Vec::new();
    rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC | wait, Mode::empty())
        .map_err(std::io::Error::from)
        .map(File::from)
        .and_then(|file| file.take(MAX_SIZE + 1).read_to_end(&mut bytes))
        .doing(|| format!("read {}", path.display()))?;
    let name = || path.display().to_string();
    if bytes.len() as u64 > MAX_SIZE {
        return Err(Error::spec(name(), format!("larger than {MAX_SIZE} bytes")));
    }
    serde_json::from_slice(&bytes).map_err(|error| Error::spec(name(), error.to_string()))
}

/// The Linux part, which [`check`] has seen.
pub(crate) fn linux(spec: &Spec) -> Result<&Linux> {
    spec.linux().as_ref().ok_or_else(|| Error::spec("linux", "missing"))
}

/// The process part, which [`check`] has seen.
pub(crate) fn process(spec: &Spec) -> Result<&Process> {
    spec.process().as_ref().ok_or_else(|| Error::spec("process", "missing"))
}

fn check(spec: &Spec) -> Result<()> {
    if !spec.version().starts_with("1.") {
        return Err(Error::spec("ociVersion", format!("{:?} is not 1.x", spec.version())));
    }
    check_process(process(spec)?)?;
    check_linux(linux(spec)?)?;
    check_host_names(spec)?;
    for (index, mount) in spec.mounts().iter().flatten().enumerate() {
        check_text(&format!("mounts[{index}].destination"), mount.destination())?;
        if let Some(source) = mount.source() {
            check_text(&format!("mounts[{index}].source"), source)?;
        }
    }
    check_hooks(spec)
}

/// Checks a process that shall be started, the container's first or another.
pub(crate) fn check_process(process: &Process) -> Result<()> {
    let args = process.args().as_deref().unwrap_or_default();
    if args.first().is_none_or(String::is_empty) {
        return Err(Error::spec("process.args", "empty"));
    }
    if !process.cwd().is_absolute() {
        let cwd = process.cwd().display();
        return Err(Error::spec("process.cwd", format!("{cwd:?} is not an absolute path")));
    }
    for text in args {
        check_text("process.args", text)?;
    }
    for variable in process.env().iter().flatten() {
        check_text("process.env", variable)?;
        if variable.split_once('=').is_none_or(|(name, _)| name.is_empty()) {
            let reason = format!("{variable:?} is not of the form NAME=value");
            return Err(Error::spec("process.env", reason));
        }
    }
    if process.exec_cpu_affinity().is_some() {
        return Err(Error::spec("process.execCPUAffinity", "not supported"));
    }
    if process.selinux_label().as_ref().is_some_and(|label| !label.is_empty())
        && !Path::new("/sys/fs/selinux/enforce").exists()
    {
        return Err(Error::spec("process.selinuxLabel", "this kernel does not run SELinux"));
    }
    if process.apparmor_profile().as_ref().is_some_and(|name| !name.is_empty())
        && !Path::new("/sys/kernel/security/apparmor").exists()
    {
        return Err(Error::spec("process.apparmorProfile", "this kernel does not run AppArmor"));
    }
    check_text("process.cwd", process.cwd())
}

fn check_linux(linux: &Linux) -> Result<()> {
    let mut seen = Vec::new();
    for namespace in linux.namespaces().iter().flatten() {
        if seen.contains(&namespace.typ()) {
            let reason = format!("{} is named twice", namespace.typ());
            return Err(Error::spec("linux.namespaces", reason));
        }
        seen.push(namespace.typ());
    }
    if linux.time_offsets().is_some() && !seen.contains(&LinuxNamespaceType::Time) {
        return Err(Error::spec("linux.timeOffsets", "given without a time namespace"));
    }
    refuse("linux.intelRdt", linux.intel_rdt().is_some())?;
    refuse("linux.memoryPolicy", linux.memory_policy().is_some())?;
    refuse("linux.netDevices", linux.net_devices().as_ref().is_some_and(|map| !map.is_empty()))?;
    for path in linux.masked_paths().iter().chain(linux.readonly_paths()).flatten() {
        check_text("linux.maskedPaths", path)?;
    }
    for device in linux.devices().iter().flatten() {
        check_text("linux.devices", device.path())?;
    }
    check_sysctl(linux, &seen)
}

fn refuse(field: &str, given: bool) -> Result<()> {
    if given { Err(Error::spec(field, "not supported")) } else { Ok(()) }
}

/// A sysctl must belong to a namespace that is the container's own: else it would be the host's.
fn check_sysctl(linux: &Linux, seen: &[LinuxNamespaceType]) -> Result<()> {
    for name in linux.sysctl().iter().flat_map(|map| map.keys()) {
        let dotted = name.replace('/', ".");
        let field = format!("linux.sysctl[{name:?}]");
        if dotted.split('.').any(|part| part.is_empty()) || dotted.contains('\0') {
            return Err(Error::spec(field, "not a sysctl's name"));
        }
        let owner = if dotted.starts_with("net.") {
            LinuxNamespaceType::Network
        } else if IPC_SYSCTLS.contains(&dotted.as_str()) || dotted.starts_with("fs.mqueue.") {
            LinuxNamespaceType::Ipc
        } else if ["kernel.hostname", "kernel.domainname"].contains(&dotted.as_str()) {
            LinuxNamespaceType::Uts
        } else if dotted.starts_with("user.") {
            LinuxNamespaceType::User
        } else {
            return Err(Error::spec(field, "does not belong to any namespace"));
        };
        if !seen.contains(&owner) {
            return Err(Error::spec(field, format!("needs a {owner} namespace of its own")));
        }
    }
    Ok(())
}

const IPC_SYSCTLS: [&str; 8] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];

fn check_host_names(spec: &Spec) -> Result<()> {
    let namespaces = linux(spec)?.namespaces().as_deref().unwrap_or_default();
    let uts = namespaces.iter().any(|namespace| namespace.typ() == LinuxNamespaceType::Uts);
    for (field, name) in [("hostname", spec.hostname()), ("domainname", spec.domainname())] {
        let Some(name) = name.as_ref().filter(|name| !name.is_empty()) else { continue };
        if !uts {
            return Err(Error::spec(field, "cannot be set without a uts namespace"));
        }
        if name.len() > 64 {
            return Err(Error::spec(field, "longer than 64 bytes"));
        }
    }
    Ok(())
}

fn check_hooks(spec: &Spec) -> Result<()> {
    let Some(hooks) = spec.hooks() else { return Ok(()) };
    let points = [
        hooks.prestart(),
        hooks.create_runtime(),
        hooks.create_container(),
        hooks.start_container(),
        hooks.poststart(),
        hooks.poststop(),
    ];
    for hook in points.into_iter().flatten().flatten() {
        if !hook.path().is_absolute() {
            let reason = format!("{:?} is not an absolute path", hook.path());
            return Err(Error::spec("hooks", reason));
        }
        if hook.timeout().is_some_and(|seconds| seconds <= 0) {
            return Err(Error::spec("hooks", "a timeout must be greater than zero"));
        }
    }
    Ok(())
}

/// The kernel takes strings that end at the first NUL: one inside would be cut off unseen.
fn check_text(field: &str, text: impl AsRef<Path>) -> Result<()> {
    use std::os::unix::ffi::OsStrExt;
    if text.as_ref().as_os_str().as_bytes().contains(&0) {
        return Err(Error::spec(field, "contains a NUL byte"));
    }
    Ok(())
}
