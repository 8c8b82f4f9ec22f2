//! An index that somebody wrote to is made again.

#![allow(clippy::unwrap_used, reason = "a failure fails the test")]

mod fixture;

use std::fs::{self, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use fixture::*;
use rootfs::Driver;

#[test]
fn a_damaged_index_is_made_again() {
    let temp = tempfile::tempdir().unwrap();
    let mut layers = Layers::new(temp.path());
    layers.add(rich_layer);
    let index = layers.prepare(Driver::Erofs).path;
    let good = fs::read(&index).unwrap();
    let damages: [fn(&Path); 4] = [
        |index| open(index).set_len(1100).unwrap(),
        |index| open(index).set_len(0).unwrap(),
        |index| overwrite(index, 1024),
        |index| overwrite(index, 1200),
    ];
    for damage in damages {
        damage(&index);
        layers.prepare(Driver::Erofs);
        assert!(fs::read(&index).unwrap() == good);
    }
    let made = fs::metadata(&index).unwrap().modified().unwrap();
    layers.prepare(Driver::Erofs);
    assert_eq!(fs::metadata(&index).unwrap().modified().unwrap(), made, "found as it is");
}

fn open(index: &Path) -> fs::File {
    OpenOptions::new().write(true).open(index).unwrap()
}

fn overwrite(index: &Path, at: u64) {
    let mut file = open(index);
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(b"rubbish").unwrap();
}
