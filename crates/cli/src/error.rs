//! What an error carries beside its message: an exit code, and a hint at what to try.
//!
//! Both travel as links of the error's chain that have no message of their own, so `anyhow`'s
//! `context` can be added above and below them.

use std::error::Error;
use std::fmt;

/// Adds an exit code or a hint to a result's error.
pub trait ErrorExt<T> {
    /// Says what the user may try; printed below the error as `hint: …`.
    fn hint(self, hint: impl fmt::Display) -> anyhow::Result<T>;
    /// As [`ErrorExt::hint`], made only when there is an error; no hint for `None`.
    fn hint_with(self, hint: impl FnOnce() -> Option<String>) -> anyhow::Result<T>;
    /// Ends the program with this code instead of 1.
    fn exit_code(self, code: u8) -> anyhow::Result<T>;
    /// As [`ErrorExt::exit_code`], unless the error has a code already.
    fn default_exit_code(self, code: u8) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> ErrorExt<T> for Result<T, E> {
    fn hint(self, hint: impl fmt::Display) -> anyhow::Result<T> {
        self.map_err(|error| hinted(error, hint.to_string()))
    }

    fn hint_with(self, hint: impl FnOnce() -> Option<String>) -> anyhow::Result<T> {
        self.map_err(|error| match hint() {
            Some(hint) => hinted(error, hint),
            None => error.into(),
        })
    }

    fn exit_code(self, code: u8) -> anyhow::Result<T> {
        self.map_err(|error| coded(error, code))
    }

    fn default_exit_code(self, code: u8) -> anyhow::Result<T> {
        self.map_err(|error| {
            let error = error.into();
            let has_one = tags(&error).any(|tag| matches!(tag, Tag::Code(_)));
            if has_one { error } else { coded(error, code) }
        })
    }
}

/// The error with a hint at what to try.
pub fn hinted(error: impl Into<anyhow::Error>, hint: impl Into<String>) -> anyhow::Error {
    Tagged::wrap(error.into(), Tag::Hint(hint.into()))
}

/// The error with an exit code other than 1.
pub fn coded(error: impl Into<anyhow::Error>, code: u8) -> anyhow::Error {
    Tagged::wrap(error.into(), Tag::Code(code))
}

/// A mistake in the command line that clap cannot see: exit code 2.
pub fn usage(message: impl fmt::Display) -> anyhow::Error {
    Tagged::wrap(anyhow::anyhow!("{message}"), Tag::Code(2))
}

/// The exit code that the error carries: the outermost one, and 1 where there is none.
pub fn code(error: &anyhow::Error) -> u8 {
    tags(error)
        .find_map(|tag| match tag {
            Tag::Code(code) => Some(*code),
            Tag::Hint(_) => None,
        })
        .unwrap_or(1)
}

/// The hints that the error carries, outermost first.
pub(crate) fn hints(error: &anyhow::Error) -> impl Iterator<Item = &str> {
    tags(error).filter_map(|tag| match tag {
        Tag::Hint(hint) => Some(hint.as_str()),
        Tag::Code(_) => None,
    })
}

/// The messages of the chain, outermost first, without links that repeat what was said above.
pub(crate) fn messages(error: &anyhow::Error) -> Vec<String> {
    let mut messages: Vec<String> = Vec::new();
    for link in error.chain().filter(|link| !link.is::<Tagged>()) {
        let message = link.to_string();
        // Some errors print their source as the end of their own message.
        if !messages.last().is_some_and(|last| last.ends_with(&message)) {
            messages.push(message);
        }
    }
    messages
}

fn tags(error: &anyhow::Error) -> impl Iterator<Item = &Tag> {
    error.chain().filter_map(|link| link.downcast_ref::<Tagged>()).map(|tagged| &tagged.tag)
}

#[derive(Debug)]
enum Tag {
    Code(u8),
    Hint(String),
}

/// A link without a message: it prints as its source does.
#[derive(Debug)]
struct Tagged {
    tag: Tag,
    source: anyhow::Error,
}

impl Tagged {
    fn wrap(source: anyhow::Error, tag: Tag) -> anyhow::Error {
        anyhow::Error::new(Self { tag, source })
    }
}

impl fmt::Display for Tagged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

impl Error for Tagged {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.source)
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    fn failure() -> anyhow::Result<()> {
        Err(std::io::Error::other("disk on fire"))
            .context("cannot read /x")
            .hint("fetch water")
            .exit_code(125)
            .context("cannot run app")
    }

    #[test]
    fn code_and_hint_survive_context_above_and_below() {
        let error = failure().unwrap_err();
        assert_eq!(code(&error), 125);
        assert_eq!(hints(&error).collect::<Vec<_>>(), ["fetch water"]);
        assert_eq!(messages(&error), ["cannot run app", "cannot read /x", "disk on fire"]);
    }

    #[test]
    fn the_outermost_code_wins_and_the_default_is_1() {
        let error = failure().exit_code(126).unwrap_err();
        assert_eq!(code(&error), 126);
        assert_eq!(code(&failure().default_exit_code(126).unwrap_err()), 125);
        assert_eq!(code(&anyhow::anyhow!("x")), 1);
        assert_eq!(code(&usage("bad flag")), 2);
    }

    #[test]
    fn a_message_that_ends_with_its_source_is_not_repeated() {
        let error = Err::<(), _>(std::io::Error::other("no space"))
            .context("cannot write: no space")
            .unwrap_err();
        assert_eq!(messages(&error), ["cannot write: no space"]);
    }
}
