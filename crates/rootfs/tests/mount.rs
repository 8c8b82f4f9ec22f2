//! Mounting, and leaving nothing behind.

#![allow(clippy::unwrap_used, reason = "a failure fails the test")]

mod fixture;

use std::convert::Infallible;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::Barrier;

use fixture::*;
use rootfs::{
    Base, Driver, Error, Prepared, ReadWrite, mount, prepare, prepare_over, unmount, unpack,
};
use tree::EntryKind;

fn layers(dir: &Path) -> Layers {
    let mut layers = Layers::new(dir);
    layers.add(rich_layer);
    layers
}

#[test]
fn both_drivers_show_the_same_as_an_unpacked_tree() {
    let temp = tempfile::tempdir().unwrap();
    let layers = layers(temp.path());
    let plain = temp.path().join("plain");
    unpack(&layers.tree(), &layers.tars, &plain).unwrap();
    let want = picture(&plain);
    assert_eq!(want[&b""[..]].mode, 0o711);
    assert_eq!(want[&b"/d"[..]].owner, (1000, 70_000));
    assert_eq!(want[&b"/d"[..]].xattrs.len(), 2);
    assert_eq!(want[&b"/d"[..]].mtime, Some((1_500_000_000, 123_456_789)));
    for driver in DRIVERS {
        let mounted = layers.mount(driver, &driver.to_string());
        assert_same(&want, &picture(&mounted.root));
        mounted.mount.unmount().unwrap();
    }
}

#[test]
fn one_mount_is_visible_and_none_is_left() {
    // A name with all that separates options and fields.
    let temp = tempfile::Builder::new().prefix("a,b:c d\\e\nf").tempdir().unwrap();
    let layers = layers(temp.path());
    for driver in DRIVERS {
        let mounted = layers.mount(driver, &driver.to_string());
        fs::write(mounted.root.join("new"), "x").unwrap();
        let unique = driver.to_string() + "/rootfs";
        assert_eq!(mounts_at(&unique), 1, "{driver}");
        assert_eq!(fs::read(mounted.rw.upper.join("new")).unwrap(), b"x");
        let root = mounted.root.clone();
        drop(mounted);
        assert!(!root.join("new").exists());
        unmount(&root).unwrap();
        fs::remove_dir(&root).unwrap();
        unmount(&root).unwrap();
    }
    fn mounts_at(end: &str) -> usize {
        let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let pid_unique = |line: &&str| line.contains("a,b:c\\040d\\134e\\012f");
        table.lines().filter(pid_unique).filter(|line| line.contains(end)).count()
    }
}

#[test]
fn read_only_without_a_layer() {
    let temp = tempfile::tempdir().unwrap();
    let layers = layers(temp.path());
    let target = temp.path().join("rootfs");
    fs::create_dir(&target).unwrap();
    for driver in DRIVERS {
        let mounted = mount(&layers.prepare(driver), None, &target).unwrap();
        assert_eq!(fs::read(target.join("a/c")).unwrap(), b"one");
        let error = fs::write(target.join("a/c"), "two").unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ReadOnlyFilesystem);
        mounted.unmount().unwrap();
        assert!(fs::read_dir(&target).unwrap().next().is_none());
    }
}

#[test]
fn the_root_is_the_images_and_stays_as_it_was_left() {
    let temp = tempfile::tempdir().unwrap();
    let layers = layers(temp.path());
    let target = temp.path().join("rootfs");
    let rw =
        ReadWrite { upper: temp.path().join("u"), work: temp.path().join("w"), volatile: false };
    for directory in [&target, &rw.upper, &rw.work] {
        fs::create_dir(directory).unwrap();
    }
    let mode = || fs::metadata(&target).unwrap().mode() & 0o7777;
    let mounted = mount(&layers.prepare(Driver::Erofs), Some(&rw), &target).unwrap();
    assert_eq!(mode(), 0o711);
    fs::set_permissions(&target, std::os::unix::fs::PermissionsExt::from_mode(0o750)).unwrap();
    mounted.unmount().unwrap();
    let _mounted = mount(&layers.prepare(Driver::Erofs), Some(&rw), &target).unwrap();
    assert_eq!(mode(), 0o750);
}

