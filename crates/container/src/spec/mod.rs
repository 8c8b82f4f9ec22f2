//! `config.json`: read, bounded, parsed and checked before anything is made.
//!
//! What this kernel or this runtime cannot do for a container is refused here, by the field's name.

use std::fs::File;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use oci_spec::runtime::{Linux, LinuxNamespaceType, Process, Spec};
use rustix::fs::{Mode, OFlags};
use serde::de::DeserializeOwned;

use crate::document::{self, Document};
use crate::error::{Doing, Error, Result};
use crate::notice;

pub(crate) mod linux_fields;
pub(crate) mod process;
pub(crate) mod sysctl;

pub(crate) use process::check as check_process;

/// The version of runtime-spec that is followed.
pub(crate) const VERSION: &str = "1.3.0";

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
        let spec = parse(&path.join("config.json"))?;
        let root = spec.root().as_ref().map(|root| plain(&path.join(root.path())));
        let root = root.ok_or_else(|| Error::spec("root", "missing"))?;
        let rootfs =
            root.canonicalize().doing(|| format!("find the root filesystem {}", root.display()))?;
        // As runc has it: what is behind a link could be exchanged as a whole.
        if rootfs != root {
            return Err(Error::spec("root.path", "is a symbolic link, or leads over one"));
        }
        if !rootfs.is_dir() {
            return Err(Error::spec("root.path", format!("{} is no directory", rootfs.display())));
        }
        Ok(Self { path, rootfs, spec })
    }
}

/// A path without `..`, which undoes the name before it.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => drop(plain.pop()),
            component => plain.push(component),
        }
    }
    plain
}

/// Checks the text of a `config.json` (runtime-spec, config.md) as [`create`](crate::create) does before
/// it makes anything. Nothing is changed.
///
/// # Errors
/// What is wrong with it, with the member's name, or the document's where no member is to blame.
pub fn check_configuration(text: &[u8]) -> Result<()> {
    from_document(document::parse("config.json", text)?).map(drop)
}

/// Reads and checks a configuration.
fn parse(path: &Path) -> Result<Spec> {
    let document = read_document(path, OFlags::NONBLOCK)?;
    from_document(document)
}

/// The configuration of a document that holds: nothing that its fields say is passed over, and nothing
/// outside the document is changed.
pub(crate) fn from_document(document: Document<Spec>) -> Result<Spec> {
    let mut spec = document.value;
    if document.without_default_action
        && let Some(linux) = spec.linux_mut()
        && let Some(seccomp) = linux.seccomp()
    {
        // As runc has it: a profile that says nothing is none.
        if seccomp.syscalls().as_ref().is_some_and(|syscalls| !syscalls.is_empty()) {
            return Err(Error::spec("linux.seccomp.defaultAction", "missing"));
        }
        linux.set_seccomp(None);
    }
    if document.without_memory_mode
        && let Some(linux) = spec.linux_mut()
        && let Some(policy) = linux.memory_policy()
    {
        let flags = policy.flags().as_ref().is_some_and(|flags| !flags.is_empty());
        if flags || policy.nodes().as_ref().is_some_and(|nodes| !nodes.is_empty()) {
            let reason = "invalid memory policy mode: missing";
            return Err(Error::spec("linux.memoryPolicy.mode", reason));
        }
        linux.set_memory_policy(None);
    }
    check(&spec)?;
    Ok(spec)
}

/// Reads a JSON document of bounded size, waiting for whoever writes it if it is a pipe.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    read_document(path, OFlags::empty()).map(|document| document.value)
}

fn read_document<T: DeserializeOwned>(path: &Path, wait: OFlags) -> Result<Document<T>> {
    // Configurations that engines write have some ten kilobytes.
    let mut bytes = Vec::with_capacity(16 << 10);
    rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC | wait, Mode::empty())
        .map_err(std::io::Error::from)
        .map(File::from)
        .and_then(|file| file.take(MAX_SIZE + 1).read_to_end(&mut bytes))
        .doing(|| format!("read {}", path.display()))?;
    let name = path.display().to_string();
    if bytes.len() as u64 > MAX_SIZE {
        return Err(Error::spec(name, format!("larger than {MAX_SIZE} bytes")));
    }
    let document = document::parse(&name, &bytes)?;
    let unknown = &document.unknown_capabilities;
    if !unknown.is_empty() {
        notice::warn(&format!("ignoring unknown or unavailable capabilities: {unknown:?}"));
    }
    Ok(document)
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
    check_version(spec.version())?;
    check_process(process(spec)?)?;
    check_linux(linux(spec)?)?;
    check_host_names(spec)?;
    for (index, mount) in spec.mounts().iter().flatten().enumerate() {
        let destination = mount.destination();
        check_text(&format!("mounts[{index}].destination"), destination)?;
        if destination.as_os_str().is_empty() {
            return Err(Error::spec(format!("mounts[{index}].destination"), "empty"));
        }
        if destination.is_relative() {
            notice::warn(&format!("mounts[{index}].destination: {destination:?} is not absolute"));
        }
        if let Some(source) = mount.source() {
            check_text(&format!("mounts[{index}].source"), source)?;
        }
        for text in mount.typ().iter().chain(mount.options().iter().flatten()) {
            check_text(&format!("mounts[{index}].options"), text)?;
        }
    }
    check_hooks(spec)
}

/// What comes after 1.x may mean other things by the same names. Older and missing versions are passed
/// over, as runc does: configurations are written by hand, too.
fn check_version(version: &str) -> Result<()> {
    let major = version.split('.').next().and_then(|major| major.parse().ok());
    match major {
        Some(2u32..) => Err(Error::spec("ociVersion", format!("{version:?} is not 1.x"))),
        _ => Ok(()),
    }
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
    linux_fields::check(linux)?;
    for path in linux.masked_paths().iter().chain(linux.readonly_paths()).flatten() {
        check_text("linux.maskedPaths", path)?;
    }
    for device in linux.devices().iter().flatten() {
        check_text("linux.devices", device.path())?;
    }
    sysctl::check(linux.sysctl().as_ref(), linux.namespaces().as_deref().unwrap_or_default())
}

fn check_host_names(spec: &Spec) -> Result<()> {
    let namespaces = linux(spec)?.namespaces().as_deref().unwrap_or_default();
    let uts = namespaces.iter().any(|namespace| namespace.typ() == LinuxNamespaceType::Uts);
    for (field, name) in [("hostname", spec.hostname()), ("domainname", spec.domainname())] {
        let Some(name) = name.as_ref().filter(|name| !name.is_empty()) else { continue };
        if !uts {
            return Err(Error::spec(field, "cannot be set without a uts namespace"));
        }
        check_text(field, name)?;
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
        check_text("hooks", hook.path())?;
        for text in hook.args().iter().chain(hook.env()).flatten() {
            check_text("hooks", text)?;
        }
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
