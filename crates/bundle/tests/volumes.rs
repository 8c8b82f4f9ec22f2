//! Volumes: there, writable, inside the root file system, and gone with the bundle.

#![allow(clippy::unwrap_used, reason = "a failure fails the test")]

mod fixture;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use bundle::{BundleOptions, create, release};
use fixture::*;
use image::{Mount, MountKind, RunOptions};
use serde_json::Value;
use store::Image;
use tree::EntryKind;

fn image(fixture: &Fixture) -> Image {
    let files = layer(|writer| {
        file(writer, "full/file", 0o644, b"kept");
        writer.append(&entry("away", EntryKind::Symlink(b"/../../tmp/x".to_vec()))).unwrap();
        writer.append(&entry("tmp", EntryKind::Directory)).unwrap();
        writer.append(&entry("tmp/x", EntryKind::Directory)).unwrap();
    });
    fixture.image(&[files], |config| {
        let volumes = ["/full", "/new/deep/", "/away/in", "/mounted"];
        config.config.volumes = volumes.map(str::to_owned).into();
    })
}

fn options(read_only: bool) -> BundleOptions {
    let mounted = Mount {
        destination: "/mounted".into(),
        kind: MountKind::Tmpfs,
        read_only: true,
        options: Vec::new(),
    };
    let run = RunOptions {
        args: vec!["/x".to_owned()],
        mounts: vec![mounted],
        volumes: vec!["/../own".into(), "/".into()],
        read_only,
        ..RunOptions::default()
    };
    BundleOptions { run, ..BundleOptions::default() }
}

#[test]
fn volumes_are_made_inside_the_root() {
    let fixture = Fixture::new();
    let dir = fixture.path("bundle");
    create(&fixture.store, &image(&fixture), &dir, &options(false)).unwrap();
    let root = dir.join("rootfs");
    for made in ["new/deep", "tmp/x/in", "own"] {
        let metadata = fs::metadata(root.join(made)).unwrap();
        assert!(metadata.is_dir(), "{made}");
        assert_eq!(metadata.permissions().mode() & 0o7777, 0o755, "{made}");
    }
    assert!(!root.join("mounted").exists(), "the mount's");
    assert_eq!(mounts(&fixture), [String::from("/mounted")]);
    release(&dir).unwrap();
    assert!(!dir.exists());
}

#[test]
fn volumes_of_a_read_only_container_stay_writable() {
    let fixture = Fixture::new();
    let dir = fixture.path("bundle");
    create(&fixture.store, &image(&fixture), &dir, &options(true)).unwrap();
    assert_eq!(mounts(&fixture), ["/mounted", "/full", "/own", "/away/in", "/new/deep"]);
    let root = dir.join("rootfs");
    let mounts = config(&fixture)["mounts"].as_array().unwrap().clone();
    for (at, place) in [("/full", "full"), ("/away/in", "tmp/x/in")] {
        let mount = mounts.iter().find(|mount| mount["destination"] == at).unwrap();
        assert_eq!(mount["source"], root.join(place).to_str().unwrap());
        assert!(mount["options"].as_array().unwrap().contains(&"rw".into()), "{mount}");
    }
    release(&dir).unwrap();
}

#[test]
fn a_volume_in_the_place_of_a_file_is_an_error_and_leaves_nothing() {
    let fixture = Fixture::new();
    let dir = fixture.path("bundle");
    let mut options = options(false);
    options.run.volumes = vec!["/full/file".into()];
    let error = create(&fixture.store, &image(&fixture), &dir, &options).unwrap_err();
    assert!(error.to_string().contains("full/file"), "{error}");
    assert!(!dir.exists());
    assert_eq!(fixture.mounts(), 0);
}

fn config(fixture: &Fixture) -> Value {
    serde_json::from_slice(&fs::read(fixture.path("bundle/config.json")).unwrap()).unwrap()
}

#[test]
fn mounts_elsewhere_do_not_disturb() {
    let fixture = Fixture::new();
    let image = image(&fixture);
    let busy = std::sync::atomic::AtomicBool::new(true);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // The kernel gives up a walk through `..` when anything is renamed.
            let (a, b) = (fixture.path("a"), fixture.path("b"));
            fs::create_dir(&a).unwrap();
            while busy.load(std::sync::atomic::Ordering::Relaxed) {
                fs::rename(&a, &b).unwrap();
                fs::rename(&b, &a).unwrap();
            }
        });
        let dir = fixture.path("bundle");
        let tried = (0..20).try_for_each(|_| {
            create(&fixture.store, &image, &dir, &options(false))?;
            release(&dir)
        });
        busy.store(false, std::sync::atomic::Ordering::Relaxed);
        tried.unwrap();
    });
}

/// The destinations that are not every container's.
fn mounts(fixture: &Fixture) -> Vec<String> {
    let config = config(fixture);
    let all = config["mounts"].as_array().unwrap().iter();
    let own = all.map(|mount| mount["destination"].as_str().unwrap().to_owned());
    own.filter(|at| !["/proc", "/dev", "/sys"].iter().any(|start| at.starts_with(start))).collect()
}
