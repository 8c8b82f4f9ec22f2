//! What a directory has, as text; and what a program touched.

pub(crate) mod trace;

use std::fmt::Write as _;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;

/// All files below a directory, a line each, sorted: kind, mode, owner, path, target or content.
pub(crate) fn files(root: &Path) -> String {
    let mut text = String::new();
    let mut pending = vec![root.to_owned()];
    while let Some(path) = pending.pop() {
        let found = fs::symlink_metadata(&path).expect("it is there");
        let kind = found.file_type();
        let relative = path.strip_prefix(root).expect("it is below").as_os_str().as_bytes();
        // Two hundred directories in each other say no more than the first of them.
        let shown = relative.escape_ascii().to_string();
        let depth = relative.iter().filter(|&&byte| byte == b'/').count();
        let owner = format!("{}:{}", found.uid(), found.gid());
        let tail = match () {
            () if kind.is_dir() => String::new(),
            () if kind.is_symlink() => {
                format!(" -> {}", fs::read_link(&path).expect("a link").display())
            }
            () if kind.is_file() => format!(" {} {:?}", found.nlink(), content(&path)),
            () => format!(" {:x}", found.rdev()),
        };
        let letter = match () {
            () if kind.is_dir() => 'd',
            () if kind.is_symlink() => 'l',
            () if kind.is_file() => 'f',
            () if kind.is_char_device() => 'c',
            () if kind.is_block_device() => 'b',
            () => 'p',
        };
        if depth < 5 && !relative.is_empty() {
            let _ = writeln!(text, "{letter} {:o} {owner} {shown}{tail}", found.mode() & 0o7777);
        }
        if kind.is_dir() {
            let entries = fs::read_dir(&path).expect("read it");
            let mut below: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
            below.sort();
            pending.extend(below.into_iter().rev());
        }
    }
    if text.is_empty() { "nothing\n".to_owned() } else { text }
}

fn content(path: &Path) -> String {
    let bytes = fs::read(path).expect("read it");
    String::from_utf8_lossy(&bytes[..bytes.len().min(40)]).into_owned()
}

/// A message with `sha256:…` for each digest, and none of the digits of others.
pub(crate) fn without_digests(text: &str) -> String {
    let mut out = String::new();
    let mut digits = String::new();
    for c in text.chars().chain([' ']) {
        if c.is_ascii_hexdigit() && !c.is_ascii_uppercase() {
            digits.push(c);
            continue;
        }
        out.push_str(if digits.len() >= 40 { "…" } else { &digits });
        digits.clear();
        out.push(c);
    }
    out.trim_end().to_owned()
}
