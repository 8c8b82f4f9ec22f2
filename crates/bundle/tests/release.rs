//! The end of bundles that were moved about, or half removed by someone else.

#![allow(clippy::unwrap_used, reason = "a failure fails the test")]

mod fixture;

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use bundle::{BundleOptions, create, release};
use fixture::*;

#[test]
fn a_bundle_goes_by_a_link_to_it_and_by_a_way_to_it() {
    let fixture = Fixture::new();
    let image = fixture.busybox();
    let (dir, link) = (fixture.path("bundle"), fixture.path("link"));
    symlink(&dir, &link).unwrap();
    for way in [link, dir.join("."), dir.join("rootfs/../")] {
        create(&fixture.store, &image, &dir, &BundleOptions::default()).unwrap();
        release(&way).unwrap();
        assert!(!dir.exists(), "{way:?}");
        assert_eq!(fixture.mounts(), 0);
    }
}

#[test]
fn what_rm_left_of_a_mounted_bundle_is_released() {
    let fixture = Fixture::new();
    let image = fixture.busybox();
    let dir = fixture.path("bundle");
    create(&fixture.store, &image, &dir, &BundleOptions::default()).unwrap();
    let removed = Command::new("rm").arg("-rf").arg(&dir).output().unwrap();
    assert!(!removed.status.success(), "the mount is in the way");
    assert!(!dir.join("tare.json").exists() && dir.join("rootfs").exists());

    fs::write(dir.join("theirs"), "x").unwrap();
    release(&dir).expect_err("nobody knows whose that is");
    assert_eq!(fixture.mounts(), 1);
    fs::remove_file(dir.join("theirs")).unwrap();
    release(&dir).unwrap();
    assert!(!dir.exists());
    assert_eq!(fixture.mounts(), 0);
}
