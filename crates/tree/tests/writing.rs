//! Layers as LayerWriter makes them, in the eyes of GNU tar and Python, and what it refuses.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use support::path;
use tree::{
    Changeset, Device, Entry, EntryKind, Extent, LayerSink, LayerWriter, Metadata, Timestamp,
    WriteError, Xattrs,
};

fn metadata() -> Metadata {
    Metadata {
        mode: 0o2640,
        uid: 3_000_000_000,
        gid: 12,
        mtime: Timestamp { seconds: 1_600_000_000, nanoseconds: 0 },
        xattrs: Xattrs::new(),
    }
}

fn entry(name: impl AsRef<[u8]>, kind: EntryKind) -> Entry {
    Entry { path: path(name), kind, metadata: metadata() }
}

fn run(program: &str, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(program).args(arguments).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {errors}");
    assert_eq!(errors, "", "{program} {arguments:?}");
    output.stdout
}

/// A layer of all kinds and of names and times around all limits.
fn layer() -> Vec<u8> {
    let mut writer = LayerWriter::new(Vec::new());
    writer.append(&entry("", EntryKind::Directory)).unwrap();
    writer.append(&entry("dir", EntryKind::Directory)).unwrap();
    writer.append_file(&path("dir/file"), &metadata(), 5, &b"hello"[..]).unwrap();
    writer.append(&entry("dir/hard", EntryKind::HardLink(path("dir/file")))).unwrap();
    writer.append(&entry("fifo", EntryKind::Fifo)).unwrap();
    let device = Device { major: 4095, minor: 0xf_ffff };
    writer.append(&entry("char", EntryKind::CharDevice(device))).unwrap();
    writer.append(&entry("block", EntryKind::BlockDevice(Device { major: 7, minor: 0 }))).unwrap();
    for name in long_names() {
        writer.append_file(&path(&name), &metadata(), 1, &b"x"[..]).unwrap();
        let link = [b"l-", &name.replace(b"/", b"_")[..60.min(name.len())]].concat();
        writer.append(&entry(link, EntryKind::Symlink(name))).unwrap();
    }
    for (number, mtime) in times().into_iter().enumerate() {
        let metadata = Metadata { mtime, ..metadata() };
        writer.append_file(&path(format!("time{number}")), &metadata, 0, &b""[..]).unwrap();
    }
    let mut metadata = metadata();
    metadata.xattrs.insert(b"trusted.binary".to_vec(), b"\0\n=\xff 17 x=y\n".to_vec());
    metadata.xattrs.insert(b"trusted.a=b%3D%".to_vec(), b"value".to_vec());
    metadata.xattrs.insert(b"trusted.overlay.opaque".to_vec(), b"y".to_vec());
    writer.append_file(&path("attributes"), &metadata, 0, &b""[..]).unwrap();
    writer.append(&entry("dir/white", EntryKind::Whiteout)).unwrap();
    writer.append(&entry("dir", EntryKind::Opaque)).unwrap();
    writer.finish().unwrap().0
}

trait Replace {
    fn replace(&self, from: &[u8; 1], to: &[u8; 1]) -> Vec<u8>;
}

impl Replace for Vec<u8> {
    fn replace(&self, from: &[u8; 1], to: &[u8; 1]) -> Vec<u8> {
        self.iter().map(|byte| if *byte == from[0] { to[0] } else { *byte }).collect()
    }
}

/// Names around each limit of a header.
fn long_names() -> Vec<Vec<u8>> {
    let mut names: Vec<Vec<u8>> =
        [99, 100, 101, 200].iter().map(|&length| vec![b'n'; length]).collect();
    names.push([&b"p/".repeat(70)[..], &[b'q'; 100]].concat()); // Prefix and name.
    names.push([&b"p/".repeat(80)[..], &[b'q'; 100]].concat()); // Too long a prefix.
    names.push([&b"long/".repeat(300)[..], b"end"].concat());
    names.push("ä".repeat(100).into_bytes());
    names.push(vec![0xff; 40]);
    names.push(vec![0xfe; 240]);
    names
}

fn times() -> Vec<Timestamp> {
    [
        (0, 0),
        (1, 1),
        (-1, 0),
        (-1, 999_999_999),
        (-2, 500_000_000),
        (0o77777777777, 0),
        (8_589_934_592, 5),
    ]
    .map(|(seconds, nanoseconds)| Timestamp { seconds, nanoseconds })
    .to_vec()
}

