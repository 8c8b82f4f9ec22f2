//! Mounts that somebody else lists: a container engine hands a root file system over as what
//! mount(8) would be told, type, source and options.
//!
//! They are made by mount(2), which takes each file system's options as it knows them. All of it is
//! seen in the mount table as the engine wrote it, except a list of an overlay's lower directories
//! that is longer than the page that mount(2) reads: then they are named by open descriptors.

use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};

use crate::Error;
use crate::inside::open_inside;
use crate::mount::proc_path;

/// What mount(2) reads of a file system's options, with the zero at their end.
const OPTIONS_MAX: usize = 4096;

/// A mount as an engine tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListedMount {
    /// Type of the file system: `overlay`, `bind`, `ext4`, …
    pub filesystem: String,
    /// Device, directory or name.
    pub source: String,
    /// Where below the root; empty for the root itself.
    pub target: String,
    /// As mount(8) takes them with `-o`, one each.
    pub options: Vec<String>,
}

/// Makes the mounts in their order, the first at the directory `root`, which exists. A target leads
/// nowhere out of it. They outlive the process; [`unmount_listed`] ends them.
///
/// # Errors
/// A kernel that refuses, a missing source or target. What was mounted by then is unmounted.
pub fn mount_listed(mounts: &[ListedMount], root: &Path) -> Result<(), Error> {
    let made = mounts.iter().try_for_each(|mount| mount_one(mount, root));
    if made.is_err() {
        // The first error tells what is wrong.
        let _ = unmount_listed(root);
    }
    made
}

/// Unmounts everything at `root` and what is mounted below it. It is no error if nothing is mounted
/// or `root` is missing. A mount in use goes as soon as its last user does.
///
/// # Errors
/// A kernel that refuses.
pub fn unmount_listed(root: &Path) -> Result<(), Error> {
    let flags = UnmountFlags::NOFOLLOW;
    loop {
        let result = match rustix::mount::unmount(root, flags) {
            Err(Errno::BUSY) => rustix::mount::unmount(root, flags | UnmountFlags::DETACH),
            other => other,
        };
        match result {
            Ok(()) => {}
            // Not, or no longer, a mount point.
            Err(Errno::INVAL | Errno::NOENT) => return Ok(()),
            Err(error) => return Err(Error::io("unmount", root)(error)),
        }
    }
}

fn mount_one(mount: &ListedMount, root: &Path) -> Result<(), Error> {
    let place = open_target(root, &mount.target)?;
    let options = Options::parse(&mount.options);
    let refused = |source: Errno| Error::Mount {
        filesystem: "the listed file system",
        target: root.to_owned(),
        detail: format!("{} from {:?}, {:?}", mount.filesystem, mount.source, mount.options),
        source: source.into(),
    };
    let target = proc_path(&place);
    if options.bind || mount.filesystem == "bind" {
        return bind(mount, &options, root).map_err(refused);
    }
    let (data, _held) = options.data()?;
    rustix::mount::mount(
        mount.source.as_str(),
        target.as_str(),
        mount.filesystem.as_str(),
        options.flags,
        data.as_c_str(),
    )
    .map_err(refused)?;
    options.propagate(root, &mount.target)
}

/// A bind mount takes its flags only in a second call (mount(2), "Creating a bind mount").
fn bind(mount: &ListedMount, options: &Options, root: &Path) -> Result<(), Errno> {
    let place = open_target(root, &mount.target).map_err(|_| Errno::NOENT)?;
    let target = proc_path(&place);
    match options.recursive {
        true => rustix::mount::mount_bind_recursive(mount.source.as_str(), target.as_str())?,
        false => rustix::mount::mount_bind(mount.source.as_str(), target.as_str())?,
    }
    if options.flags.is_empty() && options.propagation.is_none() {
        return Ok(());
    }
    // The descriptor from before names what is covered now.
    let place = open_target(root, &mount.target).map_err(|_| Errno::NOENT)?;
    let target = proc_path(&place);
    if !options.flags.is_empty() {
        rustix::mount::mount_remount(target.as_str(), MountFlags::BIND | options.flags, c"")?;
    }
    options.propagation.map_or(Ok(()), |it| rustix::mount::mount_change(target.as_str(), it))
}

