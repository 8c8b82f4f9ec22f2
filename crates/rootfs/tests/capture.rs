//! Changes in a mounted root file system, as a layer.

#![allow(clippy::unwrap_used, reason = "a failure fails the test")]

mod fixture;

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;

use fixture::*;
use rootfs::{Driver, Error, Lower, capture};
use tree::{EntryKind, LayerWriter, Tree};

/// The layer that `change` makes over a rich one, an entry a line; also checks that the layer, put
/// on top, shows what was seen in the mount.
fn layer_of(driver: Driver, change: impl FnOnce(&Path)) -> Vec<String> {
    layer_without(driver, &[], change)
}

fn layer_without(driver: Driver, exclude: &[&str], change: impl FnOnce(&Path)) -> Vec<String> {
    let temp = tempfile::tempdir().unwrap();
    let mut layers = Layers::new(temp.path());
    layers.add(rich_layer);
    let mounted = layers.mount(driver, "before");
    change(&mounted.root);
    let mut seen = picture(&mounted.root);
    seen.retain(|_, look| look.kind != "socket");
    let exclude: Vec<_> = exclude.iter().map(path).collect();
    let changeset = layers.capture(mounted, &exclude);
    let lines = changeset.entries().iter().map(line).collect();
    if exclude.is_empty() {
        let after = layers.mount(driver, "after");
        let again = picture(&after.root);
        assert_same(&seen, &again);
    }
    lines
}

fn line(entry: &tree::Entry) -> String {
    let path = &entry.path;
    match &entry.kind {
        EntryKind::Directory => format!("dir {path} {:o}", entry.metadata.mode),
        EntryKind::File(content) => format!("file {path} {}", content.size),
        EntryKind::HardLink(to) => format!("link {path} {to}"),
        EntryKind::Whiteout => format!("whiteout {path}"),
        EntryKind::Opaque => format!("opaque {path}"),
        EntryKind::Symlink(to) => format!("symlink {path} {}", String::from_utf8_lossy(to)),
        EntryKind::CharDevice(device) => format!("char {path} {}:{}", device.major, device.minor),
        EntryKind::BlockDevice(device) => format!("block {path} {}:{}", device.major, device.minor),
        EntryKind::Fifo => format!("fifo {path}"),
    }
}

type Change = fn(&Path);

