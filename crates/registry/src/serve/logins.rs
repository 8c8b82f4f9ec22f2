//! Who may come in: users and the hashes of their passwords, in the form of `htpasswd -B`.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::Digest;

use crate::cancel::lock;

/// The users of a file.
#[derive(Debug)]
pub(super) struct Logins {
    hashes: HashMap<String, String>,
    /// Headers that were right, by their digests: a hash takes long to check, and is meant to.
    known: Mutex<HashSet<Digest>>,
}

impl Logins {
    /// Reads the text of a file.
    ///
    /// # Errors
    /// Which line is wrong, for people.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut hashes = HashMap::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let wrong = || format!("line {number} is not USER:HASH as htpasswd -B writes it");
            let (user, hash) = line.split_once(':').ok_or_else(wrong)?;
            let is_bcrypt = ["$2a$", "$2b$", "$2y$"].iter().any(|kind| hash.starts_with(kind));
            // A hash that cannot be read fails for any password.
            if user.is_empty() || !is_bcrypt || bcrypt::verify("", hash).is_err() {
                return Err(wrong());
            }
            hashes.insert(user.to_owned(), hash.to_owned());
        }
        match hashes.is_empty() {
            true => Err("there is no user in it".to_owned()),
            false => Ok(Self { hashes, known: Mutex::default() }),
        }
    }

    /// Whether a request with this `Authorization` may be answered (RFC 7617).
    pub(super) fn admit(&self, authorization: Option<&str>) -> bool {
        let Some(header) = authorization else { return false };
        let digest = Digest::of(header);
        if lock(&self.known).contains(&digest) {
            return true;
        }
        let is_right =
            login(header).is_some_and(|(user, password)| self.is_right(&user, &password));
        if is_right {
            lock(&self.known).insert(digest);
        }
        is_right
    }

    /// Takes as long for users that there are not.
    fn is_right(&self, user: &str, password: &str) -> bool {
        let own = self.hashes.get(user);
        let hash = own.or_else(|| self.hashes.values().next());
        hash.is_some_and(|hash| bcrypt::verify(password, hash).unwrap_or(false)) && own.is_some()
    }
}

fn login(header: &str) -> Option<(String, String)> {
    let (scheme, login) = header.split_once(' ')?;
    let bytes = STANDARD.decode(login.trim()).ok()?;
    let text = String::from_utf8(bytes).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "$2b$04$oKt8uQ.bWD2nOzuFJnmWq./jH8E2Eocfff7r.xDsclpOTdu9FtAGC";

    #[test]
    fn who_may_come_in() {
        let logins = Logins::parse(&format!("# users\n\ntester:{HASH}\n")).unwrap();
        let header = |login: &str| format!("Basic {}", STANDARD.encode(login));
        for _ in 0..2 {
            assert!(logins.admit(Some(&header("tester:hunter2"))));
        }
        for wrong in ["tester:hunter3", "other:hunter2", "tester", ":", "tester:hunter2:"] {
            assert!(!logins.admit(Some(&header(wrong))), "{wrong}");
        }
        assert!(!logins.admit(None));
        assert!(!logins.admit(Some("Bearer x")));
    }

    #[test]
    fn files_that_let_in_nobody_or_anybody_are_refused() {
        for (text, want) in [
            ("", "there is no user"),
            ("tester", "line 1"),
            ("\ntester:{SHA}x", "line 2"),
            ("tester:$2b$04$short", "line 1"),
            (&format!(":{HASH}"), "line 1"),
        ] {
            let error = Logins::parse(text).unwrap_err();
            assert!(error.contains(want), "{text}: {error}");
        }
    }
}
