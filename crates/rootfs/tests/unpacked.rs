//! What is changed in an unpacked directory, as a layer.

#![allow(clippy::unwrap_used, reason = "a failure fails the test")]

mod fixture;

use std::fs::{self, FileTimes, OpenOptions, Permissions};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use fixture::*;
use rootfs::{Error, LayerTar, Lower, Unpacked, capture_directory, unpack_noted};
use tree::{Changeset, EntryKind, LayerWriter, Tree};

/// A rich image, unpacked.
struct Unpack {
    layers: Layers,
    dir: PathBuf,
    _temp: tempfile::TempDir,
}

impl Unpack {
    fn new(owner: Option<(u32, u32)>) -> Self {
        let temp = tempfile::tempdir().unwrap();
        let mut layers = Layers::new(temp.path());
        layers.add(rich_layer);
        let dir = temp.path().join("files");
        unpack_noted(&layers.tree(), &layers.tars, &dir, owner, b"a note").unwrap();
        Self { layers, dir, _temp: temp }
    }

    fn unpacked(&self) -> Unpacked {
        Unpacked::read(&self.dir).unwrap().unwrap()
    }

    /// What has changed, with tars that may be others.
    fn capture_with(
        &self,
        unpacked: &Unpacked,
        tars: &[LayerTar],
    ) -> Result<(Vec<u8>, Changeset), Error> {
        let mut writer = LayerWriter::new(Vec::new());
        let tree = self.layers.tree();
        capture_directory(&self.dir, &Lower { tree: &tree, layers: tars }, unpacked, &mut writer)?;
        Ok(writer.finish().unwrap())
    }

    fn capture(&self) -> Vec<String> {
        let (_, changeset) = self.capture_with(&self.unpacked(), &self.layers.tars).unwrap();
        changeset.entries().iter().map(line).collect()
    }

    /// The files of both layers, unpacked elsewhere.
    fn again(&mut self, tar: &[u8], changeset: Changeset) -> Picture {
        let path = self.layers.dir.join("change.tar");
        fs::write(&path, tar).unwrap();
        self.layers.tars.push(LayerTar { path, size: tar.len() as u64 });
        self.layers.changesets.push(changeset);
        let again = self.layers.dir.join("again");
        rootfs::unpack(&self.layers.tree(), &self.layers.tars, &again).unwrap();
        seen(&again)
    }
}

/// All that can be seen, but for sockets and our own note.
fn seen(dir: &Path) -> Picture {
    let mut seen = picture(dir);
    seen.retain(|_, look| look.kind != "socket");
    seen.get_mut(&b""[..]).unwrap().xattrs.remove(&b"user.tare.unpacked"[..]);
    seen
}

fn line(entry: &tree::Entry) -> String {
    let path = &entry.path;
    match &entry.kind {
        EntryKind::Directory => format!("dir {path} {:o}", entry.metadata.mode),
        EntryKind::File(content) => format!("file {path} {}", content.size),
        EntryKind::HardLink(to) => format!("link {path} {to}"),
        EntryKind::Whiteout => format!("whiteout {path}"),
        other => format!("{other:?} {path}"),
    }
}

/// Gives a file content, and the times that it had.
fn write_unseen(path: &Path, content: &str) {
    let before = fs::metadata(path).unwrap();
    let file = OpenOptions::new().write(true).open(path).unwrap();
    file.write_all_at(content.as_bytes(), 0).unwrap();
    let times = FileTimes::new().set_modified(before.modified().unwrap());
    file.set_times(times).unwrap();
}

fn touch(path: &Path) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_600_000_000);
    fs::File::open(path).unwrap().set_times(FileTimes::new().set_modified(time)).unwrap();
}

type Change = fn(&Path);