/// What is done, and the layer that it makes.
const CASES: &[(&str, Change, &[&str])] = &[
    ("nothing", |_| {}, &[]),
    ("a new file", |root| fs::write(root.join("new"), "x").unwrap(), &["file /new 1"]),
    (
        "a new file below",
        |root| fs::write(root.join("a/b/new"), "x").unwrap(),
        &["dir /a 755", "dir /a/b 2775", "file /a/b/new 1"],
    ),
    (
        "a file made and removed",
        |root| {
            fs::write(root.join("a/b/new"), "x").unwrap();
            fs::remove_file(root.join("a/b/new")).unwrap();
        },
        &[],
    ),
    (
        "a file removed",
        |root| fs::remove_file(root.join("a/b/c")).unwrap(),
        &["dir /a 755", "dir /a/b 2775", "whiteout /a/b/c"],
    ),
    ("a directory removed", |root| fs::remove_dir_all(root.join("a")).unwrap(), &["whiteout /a"]),
    (
        "a directory replaced by an empty one",
        |root| {
            fs::remove_dir_all(root.join("a")).unwrap();
            fs::create_dir(root.join("a")).unwrap();
            fs::set_permissions(root.join("a"), Permissions::from_mode(0o700)).unwrap();
        },
        &["dir /a 700", "opaque /a"],
    ),
    (
        "a file put back into a new directory",
        |root| {
            fs::rename(root.join("a/c"), root.join("kept")).unwrap();
            fs::remove_dir_all(root.join("a")).unwrap();
            fs::create_dir(root.join("a")).unwrap();
            fs::rename(root.join("kept"), root.join("a/c")).unwrap();
        },
        &["dir /a 755", "opaque /a", "file /a/c 3"],
    ),
    (
        "a new directory with one in it",
        |root| fs::create_dir_all(root.join("new/deep")).unwrap(),
        &["dir /new 755", "dir /new/deep 755"],
    ),
    (
        "a directory replaced by a file",
        |root| {
            fs::remove_dir_all(root.join("a")).unwrap();
            fs::write(root.join("a"), "file").unwrap();
        },
        &["file /a 4"],
    ),
    (
        "a link to a directory replaced by a directory",
        |root| {
            fs::remove_file(root.join("c")).unwrap();
            fs::create_dir(root.join("c")).unwrap();
            fs::write(root.join("c/c"), "").unwrap();
        },
        &["dir /c 755", "file /c/c 0"],
    ),
    (
        "modes",
        |root| {
            fs::set_permissions(root, Permissions::from_mode(0o755)).unwrap();
            fs::set_permissions(root.join("a/b"), Permissions::from_mode(0o1700)).unwrap();
        },
        &["dir / 755", "dir /a 755", "dir /a/b 1700"],
    ),
    (
        "modes as they were",
        |root| {
            fs::set_permissions(root.join("a/c"), Permissions::from_mode(0o644)).unwrap();
            fs::set_permissions(root.join("a/b"), Permissions::from_mode(0o2775)).unwrap();
            fs::set_permissions(root.join("d"), Permissions::from_mode(0o640)).unwrap();
        },
        &[],
    ),
    (
        "opened for writing, nothing written",
        |root| drop(OpenOptions::new().write(true).open(root.join("d")).unwrap()),
        &[],
    ),
    (
        "other content of the same size, with the time set back",
        |root| {
            let file = OpenOptions::new().write(true).open(root.join("d")).unwrap();
            let time = file.metadata().unwrap().modified().unwrap();
            file.write_all_at(b"x", 99_999).unwrap();
            file.set_modified(time).unwrap();
        },
        // Writing takes the capability away.
        &["file /d 100000"],
    ),
    (
        "a name of a file with two names written to",
        |root| fs::write(root.join("b"), "two").unwrap(),
        &["file /b 3"],
    ),
    (
        "one more name for an old file",
        |root| fs::hard_link(root.join("d"), root.join("a/d")).unwrap(),
        &["dir /a 755", "file /a/d 100000", "link /d /a/d"],
    ),
    (
        "names for a new file",
        |root| {
            fs::write(root.join("y"), "x").unwrap();
            fs::hard_link(root.join("y"), root.join("z")).unwrap();
            fs::hard_link(root.join("y"), root.join("a/x")).unwrap();
        },
        &["dir /a 755", "file /a/x 1", "link /y /a/x", "link /z /a/x"],
    ),
    (
        "names for a new link",
        |root| {
            symlink("nowhere", root.join("y")).unwrap();
            fs::hard_link(root.join("y"), root.join("z")).unwrap();
        },
        &["symlink /y nowhere", "link /z /y"],
    ),
    ("a socket", |root| drop(UnixListener::bind(root.join("a/socket")).unwrap()), &[]),
    (
        "a renamed file",
        |root| fs::rename(root.join("d"), root.join("a/moved")).unwrap(),
        &["dir /a 755", "file /a/moved 100000", "whiteout /d"],
    ),
    (
        "names that are not text",
        |root| {
            let name = [b"\xff\xfe/".as_slice(), &[0xf1; 250]].concat();
            fs::write(root.join(OsStr::from_bytes(&name)), "x").unwrap();
        },
        &["dir /\u{fffd}\u{fffd} 1777", LONG],
    ),
];

/// A name of 250 bytes that are not UTF-8.
const LONG: &str = "file long";

#[test]
fn changes_and_their_layers() {
    for driver in DRIVERS {
        for (what, change, want) in CASES {
            let got = layer_of(driver, change);
            let shortened: Vec<_> =
                got.iter().map(|l| if l.len() > 300 { LONG } else { l.as_str() }).collect();
            assert_eq!(shortened, *want, "{what}, {driver}");
        }
    }
}

