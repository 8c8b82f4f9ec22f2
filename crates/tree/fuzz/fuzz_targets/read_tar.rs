//! Any bytes as a layer's tar, read and folded: `cargo fuzz run read_tar` in `crates/tree`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tree::{Changeset, Tree};

fuzz_target!(|bytes: &[u8]| {
    let Ok(changeset) = Changeset::read_tar(bytes) else { return };
    let decoded = Changeset::decode(&changeset.encode()).expect("what is encoded can be decoded");
    assert_eq!(decoded, changeset);
    if let Ok(tree) = Tree::fold([&changeset, &changeset]) {
        assert!(tree.diff(&tree).is_empty());
    }
});