fn open_target(root: &Path, target: &str) -> Result<OwnedFd, Error> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let root_fd = openat(CWD, root, flags | OFlags::DIRECTORY | OFlags::NOFOLLOW, Mode::empty())
        .map_err(Error::io("open the mount point", root))?;
    let inside = target.trim_start_matches('/');
    if inside.is_empty() {
        return Ok(root_fd);
    }
    open_inside(&root_fd, Path::new(inside), flags)
        .map_err(Error::io("open the mount point", &root.join(inside)))
}

/// The words of `-o`, sorted by who understands them.
#[derive(Debug, PartialEq, Eq)]
struct Options {
    flags: MountFlags,
    bind: bool,
    recursive: bool,
    propagation: Option<MountPropagationFlags>,
    /// What the file system itself reads.
    data: Vec<String>,
}

impl Options {
    fn parse(words: &[String]) -> Self {
        let mut options = Self {
            flags: MountFlags::empty(),
            bind: false,
            recursive: false,
            propagation: None,
            data: Vec::new(),
        };
        for word in words.iter().flat_map(|words| split(words)) {
            options.take(word);
        }
        options
    }

    fn take(&mut self, word: &str) {
        match word {
            "" | "defaults" | "rw" => self.flags.remove(clear(word)),
            "bind" => self.bind = true,
            "rbind" => (self.bind, self.recursive) = (true, true),
            _ => {
                if let Some(flag) = flag(word) {
                    self.flags |= flag;
                } else if let Some(flag) = propagation(word) {
                    self.propagation = Some(flag);
                } else if clear(word).is_empty() {
                    self.data.push(word.to_owned());
                } else {
                    self.flags.remove(clear(word));
                }
            }
        }
    }

    /// The options for the file system, and the descriptors that they may name.
    fn data(&self) -> Result<(CString, Vec<OwnedFd>), Error> {
        let mut words = self.data.clone();
        let mut held = Vec::new();
        if words.iter().map(|word| word.len() + 1).sum::<usize>() >= OPTIONS_MAX {
            for word in &mut words {
                let Some(list) = word.strip_prefix("lowerdir=") else { continue };
                let (short, descriptors) = shorten(list)?;
                *word = short;
                held.extend(descriptors);
            }
        }
        let text = CString::new(words.join(","))
            .map_err(|_| Error::io("read the options of", Path::new("the mount"))(Errno::INVAL))?;
        Ok((text, held))
    }

    fn propagate(&self, root: &Path, target: &str) -> Result<(), Error> {
        let Some(propagation) = self.propagation else { return Ok(()) };
        let place = open_target(root, target)?;
        rustix::mount::mount_change(proc_path(&place), propagation)
            .map_err(Error::io("set the propagation of", root))
    }
}

/// One element may hold several words, but the value of an overlay's option may hold a comma.
fn split(words: &str) -> Vec<&str> {
    if words.contains('=') { vec![words] } else { words.split(',').collect() }
}

/// The lower directories by the names of their open descriptors.
fn shorten(list: &str) -> Result<(String, Vec<OwnedFd>), Error> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let open = |path: &str| {
        openat(CWD, path, flags, Mode::empty()).map_err(Error::io("open", Path::new(path)))
    };
    let held = list.split(':').map(open).collect::<Result<Vec<_>, _>>()?;
    let names: Vec<_> = held.iter().map(proc_path).collect();
    Ok((format!("lowerdir={}", names.join(":")), held))
}

/// The flags that a word sets.
fn flag(word: &str) -> Option<MountFlags> {
    Some(match word {
        "ro" => MountFlags::RDONLY,
        "nosuid" => MountFlags::NOSUID,
        "nodev" => MountFlags::NODEV,
        "noexec" => MountFlags::NOEXEC,
        "sync" => MountFlags::SYNCHRONOUS,
        "dirsync" => MountFlags::DIRSYNC,
        "noatime" => MountFlags::NOATIME,
        "nodiratime" => MountFlags::NODIRATIME,
        "relatime" => MountFlags::RELATIME,
        "strictatime" => MountFlags::STRICTATIME,
        "lazytime" => MountFlags::LAZYTIME,
        _ => return None,
    })
}

