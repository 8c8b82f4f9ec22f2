//! Mount options as text → what the mount system calls take (runtime-spec, config.md "Linux mount
//! options"). Pure.
//!
//! A mount's own flags are kept as the `MS_*` bits of mount(2), with those that an option clears: a bind
//! mount differs by whether anything was said about its flags at all (see [`Options::bind_change`]).

use crate::syscalls::MountAttr;

pub(crate) const RDONLY: u64 = 0x1;
const NOSUID: u64 = 0x2;
const NODEV: u64 = 0x4;
const NOEXEC: u64 = 0x8;
const ATIME_MASK: u64 = 0x70;
const RELATIME: u64 = 0x0;
const NOATIME: u64 = 0x10;
const STRICTATIME: u64 = 0x20;
const NODIRATIME: u64 = 0x80;
const NOSYMFOLLOW: u64 = 0x20_0000;

/// All that a mount decides about access times, as mount(2) has it.
const MS_ATIMES: u64 =
    libc::MS_NOATIME | libc::MS_NODIRATIME | libc::MS_RELATIME | libc::MS_STRICTATIME;
const MS_NOSYMFOLLOW: u64 = 256;
const MS_LAZYTIME: u64 = 1 << 25;
/// What a mount that was copied into another user namespace may have to keep (mount_namespaces(7),
/// "Restrictions on mount namespaces").
const LOCKABLE: u64 =
    libc::MS_RDONLY | libc::MS_NODEV | libc::MS_NOEXEC | libc::MS_NOSUID | MS_ATIMES;

/// A mount's options, sorted by who acts on them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    /// Flags of this one mount and its file system that are asked for (`MS_*`).
    set: u64,
    /// Those that are asked to be off.
    cleared: u64,
    /// Flags of this mount and of all below it.
    pub(crate) recursive_attr: MountAttr,
    /// Propagation changes, in order: the flag, and whether for all mounts below too.
    pub(crate) propagation: Vec<(u64, bool)>,
    /// A bind mount, and whether with all mounts below the source.
    pub(crate) bind: Option<bool>,
    /// Changes the mount that is there.
    pub(crate) remount: bool,
    /// A tmpfs starts with what the directory held.
    pub(crate) copy_up: bool,
    /// Ids are mapped, and whether for all mounts below too.
    pub(crate) id_map: Option<bool>,
    /// Options of the file system itself: `key` or `key=value`.
    pub(crate) data: Vec<String>,
}

impl Options {
    /// Sorts the options. Whatever is not a mount's own option is handed to the file system, which
    /// refuses what it does not know.
    pub(crate) fn parse<'a>(options: impl IntoIterator<Item = &'a String>) -> Self {
        let mut parsed = Self::default();
        for option in options {
            parsed.add(option);
        }
        parsed
    }

    /// Whether the mount shall be read-only.
    pub(crate) fn is_read_only(&self) -> bool {
        self.set & libc::MS_RDONLY != 0
    }

    /// The `MOUNT_ATTR_*` of a mount of a new file system.
    pub(crate) fn new_attr(&self) -> u64 {
        attributes(self.set)
    }

    /// Options that concern the file system, not the one mount of it (fsconfig(2), without value).
    pub(crate) fn superblock_flags(&self) -> impl Iterator<Item = &'static str> {
        let set = self.set;
        [
            (libc::MS_SYNCHRONOUS, "sync"),
            (libc::MS_DIRSYNC, "dirsync"),
            (libc::MS_MANDLOCK, "mand"),
            (MS_LAZYTIME, "lazytime"),
        ]
        .into_iter()
        .filter_map(move |(flag, name)| (set & flag != 0).then_some(name))
    }

    /// The flags for mount(2).
    pub(crate) fn mount_flags(&self) -> u64 {
        self.set
    }

    /// The flags of a mount that is there already: exactly these, but for access times.
    pub(crate) fn remount_change(&self) -> MountAttr {
        exactly(self.set)
    }

    /// The flags that are asked for, on top of those that the source has.
    pub(crate) fn bind_additions(&self) -> MountAttr {
        let MountAttr { set, clear, .. } = exactly(self.set);
        MountAttr { set, clear: clear & ATIME_MASK, ..MountAttr::default() }
    }

    /// How a bind mount's flags differ from its source's. Who says nothing keeps them; who says
    /// anything gets exactly what he says, but for access times, which stay unless one is named: so
    /// runc does, and mount(8) nearly.
    pub(crate) fn bind_change(&self) -> MountAttr {
        if self.set | self.cleared == 0 { MountAttr::default() } else { exactly(self.set) }
    }

    /// The change of [`Self::bind_change`] on top of flags that cannot be changed: those of the source
    /// as fstatfs(2) tells them. Err names what was asked for and cannot be.
    pub(crate) fn locked_bind_change(&self, source_flags: u64) -> Result<MountAttr, &'static str> {
        let source = from_statfs(source_flags);
        if source & self.cleared & LOCKABLE != 0 {
            return Err(
                "a flag of the source is locked and cannot be cleared: operation not permitted",
            );
        }
        if self.set & MS_ATIMES != 0 && self.set & MS_ATIMES != source & MS_ATIMES {
            return Err(
                "the access times of the source are locked and cannot be changed: operation not permitted",
            );
        }
        Ok(exactly(self.set | source & LOCKABLE))
    }

    /// One option more.
    pub(super) fn add(&mut self, option: &str) {
        if let Some((flag, set)) = flag(option) {
            if set {
                (self.set, self.cleared) = (self.set | flag, self.cleared & !flag);
            } else {
                (self.set, self.cleared) = (self.set & !flag, self.cleared | flag);
            }
        } else if let Some(flag) = propagation(option) {
            self.propagation.push((flag, false));
        } else if let Some(flag) = option.strip_prefix('r').and_then(propagation) {
            self.propagation.push((flag, true));
        } else if let Some((flag, set)) = option.strip_prefix('r').and_then(recursive_flag) {
            change(&mut self.recursive_attr, flag, set);
        } else {
            match option {
                "bind" => self.bind = Some(self.bind.unwrap_or(false)),
                "rbind" => self.bind = Some(true),
                "remount" => self.remount = true,
                "tmpcopyup" => self.copy_up = true,
                "idmap" => self.id_map = Some(false),
                "ridmap" => self.id_map = Some(true),
                "defaults" | "" => {}
                other => self.data.extend(split(other)),
            }
        }
    }
}