#[test]
fn a_mount_needs_its_files_no_more_by_name() {
    let temp = tempfile::tempdir().unwrap();
    let layers = layers(temp.path());
    let mounted = layers.mount(Driver::Erofs, "x");
    for tar in &layers.tars {
        fs::remove_file(&tar.path).unwrap();
    }
    assert_eq!(fs::read(mounted.root.join("d")).unwrap(), vec![7u8; 100_000]);
}

#[test]
fn a_mount_in_use_goes_with_its_user() {
    let temp = tempfile::tempdir().unwrap();
    let mounted = layers(temp.path()).mount(Driver::Erofs, "x");
    let held = fs::File::open(mounted.root.join("d")).unwrap();
    mounted.mount.unmount().unwrap();
    assert!(mounts_below(temp.path()).is_empty());
    assert_eq!(held.metadata().unwrap().len(), 100_000);
}

#[test]
fn the_device_is_one_and_the_inode_stays() {
    let temp = tempfile::tempdir().unwrap();
    let mounted = layers(temp.path()).mount(Driver::Erofs, "x");
    let file = mounted.root.join("d");
    let before = fs::metadata(&file).unwrap();
    assert_eq!(before.dev(), fs::metadata(&mounted.root).unwrap().dev());
    fs::write(&file, "changed").unwrap();
    let after = fs::metadata(&file).unwrap();
    assert_eq!((before.dev(), before.ino()), (after.dev(), after.ino()));
}

/// The mount of someone else, unmounted with the test.
struct Foreign(std::path::PathBuf);

impl Foreign {
    fn new(at: &Path) -> Self {
        let status = Command::new("mount").args(["-t", "tmpfs", "theirs"]).arg(at).status();
        assert!(status.unwrap().success());
        Self(at.to_owned())
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        assert!(Command::new("umount").arg(&self.0).status().unwrap().success());
    }
}

#[test]
fn the_mounts_of_others_stay() {
    let temp = tempfile::tempdir().unwrap();
    let mounted = layers(temp.path()).mount(Driver::Erofs, "x");
    for at in [mounted.root.join("a"), mounted.root.clone()] {
        let _foreign = Foreign::new(&at);
        let error = unmount(&mounted.root).unwrap_err();
        assert!(matches!(error, Error::Foreign { .. }), "{error:?}");
        assert_eq!(mounts_below(&temp.path().join("x")).len(), 2);
    }
    let other = temp.path().join("other");
    fs::create_dir(&other).unwrap();
    let _foreign = Foreign::new(&other);
    symlink(&other, temp.path().join("link")).unwrap();
    unmount(&temp.path().join("link")).unwrap();
    assert_eq!(mounts_below(&other).len(), 1);
    assert!(unmount(&other).is_err());
}

#[test]
fn stacked_mounts_go_together() {
    let temp = tempfile::tempdir().unwrap();
    let layers = layers(temp.path());
    layers.mount(Driver::Erofs, "x").mount.keep();
    let root = temp.path().join("x/rootfs");
    let rw =
        ReadWrite { upper: temp.path().join("u"), work: temp.path().join("w"), volatile: false };
    mount(&layers.prepare(Driver::Directory), Some(&rw), &root).unwrap().keep();
    assert_eq!(mounts_below(&root).len(), 2);
    unmount(&root).unwrap();
    assert!(mounts_below(&root).is_empty());
}

