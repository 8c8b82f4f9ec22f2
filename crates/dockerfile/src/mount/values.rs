//! The values of `--mount` options, and the commas between them.

use super::{MODES, MountError, MountKind, Sharing, TYPES};
use crate::suggest::nearest;

/// Splits at commas; a field may stand in `"`, doubled inside (RFC 4180).
///
/// # Errors
/// A quote that is not closed, or that stands inside a field.
pub fn split_fields(text: &str) -> Result<Vec<String>, MountError> {
    let wrong = || MountError::Quotes { text: text.to_owned() };
    let mut fields = vec![String::new()];
    let (mut quoted, mut chars) = (false, text.chars().peekable());
    let mut closed = false;
    while let Some(c) = chars.next() {
        let field = fields.last_mut().ok_or_else(wrong)?;
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => field.extend(chars.next()),
            '"' if quoted => (quoted, closed) = (false, true),
            '"' if field.is_empty() && !closed => quoted = true,
            ',' if !quoted => {
                fields.push(String::new());
                closed = false;
            }
            '"' => return Err(wrong()),
            _ if closed => return Err(wrong()),
            c => field.push(c),
        }
    }
    if quoted { Err(wrong()) } else { Ok(fields) }
}

fn invalid(key: &str, value: &str, want: &'static str) -> MountError {
    MountError::Invalid { key: key.to_owned(), value: value.to_owned(), want }
}

fn unsupported(key: &str, value: &str, known: &[&str]) -> MountError {
    let suggestion = nearest(value, known).map(str::to_owned);
    MountError::Unsupported { key: key.to_owned(), value: value.to_owned(), suggestion }
}

pub(super) fn kind(value: &str) -> Result<MountKind, MountError> {
    match value.to_ascii_lowercase().as_str() {
        "bind" => Ok(MountKind::Bind),
        "cache" => Ok(MountKind::Cache),
        "tmpfs" => Ok(MountKind::Tmpfs),
        "secret" => Ok(MountKind::Secret),
        "ssh" => Ok(MountKind::Ssh),
        _ => Err(unsupported("type", value, &TYPES)),
    }
}

pub(super) fn sharing(value: &str) -> Result<Sharing, MountError> {
    match value.to_ascii_lowercase().as_str() {
        "shared" => Ok(Sharing::Shared),
        "private" => Ok(Sharing::Private),
        "locked" => Ok(Sharing::Locked),
        _ => Err(unsupported("sharing", value, &MODES)),
    }
}

pub(crate) fn boolean(key: &str, value: &str) -> Result<bool, MountError> {
    crate::truth(value).ok_or_else(|| invalid(key, value, "true or false"))
}

/// An unsigned number, digits only.
pub(super) fn number(key: &str, value: &str, base: u32) -> Result<u32, MountError> {
    let digits = !value.is_empty() && value.chars().all(|c| c.is_digit(base));
    let number = u32::from_str_radix(value, base).ok().filter(|_| digits);
    let want = if base == 8 { "octal digits, such as 0755" } else { "a number" };
    number.ok_or_else(|| invalid(key, value, want))
}

/// A size in bytes.
pub(super) fn bytes(key: &str, value: &str) -> Result<u64, MountError> {
    let want = "a number of bytes, perhaps with a unit: 64m";
    size(value).ok_or_else(|| invalid(key, value, want))
}

/// A size with a binary unit as docker writes it: `64m`, `1.5 GiB`, `1024`.
fn size(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let power = match unit.trim_start() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 1,
        "m" | "mb" | "mib" => 2,
        "g" | "gb" | "gib" => 3,
        "t" | "tb" | "tib" => 4,
        "p" | "pb" | "pib" => 5,
        _ => return None,
    };
    let value: f64 = number.parse().ok()?;
    let value = value * 1024_f64.powi(power);
    (value < 9.2e18).then_some(value as u64)
}
