//! Bundles of images: made, run, released, and nothing left.

#![allow(clippy::unwrap_used, reason = "a failure fails the test")]

mod fixture;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bundle::{BundleOptions, Error, Record, create, prepare_rootfs, read_users, release};
use fixture::*;
use image::RunOptions;
use rootfs::Driver;
use serde_json::Value;
use store::GcOptions;
use tree::EntryKind;

fn options(args: &[&str]) -> BundleOptions {
    let args = args.iter().map(|&arg| arg.to_owned()).collect();
    BundleOptions { run: RunOptions { args, ..RunOptions::default() }, ..BundleOptions::default() }
}

fn config(dir: &Path) -> Value {
    serde_json::from_slice(&fs::read(dir.join("config.json")).unwrap()).unwrap()
}

#[test]
fn a_bundle_stands_and_goes() {
    let fixture = Fixture::new();
    let image = fixture.busybox();
    let dir = fixture.path("bundle");
    for driver in [Driver::Erofs, Driver::Directory] {
        let mut options = options(&["/bin/id"]);
        options.driver = Some(driver);
        options.reference = Some("busybox".to_owned());
        options.run.user = Some("me".to_owned());
        let made = create(&fixture.store, &image, &dir, &options).unwrap();
        assert_eq!((made.dir.as_path(), made.driver), (dir.as_path(), driver));
        assert_eq!(fixture.names("bundle"), ["config.json", "rootfs", "rw", "tare.json"]);
        assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o7777, 0o700);
        assert!(!dir.join("rootfs/removed").exists());
        fs::write(dir.join("rootfs/new"), "x").unwrap();
        assert!(dir.join("rw/upper/new").exists());
        assert_eq!(fixture.mounts(), 1);

        let config = config(&dir);
        assert_eq!(config["root"]["path"], "rootfs");
        assert_eq!(config["process"]["user"]["uid"], 1000);
        assert_eq!(config["process"]["user"]["gid"], 50);
        assert_eq!(config["process"]["args"][0], "/bin/id");
        let record = Record::read(&dir).unwrap();
        assert_eq!(record.image, image.digest().unwrap());
        assert_eq!(record.reference.as_deref(), Some("busybox"));
        assert_eq!(record.driver, Some(driver.to_string()));
        assert_eq!(record.mounts, [Path::new("rootfs")]);
        assert!(fixture.path("store/tare/leases").join(&record.lease).exists());

        release(&dir).unwrap();
        assert!(!dir.exists());
        assert_eq!(fixture.mounts(), 0);
        assert!(!fixture.path("store/tare/leases").join(&record.lease).exists());
        release(&dir).unwrap();
    }
}

/// Runs a bundle by another runtime; `start` is the command line before runc's own arguments.
fn runs(start: &[&str]) {
    let fixture = Fixture::new();
    let image = fixture.busybox();
    let dir = fixture.path("bundle");
    create(&fixture.store, &image, &dir, &BundleOptions::default()).unwrap();
    let output = Command::new(start[0])
        .args(&start[1..])
        // runc leaves a log of criu where it works.
        .current_dir(fixture.path(""))
        .arg("--root")
        .arg(fixture.path("state"))
        .args(["run", "--bundle"])
        .arg(&dir)
        .arg(format!("tare-bundle-{}-{}", start.len(), std::process::id()))
        .output()
        .expect("needs the packages runc, crun and util-linux");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "/bin/sh works\n");
    release(&dir).unwrap();
    assert_eq!(fixture.mounts(), 0);
}

#[test]
fn runc_runs_it() {
    runs(&["runc"]);
}

#[test]
fn crun_runs_it() {
    // Older versions refuse a hierarchy of cgroup v2 beside those of v1: hide it.
    let hide = "umount /sys/fs/cgroup/unified 2>/dev/null; exec crun \"$@\"";
    runs(&["unshare", "--mount", "sh", "-c", hide, "crun"]);
}

