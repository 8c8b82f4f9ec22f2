//! Tars made by hand, block by block: old habits, odd ones, and hostile ones.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use support::path;
use tar::{EntryType, Header};
use tree::{Changeset, EntryKind, Extent, ReadCause, ReadError, Timestamp};

/// One member: blocks of a header and of its content.
struct Member {
    header: Header,
    content: Vec<u8>,
}

/// A member of `kind`, a typeflag.
fn member(kind: u8, name: &str) -> Member {
    let mut header = Header::new_ustar();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(0);
    header.set_entry_type(EntryType::new(kind));
    Member { header, content: Vec::new() }
}

fn file(name: &str, content: &[u8]) -> Member {
    member(b'0', name).content(content)
}

/// A PAX record's member.
fn pax(records: &[(&str, &str)]) -> Member {
    let mut data = String::new();
    for (key, value) in records {
        let rest = key.len() + value.len() + 3;
        let length = (rest..).find(|length| length.to_string().len() + rest == *length).unwrap();
        data += &format!("{length} {key}={value}\n");
    }
    member(b'x', "pax").content(data.as_bytes())
}

impl Member {
    fn content(mut self, content: &[u8]) -> Self {
        self.content = content.to_vec();
        self.header.set_size(content.len() as u64);
        self
    }

    fn link(mut self, target: &str) -> Self {
        self.header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
        self
    }

    fn edit(mut self, edit: impl FnOnce(&mut Header)) -> Self {
        edit(&mut self.header);
        self
    }

    fn blocks(mut self) -> Vec<u8> {
        self.header.set_cksum();
        let mut blocks = self.header.as_bytes().to_vec();
        blocks.extend(self.content);
        blocks.resize(blocks.len().next_multiple_of(512), 0);
        blocks
    }
}

fn tar(members: impl IntoIterator<Item = Member>) -> Vec<u8> {
    let mut tar: Vec<u8> = members.into_iter().flat_map(Member::blocks).collect();
    tar.resize(tar.len() + 1024, 0);
    tar
}

fn read(members: impl IntoIterator<Item = Member>) -> Result<Changeset, ReadError> {
    Changeset::read_tar(&tar(members)[..])
}

/// Reads one file and gives its kind.
fn kind(members: impl IntoIterator<Item = Member>) -> EntryKind {
    let changeset = read(members).unwrap();
    assert_eq!(changeset.len(), 1, "{changeset:?}");
    changeset.entries()[0].kind.clone()
}

fn refuse(members: impl IntoIterator<Item = Member>) -> ReadError {
    read(members).unwrap_err()
}

#[test]
fn names() {
    for (name, want) in [
        ("./a", "/a"),
        ("/a", "/a"),
        ("//a//b/", "/a/b"),
        ("a/./b", "/a/b"),
        ("./", "/"),
        ("", "/"),
    ] {
        let changeset = read([member(b'5', name)]).unwrap();
        assert_eq!(changeset.entries()[0].path.to_string(), want, "{name}");
    }
    let prefixed = file("name", b"")
        .edit(|header| header.as_ustar_mut().unwrap().prefix[..3].copy_from_slice(b"a/b"));
    assert_eq!(read([prefixed]).unwrap().entries()[0].path, path("a/b/name"));
}

#[test]
fn types() {
    assert!(matches!(kind([member(b'\0', "a")]), EntryKind::File(_)));
    assert!(matches!(kind([member(b'7', "a")]), EntryKind::File(_)));
    assert_eq!(kind([member(b'\0', "a/")]), EntryKind::Directory);
    assert_eq!(kind([member(b'0', "a/")]), EntryKind::Directory);
    assert_eq!(kind([member(b'6', "a")]), EntryKind::Fifo);
    // What is no file and changes none.
    assert!(read([member(b'V', "volume")]).unwrap().is_empty());
    assert!(read([member(b'g', "global").content(b"15 comment=abc\n")]).unwrap().is_empty());
    let global = member(b'g', "global").content(b"16 mtime=123456\n");
    assert_eq!(
        read([global, file("a", b"")]).unwrap().entries()[0].metadata.mtime,
        Timestamp::default()
    );
    // Sizes of what has no content mean nothing.
    let link = member(b'1', "b").link("a").edit(|header| header.set_size(5000));
    assert_eq!(read([file("a", b"x"), link, file("c", b"y")]).unwrap().len(), 3);
}