/// The flags that a word takes back.
fn clear(word: &str) -> MountFlags {
    match word {
        "rw" => MountFlags::RDONLY,
        "suid" => MountFlags::NOSUID,
        "dev" => MountFlags::NODEV,
        "exec" => MountFlags::NOEXEC,
        "async" => MountFlags::SYNCHRONOUS,
        "atime" => MountFlags::NOATIME,
        "diratime" => MountFlags::NODIRATIME,
        "norelatime" => MountFlags::RELATIME,
        "nostrictatime" => MountFlags::STRICTATIME,
        _ => MountFlags::empty(),
    }
}

fn propagation(word: &str) -> Option<MountPropagationFlags> {
    let recursive = MountPropagationFlags::REC;
    Some(match word {
        "private" => MountPropagationFlags::PRIVATE,
        "rprivate" => MountPropagationFlags::PRIVATE | recursive,
        "shared" => MountPropagationFlags::SHARED,
        "rshared" => MountPropagationFlags::SHARED | recursive,
        "slave" => MountPropagationFlags::DOWNSTREAM,
        "rslave" => MountPropagationFlags::DOWNSTREAM | recursive,
        "unbindable" => MountPropagationFlags::UNBINDABLE,
        "runbindable" => MountPropagationFlags::UNBINDABLE | recursive,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(list: &[&str]) -> Vec<String> {
        list.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn words_find_who_understands_them() {
        let options = Options::parse(&words(&["rbind,ro", "nosuid", "rslave"]));
        assert!(options.bind && options.recursive && options.data.is_empty());
        assert_eq!(options.flags, MountFlags::RDONLY | MountFlags::NOSUID);
        let rslave = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
        assert_eq!(options.propagation, Some(rslave));
        let taken_back = Options::parse(&words(&["ro", "noexec", "rw", "exec"]));
        assert!(taken_back.flags.is_empty());
        let overlay = Options::parse(&words(&["index=off", "lowerdir=/a,b:/c", "userxattr"]));
        assert_eq!(overlay.data, ["index=off", "lowerdir=/a,b:/c", "userxattr"]);
    }

    #[test]
    fn a_bind_mount_keeps_its_flags_and_goes() {
        let temp = tempfile::tempdir().unwrap();
        let dir = |name: &str| {
            std::fs::create_dir_all(temp.path().join(name)).unwrap();
            temp.path().join(name)
        };
        let (source, root) = (dir("source"), dir("root"));
        std::fs::write(source.join("file"), "x").unwrap();
        let mount = ListedMount {
            filesystem: "bind".into(),
            source: source.to_str().unwrap().into(),
            target: String::new(),
            options: words(&["rbind", "ro"]),
        };
        mount_listed(std::slice::from_ref(&mount), &root).unwrap();
        assert_eq!(std::fs::read(root.join("file")).unwrap(), b"x");
        assert!(std::fs::write(root.join("other"), "").is_err());
        unmount_listed(&root).unwrap();
        unmount_listed(&root).unwrap();
        assert!(!root.join("file").exists());
    }

    #[test]
    fn an_overlay_takes_more_layers_than_a_page_has_room_for() {
        let temp = tempfile::tempdir().unwrap();
        let dir = |name: String| {
            let path = temp.path().join(name);
            std::fs::create_dir_all(&path).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let deep = "directory-with-a-long-name/".repeat(6);
        let lowers: Vec<_> = (0..60).map(|it| dir(format!("{deep}{it}"))).collect();
        std::fs::write(Path::new(&lowers[59]).join("lowest"), "x").unwrap();
        let (upper, work, root) = (dir("upper".into()), dir("work".into()), dir("root".into()));
        let options = [
            format!("upperdir={upper}"),
            format!("workdir={work}"),
            format!("lowerdir={}", lowers.join(":")),
        ];
        let mount = ListedMount {
            filesystem: "overlay".into(),
            source: "overlay".into(),
            target: String::new(),
            options: options.to_vec(),
        };
        let root = Path::new(&root);
        mount_listed(std::slice::from_ref(&mount), root).unwrap();
        assert!(root.join("lowest").exists());
        let missing = ListedMount { source: "none".into(), filesystem: "no-such".into(), ..mount };
        assert!(mount_listed(&[missing], root).is_err());
        assert!(!root.join("lowest").exists(), "a failure unmounts what was made before");
        unmount_listed(root).unwrap();
    }
}