#[test]
fn attributes_and_devices() {
    use rustix::fs::{CWD, FileType, Mode, XattrFlags, makedev, mknodat, removexattr, setxattr};
    for driver in DRIVERS {
        let lines = layer_of(driver, |root| {
            setxattr(root.join("a"), "user.new", b"x", XattrFlags::empty()).unwrap();
            removexattr(root.join("d"), "user.name").unwrap();
            fs::write(root.join("ping"), "").unwrap();
            setxattr(root.join("ping"), "security.capability", &capability(), XattrFlags::empty())
                .unwrap();
            setxattr(root.join("ping"), "trusted.mine", b"", XattrFlags::empty()).unwrap();
            let (disk, mode) = (root.join("disk"), Mode::from_raw_mode(0o600));
            mknodat(CWD, &disk, FileType::BlockDevice, mode, makedev(259, 70_000)).unwrap();
            mknodat(CWD, root.join("pipe"), FileType::Fifo, mode, 0).unwrap();
        });
        let want =
            ["dir /a 755", "file /d 100000", "block /disk 259:70000", "file /ping 0", "fifo /pipe"];
        assert_eq!(lines, want, "{driver}");
    }
}

#[test]
fn access_lists() {
    for driver in DRIVERS {
        let lines = layer_of(driver, |root| {
            // user::rwx user:1000:r-x group::r-x mask::r-x other::---, as in posix_acl_xattr.h.
            let entry = |tag: u16, permissions: u16, id: u32| {
                [&tag.to_le_bytes()[..], &permissions.to_le_bytes(), &id.to_le_bytes()].concat()
            };
            let none = u32::MAX;
            let acl = [
                2u32.to_le_bytes().to_vec(),
                entry(1, 7, none),
                entry(2, 5, 1000),
                entry(4, 5, none),
                entry(16, 5, none),
                entry(32, 0, none),
            ]
            .concat();
            // Over a file system without set_acl, such as EROFS, overlayfs takes a list only for what
            // it has copied up before.
            fs::set_permissions(root.join("a/b"), Permissions::from_mode(0o2700)).unwrap();
            for name in ["system.posix_acl_access", "system.posix_acl_default"] {
                let flags = rustix::fs::XattrFlags::empty();
                rustix::fs::setxattr(root.join("a/b"), name, &acl, flags).unwrap();
            }
        });
        assert_eq!(lines, ["dir /a 755", "dir /a/b 2750"], "{driver}");
    }
}

#[test]
fn what_the_runtime_made_is_left_out() {
    let exclude = ["etc/resolv.conf", "etc/deep/er", "proc", "a/mountpoint", "d", "run/far/down"];
    let make = |root: &Path| {
        fs::create_dir_all(root.join("etc/deep/er")).unwrap();
        fs::write(root.join("etc/resolv.conf"), "").unwrap();
        fs::create_dir_all(root.join("proc/x")).unwrap();
        fs::create_dir(root.join("a/mountpoint")).unwrap();
        fs::create_dir(root.join("empty")).unwrap();
        fs::write(root.join("d"), "").unwrap();
        fs::create_dir_all(root.join("run/far/down")).unwrap();
    };
    for driver in DRIVERS {
        assert_eq!(layer_without(driver, &exclude, make), ["dir /empty 755"]);
        let lines = layer_without(driver, &exclude, |root| {
            make(root);
            fs::write(root.join("etc/passwd"), "x").unwrap();
        });
        assert_eq!(lines, ["dir /empty 755", "dir /etc 755", "file /etc/passwd 1"]);
        assert!(layer_without(driver, &[""], make).is_empty());
    }
}

#[test]
fn holes_stay_holes() {
    const GIB: u64 = 1 << 30;
    let temp = tempfile::tempdir().unwrap();
    let mut layers = Layers::new(temp.path());
    layers.add(rich_layer);
    let mounted = layers.mount(Driver::Erofs, "x");
    let file = File::create(mounted.root.join("sparse")).unwrap();
    file.set_len(9 * GIB).unwrap();
    file.write_all_at(b"middle", 8 * GIB + 5).unwrap();
    drop(file);
    mounted.mount.unmount().unwrap();

    let tar = File::create(temp.path().join("sparse.tar")).unwrap();
    let tree = layers.tree();
    let mut writer = LayerWriter::new(Holes(tar));
    let lower = Lower { tree: &tree, layers: &layers.tars };
    capture(&mounted.rw.upper, &lower, &mut writer, &[]).unwrap();
    let (_, changeset) = writer.finish().unwrap();
    let changesets = [layers.changesets[0].clone(), changeset];
    let tree = Tree::fold(&changesets).unwrap();
    let path = temp.path().join("sparse.tar");
    let size = fs::metadata(&path).unwrap().len();
    layers.tars.push(rootfs::LayerTar { path, size });
    let plain = temp.path().join("plain");
    rootfs::unpack(&tree, &layers.tars, &plain).unwrap();
    let copy = File::open(plain.join("sparse")).unwrap();
    assert_eq!(copy.metadata().unwrap().len(), 9 * GIB);
    let mut found = [0; 8];
    copy.read_exact_at(&mut found, 8 * GIB + 4).unwrap();
    assert_eq!(&found, b"\0middle\0");
    use std::os::unix::fs::MetadataExt;
    assert!(copy.metadata().unwrap().blocks() < 4096, "the copy has holes, too");
}