#[test]
fn whiteouts() {
    let kinds = |names: &[&str]| -> Vec<String> {
        let changeset = read(names.iter().map(|name| file(name, b""))).unwrap();
        changeset.entries().iter().map(|entry| format!("{:?} {}", entry.kind, entry.path)).collect()
    };
    assert_eq!(kinds(&[".wh.a", "b/.wh.c"]), ["Whiteout /a", "Whiteout /b/c"]);
    assert_eq!(kinds(&[".wh..wh..opq", "b/.wh..wh..opq"]), ["Opaque /", "Opaque /b"]);
    assert_eq!(kinds(&[".wh..wh.plnk", ".wh..wh.plnk/1.2", "a/.wh..wh.aufs"]), [""; 0]);
    let longest = "n".repeat(255);
    let name = format!("{}.wh.{longest}", "./".repeat(100));
    let changeset = read([member(b'L', "l").content(name.as_bytes()), file("short", b"")]).unwrap();
    assert_eq!(changeset.entries()[0].path, path(&longest), "the prefix does not count");
    for name in [".wh.", "a/.wh..", "a/.wh..."] {
        let error = refuse([file(name, b"")]);
        assert!(matches!(error.cause, ReadCause::Whiteout), "{error:?}");
    }
}

#[test]
fn pax_records() {
    let changeset = read([
        pax(&[
            ("path", "päth"),
            ("uid", "4000000000"),
            ("gid", "5"),
            ("mtime", "-1.25"),
            ("atime", "7"),
            ("SCHILY.xattr.user.a", "b=c\nd"),
            ("SCHILY.xattr.trusted.overlay.opaque", "y"),
            ("LIBARCHIVE.xattr.user.a", "ignored"),
        ]),
        file("short", b"x"),
        file("plain", b"y"),
    ])
    .unwrap();
    let [first, second] = changeset.entries() else { panic!("{changeset:?}") };
    assert_eq!(first.path, path("päth"));
    assert_eq!((first.metadata.uid, first.metadata.gid), (4_000_000_000, 5));
    assert_eq!(first.metadata.mtime, Timestamp { seconds: -2, nanoseconds: 750_000_000 });
    assert_eq!(first.metadata.xattrs, [(b"user.a".to_vec(), b"b=c\nd".to_vec())].into());
    assert_eq!(second.path, path("plain"), "records are about one entry");
    assert_eq!(second.metadata.uid, 0);
}

#[test]
fn a_size_that_only_pax_knows() {
    let long = [b'x'; 600];
    let mut large = file("a", &long);
    large.header.set_size(0);
    let changeset = read([pax(&[("size", "600")]), large, file("b", b"after")]).unwrap();
    let EntryKind::File(content) = &changeset.entries()[0].kind else { panic!("{changeset:?}") };
    assert_eq!((content.size, content.extents[0].tar_offset), (600, 1536));
    assert_eq!(changeset.entries()[1].path, path("b"));
}

#[test]
fn densely_packed_runs() {
    // As Go's archive/tar takes it: runs follow each other without padding.
    let sparse = [("GNU.sparse.size", "2000"), ("GNU.sparse.map", "10,5,1000,7")];
    let EntryKind::File(content) = kind([pax(&sparse), file("a", b"aaaaabbbbbbb")]) else {
        panic!()
    };
    let extent = |file_offset, tar_offset, length| Extent { file_offset, tar_offset, length };
    assert_eq!(content.extents, [extent(10, 1536, 5), extent(1000, 1541, 7)]);
}

#[test]
fn numbers() {
    let base256 = |value: i64| {
        let mut field = [if value < 0 { 0xff } else { 0 }; 12];
        field[4..].copy_from_slice(&value.to_be_bytes());
        field[0] |= 0x80;
        field
    };
    for seconds in [-1, i64::MIN, i64::MAX, 1 << 40] {
        let member = file("a", b"").edit(|header| header.as_old_mut().mtime = base256(seconds));
        assert_eq!(read([member]).unwrap().entries()[0].metadata.mtime.seconds, seconds);
    }
    let blank = file("a", b"").edit(|header| {
        header.as_old_mut().mtime = *b"           \0";
        header.as_old_mut().uid = [0; 8];
        header.as_old_mut().mode = *b"  0644 \0";
    });
    let changeset = read([blank]).unwrap();
    let metadata = &changeset.entries()[0].metadata;
    assert_eq!((metadata.mtime.seconds, metadata.uid, metadata.mode), (0, 0, 0o644));
}

