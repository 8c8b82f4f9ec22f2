//! Device nodes of the host, for `--device` and `--privileged`.

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use image::Device;

/// Directories below /dev that the container has its own of, or that hold no devices.
const OWN: [&str; 6] = ["pts", "shm", "mqueue", "fd", "console", ".udev"];

/// The device that `HOST[:CONTAINER[:ACCESS]]` means.
pub(crate) fn parse(word: &str) -> anyhow::Result<Device> {
    let parts: Vec<&str> = word.split(':').collect();
    let (host, path, access) = match parts[..] {
        [host] => (host, host, "rwm"),
        [host, access] if !access.starts_with('/') => (host, host, access),
        [host, path] => (host, path, "rwm"),
        [host, path, access] => (host, path, access),
        _ => bail!("invalid device {word}: want HOST[:CONTAINER[:rwm]]"),
    };
    let valid = !access.is_empty() && access.chars().all(|c| "rwm".contains(c));
    if !valid || !path.starts_with('/') {
        bail!("invalid device {word}: want HOST[:CONTAINER[:rwm]]");
    }
    let found = read(Path::new(host)).with_context(|| format!("cannot read the device {host}"))?;
    let found = found.with_context(|| format!("{host} is not a device"))?;
    Ok(Device { path: path.into(), access: access.to_owned(), ..found })
}

/// All devices below /dev; what cannot be read is left out.
pub(crate) fn of_host() -> Vec<Device> {
    let mut all = Vec::new();
    collect(Path::new("/dev"), &mut all);
    all.sort_by(|a, b| a.path.cmp(&b.path));
    all
}

fn collect(dir: &Path, all: &mut Vec<Device>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path: PathBuf = entry.path();
        if OWN.iter().any(|own| path == Path::new("/dev").join(own)) {
            continue;
        }
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            collect(&path, all);
        } else if let Ok(Some(device)) = read(&path) {
            all.push(device);
        }
    }
}

fn read(path: &Path) -> std::io::Result<Option<Device>> {
    let metadata = fs::symlink_metadata(path)?;
    let kind = metadata.file_type();
    let number = metadata.rdev();
    Ok((kind.is_block_device() || kind.is_char_device()).then(|| Device {
        path: path.to_owned(),
        block: kind.is_block_device(),
        major: rustix::fs::major(number),
        minor: rustix::fs::minor(number),
        mode: metadata.mode() & 0o7777,
        uid: metadata.uid(),
        gid: metadata.gid(),
        access: "rwm".to_owned(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_read_from_the_host() {
        let null = parse("/dev/null:/dev/zip:r").unwrap();
        assert_eq!((null.major, null.minor, null.block), (1, 3, false));
        assert_eq!((null.path, null.access.as_str()), ("/dev/zip".into(), "r"));
        assert!(of_host().iter().any(|device| device.path == Path::new("/dev/null")));
    }

    #[test]
    fn what_is_no_device_is_refused() {
        for word in ["/etc/passwd", "/dev/none-such", "/dev/null:/x:q", "/dev/null:/x:r:y", ""] {
            assert!(parse(word).is_err(), "{word}");
        }
    }
}