#[test]
fn the_second_time_needs_neither_toc_nor_blob() {
    let fixture = Fixture::new();
    let image = fixture.busybox();
    let drivers = [Driver::Erofs, Driver::Directory];
    for driver in drivers {
        let options = BundleOptions { driver: Some(driver), ..options(&[]) };
        create(&fixture.store, &image, &fixture.path(&driver.to_string()), &options).unwrap();
    }
    fs::remove_dir_all(fixture.path("store/blobs")).unwrap();
    for entry in fs::read_dir(fixture.path("store/tare/layers")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "toc") {
            fs::write(path, "damaged").unwrap();
        }
    }
    for driver in drivers {
        let dir = fixture.path("again");
        let options = BundleOptions { driver: Some(driver), ..options(&[]) };
        create(&fixture.store, &image, &dir, &options).unwrap();
        release(&dir).unwrap();
        release(&fixture.path(&driver.to_string())).unwrap();
    }
}

#[test]
fn relative_directories() {
    let fixture = Fixture::new();
    let image = fixture.busybox();
    let up = "../".repeat(std::env::current_dir().unwrap().components().count() - 1);
    let relative = PathBuf::from(up).join(fixture.path("b").strip_prefix("/").unwrap());
    assert!(relative.is_relative());
    create(&fixture.store, &image, &relative, &options(&[])).unwrap();
    assert_eq!(fixture.mounts(), 1);
    release(&relative).unwrap();
    assert!(!fixture.path("b").exists());
    create(&fixture.store, &image, &fixture.path("no/parent"), &options(&[])).unwrap_err();
}

#[test]
fn only_empty_directories_are_taken() {
    let fixture = Fixture::new();
    let image = fixture.busybox();
    let dir = fixture.path("bundle");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("theirs"), "x").unwrap();
    let error = create(&fixture.store, &image, &dir, &options(&[])).unwrap_err();
    assert!(matches!(error, Error::NotEmpty(_)), "{error:?}");
    let error = release(&dir).unwrap_err();
    assert!(matches!(error, Error::NotABundle(_)), "{error:?}");
    assert_eq!(fixture.names("bundle"), ["theirs"]);
    fs::remove_file(dir.join("theirs")).unwrap();
    create(&fixture.store, &image, &dir, &options(&[])).unwrap();
    let error = create(&fixture.store, &image, &dir, &options(&[])).unwrap_err();
    assert!(matches!(error, Error::NotEmpty(_)), "{error:?}");
    assert_eq!(fixture.mounts(), 1);
    release(&dir).unwrap();
}

/// What is left in the directory of a bundle that could not be made, and around it.
fn assert_nothing_left(fixture: &Fixture, dir: &Path) {
    assert!(!dir.exists());
    assert_eq!(fixture.mounts(), 0);
    let leases = fixture.names("store/tare/leases");
    // The open store has one of its own.
    assert!(leases.len() <= 1, "{leases:?}");
}

#[test]
fn a_failure_leaves_nothing() {
    let fixture = Fixture::new();
    let image = fixture.busybox();
    let dir = fixture.path("bundle");
    let mut unknown = options(&[]);
    unknown.run.user = Some("nobody-knows".to_owned());
    let error = create(&fixture.store, &image, &dir, &unknown).unwrap_err();
    assert!(matches!(error, Error::Spec(_)), "{error:?}");
    assert_nothing_left(&fixture, &dir);

    fs::create_dir(&dir).unwrap();
    create(&fixture.store, &image, &dir, &unknown).unwrap_err();
    assert!(fixture.names("bundle").is_empty());
    fs::remove_dir(&dir).unwrap();

    let mut interrupted = options(&[]);
    interrupted.interrupt = Some(Arc::new(AtomicBool::new(true)));
    let error = create(&fixture.store, &image, &dir, &interrupted).unwrap_err();
    assert!(matches!(error, Error::Interrupted), "{error:?}");
    assert_nothing_left(&fixture, &dir);

    fs::remove_dir_all(fixture.path("store/tare/layers")).unwrap();
    fs::create_dir(fixture.path("store/tare/layers")).unwrap();
    fs::remove_dir_all(fixture.path("store/tare/rootfs")).unwrap();
    fs::create_dir(fixture.path("store/tare/rootfs")).unwrap();
    for blob in fixture.names("store/blobs/sha256") {
        fs::write(fixture.path("store/blobs/sha256").join(blob), "corrupt").unwrap();
    }
    let error = create(&fixture.store, &image, &dir, &options(&[])).unwrap_err();
    assert!(matches!(error, Error::Store(_)), "{error:?}");
    assert_nothing_left(&fixture, &dir);
}