#[test]
fn gnu_tar_unpacks_it() {
    let directory = tempfile::tempdir().unwrap();
    let tar = directory.path().join("layer.tar");
    fs::write(&tar, layer()).unwrap();
    let root = directory.path().join("root");
    fs::create_dir(&root).unwrap();
    let (tar, target) = (tar.to_str().unwrap(), root.to_str().unwrap());
    run(
        "tar",
        &[
            "--warning=no-timestamp",
            "--xattrs",
            "--xattrs-include=*",
            "--numeric-owner",
            "-xpf",
            tar,
            "-C",
            target,
        ],
    );

    let stat = |name: &str| fs::symlink_metadata(root.join(name)).unwrap();
    assert_eq!(stat("").mode(), 0o042_640);
    assert_eq!((stat("dir/file").uid(), stat("dir/file").gid()), (3_000_000_000, 12));
    assert_eq!(stat("dir/file").mode(), 0o102_640);
    assert_eq!(stat("dir/file").ino(), stat("dir/hard").ino());
    assert_eq!(fs::read(root.join("dir/file")).unwrap(), b"hello");
    assert_eq!(stat("fifo").mode() & 0o170_000, 0o010_000);
    assert_eq!(stat("char").rdev(), rustix_device(4095, 0xf_ffff));
    assert_eq!(stat("block").rdev(), rustix_device(7, 0));
    assert_eq!(stat("dir/.wh.white").len(), 0);
    assert_eq!(stat("dir/.wh..wh..opq").len(), 0);
    for name in long_names() {
        let real = root.join(std::ffi::OsStr::from_bytes(&name));
        assert_eq!(fs::read(&real).unwrap(), b"x", "{real:?}");
        let link = [b"l-", &name.replace(b"/", b"_")[..60.min(name.len())]].concat();
        let target = fs::read_link(root.join(std::ffi::OsStr::from_bytes(&link))).unwrap();
        assert!(target.as_os_str().as_bytes().starts_with(&name[..60.min(name.len())]));
    }
    for (number, time) in times().into_iter().enumerate() {
        let stat = stat(&format!("time{number}"));
        let want = (time.seconds, i64::from(time.nanoseconds));
        assert_eq!((stat.mtime(), stat.mtime_nsec()), want, "time{number}");
    }
}

/// A device number as stat(2) gives it.
fn rustix_device(major: u64, minor: u64) -> u64 {
    (minor & 0xff) | (major & 0xfff) << 8 | (minor & !0xff) << 12
}

#[test]
fn python_reads_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let tar = directory.path().join("layer.tar");
    fs::write(&tar, layer()).unwrap();
    let script = "
import sys, tarfile
for m in tarfile.open(sys.argv[1], errors='surrogateescape'):
    x = sorted((k[13:], v.encode('utf8', 'surrogateescape').hex()) for k, v in m.pax_headers.items() if k.startswith('SCHILY.xattr.'))
    print(m.type.decode(), m.name.encode('utf8', 'surrogateescape').hex(), oct(m.mode), m.uid, m.gid, m.size,
          m.linkname.encode('utf8', 'surrogateescape').hex(), m.devmajor, m.devminor, repr(m.uname + m.gname), x)
";
    let seen = run("python3", &["-c", script, tar.to_str().unwrap()]);
    let seen = String::from_utf8(seen).unwrap();
    let changeset = Changeset::read_tar(&layer()[..]).unwrap();
    let expected: Vec<String> = changeset.entries().iter().map(as_python_prints).collect();
    assert_eq!(seen.lines().collect::<Vec<_>>(), expected);
}

