//! The records of a PAX extended header (POSIX pax, "pax Extended Header").

use super::ReadCause;
use crate::{Timestamp, Xattrs};

/// What the records before an entry say about it.
#[derive(Default)]
pub(super) struct Records {
    path: Option<Vec<u8>>,
    pub(super) link_path: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u64>,
    pub(super) gid: Option<u64>,
    pub(super) mtime: Option<Timestamp>,
    pub(super) xattrs: Xattrs,
    pub(super) sparse: Sparse,
}

/// What GNU tar says of a sparse file (GNU tar manual, "Storing Sparse Files").
#[derive(Default)]
pub(super) struct Sparse {
    pub(super) major: Option<u64>,
    name: Option<Vec<u8>>,
    /// The size with the holes: `GNU.sparse.size` before 1.0, `GNU.sparse.realsize` in it.
    pub(super) size: Option<u64>,
    /// Offsets and lengths by turns: repeated records in 0.0, one list in 0.1.
    pub(super) numbers: Vec<u64>,
    pub(super) has_map: bool,
}

impl Records {
    /// The path, which for a sparse file stands in a record of its own.
    pub(super) fn path(&mut self) -> Option<Vec<u8>> {
        self.sparse.name.take().or_else(|| self.path.take())
    }

    /// Takes in one extended header: `LENGTH KEY=VALUE\n`, where LENGTH counts all of it.
    pub(super) fn parse(&mut self, mut data: &[u8]) -> Result<(), ReadCause> {
        while !data.is_empty() && data[0] != 0 {
            let (record, rest) = split_record(data).ok_or(ReadCause::Pax)?;
            let equals = record.iter().position(|&byte| byte == b'=').ok_or(ReadCause::Pax)?;
            self.record(&record[..equals], &record[equals + 1..])?;
            data = rest;
        }
        Ok(())
    }

    fn record(&mut self, key: &[u8], value: &[u8]) -> Result<(), ReadCause> {
        if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
            self.xattrs.insert(unescape(name), value.to_vec());
            return Ok(());
        }
        // An empty value takes back what was said before.
        let text = Some(value.to_vec()).filter(|value| !value.is_empty());
        match key {
            b"path" => self.path = text,
            b"linkpath" => self.link_path = text,
            b"size" => self.size = number(value)?,
            b"uid" => self.uid = number(value)?,
            b"gid" => self.gid = number(value)?,
            b"mtime" if value.is_empty() => self.mtime = None,
            b"mtime" => self.mtime = Some(time(value).ok_or(ReadCause::Number("mtime"))?),
            _ => {
                if let Some(key) = key.strip_prefix(b"GNU.sparse.") {
                    self.sparse.record(key, value)?;
                }
            }
        }
        Ok(())
    }
}

impl Sparse {
    fn record(&mut self, key: &[u8], value: &[u8]) -> Result<(), ReadCause> {
        match key {
            b"major" => self.major = number(value)?,
            b"name" => self.name = Some(value.to_vec()),
            b"size" | b"realsize" => self.size = number(value)?,
            b"offset" | b"numbytes" => {
                self.has_map = true;
                let expected = if key == b"offset" { 0 } else { 1 };
                let number = number(value)?.filter(|_| self.numbers.len() % 2 == expected);
                self.numbers.push(number.ok_or(ReadCause::SparseMap)?);
            }
            b"map" => {
                self.has_map = true;
                let numbers = value.split(|&byte| byte == b',').filter(|text| !text.is_empty());
                let numbers = numbers.map(|text| number(text)?.ok_or(ReadCause::SparseMap));
                self.numbers = numbers.collect::<Result<_, _>>()?;
            }
            _ => {}
        }
        Ok(())
    }
}

fn split_record(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = data.iter().take(8).position(|&byte| byte == b' ')?;
    let length: usize = std::str::from_utf8(&data[..space]).ok()?.parse().ok()?;
    let record = data.get(space + 1..length)?.strip_suffix(b"\n")?;
    Some((record, &data[length..]))
}

fn number(value: &[u8]) -> Result<Option<u64>, ReadCause> {
    if value.is_empty() {
        return Ok(None);
    }
    decimal(value).map(Some).ok_or(ReadCause::Number("a PAX record"))
}

fn decimal(value: &[u8]) -> Option<u64> {
    let digits = value.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(value).ok().filter(|_| digits)?.parse().ok()
}

/// `SECONDS[.FRACTION]`, perhaps negative; digits beyond nanoseconds fall away.
fn time(value: &[u8]) -> Option<Timestamp> {
    const SECOND: i128 = 1_000_000_000;
    let (sign, value) = match value.strip_prefix(b"-") {
        Some(rest) => (-1, rest),
        None => (1, value),
    };
    let mut parts = value.splitn(2, |&byte| byte == b'.');
    let seconds = i128::from(decimal(parts.next()?)?);
    let fraction = parts.next().unwrap_or_default();
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digits = fraction.iter().map(|digit| i128::from(digit - b'0')).chain(std::iter::repeat(0));
    let nanoseconds = digits.take(9).fold(0, |sum, digit| sum * 10 + digit);
    let time = sign * (seconds * SECOND + nanoseconds);
    Some(Timestamp {
        seconds: i64::try_from(time.div_euclid(SECOND)).ok()?,
        nanoseconds: time.rem_euclid(SECOND) as u32,
    })
}

/// The reverse of what GNU tar does to an attribute's name, which cannot hold an equals sign here.
fn unescape(name: &[u8]) -> Vec<u8> {
    let mut unescaped = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((&byte, tail)) = rest.split_first() {
        let (byte, tail) = match rest {
            [b'%', b'2', b'5', tail @ ..] => (b'%', tail),
            [b'%', b'3', b'D', tail @ ..] => (b'=', tail),
            _ => (byte, tail),
        };
        unescaped.push(byte);
        rest = tail;
    }
    unescaped
}