/// The kernel takes a file system's options as one text with commas: so may a single option here.
/// Quoted and escaped commas belong to a value.
fn split(option: &str) -> impl Iterator<Item = String> {
    let whole = option.contains(['"', '\\']);
    let parts: Vec<&str> = if whole { vec![option] } else { option.split(',').collect() };
    parts
        .into_iter()
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect::<Vec<_>>()
        .into_iter()
}

/// A flag's bit in mount(2) and whether the option sets it.
fn flag(option: &str) -> Option<(u64, bool)> {
    Some(match option {
        "ro" => (libc::MS_RDONLY, true),
        "rw" => (libc::MS_RDONLY, false),
        "nosuid" => (libc::MS_NOSUID, true),
        "suid" => (libc::MS_NOSUID, false),
        "nodev" => (libc::MS_NODEV, true),
        "dev" => (libc::MS_NODEV, false),
        "noexec" => (libc::MS_NOEXEC, true),
        "exec" => (libc::MS_NOEXEC, false),
        "nosymfollow" => (MS_NOSYMFOLLOW, true),
        "symfollow" => (MS_NOSYMFOLLOW, false),
        "nodiratime" => (libc::MS_NODIRATIME, true),
        "diratime" => (libc::MS_NODIRATIME, false),
        "noatime" => (libc::MS_NOATIME, true),
        "atime" => (libc::MS_NOATIME, false),
        "strictatime" => (libc::MS_STRICTATIME, true),
        "nostrictatime" => (libc::MS_STRICTATIME, false),
        "relatime" => (libc::MS_RELATIME, true),
        "norelatime" => (libc::MS_RELATIME, false),
        "sync" => (libc::MS_SYNCHRONOUS, true),
        "async" => (libc::MS_SYNCHRONOUS, false),
        "dirsync" => (libc::MS_DIRSYNC, true),
        "mand" => (libc::MS_MANDLOCK, true),
        "nomand" => (libc::MS_MANDLOCK, false),
        "lazytime" => (MS_LAZYTIME, true),
        "nolazytime" => (MS_LAZYTIME, false),
        "iversion" => (libc::MS_I_VERSION, true),
        "noiversion" => (libc::MS_I_VERSION, false),
        "silent" => (libc::MS_SILENT, true),
        "loud" => (libc::MS_SILENT, false),
        _ => return None,
    })
}

/// The attributes that a mount with these `MS_*` bits has (mount(2): `relatime` is what is left).
fn attributes(set: u64) -> u64 {
    let pairs = [
        (libc::MS_RDONLY, RDONLY),
        (libc::MS_NOSUID, NOSUID),
        (libc::MS_NODEV, NODEV),
        (libc::MS_NOEXEC, NOEXEC),
        (MS_NOSYMFOLLOW, NOSYMFOLLOW),
        (libc::MS_NODIRATIME, NODIRATIME),
    ];
    let plain = pairs.iter().filter(|(bit, _)| set & bit != 0).fold(0, |all, (_, attr)| all | attr);
    let atime = match set {
        _ if set & libc::MS_STRICTATIME != 0 => STRICTATIME,
        _ if set & libc::MS_NOATIME != 0 => NOATIME,
        _ => RELATIME,
    };
    plain | atime
}

/// Exactly these flags and no other, but for access times, which stay when none is named.
fn exactly(set: u64) -> MountAttr {
    let atimes = if set & MS_ATIMES == 0 { 0 } else { ATIME_MASK | NODIRATIME };
    let all = RDONLY | NOSUID | NODEV | NOEXEC | NOSYMFOLLOW | atimes;
    MountAttr { set: attributes(set), clear: all, ..MountAttr::default() }
}

