//! An index on a real mount, and the comparison of the mount with the tree.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, UnmountFlags, fsconfig_create,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, move_mount, unmount,
};
use tree::{Changeset, FileContent, LayerPath, Node, NodeId, NodeKind, Tree, Xattrs};

/// A mounted index; dropping it unmounts.
pub(crate) struct Mounted {
    directory: tempfile::TempDir,
    tars: Vec<PathBuf>,
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = unmount(self.root(), UnmountFlags::DETACH);
    }
}

impl Mounted {
    /// Mounts the index of `tree` over `tars`.
    pub(crate) fn new(tree: &Tree, tars: &[PathBuf]) -> Self {
        let sizes: Vec<u64> = tars.iter().map(|tar| fs::metadata(tar).unwrap().len()).collect();
        let index = erofs::index(tree, &sizes).unwrap();
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("root")).unwrap();
        fs::write(directory.path().join("index"), index).unwrap();
        let mounted = Self { directory, tars: tars.to_vec() };
        mounted.mount().unwrap();
        mounted
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.directory.path().join("root")
    }

    #[allow(dead_code, reason = "one test looks at it")]
    pub(crate) fn index(&self) -> PathBuf {
        self.directory.path().join("index")
    }

    fn mount(&self) -> rustix::io::Result<()> {
        let context = fsopen("erofs", FsOpenFlags::FSOPEN_CLOEXEC)?;
        let context = std::os::fd::AsFd::as_fd(&context);
        fsconfig_set_flag(context, "ro")?;
        fsconfig_set_string(context, "source", self.directory.path().join("index"))?;
        for tar in &self.tars {
            fsconfig_set_string(context, "device", tar)?;
        }
        fsconfig_create(context)?;
        let mount = fsmount(context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?;
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
        move_mount(&mount, "", rustix::fs::CWD, self.root(), flags)
    }

    /// Fails where the mount is anything else than `tree`.
    pub(crate) fn assert_shows(&self, tree: &Tree) {
        let mut numbers = BTreeMap::new();
        let mut paths = 0;
        for (path, id) in tree.walk() {
            let real = self.root().join(OsStr::from_bytes(path.as_bytes()));
            self.assert_node(tree, id, &real);
            let number = fs::symlink_metadata(&real).unwrap().ino();
            assert_eq!(*numbers.entry(number).or_insert(id), id, "{path}: a shared inode");
            paths += 1;
        }
        assert_eq!(numbers.len(), tree.len(), "names of one node have one inode");
        assert_eq!(count(&self.root()), paths, "the mount has other names as well");
    }

    fn assert_node(&self, tree: &Tree, id: NodeId, real: &Path) {
        let node = tree.node(id);
        let stat = fs::symlink_metadata(real).unwrap_or_else(|error| panic!("{real:?}: {error}"));
        let metadata = &node.metadata;
        assert_eq!(stat.mode() & 0o7777, u32::from(metadata.mode), "{real:?}: mode");
        assert_eq!((stat.uid(), stat.gid()), (metadata.uid, metadata.gid), "{real:?}: owner");
        let mtime = (stat.mtime(), stat.mtime_nsec());
        let expected = (metadata.mtime.seconds, i64::from(metadata.mtime.nanoseconds));
        assert_eq!(mtime, expected, "{real:?}: time");
        assert_eq!(stat.nlink(), links(tree, node), "{real:?}: links");
        assert_eq!(xattrs(real), metadata.xattrs, "{real:?}: extended attributes");
        let kind = stat.file_type();
        let device = (rustix::fs::major(stat.rdev()), rustix::fs::minor(stat.rdev()));
        match &node.kind {
            NodeKind::Directory(_) => assert!(kind.is_dir(), "{real:?}"),
            NodeKind::Fifo => assert!(kind.is_fifo(), "{real:?}"),
            NodeKind::Symlink(target) => {
                assert_eq!(fs::read_link(real).unwrap().as_os_str().as_bytes(), target, "{real:?}");
            }
            NodeKind::CharDevice(number) => {
                assert!(kind.is_char_device(), "{real:?}");
                assert_eq!(device, (number.major, number.minor), "{real:?}");
            }
            NodeKind::BlockDevice(number) => {
                assert!(kind.is_block_device(), "{real:?}");
                assert_eq!(device, (number.major, number.minor), "{real:?}");
            }
            NodeKind::File { layer, content } => {
                assert!(kind.is_file(), "{real:?}");
                assert_eq!(stat.len(), content.size, "{real:?}: size");
                self.assert_content(real, *layer, content);
            }
        }
    }

    fn assert_content(&self, real: &Path, layer: u32, content: &FileContent) {
        let file = File::open(real).unwrap();
        let mut reached = 0;
        for extent in &content.extents {
            assert_zeros(&file, real, reached, extent.file_offset);
            let (mut expected, mut found) = (vec![0; extent.length as usize], Vec::new());
            found.resize(expected.len(), 1);
            let tar = File::open(&self.tars[layer as usize]).unwrap();
            tar.read_exact_at(&mut expected, extent.tar_offset).unwrap();
            file.read_exact_at(&mut found, extent.file_offset).unwrap();
            assert!(found == expected, "{real:?}: content at {}", extent.file_offset);
            reached = extent.file_offset + extent.length;
        }
        assert_zeros(&file, real, reached, content.size);
    }
}

/// Zeros around both ends and in the middle; holes may be too long to read all of them.
fn assert_zeros(file: &File, real: &Path, from: u64, to: u64) {
    for start in [from, from + (to - from) / 2, to.saturating_sub(8192).max(from)] {
        let mut found = vec![1; 8192.min(to - start) as usize];
        file.read_exact_at(&mut found, start).unwrap();
        assert!(found.iter().all(|&byte| byte == 0), "{real:?}: a hole at {start}");
    }
}

fn links(tree: &Tree, node: &Node) -> u64 {
    let Some(names) = node.names() else { return node.links.into() };
    2 + names.values().filter(|&&id| tree.node(id).is_directory()).count() as u64
}

fn count(directory: &Path) -> usize {
    let entries = fs::read_dir(directory).unwrap().map(Result::unwrap);
    1 + entries
        .map(|entry| if entry.file_type().unwrap().is_dir() { count(&entry.path()) } else { 1 })
        .sum::<usize>()
}

fn xattrs(path: &Path) -> Xattrs {
    let mut names = vec![0; 65536];
    let length = rustix::fs::llistxattr(path, &mut names[..]).unwrap_or(0);
    let names = names[..length].split(|&byte| byte == 0).filter(|name| !name.is_empty());
    names
        .map(|name| {
            let mut value = vec![0; 65536];
            let length = rustix::fs::lgetxattr(path, OsStr::from_bytes(name), &mut value[..]);
            value.truncate(length.unwrap());
            (name.to_vec(), value)
        })
        .collect()
}

/// Reads the layers from their tars and folds them.
#[allow(dead_code, reason = "not all tests have tars from elsewhere")]
pub(crate) fn fold(tars: &[PathBuf]) -> Tree {
    let read = |tar| Changeset::read_tar(File::open(tar).unwrap()).unwrap();
    let layers: Vec<_> = tars.iter().map(read).collect();
    Tree::fold(&layers).unwrap()
}

pub(crate) fn path(text: impl AsRef<[u8]>) -> LayerPath {
    LayerPath::new(text).unwrap()
}
