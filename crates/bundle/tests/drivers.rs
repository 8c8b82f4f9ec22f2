//! What becomes of layers that one driver cannot show.

#![allow(clippy::unwrap_used, reason = "a failure fails the test")]

mod fixture;

use std::fs;

use bundle::{BundleOptions, create, release};
use fixture::*;
use image::RunOptions;
use rootfs::Driver;

fn options(args: &[&str]) -> BundleOptions {
    let args = args.iter().map(|&arg| arg.to_owned()).collect();
    BundleOptions { run: RunOptions { args, ..RunOptions::default() }, ..BundleOptions::default() }
}

#[test]
fn a_damaged_index_is_made_anew() {
    let fixture = Fixture::new();
    let image = fixture.busybox();
    let index = fixture.path("store/tare/rootfs").join(image.chain_id().hex() + ".erofs");
    fs::write(&index, vec![0; 4096]).unwrap();
    let dir = fixture.path("bundle");
    create(&fixture.store, &image, &dir, &options(&[])).unwrap();
    assert!(dir.join("rootfs/bin/busybox").exists());
    release(&dir).unwrap();
}

#[test]
fn what_erofs_cannot_index_is_unpacked() {
    let fixture = Fixture::new();
    let image = fixture.image(&[unaligned_layer()], |config| {
        config.config.cmd = Some(vec!["x".to_owned()]);
    });
    for (name, driver) in [("a", None), ("b", Some(Driver::Erofs)), ("c", None)] {
        let dir = fixture.path(name);
        let options = BundleOptions { driver, ..options(&[]) };
        let made = create(&fixture.store, &image, &dir, &options).unwrap();
        assert_eq!(made.driver, Driver::Directory);
        let content = fs::read(dir.join("rootfs/sparse")).unwrap();
        assert_eq!((content.len(), &content[99..111]), (512, &b"\x000123456789\0"[..]));
        release(&dir).unwrap();
    }
}