/// A file that leaves holes for zeros.
struct Holes(File);

impl std::io::Write for Holes {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        self.0.write(buffer)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl tree::LayerSink for Holes {
    fn write_zeros(&mut self, count: u64) -> std::io::Result<()> {
        use std::io::{Seek, SeekFrom};
        let end = self.0.seek(SeekFrom::Current(count as i64))?;
        self.0.set_len(end)
    }
}

#[test]
fn the_same_changes_make_the_same_bytes() {
    let make = || {
        let temp = tempfile::tempdir().unwrap();
        let mut layers = Layers::new(temp.path());
        layers.add(rich_layer);
        let mounted = layers.mount(Driver::Erofs, "x");
        for name in ["z", "y", "a/x", "a/b/w"] {
            let file = File::create(mounted.root.join(name)).unwrap();
            file.set_modified(std::time::UNIX_EPOCH).unwrap();
        }
        for name in ["a", "a/b", ""] {
            let directory = File::open(mounted.root.join(name)).unwrap();
            directory.set_modified(std::time::UNIX_EPOCH).unwrap();
        }
        layers.capture(mounted, &[]);
        fs::read(&layers.tars[1].path).unwrap()
    };
    assert_eq!(make(), make());
}

#[test]
fn names_that_mean_whiteouts_are_refused() {
    let temp = tempfile::tempdir().unwrap();
    let mut layers = Layers::new(temp.path());
    layers.add(rich_layer);
    let mounted = layers.mount(Driver::Erofs, "x");
    fs::write(mounted.root.join(".wh.a"), "").unwrap();
    let tree = layers.tree();
    let lower = Lower { tree: &tree, layers: &layers.tars };
    let error =
        capture(&mounted.rw.upper, &lower, &mut LayerWriter::new(Vec::new()), &[]).unwrap_err();
    assert!(matches!(error, Error::Write(_)), "{error:?}");
    let missing = capture(Path::new("/missing"), &lower, &mut LayerWriter::new(Vec::new()), &[]);
    assert!(matches!(missing.unwrap_err(), Error::Io { .. }));
}

#[test]
fn whiteouts_as_attributes() {
    use rustix::fs::{XattrFlags, setxattr};
    let temp = tempfile::tempdir().unwrap();
    let mut layers = Layers::new(temp.path());
    layers.add(rich_layer);
    let upper = temp.path().join("upper");
    fs::create_dir_all(upper.join("a")).unwrap();
    fs::write(upper.join("a/c"), "").unwrap();
    fs::write(upper.join("a/new"), "").unwrap();
    setxattr(upper.join("a"), "trusted.overlay.opaque", b"x", XattrFlags::empty()).unwrap();
    setxattr(upper.join("a/c"), "trusted.overlay.whiteout", b"", XattrFlags::empty()).unwrap();
    let tree = layers.tree();
    let lower = Lower { tree: &tree, layers: &layers.tars };
    let mut writer = LayerWriter::new(Vec::new());
    capture(&upper, &lower, &mut writer, &[path("")]).unwrap();
    assert!(writer.finish().unwrap().1.is_empty());
    let mut writer = LayerWriter::new(Vec::new());
    capture(&upper, &lower, &mut writer, &[]).unwrap();
    let lines: Vec<_> = writer.finish().unwrap().1.entries().iter().map(line).collect();
    assert_eq!(lines, ["dir / 755", "dir /a 755", "whiteout /a/c", "file /a/new 0"]);
}
