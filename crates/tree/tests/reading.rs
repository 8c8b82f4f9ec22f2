//! Tars as GNU tar writes them, in all its formats.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use support::path;
use tree::{Changeset, Entry, EntryKind, FileContent, LayerWriter, Metadata, Timestamp};

fn gnu_tar(directory: &Path, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("tar").arg("-C").arg(directory).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn find<'c>(changeset: &'c Changeset, name: &str) -> &'c Entry {
    changeset
        .entries()
        .iter()
        .find(|entry| entry.path == path(name))
        .unwrap_or_else(|| panic!("{name}"))
}

fn content_of<'c>(changeset: &'c Changeset, name: &str) -> &'c FileContent {
    match &find(changeset, name).kind {
        EntryKind::File(content) => content,
        other => panic!("{name} is {other:?}"),
    }
}

/// The file's bytes, put together from where they lie in the tar.
fn bytes(tar: &[u8], content: &FileContent) -> Vec<u8> {
    let mut bytes = vec![0; content.size as usize];
    for extent in &content.extents {
        let from = &tar[extent.tar_offset as usize..][..extent.length as usize];
        bytes[extent.file_offset as usize..][..from.len()].copy_from_slice(from);
    }
    bytes
}

#[test]
fn all_formats() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    fs::create_dir(root.join("dir")).unwrap();
    fs::write(root.join("dir/file"), "hello").unwrap();
    fs::set_permissions(root.join("dir/file"), fs::Permissions::from_mode(0o4751)).unwrap();
    fs::hard_link(root.join("dir/file"), root.join("dir/hard")).unwrap();
    std::os::unix::fs::symlink("../target", root.join("dir/link")).unwrap();
    for format in ["v7", "ustar", "oldgnu", "gnu", "posix"] {
        let arguments = [
            "--format",
            format,
            "--sort=name",
            "--mtime=@1600000000.25",
            "--owner=:7",
            "--group=:8",
            "-cf",
            "-",
            ".",
        ];
        let tar = gnu_tar(root, &arguments);
        let changeset = Changeset::read_tar(&tar[..]).unwrap();
        let paths: Vec<_> =
            changeset.entries().iter().map(|entry| entry.path.to_string()).collect();
        assert_eq!(paths, ["/", "/dir", "/dir/file", "/dir/hard", "/dir/link"], "{format}");
        let file = find(&changeset, "dir/file");
        let (mode, uid, gid) = (file.metadata.mode, file.metadata.uid, file.metadata.gid);
        assert_eq!((mode, uid, gid), (0o4751, 7, 8), "{format}");
        let nanoseconds = if format == "posix" { 250_000_000 } else { 0 };
        let mtime = Timestamp { seconds: 1_600_000_000, nanoseconds };
        assert_eq!(file.metadata.mtime, mtime, "{format}");
        assert_eq!(bytes(&tar, content_of(&changeset, "dir/file")), b"hello", "{format}");
        assert_eq!(find(&changeset, "dir").kind, EntryKind::Directory, "{format}");
        assert_eq!(
            find(&changeset, "dir/hard").kind,
            EntryKind::HardLink(path("dir/file")),
            "{format}"
        );
        assert_eq!(
            find(&changeset, "dir/link").kind,
            EntryKind::Symlink(b"../target".to_vec()),
            "{format}"
        );
    }
}

#[test]
fn long_and_strange_names() {
    let directory = tempfile::tempdir().unwrap();
    let deep = ["d".repeat(200), "e".repeat(200)].join("/");
    fs::create_dir_all(directory.path().join(&deep)).unwrap();
    let file = format!("{deep}/ünï");
    fs::write(directory.path().join(&file), "x").unwrap();
    std::os::unix::fs::symlink(&file, directory.path().join("link")).unwrap();
    fs::hard_link(directory.path().join(&file), directory.path().join("0hard")).unwrap();
    for format in ["oldgnu", "gnu", "posix"] {
        let tar = gnu_tar(
            directory.path(),
            &["--format", format, "--sort=name", "-cf", "-", &deep, "link", "0hard"],
        );
        let changeset = Changeset::read_tar(&tar[..]).unwrap();
        assert_eq!(bytes(&tar, content_of(&changeset, &file)), b"x", "{format}");
        assert_eq!(
            find(&changeset, "link").kind,
            EntryKind::Symlink(file.clone().into()),
            "{format}"
        );
        assert_eq!(find(&changeset, "0hard").kind, EntryKind::HardLink(path(&file)), "{format}");
    }
}

