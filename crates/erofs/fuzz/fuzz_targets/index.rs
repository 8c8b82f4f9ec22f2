//! Whatever tree a layer's tar makes, it has an index or an error, the same each time, in whole blocks.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tree::{Changeset, Tree};

fuzz_target!(|bytes: &[u8]| {
    let Ok(changeset) = Changeset::read_tar(bytes) else { return };
    let Ok(tree) = Tree::fold([&changeset]) else { return };
    let devices = [bytes.len() as u64];
    let index = erofs::index(&tree, &devices);
    if let Ok(index) = &index {
        assert!(index.len() % 512 == 0 && index.len() >= 1024);
        assert_eq!(index[1024..1028], 0xE0F5_E1E2u32.to_le_bytes());
    }
    assert_eq!(index, erofs::index(&tree, &devices));
});