/// What is done, and the layer that it makes.
const CASES: &[(&str, Change, &[&str])] = &[
    ("nothing", |_| {}, &[]),
    ("a new file", |root| fs::write(root.join("new"), "x").unwrap(), &["dir / 711", "file /new 1"]),
    (
        "a file removed",
        |root| fs::remove_file(root.join("a/b/c")).unwrap(),
        &["dir /a 755", "dir /a/b 2775", "whiteout /a/b/c"],
    ),
    (
        "a directory removed",
        |root| fs::remove_dir_all(root.join("a/b")).unwrap(),
        &["dir /a 755", "whiteout /a/b"],
    ),
    (
        "a directory replaced by an empty one",
        |root| {
            fs::remove_dir_all(root.join("a")).unwrap();
            fs::create_dir(root.join("a")).unwrap();
            fs::set_permissions(root.join("a"), Permissions::from_mode(0o700)).unwrap();
        },
        // What the name b is one of still exists.
        &["dir / 711", "dir /a 700", "whiteout /a/b", "whiteout /a/c"],
    ),
    (
        "a directory replaced by a file, a file by a directory",
        |root| {
            fs::remove_dir_all(root.join("a/b")).unwrap();
            fs::write(root.join("a/b"), "file").unwrap();
            fs::remove_file(root.join("d")).unwrap();
            fs::create_dir(root.join("d")).unwrap();
            fs::write(root.join("d/e"), "").unwrap();
        },
        &["dir / 711", "dir /a 755", "file /a/b 4", "dir /d 755", "file /d/e 0"],
    ),
    (
        "content of the same size and time",
        |root| write_unseen(&root.join("a/b/c"), "HELLO"),
        &["dir /a 755", "dir /a/b 2775", "file /a/b/c 5"],
    ),
    ("the same content written again", |root| write_unseen(&root.join("a/b/c"), "hello"), &[]),
    (
        "a mode",
        |root| fs::set_permissions(root.join("d"), Permissions::from_mode(0o600)).unwrap(),
        &["file /d 100000"],
    ),
    ("an owner", |root| chown(root.join("d"), Some(7), None).unwrap(), &["file /d 100000"]),
    ("a time", |root| touch(&root.join("d")), &["file /d 100000"]),
    ("a directory's time", |root| touch(&root.join("a/b")), &["dir /a 755", "dir /a/b 2775"]),
    ("an attribute", |root| set(root, "d", "user.name", b"other"), &["file /d 100000"]),
    (
        "an attribute of a directory",
        |root| set(root, "a/b", "user.new", b"x"),
        &["dir /a 755", "dir /a/b 2775"],
    ),
    ("an attribute of the root", |root| set(root, "", "user.root", b"no"), &["dir / 711"]),
    (
        "a link's target",
        |root| {
            fs::remove_file(root.join("c")).unwrap();
            symlink("a/c", root.join("c")).unwrap();
        },
        &["dir / 711", "Symlink([97, 47, 99]) /c"],
    ),
    (
        "one name of two gone",
        |root| fs::remove_file(root.join("b")).unwrap(),
        &["dir / 711", "whiteout /b"],
    ),
    (
        "a third name",
        |root| fs::hard_link(root.join("b"), root.join("z")).unwrap(),
        &["dir / 711", "dir /a 755", "file /a/c 3", "link /b /a/c", "link /z /a/c"],
    ),
    (
        "a link to a file that had one name",
        |root| fs::hard_link(root.join("a/b/c"), root.join("z")).unwrap(),
        &["dir / 711", "dir /a 755", "dir /a/b 2775", "file /a/b/c 5", "link /z /a/b/c"],
    ),
    (
        "two names of one file that become two files",
        |root| {
            fs::copy(root.join("b"), root.join("copy")).unwrap();
            let time = fs::metadata(root.join("b")).unwrap().modified().unwrap();
            let copy = OpenOptions::new().write(true).open(root.join("copy")).unwrap();
            copy.set_times(FileTimes::new().set_modified(time)).unwrap();
            fs::rename(root.join("copy"), root.join("b")).unwrap();
        },
        &["dir / 711", "file /b 3"],
    ),
    (
        "two files that change names",
        |root| {
            fs::write(root.join("one"), "1").unwrap();
            fs::rename(root.join("d"), root.join("two")).unwrap();
            fs::rename(root.join("one"), root.join("d")).unwrap();
        },
        &["dir / 711", "file /d 1", "file /two 100000"],
    ),
    (
        "a socket in a file's place",
        |root| {
            fs::remove_file(root.join("d")).unwrap();
            UnixListener::bind(root.join("d")).unwrap();
        },
        &["dir / 711", "whiteout /d"],
    ),
    (
        "pipes and devices",
        |root| {
            let make = |name: &str, kind, device| {
                let (path, mode) = (root.join(name), rustix::fs::Mode::RUSR);
                rustix::fs::mknodat(rustix::fs::CWD, path, kind, mode, device).unwrap();
            };
            fs::remove_file(root.join("f")).unwrap();
            make("f", rustix::fs::FileType::CharacterDevice, rustix::fs::makedev(1, 5));
            make("pipe", rustix::fs::FileType::Fifo, 0);
        },
        &["dir / 711", "CharDevice(Device { major: 1, minor: 5 }) /f", "Fifo /pipe"],
    ),
];

fn set(root: &Path, name: &str, attribute: &str, value: &[u8]) {
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::lsetxattr(root.join(name), attribute, value, flags).unwrap();
}

#[test]
fn each_change_makes_its_layer_and_reads_back_the_same() {
    for (name, change, expected) in CASES {
        let mut unpack = Unpack::new(None);
        change(&unpack.dir);
        let (tar, changeset) =
            unpack.capture_with(&unpack.unpacked(), &unpack.layers.tars).unwrap();
        let lines: Vec<String> = changeset.entries().iter().map(line).collect();
        assert_eq!(lines, *expected, "{name}");
        let before = seen(&unpack.dir);
        let times = |dir: &Path| {
            ["", "a", "a/b"].map(|name| fs::metadata(dir.join(name)).ok().map(|it| it.mtime_nsec()))
        };
        let want = times(&unpack.dir);
        assert_same(&before, &unpack.again(&tar, changeset));
        assert_eq!(times(&unpack.layers.dir.join("again")), want, "{name}");
    }
}

