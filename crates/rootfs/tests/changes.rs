//! Whatever is done in a mount: its layer, on top of the others, shows the same.

#![allow(clippy::unwrap_used, reason = "a failure fails the test")]

mod fixture;

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use fixture::*;
use proptest::collection::vec;
use proptest::prelude::*;
use rootfs::Driver;
use rustix::fs::{CWD, FileType, XattrFlags, makedev, mknodat, removexattr, setxattr};

/// Something that a container may do. Whether it can is not the test's concern.
#[derive(Clone, Debug)]
enum Change {
    Write(PathBuf, Vec<u8>),
    WriteAt(PathBuf, u64, Vec<u8>),
    SetLength(PathBuf, u64),
    /// Writes other content, and sets the time back.
    Forge(PathBuf),
    MakeDirectory(PathBuf),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf),
    /// Removes a directory and makes it anew.
    Renew(PathBuf),
    Mode(PathBuf, u32),
    SameMode(PathBuf),
    Owner(PathBuf, u32),
    Link(PathBuf, PathBuf),
    Symlink(PathBuf, PathBuf),
    Attribute(PathBuf, Vec<u8>),
    NoAttribute(PathBuf),
    Device(PathBuf, bool),
}

fn paths() -> impl Strategy<Value = PathBuf> {
    const NAMES: &[&[u8]] =
        &[b"a", b"b", b"c", b"d", b"e", b"f", b"\xff\xfe", b"name with\nlines", b"a"];
    vec(0..NAMES.len(), 1..4)
        .prop_map(|picks| picks.into_iter().map(|pick| OsStr::from_bytes(NAMES[pick])).collect())
}

fn content() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![vec(any::<u8>(), 0..20), (4000usize..10_000).prop_map(|length| vec![1; length])]
}

fn change() -> impl Strategy<Value = Change> {
    use Change::*;
    prop_oneof![
        3 => (paths(), content()).prop_map(|(path, content)| Write(path, content)),
        1 => (paths(), 0u64..200_000, content()).prop_map(|(path, at, data)| WriteAt(path, at, data)),
        1 => (paths(), 0u64..200_000).prop_map(|(path, length)| SetLength(path, length)),
        1 => paths().prop_map(Forge),
        3 => paths().prop_map(MakeDirectory),
        2 => paths().prop_map(Remove),
        2 => (paths(), paths()).prop_map(|(from, to)| Rename(from, to)),
        2 => paths().prop_map(Renew),
        1 => (paths(), 0u32..0o10000).prop_map(|(path, mode)| Mode(path, mode)),
        1 => paths().prop_map(SameMode),
        1 => (paths(), 0u32..3).prop_map(|(path, owner)| Owner(path, owner)),
        2 => (paths(), paths()).prop_map(|(from, to)| Link(from, to)),
        1 => (paths(), paths()).prop_map(|(to, path)| Symlink(to, path)),
        1 => (paths(), content()).prop_map(|(path, value)| Attribute(path, value)),
        1 => paths().prop_map(NoAttribute),
        1 => (paths(), any::<bool>()).prop_map(|(path, pipe)| Device(path, pipe)),
    ]
}

