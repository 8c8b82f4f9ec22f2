//! Wildcards in `COPY` and `ADD` sources: Go's `filepath.Match`, one path component at a time.

use crate::wildcard::{Class, States, Token, Unit, units};

/// A pattern that is malformed: a class that is not closed or empty, or an escape at the end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed pattern {pattern:?}")]
pub struct GlobError {
    /// As it was given.
    pub pattern: String,
}

/// A path with wildcards inside some root. `*` and `?` match no slash, `[…]` is one of a class, `\`
/// makes the next character ordinary. A leading slash, `.` and empty components do not count; `..`
/// goes up, but never out of the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    components: Vec<Component>,
}

/// One component of a [`Glob`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Component {
    tokens: Vec<Token>,
}

impl Glob {
    /// Compiles a source path.
    ///
    /// # Errors
    /// A malformed pattern.
    pub fn new(pattern: &str) -> Result<Self, GlobError> {
        let malformed = || GlobError { pattern: pattern.to_owned() };
        let tokens = tokens(pattern).ok_or_else(malformed)?;
        let mut components: Vec<Component> = Vec::new();
        for part in tokens.split(|token| *token == Token::Unit('/'.into())) {
            let component = Component { tokens: part.to_vec() };
            match component.literal().as_deref() {
                Some(b"" | b".") => {}
                Some(b"..") => drop(components.pop()),
                _ => components.push(component),
            }
        }
        Ok(Self { components })
    }

    /// The components from the root on; none for the root itself.
    pub fn components(&self) -> &[Component] {
        &self.components
    }

    /// The path without wildcards, escapes removed; none where there are wildcards.
    pub fn literal(&self) -> Option<Vec<u8>> {
        let parts: Option<Vec<Vec<u8>>> = self.components.iter().map(Component::literal).collect();
        parts.map(|parts| parts.join(&b'/'))
    }

    /// Whether `path`, relative to the root and without `.` and `..`, matches as a whole.
    pub fn matches(&self, path: &[u8]) -> bool {
        let names: Vec<&[u8]> =
            path.split(|b| *b == b'/').filter(|name| !name.is_empty()).collect();
        names.len() == self.components.len()
            && self.components.iter().zip(names).all(|(component, name)| component.matches(name))
    }
}

impl Component {
    /// The name without wildcards, escapes removed; none where there are wildcards.
    pub fn literal(&self) -> Option<Vec<u8>> {
        let character = |token: &Token| match token {
            Token::Unit(unit) => char::from_u32(*unit),
            _ => None,
        };
        let text: Option<String> = self.tokens.iter().map(character).collect();
        text.map(String::into_bytes)
    }

    /// Whether a file of this name matches.
    pub fn matches(&self, name: &[u8]) -> bool {
        let mut states = States::new(&self.tokens);
        units(name).into_iter().for_each(|unit| states.take(unit));
        states.complete()
    }
}

fn tokens(pattern: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        tokens.push(match c {
            '*' => Token::Star,
            '?' => Token::Any,
            '[' => Token::Class(Class::read(&mut chars)?),
            '\\' => Token::Unit(Unit::from(chars.next()?)),
            c => Token::Unit(Unit::from(c)),
        });
    }
    Some(tokens)
}
