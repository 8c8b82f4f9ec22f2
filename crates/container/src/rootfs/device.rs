//! Device nodes, the links of `/dev` and the terminal (runtime-spec, config-linux.md "Default
//! Devices", "Dev symbolic links").

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use oci_spec::runtime::{LinuxDevice, LinuxDeviceType, Spec};
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;
use rustix::pty::OpenptFlags;

use super::open_path;
use super::options::Options;
use super::root::{Root, attach, clone_mount, kind_of};
use crate::error::{Doing, Error, Result};

const DEFAULT: [(&str, u32, u32); 6] = [
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("tty", 5, 0),
    ("random", 1, 8),
    ("urandom", 1, 9),
];

/// The magic number of devpts (statfs(2)).
const DEVPTS_MAGIC: i64 = 0x1cd1;

/// Makes the nodes and links; nothing when `/dev` is the host's own, bound into the container.
pub(crate) fn set_up_devices(root: &Root, spec: &Spec) -> Result<()> {
    if dev_is_bound(spec) {
        return Ok(());
    }
    let dev = root.directory(Path::new("/dev"))?;
    let maker = Maker { mapped: crate::namespaces::has_user(spec) };
    let configured = crate::spec::linux(spec)?.devices().as_deref().unwrap_or_default();
    for (name, major, minor) in DEFAULT {
        // What the configuration says of the same device counts.
        if configured.iter().any(|device| is_in_dev(device.path(), name)) {
            continue;
        }
        let node = Node { kind: FileType::CharacterDevice, major, minor, mode: 0o666, owner: None };
        maker.make(dev.as_fd(), Path::new("/dev"), name, &node)?;
    }
    // The terminals' multiplexer is a link, whatever the configuration says.
    for device in configured.iter().filter(|device| !is_in_dev(device.path(), "ptmx")) {
        maker.make_configured(root, device)?;
    }
    links(dev.as_fd())
}

fn is_in_dev(path: &Path, name: &str) -> bool {
    path.components().eq(Path::new("/dev").join(name).components())
}

fn dev_is_bound(spec: &Spec) -> bool {
    spec.mounts().iter().flatten().any(|mount| {
        mount.destination().components().eq(Path::new("/dev").components())
            && (mount.typ().as_deref() == Some("bind")
                || Options::parse(mount.options().iter().flatten()).bind.is_some())
    })
}

struct Node {
    kind: FileType,
    major: u32,
    minor: u32,
    mode: u32,
    owner: Option<(u32, u32)>,
}

struct Maker {
    /// In a user namespace no node can be made; the host's are bound instead.
    mapped: bool,
}

impl Maker {
    fn make_configured(&self, root: &Root, device: &LinuxDevice) -> Result<()> {
        let path = device.path();
        let wrong =
            |reason: &str| Error::spec(format!("linux.devices: {}", path.display()), reason);
        let number = |number: i64| u32::try_from(number).map_err(|_| wrong("no device number"));
        let fifo = device.typ() == LinuxDeviceType::P;
        let kind = match device.typ() {
            LinuxDeviceType::B => FileType::BlockDevice,
            LinuxDeviceType::C | LinuxDeviceType::U => FileType::CharacterDevice,
            LinuxDeviceType::P => FileType::Fifo,
            LinuxDeviceType::A => return Err(wrong("type a is no device")),
        };
        let node = Node {
            kind,
            major: if fifo { 0 } else { number(device.major())? },
            minor: if fifo { 0 } else { number(device.minor())? },
            mode: device.file_mode().unwrap_or(0o666),
            owner: Some((device.uid().unwrap_or(0), device.gid().unwrap_or(0))),
        };
        let (Some(above), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(wrong("no path of a device"));
        };
        let parent = root.directory(above)?;
        self.make(parent.as_fd(), above, name, &node)
    }

    /// Makes the node `name` in the directory `parent`, whose path in the container is `above`.
    fn make(
        &self,
        parent: BorrowedFd<'_>,
        above: &Path,
        name: impl AsRef<Path>,
        node: &Node,
    ) -> Result<()> {
        let name = name.as_ref();
        let doing = || format!("make the device {}", name.display());
        // A fifo is no device: everybody can make one.
        if self.mapped && node.kind != FileType::Fifo {
            return bind_host(parent, &Path::new("/").join(above), name, node).doing(doing);
        }
        let mode = Mode::from_raw_mode(node.mode & 0o7777);
        let device = rustix::fs::makedev(node.major, node.minor);
        match rustix::fs::mknodat(parent, name, node.kind, mode, device) {
            Err(Errno::EXIST) => return same_or_error(parent, name, node, device),
            // This process may be in somebody's user namespace without knowing.
            Err(Errno::PERM) => {
                return bind_host(parent, &Path::new("/").join(above), name, node).doing(doing);
            }
            made => made.doing(doing)?,
        }
        if let Some((uid, gid)) = node.owner.filter(|&owner| owner != (0, 0)) {
            let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
            rustix::fs::chownat(parent, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW).doing(doing)?;
        }
        Ok(())
    }
}