#[test]
fn ends() {
    let one = file("a", b"x").blocks();
    assert_eq!(Changeset::read_tar(&one[..]).unwrap().len(), 1, "no end marker");
    let zero = [&one[..], &[0; 512]].concat();
    assert_eq!(Changeset::read_tar(&zero[..]).unwrap().len(), 1, "half an end marker");
    let more = [&one[..], &[0; 1024], b"not a tar at all", &one[..]].concat();
    let mut rest = &more[..];
    assert_eq!(
        Changeset::read_tar(&mut rest).unwrap().len(),
        1,
        "what follows the end is no entry"
    );
    assert!(rest.is_empty(), "but it is read");
    assert!(Changeset::read_tar(&b""[..]).unwrap().is_empty());
    let lone = [&one[..], &[0; 512], &one[..]].concat();
    assert!(matches!(Changeset::read_tar(&lone[..]).unwrap_err().cause, ReadCause::LoneZeroBlock));
}

#[test]
fn cut_off() {
    let whole = tar([pax(&[("path", "name")]), file("a", &[1; 700])]);
    let (end_mark, padding) = (1024, 1024 - 700);
    let complete = whole.len() - end_mark - padding;
    // The last padding may be missing, and the end mark, or half of it; but no block is cut.
    for length in (complete..=complete + padding).chain([whole.len() - 512, whole.len()]) {
        let changeset = Changeset::read_tar(&whole[..length]).expect("all content is there");
        assert_eq!(changeset.content_size(), 700, "cut at {length}");
    }
    for (length, is_whole) in [(512, true), (1024, false), (1024 + padding, false)] {
        let cut = &whole[..whole.len() - length];
        assert_eq!(Changeset::read_whole_tar(cut).is_ok(), is_whole, "{length} bytes missing");
    }
    assert!(Changeset::read_whole_tar(&b""[..]).is_err());
    let in_end_mark = [1, 511, 513, 1023].map(|length| whole.len() - length);
    for length in (1..complete).chain(in_end_mark) {
        let result = Changeset::read_tar(&whole[..length]);
        let error = result.err().unwrap_or_else(|| panic!("cut at {length}"));
        assert!(matches!(error.cause, ReadCause::Truncated), "cut at {length}: {error:?}");
    }
}

