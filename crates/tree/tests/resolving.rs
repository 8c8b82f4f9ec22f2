//! Ways through a tree, by tables (path_resolution(7)).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use support::path;
use tree::{Entry, EntryKind, FileContent, Metadata, ResolveError, Tree};

fn tree() -> Tree {
    let link = |target: &str| EntryKind::Symlink(target.into());
    let entries = [
        ("usr/bin/sh", EntryKind::File(FileContent::default())),
        ("bin", link("usr/bin")),
        ("abs", link("/usr/bin")),
        ("up", link("../../../usr")),
        ("deep/er/link", link("../../bin/sh")),
        ("dangling", link("usr/none/x")),
        ("loop", link("loop")),
        ("a", link("b")),
        ("b", link("a/x")),
        ("file", EntryKind::File(FileContent::default())),
        ("root", link("/")),
    ];
    let entry = |(name, kind)| Entry { path: path(name), kind, metadata: Metadata::default() };
    Tree::fold([&entries.map(entry).to_vec().into()]).unwrap()
}

#[test]
fn found() {
    let tree = tree();
    for (way, want) in [
        ("", "/"),
        ("/", "/"),
        ("..", "/"),
        ("usr/bin/sh", "/usr/bin/sh"),
        ("/bin/sh", "/usr/bin/sh"),
        ("abs/sh", "/usr/bin/sh"),
        ("up/bin/sh", "/usr/bin/sh"),
        ("deep/er/link", "/usr/bin/sh"),
        ("bin/../lib/../bin", "/usr/bin"),
        ("bin/..", "/usr"),
        ("bin/", "/usr/bin"),
        ("root/root/usr", "/usr"),
        ("../../file", "/file"),
        ("./file", "/file"),
    ] {
        let canonical = tree.resolve_path(way.as_bytes()).unwrap();
        assert_eq!(canonical.to_string(), want, "{way}");
        if !way.contains("lib") {
            assert_eq!(
                tree.resolve(way.as_bytes()).unwrap(),
                tree.lookup(&canonical).unwrap(),
                "{way}"
            );
        }
    }
}

#[test]
fn a_last_link_is_kept_where_asked() {
    let tree = tree();
    for (way, want) in
        [("bin", "bin"), ("root/bin", "bin"), ("bin/", "usr/bin"), ("dangling", "dangling")]
    {
        assert_eq!(tree.resolve_no_follow(way.as_bytes()).ok(), tree.lookup(&path(want)), "{way}");
    }
}

#[test]
fn what_is_missing_can_be_made() {
    let tree = tree();
    for (way, want) in [
        ("none", "/none"),
        ("bin/new/er", "/usr/bin/new/er"),
        ("dangling", "/usr/none/x"),
        ("dangling/y", "/usr/none/x/y"),
        ("none/../file", "/file"),
        ("none/../../../x", "/x"),
    ] {
        assert_eq!(tree.resolve_path(way.as_bytes()).unwrap().to_string(), want, "{way}");
    }
    let missing = tree.resolve(b"bin/new").unwrap_err();
    assert_eq!(missing, ResolveError::NotFound { path: "bin/new".into() });
}

#[test]
fn refused() {
    let tree = tree();
    let kind = |way: &[u8]| match tree.resolve_path(way) {
        Err(ResolveError::NotADirectory { .. }) => "not a directory",
        Err(ResolveError::TooManyLinks { .. }) => "links",
        Err(ResolveError::Impossible { .. }) => "impossible",
        other => panic!("{other:?}"),
    };
    assert_eq!(kind(b"file/x"), "not a directory");
    assert_eq!(kind(b"file/"), "not a directory");
    assert_eq!(kind(b"file/."), "not a directory");
    assert_eq!(kind(b"loop"), "links");
    assert_eq!(kind(b"a/y"), "links");
    assert_eq!(kind(&[b'n'; 256]), "impossible");
    assert_eq!(kind(&b"n/".repeat(2100)), "impossible");

    assert_eq!(kind(b"x\0b"), "impossible");
}