#[test]
fn halves_are_released() {
    let fixture = Fixture::new();
    let image = fixture.busybox();
    let dir = fixture.path("bundle");
    let halves: [fn(&Path); 5] = [
        // After a reboot.
        |dir| rootfs::unmount(&dir.join("rootfs")).unwrap(),
        |dir| fs::remove_file(dir.join("config.json")).unwrap(),
        |dir| fs::write(dir.join("tare.json"), "{").unwrap(),
        |dir| {
            rootfs::unmount(&dir.join("rootfs")).unwrap();
            fs::remove_dir(dir.join("rootfs")).unwrap();
            fs::remove_dir_all(dir.join("rw")).unwrap();
        },
        |dir| {
            rootfs::unmount(&dir.join("rootfs")).unwrap();
            fs::remove_dir(dir.join("rootfs")).unwrap();
            symlink("/", dir.join("rootfs")).unwrap();
        },
    ];
    for half in halves {
        create(&fixture.store, &image, &dir, &options(&[])).unwrap();
        half(&dir);
        release(&dir).unwrap();
        assert!(!dir.exists());
        assert_eq!(fixture.mounts(), 0);
    }
    // The store may be gone, too.
    create(&fixture.store, &image, &dir, &options(&[])).unwrap();
    fs::rename(fixture.path("store"), fixture.path("moved")).unwrap();
    release(&dir).unwrap();
    assert!(!fixture.path("store").exists());
}

#[test]
fn the_mounts_of_others_are_left_alone() {
    let fixture = Fixture::new();
    let image = fixture.busybox();
    let dir = fixture.path("bundle");
    create(&fixture.store, &image, &dir, &options(&[])).unwrap();
    fs::create_dir(dir.join("mine")).unwrap();
    fs::create_dir(fixture.path("precious")).unwrap();
    fs::write(fixture.path("precious/file"), "x").unwrap();
    for (at, kept) in [("rootfs/tmp", true), ("mine", false)] {
        let at = dir.join(at);
        let status =
            Command::new("mount").arg("--bind").arg(fixture.path("precious")).arg(&at).status();
        assert!(status.unwrap().success());
        release(&dir).unwrap_err();
        assert!(fixture.path("precious/file").exists());
        assert_eq!(dir.join("config.json").exists() && fixture.mounts() == 2, kept);
        assert!(Command::new("umount").arg(&at).status().unwrap().success());
    }
    release(&dir).unwrap();
    assert!(!dir.exists());
}

#[test]
fn read_only() {
    let fixture = Fixture::new();
    let image = fixture.busybox();
    let dir = fixture.path("bundle");
    let options = BundleOptions { read_only_rootfs: true, ..options(&[]) };
    create(&fixture.store, &image, &dir, &options).unwrap();
    assert_eq!(fixture.names("bundle"), ["config.json", "rootfs", "tare.json"]);
    let error = fs::write(dir.join("rootfs/x"), "x").unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ReadOnlyFilesystem);
    assert_eq!(config(&dir)["root"]["readonly"], true);
    release(&dir).unwrap();
}

#[test]
fn users_come_from_inside_the_root() {
    let fixture = Fixture::new();
    let root = fixture.path("root");
    fs::create_dir_all(root.join("etc")).unwrap();
    fs::create_dir_all(root.join("real")).unwrap();
    symlink("../../../../../../../../real/passwd", root.join("etc/passwd")).unwrap();
    symlink("/etc/hostname", root.join("etc/group")).unwrap();
    let users = read_users(&root).unwrap();
    assert_eq!((users.passwd.as_str(), users.group.as_str()), ("", ""));
    fs::write(root.join("real/passwd"), b"in\xffside").unwrap();
    assert_eq!(read_users(&root).unwrap().passwd, "in\u{fffd}side");
    fs::remove_file(root.join("etc/group")).unwrap();
    assert!(Command::new("mkfifo").arg(root.join("etc/group")).status().unwrap().success());
    assert_eq!(read_users(&root).unwrap().group, "");
}