#[test]
fn hostile() {
    let long = "a".repeat(70_000);
    let huge = |header: &mut Header| header.as_old_mut().size = *b"77777777777\0";
    let wide = |header: &mut Header| header.as_old_mut().size = [0xff; 12];
    for (what, members) in [
        ("`..` component", vec![file("../a", b"")]),
        ("`..` component", vec![file("a/../../b", b"")]),
        ("`..` component", vec![member(b'1', "a").link("../../etc/passwd")]),
        ("`..` component", vec![pax(&[("path", "../a")]), file("a", b"")]),
        ("`..` component", vec![pax(&[("linkpath", "a/../../b")]), member(b'1', "a")]),
        ("NUL byte", vec![pax(&[("path", "a\0b")]), file("a", b"")]),
        ("too long", vec![pax(&[("path", &long)]), file("a", b"")]),
        ("too long", vec![member(b'L', "l").content(long.as_bytes()), file("a", b"")]),
        ("target must have", vec![member(b'2', "a")]),
        ("target must have", vec![member(b'K', "l").content(long.as_bytes()), member(b'2', "a")]),
        ("root must be", vec![file("/", b""), file(".", b"")]),
        ("root must be", vec![member(b'2', "").link("x")]),
        ("not supported", vec![member(b'M', "a")]),
        ("not supported", vec![member(b'?', "a")]),
        ("cut off", vec![file("a", b"").edit(huge)]),
        ("size is not a number", vec![file("a", b"").edit(wide)]),
        (
            "size is not a number",
            vec![file("a", b"").edit(|header| header.as_old_mut().size[0] = b'9')],
        ),
        ("uid is not a number", vec![pax(&[("uid", "4294967296")]), file("a", b"")]),
        ("PAX record is not a number", vec![pax(&[("size", "1e3")]), file("a", b"")]),
        ("PAX record is not a number", vec![pax(&[("gid", "-1")]), file("a", b"")]),
        ("mtime is not a number", vec![pax(&[("mtime", "1.2.3")]), file("a", b"")]),
        (
            "PAX record is malformed",
            vec![member(b'x', "x").content(b"99 path=a\n"), file("a", b"")],
        ),
        ("PAX record is malformed", vec![member(b'x', "x").content(b"9 path=a!"), file("a", b"")]),
        ("PAX record is malformed", vec![member(b'x', "x").content(b"0 a=b\n"), file("a", b"")]),
        ("extended headers of", vec![member(b'x', "x").edit(huge), file("a", b"")]),
        ("extended headers of", (0..20).map(|_| pax(&[("comment", &long)])).collect()),
        (
            "attribute \"user.a\" is impossible",
            vec![pax(&[("SCHILY.xattr.user.a", &long)]), file("a", b"")],
        ),
        ("attribute \"\" is impossible", vec![pax(&[("SCHILY.xattr.", "x")]), file("a", b"")]),
        (
            "is beyond 4095",
            vec![member(b'3', "a").edit(|header| header.set_device_major(4096).unwrap())],
        ),
        ("cut off", vec![pax(&[("path", "a")])]),
        ("map of the sparse", vec![pax(&[("GNU.sparse.map", "0,5")]), file("a", b"aaaaa")]),
        (
            "map of the sparse",
            vec![
                pax(&[("GNU.sparse.size", "9"), ("GNU.sparse.map", "0,5,3,2")]),
                file("a", b"aaaaabb"),
            ],
        ),
        (
            "map of the sparse",
            vec![
                pax(&[("GNU.sparse.size", "9"), ("GNU.sparse.map", "0,5,8,2")]),
                file("a", b"aaaaabb"),
            ],
        ),
        (
            "map of the sparse",
            vec![
                pax(&[("GNU.sparse.size", "9"), ("GNU.sparse.map", "0,5,6")]),
                file("a", b"aaaaa"),
            ],
        ),
        (
            "map of the sparse",
            vec![pax(&[("GNU.sparse.size", "9"), ("GNU.sparse.map", "0,6")]), file("a", b"aaaaa")],
        ),
        (
            "map of the sparse",
            vec![pax(&[("GNU.sparse.size", "9"), ("GNU.sparse.map", "0,4")]), file("a", b"aaaaa")],
        ),
        (
            "map of the sparse",
            vec![
                pax(&[("GNU.sparse.size", "9"), ("GNU.sparse.numbytes", "4")]),
                file("a", b"aaaa"),
            ],
        ),
        (
            "map of the sparse",
            vec![
                pax(&[("GNU.sparse.major", "1"), ("GNU.sparse.realsize", "9")]),
                file("a", b"9999999\n1\n"),
            ],
        ),
        (
            "map of the sparse",
            vec![pax(&[("GNU.sparse.major", "1"), ("GNU.sparse.realsize", "9")]), file("a", b"x")],
        ),
        ("map of the sparse", vec![member(b'S', "a")]),
    ] {
        let error = refuse(members);
        let all = causes(&error);
        assert!(all.contains(what), "{all} should say {what}");
    }
}

/// An error with all its causes, as a program prints it.
fn causes(error: &dyn std::error::Error) -> String {
    let next = error.source().map(|source| format!(": {}", causes(source)));
    error.to_string() + &next.unwrap_or_default()
}

#[test]
fn errors_say_where() {
    let error = refuse([file("good", &[0; 600]), pax(&[("path", "bad/name")]), member(b'Z', "b")]);
    assert_eq!((error.entry.as_str(), error.offset), ("bad/name", 512 + 1024 + 1024));
    let error = Changeset::read_tar(&[b'x'; 2000][..]).unwrap_err();
    assert!(matches!(error.cause, ReadCause::Checksum), "{error:?}");
}

#[test]
fn a_reader_that_fails_is_named() {
    let tar = tar([file("a", b"x")]);
    let broken = std::io::Read::chain(&tar[..600], Broken);
    let error = Changeset::read_tar(broken).unwrap_err();
    assert!(matches!(error.cause, ReadCause::Io(_)), "{error:?}");
}

struct Broken;

impl std::io::Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
        Err(std::io::Error::other("broken"))
    }
}
