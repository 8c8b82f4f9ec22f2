//! Names as they can be shown: files in images are called what somebody else chose.

use std::fmt::Write as _;

/// A name or path as text on one line, which no terminal obeys: control characters, backslashes and bytes
/// that are no UTF-8 become `\n`, `\\`, `\x1b`.
pub(crate) fn printable(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\\' => text.push_str("\\\\"),
                '\n' => text.push_str("\\n"),
                '\t' => text.push_str("\\t"),
                '\r' => text.push_str("\\r"),
                // With the marks that turn the direction of what follows.
                c if c.is_control()
                    || ('\u{202a}'..='\u{202e}').contains(&c)
                    || ('\u{2066}'..='\u{2069}').contains(&c) =>
                {
                    text.extend(c.escape_unicode());
                }
                c => text.push(c),
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn nothing_is_obeyed_and_nothing_lost() {
        assert_eq!(printable("grüße".as_bytes()), "grüße");
        assert_eq!(printable(b"a\nb\\c\x1b[31m\xff"), "a\\nb\\\\c\\u{1b}[31m\\xff");
        assert_eq!(printable("a\u{202e}b".as_bytes()), "a\\u{202e}b");
    }
}