#[test]
fn a_lease_keeps_the_image_until_the_release() {
    let fixture = Fixture::new();
    let image = fixture.busybox();
    let dir = fixture.path("bundle");
    create(&fixture.store, &image, &dir, &options(&[])).unwrap();
    let Fixture { store, directory } = &fixture;
    let again = || store::Store::open(store.root()).unwrap();
    let count =
        |name: &str| fs::read_dir(directory.path().join("store").join(name)).unwrap().count();
    again().gc(GcOptions::default()).unwrap();
    assert_eq!((count("tare/rootfs"), count("tare/layers")), (1, 4));
    release(&dir).unwrap();
    store.gc(GcOptions::default()).unwrap();
    assert_eq!((count("tare/rootfs"), count("tare/layers"), count("blobs/sha256")), (0, 0, 0));
}

#[test]
fn a_tree_at_hand_saves_reading_the_layers() {
    let fixture = Fixture::new();
    let image = fixture.busybox();
    let mut tree = tree::Tree::new();
    for (number, (descriptor, diff_id)) in (0..).zip(image.layers()) {
        let changeset = fixture.store.layer(&descriptor, &diff_id).unwrap().changeset().unwrap();
        tree.apply(number, &changeset).unwrap();
    }
    let tocs: Vec<_> = fs::read_dir(fixture.path("store/tare/layers"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "toc"))
        .collect();
    tocs.iter().for_each(|toc| fs::write(toc, "unread").unwrap());
    let prepared =
        prepare_rootfs(&fixture.store, &image.layers(), Some(Driver::Erofs), Some(&tree)).unwrap();
    assert!(prepared.path.is_file());
    assert_eq!(tocs.len(), 2);
    for toc in tocs {
        assert_eq!(fs::read(toc).unwrap(), b"unread", "whoever reads it makes it anew");
    }
}

#[test]
fn layers_that_do_not_fit_are_refused() {
    let fixture = Fixture::new();
    let bad = layer(|writer| {
        let target = tree::LayerPath::new("nowhere").unwrap();
        writer.append(&entry("link", EntryKind::HardLink(target))).unwrap();
    });
    let image = fixture.image(&[bad], |_| {});
    let dir = fixture.path("bundle");
    let error = create(&fixture.store, &image, &dir, &options(&["x"])).unwrap_err();
    assert!(matches!(error, Error::Rootfs(rootfs::Error::Tree(_))), "{error:?}");
    assert_nothing_left(&fixture, &dir);
    assert!(fixture.names("store/tare/rootfs").is_empty());
}

#[test]
fn several_at_once() {
    let fixture = Fixture::new();
    let image = fixture.busybox();
    std::thread::scope(|scope| {
        for number in 0..6 {
            let (fixture, image) = (&fixture, &image);
            scope.spawn(move || {
                let dir = fixture.path(&format!("bundle-{number}"));
                create(&fixture.store, image, &dir, &options(&[])).unwrap();
                release(&dir).unwrap();
            });
        }
    });
    assert_eq!(fixture.mounts(), 0);
}

#[test]
fn a_stack_on_another_shares_its_unpacked_files() {
    use std::os::unix::fs::MetadataExt;
    let fixture = Fixture::new();
    let image = fixture.busybox();
    let layers = image.layers();
    let prepare =
        |count| prepare_rootfs(&fixture.store, &layers[..count], Some(Driver::Directory), None);
    let (base, over) = (prepare(1).unwrap(), prepare(2).unwrap());
    let inode = |at: &Path| fs::metadata(at.join("bin/busybox")).unwrap().ino();
    assert_eq!(inode(&base.path), inode(&over.path));
    assert!(base.path.join("removed").exists() && !over.path.join("removed").exists());
}