fn as_python_prints(entry: &Entry) -> String {
    let path = entry.path.as_bytes();
    let (parent, name) =
        path.split_at(path.iter().rposition(|&byte| byte == b'/').map_or(0, |at| at + 1));
    let none = Device { major: 0, minor: 0 };
    let (kind, name, size, link, device) = match &entry.kind {
        EntryKind::Directory if path.is_empty() => ("5", b".".to_vec(), 0, vec![], none),
        EntryKind::Directory => ("5", path.to_vec(), 0, vec![], none),
        EntryKind::File(content) => ("0", path.to_vec(), content.size, vec![], none),
        EntryKind::Symlink(target) => ("2", path.to_vec(), 0, target.clone(), none),
        EntryKind::HardLink(target) => ("1", path.to_vec(), 0, target.as_bytes().to_vec(), none),
        EntryKind::CharDevice(device) => ("3", path.to_vec(), 0, vec![], *device),
        EntryKind::BlockDevice(device) => ("4", path.to_vec(), 0, vec![], *device),
        EntryKind::Fifo => ("6", path.to_vec(), 0, vec![], none),
        EntryKind::Whiteout => ("0", [parent, b".wh.", name].concat(), 0, vec![], none),
        EntryKind::Opaque => ("0", [path, b"/.wh..wh..opq"].concat(), 0, vec![], none),
    };
    let escape = |name: &[u8]| {
        String::from_utf8(name.to_vec()).unwrap().replace("%3D", "%253D").replace('=', "%3D")
    };
    let xattrs = entry
        .metadata
        .xattrs
        .iter()
        .map(|(name, value)| format!("('{}', '{}')", escape(name), hex(value)));
    format!(
        "{kind} {} 0o{:o} {} {} {size} {} {} {} '' [{}]",
        hex(&name),
        entry.metadata.mode,
        entry.metadata.uid,
        entry.metadata.gid,
        hex(&link),
        device.major,
        device.minor,
        xattrs.collect::<Vec<_>>().join(", ")
    )
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn it_reads_back() {
    let changeset = Changeset::read_tar(&layer()[..]).unwrap();
    let find =
        |name: &[u8]| changeset.entries().iter().find(|entry| entry.path == path(name)).unwrap();
    for name in long_names() {
        assert!(matches!(find(&name).kind, EntryKind::File(_)));
    }
    for (number, time) in times().into_iter().enumerate() {
        assert_eq!(find(format!("time{number}").as_bytes()).metadata.mtime, time);
    }
    let xattrs = &find(b"attributes").metadata.xattrs;
    let names: Vec<_> = xattrs.keys().map(|name| String::from_utf8_lossy(name)).collect();
    assert_eq!(names, ["trusted.a=b%3D%", "trusted.binary"], "overlayfs's own stay out");
    assert_eq!(xattrs[&b"trusted.binary"[..]], b"\0\n=\xff 17 x=y\n");
}

/// A file in which zeros become holes.
struct Holes(File);

impl Write for Holes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl LayerSink for Holes {
    fn write_zeros(&mut self, count: u64) -> io::Result<()> {
        self.0.seek(SeekFrom::Current(count as i64)).map(drop)
    }
}

#[test]
fn a_huge_sparse_file_takes_no_room() {
    const SIZE: u64 = 20 << 30;
    let mut writer = LayerWriter::new(Holes(tempfile::tempfile().unwrap()));
    let data = [(0, 3), (10 << 30, 600_000), (SIZE - 1, 1)];
    writer
        .append_sparse_file(&path("huge"), &metadata(), SIZE, &data, |offset, buffer| {
            buffer[0] = b'0' + (offset % 7) as u8;
            Ok(1)
        })
        .unwrap();
    writer.append_file(&path("after"), &metadata(), 5, &b"after"[..]).unwrap();
    let (Holes(file), changeset) = writer.finish().unwrap();
    assert!(file.metadata().unwrap().blocks() * 512 < 2 << 20);
    let EntryKind::File(content) = &changeset.entries()[0].kind else { panic!("{changeset:?}") };
    assert_eq!(content.extents[..], [Extent { file_offset: 0, tar_offset: 1536, length: SIZE }]);
    let seen = run("tar", &["--numeric-owner", "-tvf", &on_disk(&file)]);
    let seen = String::from_utf8(seen).unwrap();
    assert!(seen.lines().next().unwrap().contains(&SIZE.to_string()), "{seen}");
    assert!(seen.lines().nth(1).unwrap().ends_with("after"), "{seen}");
    let after = run("tar", &["-xOf", &on_disk(&file), "after"]);
    assert_eq!(after, b"after");
}

/// A path to an open file that other processes can use.
fn on_disk(file: &File) -> String {
    use std::os::fd::AsRawFd;
    format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd())
}

