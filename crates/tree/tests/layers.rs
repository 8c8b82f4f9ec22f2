//! What layers make of each other, by tables (OCI image-spec, layer.md).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use tree::{Changeset, Device, Entry, EntryKind, FileContent, LayerPath, Metadata, NodeKind, Tree};

fn path(text: &str) -> LayerPath {
    LayerPath::new(text).unwrap()
}

/// An entry from words: `d a`, `f a 7` (a file whose bytes lie at 7), `l a target` (symbolic),
/// `h a target` (hard), `w a` (whiteout), `o a` (opaque), `p a` (fifo), `c a` (device).
fn entry(line: &str) -> Entry {
    let words: Vec<&str> = line.split(' ').collect();
    let kind = match words[0] {
        "d" => EntryKind::Directory,
        "f" => EntryKind::File(FileContent::plain(1, words[2].parse().unwrap())),
        "l" => EntryKind::Symlink(words[2].into()),
        "h" => EntryKind::HardLink(path(words[2])),
        "w" => EntryKind::Whiteout,
        "o" => EntryKind::Opaque,
        "p" => EntryKind::Fifo,
        "c" => EntryKind::CharDevice(Device { major: 1, minor: 3 }),
        other => panic!("unknown kind {other}"),
    };
    let metadata = Metadata { mode: 0o700, ..Metadata::default() };
    Entry { path: path(words[1]), kind, metadata }
}

fn layer(text: &str) -> Changeset {
    text.split(", ").filter(|line| !line.is_empty()).map(entry).collect::<Vec<_>>().into()
}

/// The tree in one line: each path with its kind, files with layer and place, then the links.
fn show(tree: &Tree) -> String {
    let describe = |(path, id)| {
        let node = tree.node(id);
        let links = if node.links > 1 { format!("*{}", node.links) } else { String::new() };
        let kind = match &node.kind {
            NodeKind::Directory(_) if node.metadata.mode == 0o755 => "implicit".to_owned(),
            NodeKind::Directory(_) => "dir".to_owned(),
            NodeKind::File { layer, content } => {
                format!("{layer}@{}", content.extents[0].tar_offset)
            }
            NodeKind::Symlink(target) => format!("->{}", String::from_utf8_lossy(target)),
            NodeKind::CharDevice(_) => "char".to_owned(),
            NodeKind::BlockDevice(_) => "block".to_owned(),
            NodeKind::Fifo => "fifo".to_owned(),
        };
        format!("{path} {kind}{links}")
    };
    tree.walk().skip(1).map(describe).collect::<Vec<_>>().join(", ")
}

#[test]
fn folding() {
    for (layers, want) in [
        (&["f a 1"][..], "/a 0@1"),
        (&["f a 1", "f a 2"], "/a 1@2"),
        (&["f a 1, f a 2"], "/a 0@2"),
        (&["f a/b/c 1"], "/a implicit, /a/b implicit, /a/b/c 0@1"),
        // Whiteouts.
        (&["f a 1, f b 1", "w a"], "/b 0@1"),
        (&["d a, f a/b 1", "w a"], ""),
        (&["f a 1", "w a, f a 2"], "/a 1@2"),
        (&["f a 1", "f a 2, w a"], "/a 1@2"),
        (&["d a, f a/b 1", "f a/c 2, w a"], "/a implicit, /a/c 1@2"),
        (&["f a 1", "w b, w c/d"], "/a 0@1"),
        // Opaque directories.
        (&["d a, f a/b 1, f a/c 1", "d a, o a, f a/d 2"], "/a dir, /a/d 1@2"),
        (&["d a, f a/b 1", "f a/d 2, o a"], "/a dir, /a/d 1@2"),
        (&["d a, f a/b/c 1", "o a"], "/a dir"),
        (&["", "o a"], "/a implicit"),
        (&["f a 1", "o "], ""),
        // One kind over another.
        (&["d a, f a/b 1", "f a 2"], "/a 1@2"),
        (&["f a 1", "d a, f a/b 2"], "/a dir, /a/b 1@2"),
        (&["f a 1", "f a/b 2"], "/a implicit, /a/b 1@2"),
        (&["d a, f a/b 1", "d a"], "/a dir, /a/b 0@1"),
        (&["f a/b 1", "d a"], "/a dir, /a/b 0@1"),
        (&["l a b, f b 1", "d a"], "/a dir, /b 0@1"),
        (&["d a, f a/b 1", "l a c"], "/a ->c"),
        (&["p a, c b", "f a 1"], "/a 1@1, /b char"),
        // Parents that are links.
        (
            &["d usr/lib, l lib usr/lib", "f lib/x 1"],
            "/lib ->usr/lib, /usr implicit, /usr/lib dir, /usr/lib/x 1@1",
        ),
        (&["d b, l a /b, f a/x 1"], "/a ->/b, /b dir, /b/x 0@1"),
        (&["d b, l a ../../b, f a/x 1"], "/a ->../../b, /b dir, /b/x 0@1"),
        (&["l a b/c, f a/x 1"], "/a ->b/c, /b implicit, /b/c implicit, /b/c/x 0@1"),
        (&["d b, f b/x 1, l a b", "w a/x"], "/a ->b, /b dir"),
        (&["d b, l a b", "f a 1"], "/a 1@1, /b dir"),
        // Hard links.
        (&["f a 1, h b a"], "/a 0@1*2, /b 0@1*2"),
        (&["f a 1", "h b a"], "/a 0@1*2, /b 0@1*2"),
        (&["f a 1, h b a", "f a 2"], "/a 1@2, /b 0@1"),
        (&["f a 1, h b a", "w a"], "/b 0@1"),
        (&["f a 1, h b a, h c b"], "/a 0@1*3, /b 0@1*3, /c 0@1*3"),
        (&["l a x, h b a"], "/a ->x*2, /b ->x*2"),
        (&["f a 1, h a a"], "/a 0@1"),
        (&["f a 1, h b a", "h b a"], "/a 0@1*2, /b 0@1*2"),
        (&["f d/a 1, l e d, h b e/a"], "/b 0@1*2, /d implicit, /d/a 0@1*2, /e ->d"),
    ] {
        let layers: Vec<_> = layers.iter().map(|text| layer(text)).collect();
        let tree = Tree::fold(&layers).unwrap();
        assert_eq!(show(&tree), want, "{layers:?}");
        assert_eq!(tree.len(), count(&tree), "{layers:?}");
    }
}

