//! The overlay by fuse-overlayfs(1), for ordinary users where the kernel's own refuses: on a file system that
//! cannot hold an upper directory, such as another container's overlay, and before Linux 5.11.
//!
//! The program goes on in the background and ends when it is unmounted. Where it can make no device it leaves
//! a file `.wh.NAME` for a name that is gone, and `.wh..wh..opq` in an opaque directory; so the upper directory
//! is marked, for the capture to know.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::fs::{XattrFlags, setxattr};

use super::lower::Lower;
use super::upper::Upper;
use crate::Error;
use crate::xattrs::MADE_BY_FUSE;

const PROGRAM: &str = "fuse-overlayfs";

/// Mounts at `target`. `refused` is what the kernel's own overlay said.
pub(super) fn mount(
    lowers: &[Lower],
    upper: &Upper,
    upper_path: &Path,
    target: &Path,
    refused: Error,
) -> Result<(), Error> {
    setxattr(upper_path, MADE_BY_FUSE, b"y", XattrFlags::empty())
        .map_err(Error::io("mark", upper_path))?;
    let lowers: Vec<_> = lowers.iter().map(|lower| name(&lower.directory)).collect();
    let options = format!(
        "noatime,lowerdir={},upperdir={},workdir={}",
        lowers.join(":"),
        name(&upper.upper),
        name(&upper.work)
    );
    let output = Command::new(PROGRAM)
        .args(["-o", &options])
        .arg(target)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output();
    let said = match output {
        Ok(output) if output.status.success() => return Ok(()),
        Ok(output) => format!("{PROGRAM}: {}", String::from_utf8_lossy(&output.stderr).trim()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            format!("{PROGRAM}, which may do without, is not installed")
        }
        Err(error) => format!("cannot start {PROGRAM}: {error}"),
    };
    Err(with(refused, &said))
}

/// An open directory, by a name without letters that an option could not hold.
fn name(directory: &OwnedFd) -> String {
    format!("/proc/{}/fd/{}", std::process::id(), directory.as_raw_fd())
}

/// The kernel's refusal, with what came after it.
fn with(refused: Error, said: &str) -> Error {
    match refused {
        Error::Mount { filesystem, target, detail, source } => {
            Error::Mount { filesystem, target, detail: format!("{detail}; {said}"), source }
        }
        other => other,
    }
}
