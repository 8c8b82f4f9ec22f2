//! Mount options as text → what the mount system calls take (runtime-spec, config.md "Linux mount
//! options"). Pure.

use crate::syscalls::MountAttr;

const RDONLY: u64 = 0x1;
const NOSUID: u64 = 0x2;
const NODEV: u64 = 0x4;
const NOEXEC: u64 = 0x8;
const ATIME_MASK: u64 = 0x70;
const RELATIME: u64 = 0x0;
const NOATIME: u64 = 0x10;
const STRICTATIME: u64 = 0x20;
const NODIRATIME: u64 = 0x80;
const NOSYMFOLLOW: u64 = 0x20_0000;

/// A mount's options, sorted by who acts on them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    /// Flags of this one mount.
    pub(crate) attr: MountAttr,
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
    /// Ids are mapped as the container's, and whether for all mounts below too.
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
        self.attr.set & RDONLY != 0
    }

    fn add(&mut self, option: &str) {
        if let Some((flag, set)) = flag(option) {
            change(&mut self.attr, flag, set);
        } else if let Some((flag, set)) = option.strip_prefix('r').and_then(flag) {
            change(&mut self.recursive_attr, flag, set);
        } else if let Some(flag) = propagation(option) {
            self.propagation.push((flag, false));
        } else if let Some(flag) = option.strip_prefix('r').and_then(propagation) {
            self.propagation.push((flag, true));
        } else {
            match option {
                "bind" => self.bind = Some(self.bind.unwrap_or(false)),
                "rbind" => self.bind = Some(true),
                "remount" => self.remount = true,
                "tmpcopyup" => self.copy_up = true,
                "idmap" => self.id_map = Some(false),
                "ridmap" => self.id_map = Some(true),
                "defaults" | "" => {}
                other => self.data.push(other.to_owned()),
            }
        }
    }
}

/// A flag's bits and whether the option sets them. The access-time modes are one value, not bits.
fn flag(option: &str) -> Option<(u64, bool)> {
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
        Options::parse(&options.split(',').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn sorts_options() {
        let tmpfs = parse("nosuid,strictatime,mode=755,size=65536k");
        assert_eq!(
            tmpfs.attr,
            MountAttr { set: NOSUID | STRICTATIME, clear: ATIME_MASK, ..MountAttr::default() }
        );
        assert_eq!(tmpfs.data, ["mode=755", "size=65536k"]);

        let bind = parse("rbind,rro,rslave,nodev");
        assert_eq!((bind.bind, bind.attr.set), (Some(true), NODEV));
        assert_eq!(bind.recursive_attr.set, RDONLY);
        assert_eq!(bind.propagation, [(libc::MS_SLAVE, true)]);
        assert!(bind.data.is_empty());
    }

    #[test]
    fn the_last_word_counts() {
        assert!(!parse("ro,rw").is_read_only());
        assert!(parse("rw,ro").is_read_only());
        assert_eq!(parse("strictatime,noatime").attr.set, NOATIME);
        assert_eq!(parse("noatime,relatime").attr.set, 0);
        assert_eq!(parse("noatime,relatime").attr.clear, ATIME_MASK);
    }
}