/// Without the tar no content could be compared.
#[test]
fn nothing_is_read_of_what_has_not_changed() {
    let unpack = Unpack::new(None);
    // Some tick later, so that no file is as young as the record.
    let unpacked = unpack.unpacked();
    let nowhere = [LayerTar { path: unpack.dir.join("nowhere"), size: 0 }];
    fs::set_permissions(unpack.dir.join("a/b/c"), Permissions::from_mode(0o600)).unwrap();
    match unpack.capture_with(&unpacked, &nowhere) {
        Ok((_, changeset)) => assert_eq!(changeset.len(), 3),
        // Files that were made in the tick in which the record was are read.
        Err(error) => assert!(matches!(error, Error::Io { verb: "compare with", .. }), "{error}"),
    }
    let all = unpack.capture_with(&Unpacked::unknown(None), &nowhere);
    assert!(matches!(all.unwrap_err(), Error::Io { verb: "compare with", .. }));
    let (_, changeset) =
        unpack.capture_with(&Unpacked::unknown(None), &unpack.layers.tars).unwrap();
    assert_eq!(changeset.len(), 3);
}

#[test]
fn a_copy_is_compared_by_its_content() {
    let mut unpack = Unpack::new(None);
    let copy = unpack.layers.dir.join("copy");
    let done = std::process::Command::new("cp").arg("-a").arg(&unpack.dir).arg(&copy).status();
    assert!(done.unwrap().success());
    unpack.dir = copy;
    assert_eq!(unpack.unpacked().note, b"a note");
    assert_eq!(unpack.capture(), [""; 0]);
    write_unseen(&unpack.dir.join("d"), "8");
    assert_eq!(unpack.capture(), ["file /d 100000"]);
}

/// The image's owners, devices and privileged attributes are not on the disk, and not lost.
#[test]
fn what_was_given_to_one_user_stays_the_images() {
    let unpack = Unpack::new(Some((1234, 2345)));
    assert!(!unpack.dir.join("e").exists());
    assert_eq!(fs::metadata(unpack.dir.join("d")).unwrap().uid(), 1234);
    assert_eq!(unpack.capture(), [""; 0]);

    fs::set_permissions(unpack.dir.join("d"), Permissions::from_mode(0o755)).unwrap();
    fs::write(unpack.dir.join("a/b/c"), "other").unwrap();
    fs::write(unpack.dir.join("new"), "").unwrap();
    chown(unpack.dir.join("new"), Some(1234), Some(2345)).unwrap();
    let (_, changeset) = unpack.capture_with(&unpack.unpacked(), &unpack.layers.tars).unwrap();
    let of = |name: &str| {
        let found = changeset.entries().iter().find(|entry| entry.path == path(name));
        found.unwrap().metadata.clone()
    };
    let d = of("d");
    assert_eq!((d.uid, d.gid, d.mode), (1000, 70_000, 0o755));
    assert_eq!(d.xattrs[&b"security.capability"[..]], capability());
    assert_eq!((of("new").uid, of("new").gid), (0, 0));
    assert_eq!(of("a/b/c").uid, 0);
}

#[test]
fn what_is_mounted_inside_is_refused() {
    let unpack = Unpack::new(None);
    let target = unpack.dir.join("a/b");
    let mount = |arguments: &[&std::ffi::OsStr]| {
        std::process::Command::new("mount").args(arguments).status().unwrap().success()
    };
    assert!(mount(&["-t".as_ref(), "tmpfs".as_ref(), "none".as_ref(), target.as_os_str()]));
    let captured = unpack.capture_with(&unpack.unpacked(), &unpack.layers.tars);
    assert!(std::process::Command::new("umount").arg(&target).status().unwrap().success());
    assert!(matches!(captured.unwrap_err(), Error::Foreign { .. }));
}

#[test]
fn names_that_no_layer_can_hold_are_refused() {
    let unpack = Unpack::new(None);
    fs::write(unpack.dir.join("a/.wh.c"), "").unwrap();
    let error = unpack.capture_with(&unpack.unpacked(), &unpack.layers.tars).unwrap_err();
    assert!(matches!(error, Error::Write(_) | Error::Name { .. }), "{error}");
}

#[test]
fn an_empty_tree_takes_all() {
    let unpack = Unpack::new(None);
    let mut writer = LayerWriter::new(Vec::new());
    let lower = Lower { tree: &Tree::new(), layers: &[] };
    capture_directory(&unpack.dir, &lower, &Unpacked::unknown(None), &mut writer).unwrap();
    let (_, changeset) = writer.finish().unwrap();
    assert_eq!(Tree::fold(&[changeset]).unwrap().len(), unpack.layers.tree().len());
}

#[test]
fn two_do_not_unpack_into_one_directory() {
    let unpack = Unpack::new(None);
    let target = unpack.layers.dir.join("shared");
    fs::create_dir(&target).unwrap();
    let other = fs::File::open(&target).unwrap();
    rustix::fs::flock(&other, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let unpacked = rootfs::unpack(&unpack.layers.tree(), &unpack.layers.tars, &target);
    assert!(matches!(unpacked.unwrap_err(), Error::NotEmpty(_)));
    drop(other);
    rootfs::unpack(&unpack.layers.tree(), &unpack.layers.tars, &target).unwrap();
}
