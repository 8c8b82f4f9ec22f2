//! Extended attributes, right behind their inode.

use tree::Xattrs;

use crate::{Fault, put};

/// A filter of names (unused), the number of shared attributes (none), and room.
const HEADER: u64 = 12;

/// Length of the name, prefix, length of the value; then name and value, up to a multiple of 4.
const ENTRY: u64 = 4;

/// The size of all attributes with their header, in bytes; 0 if there are none.
pub(crate) fn size(xattrs: &Xattrs) -> Result<u64, Fault> {
    let mut size = 0;
    for (index, name, value) in known(xattrs) {
        if value.len() > u16::MAX.into() {
            let prefix = PREFIXES.iter().find(|(_, other)| *other == index);
            let prefix = prefix.map_or(&b""[..], |(prefix, _)| prefix);
            return Err(Fault::Xattr([prefix, name].concat()));
        }
        size += (ENTRY + (name.len() + value.len()) as u64).next_multiple_of(4);
    }
    Ok(if size == 0 { 0 } else { HEADER + size })
}

/// What the inode says: 0, or one more than the number of 32-bit words behind the header.
pub(crate) fn count(size: u64) -> u16 {
    // A tree's attributes are at most 128 KiB a file, so this fits.
    size.checked_sub(HEADER).map_or(0, |words| (words / 4 + 1) as u16)
}

/// Writes the attributes into `area`, zeroed and as long as [`size`] says.
pub(crate) fn write(area: &mut [u8], xattrs: &Xattrs) {
    let mut at = HEADER as usize;
    for (index, name, value) in known(xattrs) {
        area[at] = name.len() as u8; // A name has at most 255 bytes.
        area[at + 1] = index;
        put(area, at + 2, (value.len() as u16).to_le_bytes());
        at += ENTRY as usize;
        area[at..at + name.len()].copy_from_slice(name);
        at += name.len();
        area[at..at + value.len()].copy_from_slice(value);
        at = (at + value.len()).next_multiple_of(4);
    }
}

/// The prefixes that EROFS knows by number.
const PREFIXES: [(&[u8], u8); 5] = [
    (b"user.", 1),
    (b"system.posix_acl_access", 2),
    (b"system.posix_acl_default", 3),
    (b"trusted.", 4),
    (b"security.", 6),
];

/// The attributes that a Linux file system can have: number of the prefix, rest of the name, value.
fn known(xattrs: &Xattrs) -> impl Iterator<Item = (u8, &[u8], &[u8])> {
    xattrs.iter().filter_map(|(name, value)| {
        let (rest, index) = PREFIXES
            .iter()
            .find_map(|(prefix, index)| Some((name.strip_prefix(*prefix)?, *index)))?;
        let whole_name = matches!(index, 2 | 3);
        (rest.is_empty() == whole_name).then_some((index, rest, &value[..]))
    })
}