#[test]
fn failures_leave_nothing_mounted() {
    let temp = tempfile::tempdir().unwrap();
    let layers = layers(temp.path());
    let prepared = layers.prepare(Driver::Erofs);
    let target = temp.path().join("rootfs");
    mount(&prepared, None, &target).expect_err("a missing mount point");
    fs::create_dir(&target).unwrap();
    symlink(&target, temp.path().join("link")).unwrap();
    mount(&prepared, None, &temp.path().join("link")).expect_err("a link for a mount point");

    let garbage = Prepared { path: temp.path().join("garbage"), ..prepared.clone() };
    fs::write(&garbage.path, vec![1; 8192]).unwrap();
    let error = mount(&garbage, None, &target).unwrap_err();
    assert!(matches!(error, Error::Mount { filesystem: "erofs", .. }), "{error:?}");
    fs::remove_file(&layers.tars[0].path).unwrap();
    mount(&prepared, None, &target).expect_err("a missing tar");
    assert!(mounts_below(temp.path()).is_empty());
}

#[test]
fn many_makers_make_one() {
    let temp = tempfile::tempdir().unwrap();
    let layers = layers(temp.path());
    let tree = layers.tree();
    for driver in DRIVERS {
        let at = temp.path().join("at");
        let (barrier, calls) = (Barrier::new(8), std::sync::atomic::AtomicU32::new(0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    barrier.wait();
                    let count = || {
                        calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        Ok::<_, Infallible>(&tree)
                    };
                    prepare(driver, count, &layers.tars, &at).unwrap();
                });
            }
        });
        assert_eq!(calls.into_inner(), 1, "{driver}");
    }
    let left: Vec<_> = fs::read_dir(temp.path()).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(left.len(), 3, "{left:?}");
}

#[test]
fn a_dead_makers_leftovers_are_taken_over() {
    let temp = tempfile::tempdir().unwrap();
    let layers = layers(temp.path());
    let at = temp.path().join("chain-1");
    fs::write(at.with_extension("erofs.partial"), "half").unwrap();
    fs::create_dir_all(at.with_extension("partial").join("a/half")).unwrap();
    for driver in DRIVERS {
        let prepared = layers.prepare(driver);
        assert!(Prepared::find(driver, &layers.tars, &at).is_some());
        let target = temp.path().join("rootfs");
        fs::create_dir_all(&target).unwrap();
        let mounted = mount(&prepared, None, &target).unwrap();
        assert!(!target.join("a/half").exists());
        assert!(target.join("a/b/c").exists());
        mounted.unmount().unwrap();
    }
    assert!(!at.with_extension("partial").exists());
    assert!(!at.with_extension("erofs.partial").exists());
}

#[test]
fn a_directory_shares_the_files_of_its_base() {
    let temp = tempfile::tempdir().unwrap();
    let mut layers = layers(temp.path());
    let base = Base { tree: layers.tree(), path: layers.prepare(Driver::Directory).path };
    layers.add(|writer| {
        writer.append_file(&path("a/b/c"), &metadata(0o755), 5, &b"hello"[..]).unwrap();
        writer.append_file(&path("a/c"), &metadata(0o644), 3, &b"two"[..]).unwrap();
        writer.append(&entry("x", EntryKind::HardLink(path("d")), 0o640)).unwrap();
    });
    let (at, tree) = (temp.path().join("over"), layers.tree());
    let over = || Some(base.clone());
    prepare_over(Driver::Directory, || Ok::<_, Error>(&tree), &layers.tars, &at, over).unwrap();
    let plain = temp.path().join("plain");
    unpack(&tree, &layers.tars, &plain).unwrap();
    assert_same(&picture(&plain), &picture(&at));
    let inode = |path: &Path| fs::metadata(path).unwrap().ino();
    let shared = |name: &str| inode(&at.join(name)) == inode(&base.path.join(name));
    assert!(shared("b"), "the same file");
    assert!(!shared("a/c"), "other content, the same size and time");
    assert!(!shared("a/b/c"), "another mode");
    assert!(!shared("d"), "a file with another owner and time, by its new link");
}

/// A small file system.
struct Small(std::path::PathBuf);

impl Small {
    fn new(at: &Path) -> Self {
        fs::create_dir(at).unwrap();
        let mount = ["-t", "tmpfs", "-o", "size=64k", "tmpfs"];
        assert!(Command::new("mount").args(mount).arg(at).status().unwrap().success());
        Self(at.to_owned())
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        assert!(Command::new("umount").arg(&self.0).status().unwrap().success());
    }
}

