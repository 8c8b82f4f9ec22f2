//! `.dockerignore` as moby's ignorefile reader and patternmatcher have it (Dockerfile reference,
//! ".dockerignore files").

use crate::wildcard::{Class, SLASH, States, Token, Unit, units};

/// A `.dockerignore` that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}: {pattern:?}")]
pub struct IgnoreError {
    /// Counted from 1.
    pub line: usize,
    /// The line.
    pub pattern: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

/// Which files of a build context are left out. Paths are relative to the context, components
/// separated by `/`, without `.` and `..`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IgnorePatterns {
    patterns: Vec<Pattern>,
}

/// What a walk over a context does with a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Descent {
    /// It is part of the context.
    Enter,
    /// It is ignored, but something below may not be: look inside, and keep the directory if
    /// something is found.
    Search,
    /// It is ignored with all that is below.
    Skip,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern {
    tokens: Vec<Token>,
    /// `!`: what matches is not ignored.
    exception: bool,
}

impl IgnorePatterns {
    /// Reads the lines of a `.dockerignore`.
    ///
    /// # Errors
    /// A malformed pattern, or `!` alone.
    pub fn parse(text: &[u8]) -> Result<Self, IgnoreError> {
        let text = String::from_utf8_lossy(text);
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let mut patterns = Vec::new();
        for (index, line) in text.lines().enumerate() {
            if line.starts_with('#') || line.trim().is_empty() {
                continue;
            }
            let pattern = Pattern::new(line.trim()).map_err(|problem| IgnoreError {
                line: index + 1,
                pattern: line.trim().to_owned(),
                problem,
            })?;
            patterns.push(pattern);
        }
        Ok(Self { patterns })
    }

    /// Whether there are no patterns.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Whether `path` is ignored: the last pattern that matches it or a directory above decides.
    pub fn matches(&self, path: &[u8]) -> bool {
        self.last_match(&units(path)).is_some_and(|at| !self.patterns[at].exception)
    }

    /// What to do with the directory `path`.
    pub fn directory(&self, path: &[u8]) -> Descent {
        let path = units(path);
        let Some(last) = self.last_match(&path).filter(|at| !self.patterns[*at].exception) else {
            return Descent::Enter;
        };
        // Only an exception that comes later can bring back what this pattern ignores.
        let later = &self.patterns[last + 1..];
        match later.iter().any(|pattern| pattern.exception && pattern.may_match_below(&path)) {
            true => Descent::Search,
            false => Descent::Skip,
        }
    }

    fn last_match(&self, path: &[Unit]) -> Option<usize> {
        self.patterns.iter().rposition(|pattern| pattern.matches_or_above(path))
    }
}

impl Pattern {
    fn new(line: &str) -> Result<Self, &'static str> {
        let (exception, path) = match line.strip_prefix('!') {
            Some(rest) => (true, rest.trim()),
            None => (false, line),
        };
        if path.is_empty() {
            return Err("an exception without a pattern");
        }
        let path = clean(path);
        let path = if path.len() > 1 { path.trim_start_matches('/') } else { &path };
        let tokens = tokens(path).ok_or("malformed pattern")?;
        Ok(Self { tokens, exception })
    }

    /// Whether the path or a directory above it matches.
    fn matches_or_above(&self, path: &[Unit]) -> bool {
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

    fn may_match_below(&self, directory: &[Unit]) -> bool {
        let mut states = States::new(&self.tokens);
        directory.iter().chain(&[SLASH]).for_each(|unit| states.take(*unit));
        !states.dead()
    }
}

/// The shortest path that means the same, as Go's `filepath.Clean` has it.
fn clean(path: &str) -> String {
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
            '[' => Token::Class(Class::read(&mut chars)?),
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
