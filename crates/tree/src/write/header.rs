//! The blocks before an entry's content: a ustar header and the records for what it cannot hold.
//!
//! The choice is made by the entry alone, so the same entry always gives the same bytes:
//! a field goes into the ustar header if it fits, else into a PAX record, except a long path that is
//! not UTF-8, which goes into a GNU record.

use tar::{EntryType, Header, UstarHeader};

use crate::{Device, Entry, EntryKind, Metadata, Timestamp};

const BLOCK: usize = 512;

/// What PAX and GNU records call themselves; extracting tools never show it.
const RECORD_NAME: &[u8] = b"././@PaxHeader";
const GNU_RECORD_NAME: &[u8] = b"././@LongLink";

/// The largest number in an octal field of 7 digits, and of 11.
const MAX_OCTAL_7: u64 = 0o7777777;
const MAX_OCTAL_11: u64 = 0o77777777777;

/// All blocks that come before the content of `entry`, which has `size` bytes.
pub(super) fn encode(entry: &Entry, size: u64) -> Vec<u8> {
    let mut blocks = Blocks::default();
    let name = member_name(entry);
    let (link, device) = link_and_device(&entry.kind);
    let mut header = blank_header(type_of(&entry.kind));
    let ustar = header.as_ustar_mut().expect("it was made as ustar");
    blocks.name(ustar, &name);
    blocks.link(ustar, link);
    blocks.numbers(ustar, &entry.metadata, size);
    octal(&mut ustar.dev_major, device.major.into());
    octal(&mut ustar.dev_minor, device.minor.into());
    for (name, value) in &entry.metadata.xattrs {
        let key = [b"SCHILY.xattr.", &escape(name)[..]].concat();
        blocks.pax_record(&key, value);
    }
    header.set_cksum();
    blocks.finish(&header)
}

/// The records that an entry needs, as they come up.
#[derive(Default)]
struct Blocks {
    pax: Vec<u8>,
    gnu: Vec<u8>,
}

impl Blocks {
    fn name(&mut self, header: &mut UstarHeader, name: &[u8]) {
        if name.len() <= header.name.len() {
            header.name[..name.len()].copy_from_slice(name);
        } else if let Some(slash) = prefix_end(name) {
            header.prefix[..slash].copy_from_slice(&name[..slash]);
            header.name[..name.len() - slash - 1].copy_from_slice(&name[slash + 1..]);
        } else {
            let cut = header.name.len();
            header.name.copy_from_slice(&name[..cut]);
            self.long(b"path", b'L', name);
        }
    }

    fn link(&mut self, header: &mut UstarHeader, link: &[u8]) {
        let cut = link.len().min(header.linkname.len());
        header.linkname[..cut].copy_from_slice(&link[..cut]);
        if cut < link.len() {
            self.long(b"linkpath", b'K', link);
        }
    }

    fn long(&mut self, key: &[u8], gnu_type: u8, value: &[u8]) {
        if std::str::from_utf8(value).is_ok() {
            self.pax_record(key, value);
        } else {
            let terminated = [value, b"\0"].concat();
            record_blocks(&mut self.gnu, EntryType::new(gnu_type), GNU_RECORD_NAME, &terminated);
        }
    }

    fn numbers(&mut self, header: &mut UstarHeader, metadata: &Metadata, size: u64) {
        octal(&mut header.mode, metadata.mode.into());
        self.number(&mut header.uid, b"uid", metadata.uid.into(), MAX_OCTAL_7);
        self.number(&mut header.gid, b"gid", metadata.gid.into(), MAX_OCTAL_7);
        self.number(&mut header.size, b"size", size, MAX_OCTAL_11);
        match u64::try_from(metadata.mtime.seconds) {
            Ok(seconds) if seconds <= MAX_OCTAL_11 => {
                octal(&mut header.mtime, seconds);
                if metadata.mtime.nanoseconds != 0 {
                    self.pax_record(b"mtime", time_text(metadata.mtime).as_bytes());
                }
            }
            _ => {
                octal(&mut header.mtime, 0);
                self.pax_record(b"mtime", time_text(metadata.mtime).as_bytes());
            }
        }
    }

    fn number(&mut self, field: &mut [u8], key: &[u8], value: u64, max: u64) {
        if value <= max {
            octal(field, value);
        } else {
            octal(field, 0);
            self.pax_record(key, value.to_string().as_bytes());
        }
    }

    /// Adds `LENGTH KEY=VALUE\n`, where LENGTH counts itself.
    fn pax_record(&mut self, key: &[u8], value: &[u8]) {
        let rest = key.len() + value.len() + 3; // The space, the equals sign, the newline.
        let mut length = rest + digits(rest);
        if digits(length) != digits(rest) {
            length = rest + digits(length);
        }
        self.pax.extend_from_slice(length.to_string().as_bytes());
        for part in [b" ", key, b"=", value, b"\n"] {
            self.pax.extend_from_slice(part);
        }
    }

