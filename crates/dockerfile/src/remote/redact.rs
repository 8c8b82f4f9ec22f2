//! Passwords in URLs, taken out of what is shown or stored.

use std::borrow::Cow;

/// What stands in place of a name or password, as BuildKit writes it.
const HIDDEN: &str = "xxxxx";

/// The text with user and password of every URL in it hidden: `https://xxxxx:xxxxx@host/`. A user
/// without a password may be a token, and is hidden as well; `git@host:path` is not.
pub fn redacted(text: &str) -> Cow<'_, str> {
    if !text.contains("://") || !text.contains('@') {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        shown += before;
        let end = after.find(is_after_authority).unwrap_or(after.len());
        rest = match after[..end].rfind('@') {
            Some(sign) if !keeps_user(before, &after[..sign]) => {
                shown += HIDDEN;
                if after[..sign].contains(':') {
                    shown.push(':');
                    shown += HIDDEN;
                }
                &after[sign..]
            }
            _ => after,
        };
    }
    Cow::Owned(shown + rest)
}

/// The user of an SSH URL is no secret unless a password follows.
fn keeps_user(before: &str, user: &str) -> bool {
    before.to_ascii_lowercase().ends_with("ssh://") && !user.contains(':')
}

fn is_after_authority(c: char) -> bool {
    matches!(c, '/' | '?' | '#' | '"' | '\'' | '<' | '>' | '\\') || c.is_whitespace()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hidden() {
        for (text, want) in [
            ("https://example.com/a@b", "https://example.com/a@b"),
            ("https://u:p@example.com/a", "https://xxxxx:xxxxx@example.com/a"),
            ("https://token@example.com/a", "https://xxxxx@example.com/a"),
            ("https://u:p@s@example.com", "https://xxxxx:xxxxx@example.com"),
            ("ssh://git@example.com/a", "ssh://git@example.com/a"),
            ("ssh://git:pw@example.com/a", "ssh://xxxxx:xxxxx@example.com/a"),
            ("git@example.com:a/b", "git@example.com:a/b"),
            (
                "ADD [\"http://a:b@x/1\", \"http://c:d@y/2\", \"/\"]",
                "ADD [\"http://xxxxx:xxxxx@x/1\", \"http://xxxxx:xxxxx@y/2\", \"/\"]",
            ),
            ("see http://x or a@b", "see http://x or a@b"),
        ] {
            assert_eq!(redacted(text), want);
        }
    }
}
