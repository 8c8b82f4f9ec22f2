//! What an unpacked directory says of itself: an extended attribute, which goes along when it is moved.
//!
//! ```text
//! user.tare.unpacked = 1 INODE SECONDS NANOSECONDS OWNER NAMESPACE\n NOTE
//! ```
//!
//! The time is one of the file system's own clock, taken when all files were complete. The kernel sets a file's time
//! of change at every change, of content, metadata, names, and nobody can set it back. So one that is older than
//! that moment is as it was unpacked, and need not be read to know it. In a copy of the directory, which has another
//! inode, the time says nothing.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{XattrFlags, fgetxattr, fsetxattr, fstat};
use rustix::io::Errno;
use tree::Timestamp;

use crate::{Error, ids, open};

/// The attribute. What starts with `user.tare.` never stands in a layer.
const NAME: &str = "user.tare.unpacked";

/// The largest record: one block of ext4, with its other attributes.
const MAX: usize = 3 << 10;

/// How a directory was made of an image's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unpacked {
    /// Files that changed last before this moment are as they were unpacked. `None` where that is not known.
    pub(crate) at: Option<Timestamp>,
    /// Whom all files were given to: user and group.
    pub(crate) owner: Option<(u32, u32)>,
    /// Whether that was in a user namespace.
    pub(crate) in_namespace: bool,
    /// What its maker wrote along.
    pub note: Vec<u8>,
}

impl Unpacked {
    /// As this process would have unpacked an image, at a time that is not known. `owner` as in
    /// [`unpack_noted`](crate::unpack_noted).
    pub fn unknown(owner: Option<(u32, u32)>) -> Self {
        Self { at: None, owner, in_namespace: ids().is_some(), note: Vec::new() }
    }

    /// What the directory says; `None` where it says nothing.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn read(directory: &Path) -> Result<Option<Self>, Error> {
        let open = open::directory(directory)?;
        let mut bytes = vec![0; MAX];
        let length = match fgetxattr(&open, NAME, &mut bytes[..]) {
            Ok(length) => length,
            Err(Errno::NODATA | Errno::NOTSUP | Errno::RANGE) => return Ok(None),
            Err(error) => return Err(Error::io("read the attributes of", directory)(error)),
        };
        let inode = fstat(&open).map_err(Error::io("examine", directory))?.st_ino;
        Ok(Self::parse(&bytes[..length], inode))
    }

    fn parse(bytes: &[u8], inode: u64) -> Option<Self> {
        let end = bytes.iter().position(|&byte| byte == b'\n')?;
        let line = std::str::from_utf8(&bytes[..end]).ok()?;
        let words: Vec<&str> = line.split(' ').collect();
        let ["1", its_inode, seconds, nanoseconds, owner, namespace] = words[..] else {
            return None;
        };
        let its_inode: u64 = its_inode.parse().ok()?;
        let at =
            Timestamp { seconds: seconds.parse().ok()?, nanoseconds: nanoseconds.parse().ok()? };
        let owner = match owner.split_once(':') {
            Some((uid, gid)) => Some((uid.parse().ok()?, gid.parse().ok()?)),
            None => None,
        };
        Some(Self {
            at: (its_inode == inode).then_some(at),
            owner,
            in_namespace: namespace == "namespace",
            note: bytes[end + 1..].to_vec(),
        })
    }

    /// Whether it was made in a user namespace, by whose ids its owners are to be read.
    pub fn is_of_namespace(&self) -> bool {
        self.in_namespace
    }

    /// Writes it to the directory, whose files are all complete. Where the file system has no such attributes
    /// nothing is known later.
    pub(crate) fn write(root: &OwnedFd, owner: Option<(u32, u32)>, note: &[u8]) {
        let write = || {
            // A first attribute for the time alone, that of the change which it is.
            set(root, b"")?;
            let stat = fstat(root)?;
            let owner = owner.map_or_else(|| "-".to_owned(), |(uid, gid)| format!("{uid}:{gid}"));
            let namespace = if ids().is_some() { "namespace" } else { "-" };
            let (inode, seconds, nanoseconds) = (stat.st_ino, stat.st_ctime, stat.st_ctime_nsec);
            let line = format!("1 {inode} {seconds} {nanoseconds} {owner} {namespace}\n");
            set(root, &[line.as_bytes(), note].concat())
        };
        let _: Result<(), Errno> = write();
    }

    /// Whether a file with this time of change is as it was unpacked.
    pub(crate) fn is_untouched(&self, changed: Timestamp) -> bool {
        self.at.is_some_and(|at| changed < at)
    }

    /// Whether devices were left out.
    pub(crate) fn lacks_devices(&self) -> bool {
        self.owner.is_some() || self.in_namespace
    }

    /// Whether an attribute of the image's was left out.
    pub(crate) fn lacks_attribute(&self, name: &[u8]) -> bool {
        match self.owner {
            Some(_) => !name.starts_with(b"user."),
            None => self.in_namespace && name.starts_with(b"trusted."),
        }
    }
}

fn set(root: impl AsFd, value: &[u8]) -> Result<(), Errno> {
    fsetxattr(root, NAME, value, XattrFlags::empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_knows_what_but_not_when() {
        let bytes = b"1 77 1700000000 5 1000:100 namespace\nnote\nmore";
        let own = Unpacked::parse(bytes, 77).unwrap();
        let at = Timestamp { seconds: 1_700_000_000, nanoseconds: 5 };
        assert_eq!((own.at, own.owner, own.in_namespace), (Some(at), Some((1000, 100)), true));
        assert_eq!(own.note, b"note\nmore");
        let before = Timestamp { nanoseconds: 4, ..at };
        assert!(own.is_untouched(before) && !own.is_untouched(at));
        assert!(!Unpacked::parse(bytes, 78).unwrap().is_untouched(before));
    }

    #[test]
    fn what_is_no_record_says_nothing() {
        for bytes in
            [&b""[..], b"1 2 3", b"2 1 1 1 - -\n", b"1 x 1 1 - -\n", b"1 1 1 1 a:b -\n", b"\xff\n"]
        {
            assert_eq!(Unpacked::parse(bytes, 1), None);
        }
    }
}