#[test]
fn large_numbers() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("a"), "").unwrap();
    for format in ["gnu", "posix"] {
        for (time, seconds) in [("@-5", -5), ("@9999999999", 9_999_999_999)] {
            let arguments = [
                "--format",
                format,
                "--owner=:3000000000",
                "--group=:4294967294",
                "--mtime",
                time,
                "-cf",
                "-",
                "a",
            ];
            let tar = gnu_tar(directory.path(), &arguments);
            let changeset = Changeset::read_tar(&tar[..]).unwrap();
            let metadata = &find(&changeset, "a").metadata;
            assert_eq!((metadata.uid, metadata.gid), (3_000_000_000, 4_294_967_294), "{format}");
            assert_eq!(metadata.mtime.seconds, seconds, "{format}");
        }
    }
}

#[test]
fn extended_attributes() {
    let directory = tempfile::tempdir().unwrap();
    let mut metadata = Metadata::default();
    metadata.xattrs.insert(b"trusted.x=%y".to_vec(), b"\0\n=\xff".to_vec());
    let mut writer = LayerWriter::new(Vec::new());
    writer.append_file(&path("a"), &metadata, 0, &b""[..]).unwrap();
    let ours = directory.path().join("ours.tar");
    fs::write(&ours, writer.finish().unwrap().0).unwrap();
    let ours = ours.to_str().unwrap();
    gnu_tar(directory.path(), &["--xattrs", "--xattrs-include=*", "-xf", ours]);
    let tar = gnu_tar(directory.path(), &["--xattrs", "--xattrs-include=*", "-cf", "-", "a"]);
    let changeset = Changeset::read_tar(&tar[..]).unwrap();
    let xattrs = &find(&changeset, "a").metadata.xattrs;
    assert_eq!(xattrs.get(&b"trusted.x=%y"[..]).unwrap(), b"\0\n=\xff");
}

/// Makes a sparse file of `runs` of data, and gives its bytes.
fn sparse_file(file: &Path, size: u64, runs: &[(u64, usize)]) -> io::Result<Vec<u8>> {
    let sparse = File::create(file)?;
    sparse.set_len(size)?;
    for &(offset, length) in runs {
        sparse.write_all_at(&vec![b'0' + (offset % 10) as u8; length], offset)?;
    }
    fs::read(file)
}

#[test]
fn sparse_files() {
    let directory = tempfile::tempdir().unwrap();
    let mut many: Vec<(u64, usize)> = (0..60).map(|run| (run * 16384 + 4096, 4096)).collect();
    many.push((1 << 20, 100));
    type Runs<'r> = &'r [(u64, usize)];
    let files: [(&str, u64, Runs<'_>); 5] = [
        ("many", (1 << 20) + 100, &many),
        ("hole at the end", 1 << 20, &[(8192, 4096)]),
        ("hole alone", 1 << 20, &[]),
        ("data at the end", 40_001, &[(36_864, 3137)]),
        ("data at the start", 40_001, &[(0, 4096)]),
    ];
    for (name, size, runs) in files {
        sparse_file(&directory.path().join(name), size, runs).unwrap();
    }
    fs::write(directory.path().join("z"), "after").unwrap();
    let forms: [&[&str]; 5] = [
        &["--format=oldgnu"],
        &["--format=gnu"],
        &["--format=posix", "--sparse-version=0.0"],
        &["--format=posix", "--sparse-version=0.1"],
        &["--format=posix", "--sparse-version=1.0"],
    ];
    for form in forms {
        let tar =
            gnu_tar(directory.path(), &[form, &["-S", "--sort=name", "-cf", "-", "."]].concat());
        assert!(tar.len() < 1 << 20, "{form:?}: GNU tar knew the holes");
        let changeset = Changeset::read_tar(&tar[..]).unwrap();
        assert_eq!(changeset.len(), 7, "{form:?}");
        for (name, ..) in files {
            let expected = fs::read(directory.path().join(name)).unwrap();
            assert!(bytes(&tar, content_of(&changeset, name)) == expected, "{form:?}: {name}");
        }
        assert_eq!(bytes(&tar, content_of(&changeset, "z")), b"after", "{form:?}");
        assert_eq!(Changeset::decode(&changeset.encode()).unwrap(), changeset, "{form:?}");
    }
}