    fn finish(self, header: &Header) -> Vec<u8> {
        if self.pax.is_empty() && self.gnu.is_empty() {
            return header.as_bytes().to_vec();
        }
        let mut blocks = Vec::with_capacity(self.pax.len() + self.gnu.len() + 3 * BLOCK);
        if !self.pax.is_empty() {
            record_blocks(&mut blocks, EntryType::XHeader, RECORD_NAME, &self.pax);
        }
        blocks.extend_from_slice(&self.gnu);
        blocks.extend_from_slice(header.as_bytes());
        blocks
    }
}

fn record_blocks(blocks: &mut Vec<u8>, kind: EntryType, name: &[u8], content: &[u8]) {
    let mut header = blank_header(kind);
    let ustar = header.as_ustar_mut().expect("it was made as ustar");
    ustar.name[..name.len()].copy_from_slice(name);
    octal(&mut ustar.size, content.len() as u64);
    header.set_cksum();
    blocks.extend_from_slice(header.as_bytes());
    blocks.extend_from_slice(content);
    blocks.resize(blocks.len().next_multiple_of(BLOCK), 0);
}

fn blank_header(kind: EntryType) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    let ustar = header.as_ustar_mut().expect("it was made as ustar");
    for field in [&mut ustar.mode, &mut ustar.uid, &mut ustar.gid] {
        octal(field, 0);
    }
    octal(&mut ustar.size, 0);
    octal(&mut ustar.mtime, 0);
    octal(&mut ustar.dev_major, 0);
    octal(&mut ustar.dev_minor, 0);
    header
}

fn type_of(kind: &EntryKind) -> EntryType {
    match kind {
        EntryKind::Directory => EntryType::Directory,
        EntryKind::File(_) | EntryKind::Whiteout | EntryKind::Opaque => EntryType::Regular,
        EntryKind::Symlink(_) => EntryType::Symlink,
        EntryKind::HardLink(_) => EntryType::Link,
        EntryKind::CharDevice(_) => EntryType::Char,
        EntryKind::BlockDevice(_) => EntryType::Block,
        EntryKind::Fifo => EntryType::Fifo,
    }
}

fn link_and_device(kind: &EntryKind) -> (&[u8], Device) {
    let none = Device { major: 0, minor: 0 };
    match kind {
        EntryKind::Symlink(target) => (target, none),
        EntryKind::HardLink(target) => (target.as_bytes(), none),
        EntryKind::CharDevice(device) | EntryKind::BlockDevice(device) => (b"", *device),
        _ => (b"", none),
    }
}

/// The path as the tar has it: a slash ends a directory, and whiteouts are files of special names.
fn member_name(entry: &Entry) -> Vec<u8> {
    let path = entry.path.as_bytes();
    match &entry.kind {
        EntryKind::Directory if path.is_empty() => b"./".to_vec(),
        EntryKind::Directory => [path, b"/"].concat(),
        EntryKind::Opaque if path.is_empty() => b".wh..wh..opq".to_vec(),
        EntryKind::Opaque => [path, b"/.wh..wh..opq"].concat(),
        EntryKind::Whiteout => {
            let start = path.len() - entry.path.name().map_or(0, <[u8]>::len);
            [&path[..start], b".wh.", &path[start..]].concat()
        }
        _ => path.to_vec(),
    }
}

/// Where `name` splits into a prefix of at most 155 bytes and a name of 1 to 100.
fn prefix_end(name: &[u8]) -> Option<usize> {
    let fits =
        |&slash: &usize| name[slash] == b'/' && (1..=100).contains(&(name.len() - slash - 1));
    (1..name.len().min(156)).rev().find(fits)
}

fn octal(field: &mut [u8], value: u64) {
    let digits = field.len() - 1;
    let text = format!("{value:0digits$o}");
    field[..digits].copy_from_slice(text.as_bytes());
    field[digits] = 0;
}

fn digits(number: usize) -> usize {
    number.checked_ilog10().map_or(1, |log| log as usize + 1)
}

/// Seconds since the epoch with as many decimals as needed, as PAX has them.
fn time_text(time: Timestamp) -> String {
    let nanoseconds = i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanoseconds);
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let (seconds, rest) = (nanoseconds.abs() / 1_000_000_000, nanoseconds.abs() % 1_000_000_000);
    let text = format!("{sign}{seconds}.{rest:09}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A PAX key ends at its first equals sign, so GNU tar writes one in an attribute's name as `%3D`, and
/// `%25` for a percent sign. Others do not know that, so a percent sign that cannot be mistaken stays.
fn escape(name: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(name.len());
    for (index, &byte) in name.iter().enumerate() {
        match &name[index..] {
            [b'=', ..] => escaped.extend_from_slice(b"%3D"),
            [b'%', b'2', b'5', ..] | [b'%', b'3', b'D', ..] => escaped.extend_from_slice(b"%25"),
            _ => escaped.push(byte),
        }
    }
    escaped
}
