//! A new file system by the mount API, not attached yet; and the change of one that is mounted.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, FsPickFlags, MountAttrFlags, MountFlags};

use super::options::{Options, RDONLY};

/// The longest value that fsconfig(2) takes, in bytes.
const MAX_VALUE: usize = 255;

/// Whether the mount API takes all these options; mount(2) takes longer ones, as an overlay's with many
/// layers is.
pub(super) fn takes(options: &Options) -> bool {
    options.data.iter().all(|option| match option.split_once('=') {
        Some((key, value)) => key.len() <= MAX_VALUE && value.len() <= MAX_VALUE,
        None => option.len() <= MAX_VALUE,
    })
}

/// A new file system. `writable`: not read-only yet, whatever the options say. The error carries what
/// the file system itself said.
pub(super) fn new(
    kind: &str,
    source: Option<&Path>,
    options: &Options,
    writable: bool,
) -> Result<OwnedFd, String> {
    let fs =
        rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC).map_err(|error| match error {
            Errno::NODEV => format!("this kernel has no file system {kind:?}"),
            error => text(error),
        })?;
    let told = |error| said(fs.as_fd()).unwrap_or_else(|| text(error));
    if let Some(source) = source {
        rustix::mount::fsconfig_set_string(fs.as_fd(), "source", source).map_err(told)?;
    }
    let read_only = options.is_read_only() && !writable;
    if read_only {
        rustix::mount::fsconfig_set_flag(fs.as_fd(), "ro").map_err(told)?;
    }
    configure(fs.as_fd(), kind, options)?;
    rustix::mount::fsconfig_create(fs.as_fd()).map_err(told)?;
    let attr = options.new_attr() & if read_only { !0 } else { !RDONLY };
    let attr = MountAttrFlags::from_bits_retain(attr as u32);
    rustix::mount::fsmount(fs.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attr).map_err(told)
}

/// Changes the file system that is mounted at `place` (mount(2), "Remounting an existing mount").
pub(super) fn reconfigure(place: BorrowedFd<'_>, options: &Options) -> Result<(), String> {
    let flags = FsPickFlags::FSPICK_EMPTY_PATH | FsPickFlags::FSPICK_CLOEXEC;
    let fs = rustix::mount::fspick(place, "", flags).map_err(text)?;
    let told = |error| said(fs.as_fd()).unwrap_or_else(|| text(error));
    let access = if options.is_read_only() { "ro" } else { "rw" };
    rustix::mount::fsconfig_set_flag(fs.as_fd(), access).map_err(told)?;
    configure(fs.as_fd(), "", options)?;
    rustix::mount::fsconfig_reconfigure(fs.as_fd()).map_err(told)
}

/// A new file system by mount(2), attached at `place`, for options that are too long for [`new`]. The
/// place is named by our own descriptor in the host's procfs, which is still the one in view.
pub(super) fn mount_with_long_options(
    kind: &str,
    source: Option<&Path>,
    place: BorrowedFd<'_>,
    options: &Options,
) -> Result<(), String> {
    let data = options.superblock_flags().map(str::to_owned).chain(options.data.iter().cloned());
    let data = data.collect::<Vec<_>>().join(",");
    let data = std::ffi::CString::new(data).map_err(|_| "an option contains a NUL byte")?;
    let place = format!("/proc/self/fd/{}", place.as_raw_fd());
    let flags = MountFlags::from_bits_retain(options.mount_flags() as u32);
    let source = source.unwrap_or(Path::new("none"));
    rustix::mount::mount(source, place, kind, flags, data.as_c_str()).map_err(text)
}

fn configure(fs: BorrowedFd<'_>, kind: &str, options: &Options) -> Result<(), String> {
    let told = |error| said(fs).unwrap_or_else(|| text(error));
    for flag in options.superblock_flags() {
        rustix::mount::fsconfig_set_flag(fs, flag).map_err(told)?;
    }
    for option in &options.data {
        match option.split_once('=') {
            Some((key, value)) => rustix::mount::fsconfig_set_string(fs, key, value),
            // Since 4.7 every devpts is an instance of its own; the new interface dropped the word.
            None if kind == "devpts" && option == "newinstance" => Ok(()),
            None => rustix::mount::fsconfig_set_flag(fs, option.as_str()),
        }
        .map_err(|error| format!("option {option:?}: {}", told(error)))?;
    }
    Ok(())
}

fn text(error: Errno) -> String {
    std::io::Error::from(error).to_string()
}

/// The last message of the file system's log (fsopen(2)): `e option: text`.
fn said(fs: BorrowedFd<'_>) -> Option<String> {
    let mut last = None;
    let mut buffer = [0; 1024];
    while let Ok(length) = rustix::io::read(fs, &mut buffer) {
        let line = String::from_utf8_lossy(&buffer[..length]).trim_end().to_owned();
        last = Some(line.split_once(' ').map_or(line.clone(), |(_, text)| text.to_owned()));
    }
    last
}