/// An image may bring the node along; another file in its place is an error.
fn same_or_error(
    parent: BorrowedFd<'_>,
    name: &Path,
    node: &Node,
    device: rustix::fs::Dev,
) -> Result<()> {
    let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)
        .doing(|| format!("look at the device {}", name.display()))?;
    let kind = FileType::from_raw_mode(stat.st_mode);
    if kind == node.kind && (kind == FileType::Fifo || stat.st_rdev == device) {
        return Ok(());
    }
    Err(Errno::EXIST).doing(|| format!("make the device {}", name.display()))
}

/// Binds the host's node of the same path, if it is that very device.
fn bind_host(parent: BorrowedFd<'_>, above: &Path, name: &Path, node: &Node) -> Result<(), Errno> {
    let host = open_path(&above.join(name)).map_err(|_| Errno::NOENT)?;
    let stat = rustix::fs::statat(&host, "", AtFlags::EMPTY_PATH)?;
    let device = rustix::fs::makedev(node.major, node.minor);
    if FileType::from_raw_mode(stat.st_mode) != node.kind || stat.st_rdev != device {
        return Err(Errno::NODEV);
    }
    let flags =
        OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::WRONLY | OFlags::NONBLOCK;
    match rustix::fs::openat(parent, name, flags | OFlags::EXCL, Mode::from_raw_mode(0o666)) {
        Err(error) if error != Errno::EXIST => return Err(error),
        _ => {}
    }
    let place = rustix::fs::openat(
        parent,
        name,
        OFlags::PATH | OFlags::CLOEXEC | OFlags::NOFOLLOW,
        Mode::empty(),
    )?;
    attach(clone_mount(host.as_fd(), false)?.as_fd(), place.as_fd())
}

fn links(dev: BorrowedFd<'_>) -> Result<()> {
    let links = [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ];
    for (name, target) in links {
        match rustix::fs::symlinkat(target, dev, name) {
            Err(Errno::EXIST) => {}
            made => made.doing(|| format!("link /dev/{name}"))?,
        }
    }
    // The host has none where its kernel does not show its memory.
    if rustix::fs::access("/proc/kcore", rustix::fs::Access::EXISTS).is_ok() {
        match rustix::fs::symlinkat("/proc/kcore", dev, "core") {
            Err(Errno::EXIST) => {}
            made => made.doing(|| "link /dev/core".into())?,
        }
    }
    // The image's own node would lead to the host's terminals.
    match rustix::fs::symlinkat("pts/ptmx", dev, "ptmx") {
        Err(Errno::EXIST) => rustix::fs::unlinkat(dev, "ptmx", AtFlags::empty())
            .and_then(|()| rustix::fs::symlinkat("pts/ptmx", dev, "ptmx")),
        made => made,
    }
    .doing(|| "link /dev/ptmx".into())
}

/// A new terminal of the container's own devpts: the master for whoever will speak to the container,
/// the other side as its `/dev/console`.
pub(crate) fn set_up_console(root: &Root) -> Result<(OwnedFd, OwnedFd)> {
    let (master, terminal) = open_terminal(root)?;
    // No path is looked up between the terminal and its mount, and no link leads to another place for
    // it: neither is redirected (CVE-2025-52565).
    let link =
        || Error::spec("process.terminal", "the container's /dev/console is a symbolic link");
    let console = root.file_itself(Path::new("/dev/console"))?.ok_or_else(link)?;
    if kind_of(console.as_fd())? == FileType::Directory {
        return Err(Errno::ISDIR).doing(|| "mount /dev/console".into());
    }
    clone_mount(terminal.as_fd(), false)
        .and_then(|copy| attach(copy.as_fd(), console.as_fd()))
        .doing(|| "mount /dev/console".into())?;
    Ok((master, terminal))
}

/// Opens both sides of a new terminal of the devpts that is mounted in the root.
pub(crate) fn open_terminal(root: &Root) -> Result<(OwnedFd, OwnedFd)> {
    let missing = || Error::spec("process.terminal", "the container has no devpts at /dev/pts");
    let pts = root.find(Path::new("/dev/pts"))?.ok_or_else(missing)?;
    let magic = rustix::fs::fstatfs(&pts).doing(|| "look at /dev/pts".into())?.f_type as i64;
    if magic != DEVPTS_MAGIC {
        return Err(missing());
    }
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let master = rustix::fs::openat(&pts, "ptmx", flags, Mode::empty())
        .doing(|| "open a terminal of the container".into())?;
    rustix::pty::unlockpt(&master).doing(|| "unlock the terminal".into())?;
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let terminal = rustix::pty::ioctl_tiocgptpeer(&master, flags)
        .doing(|| "open the terminal's other side".into())?;
    Ok((master, terminal))
}