fn count(tree: &Tree) -> usize {
    tree.walk().map(|(_, id)| id).collect::<std::collections::HashSet<_>>().len()
}

#[test]
fn folding_refused() {
    for (layers, layer_at_fault, want) in [
        (&["h a b"][..], 0, "does not exist"),
        (&["f a 1", "w a, h b a"], 1, "does not exist"),
        (&["h b a, f a 1"], 0, "does not exist"),
        (&["d a, h b a"], 0, "is a directory"),
        (&["f a 1, f a/b 2"], 0, "not a directory"),
        (&["l a b, l b a", "f a/x 1"], 1, "leads nowhere"),
        (&["f  1"], 0, "root must be"),
    ] {
        let layers: Vec<_> = layers.iter().map(|text| layer(text)).collect();
        let error = Tree::fold(&layers).unwrap_err();
        assert_eq!(error.layer, layer_at_fault, "{layers:?}");
        assert!(error.cause.to_string().contains(want), "{layers:?}: {}", error.cause);
    }
}

#[test]
fn differences() {
    for (old, new, want) in [
        ("f a 1", "f a 1", ""),
        ("f a 1", "f a 2", "M /a"),
        ("f a 1", "f b 1", "D /a, A /b"),
        ("", "f a/b/c 1", "A /a, A /a/b, A /a/b/c"),
        ("f a/b/c 1", "", "D /a"),
        ("f a/b/c 1", "d a, f a/b/c 1", "M /a"),
        ("d a, f a/b 1", "f a 1", "M /a"),
        ("f a 1", "d a, f a/b 1", "M /a, A /a/b"),
        ("l a b", "l a c", "M /a"),
        ("l a b", "p a", "M /a"),
        // Hard links: only names that change company are different.
        ("f a 1, h b a", "f a 1, f b 1", "M /b"),
        ("f a 1, f b 1", "f a 1, h b a", "M /b"),
        ("f a 1, h b a", "f a 1, h b a, h c a", "A /c"),
        ("f a 1, h b a, h c a", "f b 1, h c b", "D /a"),
        ("f a 1, h b a, f c 1, h d c", "f a 1, h c a, f b 1, h d b", "M /b, M /c, M /d"),
    ] {
        let fold = |text| Tree::fold([&layer(text)]).unwrap();
        let show = |change: tree::Change| {
            let kind = match change.kind {
                tree::ChangeKind::Added => 'A',
                tree::ChangeKind::Modified => 'M',
                tree::ChangeKind::Removed => 'D',
            };
            format!("{kind} {}", change.path)
        };
        let changes = fold(old).diff(&fold(new));
        assert_eq!(
            changes.into_iter().map(show).collect::<Vec<_>>().join(", "),
            want,
            "{old} / {new}"
        );
    }
}