fn apply(root: &Path, change: &Change) -> io::Result<()> {
    use Change::*;
    match change {
        Write(path, content) => fs::write(inside(root, path)?, content),
        WriteAt(path, at, content) => {
            let file = OpenOptions::new().write(true).open(inside(root, path)?)?;
            file.write_all_at(content, *at)
        }
        SetLength(path, length) => {
            OpenOptions::new().write(true).open(inside(root, path)?)?.set_len(*length)
        }
        Forge(path) => forge(&inside(root, path)?),
        MakeDirectory(path) => fs::create_dir(inside(root, path)?),
        Remove(path) => remove(&inside(root, path)?),
        Rename(from, to) => fs::rename(inside(root, from)?, inside(root, to)?),
        Renew(path) => {
            let path = inside(root, path)?;
            remove(&path)?;
            fs::create_dir(path)
        }
        Mode(path, mode) => {
            let path = inside(root, path)?;
            match fs::symlink_metadata(&path)?.is_symlink() {
                true => Ok(()),
                false => fs::set_permissions(path, Permissions::from_mode(*mode)),
            }
        }
        SameMode(path) => {
            let path = inside(root, path)?;
            match fs::symlink_metadata(&path)? {
                stat if stat.is_symlink() => Ok(()),
                stat => fs::set_permissions(path, stat.permissions()),
            }
        }
        Owner(path, owner) => {
            let path = inside(root, path)?;
            match fs::symlink_metadata(&path)?.is_symlink() {
                true => Ok(()),
                false => chown(path, Some(*owner), Some(*owner)),
            }
        }
        Link(from, to) => fs::hard_link(inside(root, from)?, inside(root, to)?),
        Symlink(to, path) => symlink(to, inside(root, path)?),
        Attribute(path, value) => Ok(setxattr(
            &existing(root, path)?,
            "user.test",
            &value[..value.len().min(100)],
            XattrFlags::empty(),
        )?),
        NoAttribute(path) => Ok(removexattr(&existing(root, path)?, "user.name")?),
        Device(path, true) => {
            Ok(mknodat(CWD, &inside(root, path)?, FileType::Fifo, rustix::fs::Mode::RUSR, 0)?)
        }
        Device(path, false) => {
            let kind = FileType::CharacterDevice;
            Ok(mknodat(CWD, &inside(root, path)?, kind, rustix::fs::Mode::RUSR, makedev(1, 3))?)
        }
    }
}

/// The path in the root, unless a link leads elsewhere or what is there blocks when opened.
fn inside(root: &Path, path: &Path) -> io::Result<PathBuf> {
    let full = root.join(path);
    let parent = full.parent().unwrap();
    if !parent.canonicalize()?.starts_with(root.canonicalize()?) {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    match fs::symlink_metadata(&full) {
        Ok(stat) if stat.is_symlink() && fs::metadata(&full).is_ok() => {
            Ok(full.parent().unwrap().join("e"))
        }
        _ => Ok(full),
    }
}

/// As [`inside`], for calls that follow links.
fn existing(root: &Path, path: &Path) -> io::Result<PathBuf> {
    let path = inside(root, path)?;
    match fs::symlink_metadata(&path)?.is_symlink() {
        true => Err(io::ErrorKind::InvalidInput.into()),
        false => Ok(path),
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path)?.is_dir() {
        true => fs::remove_dir_all(path),
        false => fs::remove_file(path),
    }
}

fn forge(path: &Path) -> io::Result<()> {
    let stat = fs::symlink_metadata(path)?;
    if !stat.is_file() || stat.len() == 0 {
        return Ok(());
    }
    let file = OpenOptions::new().write(true).open(path)?;
    file.write_all_at(b"forged", stat.len() - 1)?;
    file.set_len(stat.len())?;
    file.set_modified(stat.modified()?)
}

/// Opening a pipe or /dev/null for writing would block or lie.
fn applicable(root: &Path, change: &Change) -> bool {
    match change {
        Change::Write(path, _) | Change::WriteAt(path, ..) | Change::SetLength(path, _) => {
            let stat = inside(root, path).and_then(fs::symlink_metadata);
            stat.map_or(true, |stat| stat.is_file())
        }
        _ => true,
    }
}

fn check(driver: Driver, scripts: &[Vec<Change>]) {
    let temp = tempfile::tempdir().unwrap();
    let mut layers = Layers::new(temp.path());
    layers.add(rich_layer);
    for (number, script) in scripts.iter().enumerate() {
        let mounted = layers.mount(driver, &format!("layer-{number}"));
        for change in script {
            if applicable(&mounted.root, change) {
                // What the system refuses changes nothing.
                let _ = apply(&mounted.root, change);
            }
        }
        drop(File::open(&mounted.root).unwrap());
        let seen = picture(&mounted.root);
        layers.capture(mounted, &[]);
        let again = layers.mount(driver, &format!("again-{number}"));
        assert_same(&seen, &picture(&again.root));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(96) })]

    #[test]
    fn layers_of_erofs_tell_all(scripts in vec(vec(change(), 1..25), 1..4)) {
        check(Driver::Erofs, &scripts);
    }

    #[test]
    fn layers_of_directories_tell_all(scripts in vec(vec(change(), 1..25), 1..4)) {
        check(Driver::Directory, &scripts);
    }
}
