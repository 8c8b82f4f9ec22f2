//! One pattern of a `.dockerignore`, and whether a path matches it.

use std::cell::OnceCell;

use crate::wildcard::{Class, SLASH, States, Token, Unit, units};

/// One line of a `.dockerignore`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    tokens: Vec<Token>,
    shape: Shape,
    /// The pattern as a clean path.
    text: String,
    /// `!`: what matches is not ignored.
    pub(super) exception: bool,
}

/// What bytes alone can decide about a pattern: a walk asks each pattern about each path, and most
/// patterns of most contexts hold no or few wildcards.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Shape {
    /// Without wildcards: exactly this path.
    Path(Vec<u8>),
    /// `**/` and no other wildcard: this path below any directory.
    Anywhere(Vec<u8>),
    /// Others; what they match begins so.
    Wild(Vec<u8>),
}

/// A path, and its units when a pattern needs them.
pub(super) struct Subject<'a> {
    bytes: &'a [u8],
    units: OnceCell<Vec<Unit>>,
}

impl Pattern {
    /// Reads a line without blanks around it; the reason where it is malformed. A slash at the start
    /// means nothing.
    pub(super) fn new(line: &str) -> Result<Self, &'static str> {
        Self::read(line, true)
    }

    /// As [`Pattern::new`], but what begins with a slash matches no path: none does.
    pub(super) fn as_given(line: &str) -> Result<Self, &'static str> {
        Self::read(line, false)
    }

    fn read(line: &str, from_file: bool) -> Result<Self, &'static str> {
        let (exception, path) = match line.strip_prefix('!') {
            Some(rest) => (true, rest.trim()),
            None => (false, line),
        };
        if path.is_empty() {
            return Err("an exception without a pattern");
        }
        let path = clean(path);
        let relative = from_file && path.len() > 1;
        let path = if relative { path.trim_start_matches('/') } else { &path };
        let tokens = tokens(path).ok_or("malformed pattern")?;
        Ok(Self { shape: Shape::of(&tokens), tokens, text: path.to_owned(), exception })
    }

    /// Whether the path or a directory above it matches.
    pub(super) fn matches_or_above(&self, path: &Subject<'_>) -> bool {
        match &self.shape {
            Shape::Path(own) => is_at_or_below(path.bytes, own),
            Shape::Anywhere(own) => {
                below_each_slash(path.bytes).any(|rest| is_at_or_below(rest, own))
            }
            Shape::Wild(start) => path.bytes.starts_with(start) && self.run(path.units()),
        }
    }

    /// Whether it leaves out all that the context holds.
    pub(super) fn hides_all(&self) -> bool {
        !self.exception && matches!(self.text.as_str(), "*" | "**" | "**/*")
    }

    /// Whether an exception could bring back `path` or something below, as far as the text tells: a
    /// wildcard could stand for anything. `""` is the context itself.
    pub(super) fn may_bring_back(&self, path: &str) -> bool {
        let elements: Vec<&str> = self.text.split('/').collect();
        let wild = elements.iter().position(|element| element.contains(['*', '?', '[']));
        let prefix = elements[..wild.unwrap_or(elements.len())].join("/");
        self.exception && (below(&prefix, path) || wild.is_some() && below(path, &prefix))
    }

    fn run(&self, path: &[Unit]) -> bool {
        let mut states = States::new(&self.tokens);
        for (at, unit) in path.iter().enumerate() {
            states.take(*unit);
            let component_ends = path.get(at + 1).is_none_or(|next| *next == SLASH);
            if component_ends && states.complete() {
                return true;
            }
            if states.dead() && !states.complete() {
                return false;
            }
        }
        false
    }

    /// Whether something below `directory` could match.
    pub(super) fn may_match_below(&self, directory: &Subject<'_>) -> bool {
        let mut states = States::new(&self.tokens);
        directory.units().iter().chain(&[SLASH]).for_each(|unit| states.take(*unit));
        !states.dead()
    }
}

impl Shape {
    fn of(tokens: &[Token]) -> Self {
        let (start, rest) = literal_start(tokens);
        match (rest, start.is_empty()) {
            ([], _) => Self::Path(start),
            ([Token::Deep, rest @ ..], true) => match literal_start(rest) {
                (path, []) => Self::Anywhere(path),
                _ => Self::Wild(start),
            },
            _ => Self::Wild(start),
        }
    }
}

/// The bytes that the first tokens match, and the tokens from the first wildcard on.
fn literal_start(tokens: &[Token]) -> (Vec<u8>, &[Token]) {
    let literal = |token: &Token| match token {
        Token::Unit(unit) => char::from_u32(*unit),
        _ => None,
    };
    let text: String = tokens.iter().map_while(literal).collect();
    let count = text.chars().count();
    (text.into_bytes(), &tokens[count..])
}

fn is_at_or_below(path: &[u8], directory: &[u8]) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| matches!(rest.first(), None | Some(b'/')))
}

/// The path, and what follows each of its slashes.
fn below_each_slash(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
    std::iter::once(path).chain(slashes.map(|(at, _)| &path[at + 1..]))
}

impl<'a> Subject<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, units: OnceCell::new() }
    }

    fn units(&self) -> &[Unit] {
        self.units.get_or_init(|| units(self.bytes))
    }
}

/// Whether `path` is `base` or below it.
fn below(path: &str, base: &str) -> bool {
    base.is_empty() || is_at_or_below(path.as_bytes(), base.as_bytes())
}

/// The shortest path that means the same, as Go's `filepath.Clean` has it.
pub(super) fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    match (rooted, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}

fn tokens(pattern: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        tokens.push(match c {
            '*' if chars.next_if_eq(&'*').is_some() => {
                chars.next_if_eq(&'/');
                if chars.peek().is_some() { Token::Deep } else { Token::Rest }
            }
            '*' => Token::Star,
            '?' => Token::Any,
            '[' => Token::Class(Class::read(&mut chars).filter(|class| !class.is_reversed())?),
            '\\' => Token::Unit(Unit::from(chars.next()?)),
            c => Token::Unit(Unit::from(c)),
        });
    }
    suffix(pattern, &mut tokens);
    Some(tokens)
}

/// `**name` without other wildcards matches every path that ends so, not only whole components: a
/// rule of moby's that `**.go` relies on.
fn suffix(pattern: &str, tokens: &mut [Token]) {
    let literal = |token: &Token| matches!(token, Token::Unit(_));
    if let [first @ Token::Deep, rest @ ..] = tokens
        && rest.iter().all(literal)
        && !pattern.starts_with("**/")
        && !pattern.contains('\\')
    {
        *first = Token::Rest;
    }
}

#[cfg(test)]
mod tests {
    use super::{Pattern, Subject};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_shape_decides_as_the_states_do(
            line in "(\\*\\*/)?[ab*/]{1,6}",
            path in "[ab](/[ab]{1,2}){0,4}",
        ) {
            let pattern = Pattern::new(&line).unwrap();
            let subject = Subject::new(path.as_bytes());
            prop_assert_eq!(pattern.matches_or_above(&subject), pattern.run(subject.units()));
        }
    }
}
