//! The fields of a header that the tar crate does not read as they are found in the wild: empty ones,
//! negative ones, and names with a prefix.

use tar::Header;

use super::ReadCause;

/// Checks the header's checksum, taken over unsigned bytes or, as some old tools do, signed ones.
pub(super) fn verify(header: &Header) -> Result<(), ReadCause> {
    let stored = number(&header.as_old().cksum, "checksum").map_err(|_| ReadCause::Checksum)?;
    let bytes = header.as_bytes();
    let counted = |index: usize, byte: u8| if (148..156).contains(&index) { b' ' } else { byte };
    let bytes = bytes.iter().enumerate().map(|(index, &byte)| counted(index, byte));
    let (mut unsigned, mut signed) = (0, 0);
    for byte in bytes {
        unsigned += i64::from(byte);
        signed += i64::from(byte.cast_signed());
    }
    if stored == unsigned || stored == signed { Ok(()) } else { Err(ReadCause::Checksum) }
}

/// The path, with the prefix that a ustar header may have.
pub(super) fn path(header: &Header) -> Vec<u8> {
    let name = until_nul(&header.as_old().name);
    match header.as_ustar().map(|ustar| until_nul(&ustar.prefix)) {
        Some(prefix) if !prefix.is_empty() => [prefix, b"/", name].concat(),
        _ => name.to_vec(),
    }
}

/// A number that is not negative.
pub(super) fn unsigned(field: &[u8], name: &'static str) -> Result<u64, ReadCause> {
    u64::try_from(number(field, name)?).map_err(|_| ReadCause::Number(name))
}

/// A number in octal, blank for zero, or in GNU's base-256: two's complement, most significant byte
/// first, marked by the first bit.
pub(super) fn number(field: &[u8], name: &'static str) -> Result<i64, ReadCause> {
    let error = ReadCause::Number(name);
    if field[0] & 0x80 != 0 {
        return base256(field).ok_or(error);
    }
    let text = until_nul(field).trim_ascii();
    if text.is_empty() {
        return Ok(0);
    }
    let text = std::str::from_utf8(text).map_err(|_| ReadCause::Number(name))?;
    i64::from_str_radix(text, 8).ok().filter(|number| *number >= 0).ok_or(error)
}

fn base256(field: &[u8]) -> Option<i64> {
    // The second bit is the sign; the first is only the mark.
    let first = field[0] & 0x7f;
    let mut value: i128 = if first & 0x40 != 0 { -1 } else { 0 };
    value = value << 7 | i128::from(first);
    for &byte in &field[1..] {
        value = value << 8 | i128::from(byte);
    }
    i64::try_from(value).ok()
}

fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|&byte| byte == 0).next().unwrap_or(bytes)
}