#[test]
fn later_times_are_cut_to_the_epoch_given() {
    let max = Timestamp { seconds: 100, nanoseconds: 5 };
    let mut writer = LayerWriter::new(Vec::new()).with_max_mtime(max);
    for seconds in [99, 100, 101] {
        let metadata = Metadata { mtime: Timestamp { seconds, nanoseconds: 0 }, ..metadata() };
        writer.append_file(&path("a"), &metadata, 0, &b""[..]).unwrap();
    }
    let (tar, changeset) = writer.finish().unwrap();
    let times = |changeset: &Changeset| -> Vec<_> {
        let times = changeset.entries().iter().map(|entry| entry.metadata.mtime);
        times.map(|time| (time.seconds, time.nanoseconds)).collect()
    };
    assert_eq!(times(&changeset), [(99, 0), (100, 0), (100, 5)]);
    assert_eq!(times(&Changeset::read_tar(&tar[..]).unwrap()), times(&changeset));
}

#[test]
fn refused() {
    let file = EntryKind::File(Default::default());
    let mut too_many = metadata();
    too_many.xattrs = (0..3).map(|number| (vec![b'a' + number; 3], vec![0; 65_000])).collect();
    let refused: [(&str, Attempt); 12] = [
        ("longer than 3", Box::new(|w| w.append_file(&path("a"), &metadata(), 3, &b"four"[..]))),
        ("shorter than 5", Box::new(|w| w.append_file(&path("a"), &metadata(), 5, &b"four"[..]))),
        ("cannot read", Box::new(|w| w.append_file(&path("a"), &metadata(), 5, Broken))),
        ("whiteouts", Box::new(|w| w.append(&entry(".wh.a", EntryKind::Directory)))),
        ("whiteouts", Box::new(|w| w.append(&entry("a/.wh.b/c", EntryKind::Fifo)))),
        (
            "appended with it",
            Box::new(|w| w.append(&entry("a", EntryKind::File(tree::FileContent::plain(1, 0))))),
        ),
        ("cannot be in a layer", Box::new(|w| w.append(&entry("a", EntryKind::Symlink(vec![]))))),
        (
            "cannot be in a layer",
            Box::new(|w| w.append(&entry("a", EntryKind::Symlink(vec![b'a'; 4096])))),
        ),
        (
            "cannot be in a layer",
            Box::new(|w| {
                w.append(&entry("a", EntryKind::CharDevice(Device { major: 4096, minor: 0 })))
            }),
        ),
        ("cannot be in a layer", Box::new(move |w| w.append(&entry("", file.clone())))),
        (
            "cannot be in a layer",
            Box::new(move |w| w.append_file(&path("a"), &too_many, 0, &b""[..])),
        ),
        (
            "cannot be in a layer",
            Box::new(|w| {
                w.append_sparse_file(&path("a"), &metadata(), 10, &[(5, 6)], |_, _| Ok(1))
            }),
        ),
    ];
    for (want, write) in refused {
        let mut writer = LayerWriter::new(Vec::new());
        let error = write(&mut writer).unwrap_err().to_string();
        assert!(error.contains(want), "{error} should say {want}");
    }
}

type Attempt = Box<dyn Fn(&mut LayerWriter<Vec<u8>>) -> Result<(), WriteError>>;

struct Broken;

impl io::Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other("broken"))
    }
}

#[test]
fn nothing_is_finished_after_an_error() {
    let mut writer = LayerWriter::new(Vec::new());
    writer.append_file(&path("a"), &metadata(), 5, &b"four"[..]).unwrap_err();
    assert!(matches!(writer.append(&entry("b", EntryKind::Fifo)), Err(WriteError::Failed)));
    assert!(matches!(writer.finish(), Err(WriteError::Failed)));
}

#[test]
fn a_full_disk_is_an_error() {
    let full = File::options().write(true).open(Path::new("/dev/full")).unwrap();
    let mut writer = LayerWriter::new(full);
    let content = vec![1; 1 << 20];
    let written = writer.append_file(&path("a"), &metadata(), content.len() as u64, &content[..]);
    assert!(matches!(written, Err(WriteError::Write { .. })), "{written:?}");
    let full = File::options().write(true).open("/dev/full").unwrap();
    assert!(matches!(LayerWriter::new(full).finish(), Err(WriteError::Finish(_))));
}
