//! The forms in which cgroup files hold numbers.

use std::fs;
use std::path::Path;

/// A single number; `max`, and what version 1 writes for it, is the largest one. 0 without the file.
pub(super) fn number(group: &Path, file: &str) -> u64 {
    parse(text(group, file).trim())
}

fn parse(text: &str) -> u64 {
    match text {
        "max" => u64::MAX,
        number => number.parse().unwrap_or(0),
    }
}

/// Numbers in one line.
pub(super) fn numbers(group: &Path, file: &str) -> Vec<u64> {
    text(group, file).split_whitespace().map(parse).collect()
}

/// Lines of a name and a number, one after the other.
pub(super) fn each(group: &Path, file: &str, mut take: impl FnMut(&str, u64)) {
    for line in text(group, file).lines() {
        if let Some((name, value)) = line.split_once(' ') {
            take(name, parse(value.trim()));
        }
    }
}

/// A device's number.
pub(super) fn device(text: &str) -> Option<(u64, u64)> {
    let (major, minor) = text.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// All of a file; nothing without it.
pub(super) fn text(group: &Path, file: &str) -> String {
    fs::read_to_string(group.join(file)).unwrap_or_default()
}

/// Puts the value of each of these names into the field of the message that has the name, or the name
/// that is given after `=>`.
macro_rules! fill {
    ($message:expr, $group:expr, $file:literal: $($name:literal => $field:ident),* $(,)?) => {
        $crate::stats::files::each($group, $file, |name, value| match name {
            $($name => $message.$field = value,)*
            _ => {}
        })
    };
}
pub(super) use fill;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_forms() {
        let group = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(group.path().join(name), text).unwrap();
        write("one", "17\n");
        write("max", "max\n");
        write("many", "1 2 3 \n");
        write("flat", "anon 5\nfile 6\n");
        assert_eq!(number(group.path(), "one"), 17);
        assert_eq!(number(group.path(), "max"), u64::MAX);
        assert_eq!(number(group.path(), "missing"), 0);
        assert_eq!(numbers(group.path(), "many"), [1, 2, 3]);
        let mut seen = Vec::new();
        each(group.path(), "flat", |name, value| seen.push((name.to_owned(), value)));
        assert_eq!(seen, [("anon".to_owned(), 5), ("file".to_owned(), 6)]);
        assert_eq!((device("8:16"), device("Total")), (Some((8, 16)), None));
    }
}