/// So wide that several threads compare; hard links lead from each thread's part to the first one's.
#[test]
fn differences_of_wide_trees() {
    let (mut old, mut new, mut want) = (String::from("f a 1"), String::from("f a 1"), Vec::new());
    for number in 0..500 {
        let directory = format!("d{number:03}/s");
        old += &format!(", f {directory}/f 1, h {directory}/h a");
        new += &match number % 10 {
            3 => String::new(),
            5 => format!(", f {directory}/f 2, h {directory}/h a"),
            7 => format!(", f {directory}/f 1, f {directory}/h 1"),
            _ => format!(", f {directory}/f 1, h {directory}/h a"),
        };
        want.extend(match number % 10 {
            3 => Some((format!("/d{number:03}"), tree::ChangeKind::Removed)),
            5 => Some((format!("/{directory}/f"), tree::ChangeKind::Modified)),
            7 => Some((format!("/{directory}/h"), tree::ChangeKind::Modified)),
            _ => None,
        });
    }
    let fold = |text: &str| Tree::fold([&layer(text)]).unwrap();
    let changes = fold(&old).diff(&fold(&new)).into_iter();
    let changes: Vec<_> = changes.map(|it| (it.path.to_string(), it.kind)).collect();
    assert_eq!(changes, want);
}

#[test]
fn what_a_hard_link_says_holds_for_its_file() {
    let mut changeset = vec![entry("f a 1"), entry("h b a"), entry("l c a"), entry("h d c")];
    changeset[1].metadata = Metadata { mode: 0o4711, uid: 7, ..Metadata::default() };
    changeset[1].metadata.xattrs.insert(b"user.a".to_vec(), b"1".to_vec());
    changeset[3].metadata.uid = 8;
    let metadata = changeset[1].metadata.clone();
    let tree = Tree::fold([&changeset.into()]).unwrap();
    assert_eq!(tree.node(tree.lookup(&path("a")).unwrap()).metadata, metadata);
    let link = &tree.node(tree.lookup(&path("c")).unwrap()).metadata;
    assert_eq!((link.mode, link.uid), (0o777, 8), "a symbolic link has one mode only");
}

#[test]
fn a_directory_keeps_its_last_metadata() {
    let mut later = entry("d a");
    later.metadata = Metadata { mode: 0o1777, gid: 5, ..Metadata::default() };
    let mut root = entry("d /");
    root.metadata.uid = 9;
    let layers = [layer("d a, f a/b 1"), vec![later, root].into(), layer("f a/c 2")];
    let tree = Tree::fold(&layers).unwrap();
    let directory = &tree.node(tree.lookup(&path("a")).unwrap()).metadata;
    assert_eq!((directory.mode, directory.gid), (0o1777, 5));
    assert_eq!(tree.node(tree.root()).metadata.uid, 9);
}

#[test]
fn links_cannot_make_endless_paths() {
    // Each layer would double the depth: `l` leads to the bottom of what the last layer made.
    let deep = "d/".repeat(1500);
    let first = layer(&format!("f {deep}f 1, l l {deep}"));
    let second = layer(&format!("f l/{deep}f 2"));
    let error = Tree::fold([&first, &second]).unwrap_err();
    assert_eq!((error.layer, error.cause), (1, tree::FoldCause::TooLong));
    let long = layer(&format!("d {}, l l {}", "n/".repeat(2000), "n/".repeat(2000)));
    let error = Tree::fold([&long, &layer(&format!("f l/{} 1", "x".repeat(200)))]).unwrap_err();
    assert_eq!(error.cause, tree::FoldCause::TooLong);
}

#[test]
fn links_cannot_make_work_without_end() {
    let long = "d/../".repeat(800);
    let way = "l/../".repeat(8);
    let tree = Tree::fold([&layer(&format!("d d, l l {long}d"))]).unwrap();
    let error = tree.resolve(way.as_bytes()).unwrap_err();
    assert!(matches!(error, tree::ResolveError::TooManyLinks { .. }), "{error:?}");
}

#[test]
fn nodes_are_used_again() {
    let mut tree = Tree::new();
    for _ in 0..100 {
        tree.apply(0, &layer("d a, f a/b 1, f a/c 2, h a/d a/c")).unwrap();
        tree.apply(1, &layer("w a")).unwrap();
    }
    assert_eq!((tree.len(), tree.slots()), (1, 4));
}

#[test]
fn walks() {
    let tree = Tree::fold([&layer("f a/z 1, f a-b 1, f a/b/c 1, h link a/z")]).unwrap();
    let names = |walk: tree::Walk<'_>| walk.map(|(path, _)| path.to_string()).collect::<Vec<_>>();
    assert_eq!(names(tree.walk()), ["/", "/a", "/a/b", "/a/b/c", "/a/z", "/a-b", "/link"]);
    assert!(names(tree.walk()).len() == tree.len() + 1, "one file has two names");
    let at = |name| tree.lookup(&path(name)).unwrap();
    assert_eq!(names(tree.walk_from(at("a"))), ["/", "/b", "/b/c", "/z"]);
    assert_eq!(names(tree.walk_from(at("a/z"))), ["/"]);
    assert_eq!(tree.lookup(&path("a/z/x")), None);
    assert!(Tree::new().is_empty() && !tree.is_empty());
}
