//! Writing past the page cache, where the file system and the write allow it (open(2), O_DIRECT).
//!
//! The bytes go from where they are to the disk: nothing is copied, no page is made for them and none
//! that others need is given up, and there is little left to wait for when the file is synced.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;

/// What addresses, offsets and lengths are multiples of. Disks ask for 512 bytes or 4 KiB.
pub(super) const UNIT: usize = 4 << 10;

/// Whether a file's writes go past the page cache.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum Direct {
    /// They do not, and will not.
    #[default]
    Never,
    /// They do not now.
    Off,
    On,
}

impl Direct {
    pub(super) fn write(&mut self, file: &File, bytes: &[u8], position: u64) -> io::Result<()> {
        let is_whole = |number: usize| number.is_multiple_of(UNIT);
        let fits = is_whole(bytes.len())
            && is_whole(bytes.as_ptr().addr())
            && position.is_multiple_of(UNIT as u64);
        self.set(file, fits);
        match file.write_all_at(bytes, position) {
            // The disk wants larger units.
            Err(error)
                if *self == Self::On && Errno::from_io_error(&error) == Some(Errno::INVAL) =>
            {
                self.set(file, false);
                *self = Self::Never;
                file.write_all_at(bytes, position)
            }
            written => written,
        }
    }

    fn set(&mut self, file: &File, on: bool) {
        let wanted = if on { Self::On } else { Self::Off };
        if *self == Self::Never || *self == wanted {
            return;
        }
        let flags = fcntl_getfl(file).and_then(|mut flags| {
            flags.set(OFlags::DIRECT, on);
            fcntl_setfl(file, flags)
        });
        // Not every file system can.
        *self = if flags.is_ok() { wanted } else { Self::Never };
    }
}
