//! Any bytes as a table of contents, under a right checksum: `cargo fuzz run decode` in `crates/tree`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tree::{Changeset, Tree};

fuzz_target!(|body: &[u8]| {
    let mut toc = Changeset::default().encode();
    toc.truncate(12);
    toc.extend_from_slice(&crc32fast::hash(body).to_le_bytes());
    toc.extend_from_slice(body);
    if let Ok(changeset) = Changeset::decode(&toc) {
        let _ = Tree::fold([&changeset]);
    }
});
