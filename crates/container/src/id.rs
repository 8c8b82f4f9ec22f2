//! A container's name: one path component, checked before anything is touched.

use std::fmt;
use std::str::FromStr;

use crate::{Error, Result};

/// A container id that runc would accept: `[A-Za-z0-9_+.-]`, 1 to 1024 bytes, not `.` or `..`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ContainerId(String);

impl ContainerId {
    /// The id's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ContainerId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_+-.".contains(&byte);
        let valid = (1..=1024).contains(&text.len())
            && text.bytes().all(allowed)
            && text != "."
            && text != "..";
        if valid { Ok(Self(text.to_owned())) } else { Err(Error::InvalidId(text.to_owned())) }
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_what_runc_accepts() {
        for good in ["a", "A-b_c.d+e", "0", "..a", "-x", &"n".repeat(1024)] {
            assert!(good.parse::<ContainerId>().is_ok(), "{good:?}");
        }
        for bad in ["", ".", "..", "a/b", "../a", "a b", "a\0", "é", "a:b", &"n".repeat(1025)] {
            assert!(bad.parse::<ContainerId>().is_err(), "{bad:?}");
        }
    }
}