/// `ST_*` of statfs(2) as `MS_*`; they agree but for two. Strict access times are told by silence.
fn from_statfs(flags: u64) -> u64 {
    const ST_RELATIME: u64 = 4096;
    let same = libc::MS_RDONLY | libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
    let mut set = flags & (same | libc::MS_NOATIME | libc::MS_NODIRATIME);
    if flags & ST_RELATIME != 0 {
        set |= libc::MS_RELATIME;
    }
    if set & (libc::MS_NOATIME | libc::MS_RELATIME) == 0 {
        set |= libc::MS_STRICTATIME;
    }
    set
}

/// A recursive flag's attribute by its name without the `r`. The access-time modes are one value, not
/// bits; relatime, which is zero, is named by their mask.
fn recursive_flag(option: &str) -> Option<(u64, bool)> {
    Some(match option {
        "ro" => (RDONLY, true),
        "rw" => (RDONLY, false),
        "nosuid" => (NOSUID, true),
        "suid" => (NOSUID, false),
        "nodev" => (NODEV, true),
        "dev" => (NODEV, false),
        "noexec" => (NOEXEC, true),
        "exec" => (NOEXEC, false),
        "nodiratime" => (NODIRATIME, true),
        "diratime" => (NODIRATIME, false),
        "nosymfollow" => (NOSYMFOLLOW, true),
        "symfollow" => (NOSYMFOLLOW, false),
        "noatime" => (NOATIME, true),
        "atime" => (NOATIME, false),
        "strictatime" => (STRICTATIME, true),
        "nostrictatime" => (STRICTATIME, false),
        "relatime" => (ATIME_MASK, true),
        "norelatime" => (ATIME_MASK, false),
        _ => return None,
    })
}

fn change(attr: &mut MountAttr, flag: u64, set: bool) {
    let mode = match flag {
        NOATIME | STRICTATIME if set => Some(flag),
        NOATIME | STRICTATIME | ATIME_MASK => Some(RELATIME),
        _ => None,
    };
    if let Some(mode) = mode {
        attr.clear |= ATIME_MASK;
        attr.set = attr.set & !ATIME_MASK | mode;
    } else if set {
        attr.set |= flag;
        attr.clear &= !flag;
    } else {
        attr.clear |= flag;
        attr.set &= !flag;
    }
}

/// The kernel's propagation flag of a name, as in `linux.rootfsPropagation` too.
pub(crate) fn propagation(name: &str) -> Option<u64> {
    Some(match name {
        "unbindable" => libc::MS_UNBINDABLE,
        "private" => libc::MS_PRIVATE,
        "slave" => libc::MS_SLAVE,
        "shared" => libc::MS_SHARED,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(options: &str) -> Options {
        Options::parse(&options.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn sorts_options() {
        let tmpfs = parse("nosuid strictatime mode=755,size=65536k sync");
        assert_eq!(tmpfs.new_attr(), NOSUID | STRICTATIME);
        assert_eq!(tmpfs.data, ["mode=755", "size=65536k"]);
        assert_eq!(tmpfs.superblock_flags().collect::<Vec<_>>(), ["sync"]);

        let bind = parse("rbind rro rslave nodev rnoatime");
        assert_eq!((bind.bind, bind.new_attr()), (Some(true), NODEV));
        assert_eq!(bind.recursive_attr.set, RDONLY | NOATIME);
        assert_eq!(bind.recursive_attr.clear, ATIME_MASK);
        assert_eq!(bind.propagation, [(libc::MS_SLAVE, true)]);
        assert!(bind.data.is_empty());
    }

    #[test]
    fn the_last_word_counts() {
        assert!(!parse("ro rw").is_read_only());
        assert!(parse("rw ro").is_read_only());
        assert_eq!(parse("noatime atime").new_attr(), RELATIME);
    }

    #[test]
    fn a_bind_mount_that_says_nothing_keeps_its_flags() {
        assert_eq!(parse("rbind rprivate").bind_change(), MountAttr::default());
        let all = RDONLY | NOSUID | NODEV | NOEXEC | NOSYMFOLLOW;
        let change = |options| {
            let attr = parse(options).bind_change();
            (attr.set, attr.clear)
        };
        assert_eq!(change("bind rw"), (0, all));
        assert_eq!(change("bind ro norelatime"), (RDONLY, all));
        assert_eq!(change("bind nodiratime"), (NODIRATIME, all | ATIME_MASK | NODIRATIME));
    }

    #[test]
    fn locked_flags_stay() {
        let nodev_noatime = libc::MS_NODEV | libc::MS_NOATIME;
        let change = parse("bind ro exec").locked_bind_change(nodev_noatime).unwrap();
        assert_eq!(change.set, RDONLY | NODEV | NOATIME);
        assert!(parse("bind dev").locked_bind_change(nodev_noatime).is_err());
        assert!(parse("bind relatime").locked_bind_change(nodev_noatime).is_err());
        assert!(parse("bind strictatime").locked_bind_change(0).is_ok());
    }
}