#[test]
fn a_full_disk_is_told_and_nothing_left() {
    let temp = tempfile::tempdir().unwrap();
    let layers = layers(temp.path());
    let small = Small::new(&temp.path().join("small"));
    let tree = layers.tree();
    let at = small.0.join("at");
    let error =
        prepare(Driver::Directory, || Ok::<_, Error>(&tree), &layers.tars, &at).unwrap_err();
    let full = std::io::ErrorKind::StorageFull;
    assert!(matches!(&error, Error::Io { source, .. } if source.kind() == full), "{error:?}");
    assert_eq!(fs::read_dir(&small.0).unwrap().count(), 0);
    let error = unpack(&tree, &layers.tars, &small.0).unwrap_err();
    assert!(matches!(&error, Error::Io { source, .. } if source.kind() == full), "{error:?}");
    assert_eq!(fs::read_dir(&small.0).unwrap().count(), 0);
}

#[test]
fn a_tree_that_fails_leaves_nothing() {
    let temp = tempfile::tempdir().unwrap();
    for driver in DRIVERS {
        let fail = || Err::<tree::Tree, _>("no such layer");
        let error = prepare(driver, fail, &[], &temp.path().join("at")).unwrap_err();
        assert!(matches!(error, Error::Tree(_)), "{error:?}");
    }
    assert!(fs::read_dir(temp.path()).unwrap().next().is_none());
}

#[test]
fn an_unpack_that_fails_leaves_nothing() {
    let temp = tempfile::tempdir().unwrap();
    let mut layers = layers(temp.path());
    let full = fs::metadata(&layers.tars[0].path).unwrap().len();
    fs::File::options().write(true).open(&layers.tars[0].path).unwrap().set_len(full / 2).unwrap();
    let target = temp.path().join("plain");
    let error = unpack(&layers.tree(), &layers.tars, &target).unwrap_err();
    assert!(matches!(error, Error::ShortTar { .. }), "{error:?}");
    assert!(!target.exists());

    layers.tars.clear();
    fs::create_dir(&target).unwrap();
    let error = unpack(&layers.tree(), &layers.tars, &target).unwrap_err();
    assert!(matches!(error, Error::MissingLayer(0)), "{error:?}");
    assert!(fs::read_dir(&target).unwrap().next().is_none());
    fs::write(target.join("theirs"), "").unwrap();
    let error = unpack(&layers.tree(), &layers.tars, &target).unwrap_err();
    assert!(matches!(error, Error::NotEmpty(_)), "{error:?}");
    assert!(target.join("theirs").exists());
}

#[test]
fn the_probe_finds_erofs_and_leaves_nothing() {
    let temp = tempfile::tempdir().unwrap();
    let (driver, why) = Driver::probe(temp.path());
    assert_eq!(driver, Driver::Erofs, "{why}");
    assert!(fs::read_dir(temp.path()).unwrap().next().is_none());
    assert!(mounts_below(temp.path()).is_empty());
    let (driver, why) = Driver::probe(&temp.path().join("missing"));
    assert_eq!(driver, Driver::Directory);
    assert!(why.contains("missing"), "{why}");
}

#[test]
fn an_empty_tree_mounts() {
    let temp = tempfile::tempdir().unwrap();
    let mut layers = Layers::new(temp.path());
    layers.add(|_| {});
    layers.add(|writer| writer.append(&entry("x", EntryKind::Directory, 0o700)).unwrap());
    for driver in DRIVERS {
        let mounted = layers.mount(driver, &driver.to_string());
        assert_eq!(picture(&mounted.root).len(), 2);
        drop(mounted);
    }
    let none = Layers::new(&temp.path().join("none"));
    fs::create_dir(&none.dir).unwrap();
    for driver in DRIVERS {
        let mounted = none.mount(driver, &driver.to_string());
        assert_eq!(picture(&mounted.root).len(), 1, "{driver}");
        assert_eq!(picture(&mounted.root)[&b""[..]].mode, 0o755, "{driver}");
    }
}
