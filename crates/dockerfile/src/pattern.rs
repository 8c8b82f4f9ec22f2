//! Shell patterns of `${name#pattern}`, `%` and `/`: `*`, `?` and escapes, no brackets (POSIX.1-2017,
//! 2.13, as far as Dockerfiles have it).

use crate::expand::ExpandProblem;

/// Which of several matches is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    Shortest,
    Longest,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Any,
    Star,
    Char(char),
}

/// A compiled pattern.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    tokens: Vec<Token>,
}

impl Pattern {
    /// Compiles `text`, in which `escape` makes a following `*`, `?`, `}`, `/` or itself ordinary.
    pub(crate) fn new(text: &str, escape: char) -> Result<Self, ExpandProblem> {
        let mut tokens = Vec::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            let token = match c {
                '*' => Token::Star,
                '?' => Token::Any,
                c if c == escape => Token::Char(escaped(chars.next(), escape)?),
                c => Token::Char(c),
            };
            // `**` is `*`: fewer states to run.
            if token != Token::Star || tokens.last() != Some(&Token::Star) {
                tokens.push(token);
            }
        }
        Ok(Self { tokens })
    }

    pub(crate) fn without_prefix(&self, value: &str, reach: Reach) -> String {
        let chars: Vec<char> = value.chars().collect();
        match prefix(&self.tokens, &chars, reach) {
            Some(length) => chars[length..].iter().collect(),
            None => value.to_owned(),
        }
    }

    pub(crate) fn without_suffix(&self, value: &str, reach: Reach) -> String {
        let tokens: Vec<Token> = self.tokens.iter().rev().copied().collect();
        let chars: Vec<char> = value.chars().rev().collect();
        match prefix(&tokens, &chars, reach) {
            Some(length) => chars[length..].iter().rev().collect(),
            None => value.to_owned(),
        }
    }

    /// Replaces the longest match at the first place where there is one, or there and at all places
    /// behind it. An empty match directly behind another match does not count.
    pub(crate) fn replace(&self, value: &str, replacement: &str, all: bool) -> String {
        let chars: Vec<char> = value.chars().collect();
        let mut result = String::new();
        let (mut at, mut end_of_last, mut wanted) = (0, None, true);
        while at <= chars.len() {
            let found =
                wanted.then(|| prefix(&self.tokens, &chars[at..], Reach::Longest)).flatten();
            let found = found.filter(|length| *length > 0 || end_of_last != Some(at));
            if let Some(length) = found {
                result += replacement;
                wanted = all;
                at += length;
                end_of_last = Some(at);
            }
            if found.is_none_or(|length| length == 0) {
                result.extend(chars.get(at));
                at += 1;
            }
        }
        result
    }
}

fn escaped(c: Option<char>, escape: char) -> Result<char, ExpandProblem> {
    match c {
        Some(c @ ('*' | '?' | '}' | '/')) => Ok(c),
        Some(c) if c == escape => Ok(c),
        c => {
            let escape = std::iter::once(escape).chain(c).collect();
            Err(ExpandProblem::InvalidPattern { escape })
        }
    }
}

/// The length of the shortest or longest start of `text` that `tokens` match as a whole: all states
/// are run side by side, so that no pattern takes exponential time.
fn prefix(tokens: &[Token], text: &[char], reach: Reach) -> Option<usize> {
    let mut states = vec![false; tokens.len() + 1];
    states[0] = true;
    let mut found = None;
    for at in 0..=text.len() {
        skip_stars(tokens, &mut states);
        if states[tokens.len()] {
            found = Some(at);
            if reach == Reach::Shortest {
                break;
            }
        }
        match text.get(at) {
            Some(c) if states.contains(&true) => states = advance(tokens, &states, *c),
            _ => break,
        }
    }
    found
}

fn skip_stars(tokens: &[Token], states: &mut [bool]) {
    for (index, token) in tokens.iter().enumerate() {
        if states[index] && *token == Token::Star {
            states[index + 1] = true;
        }
    }
}

fn advance(tokens: &[Token], states: &[bool], c: char) -> Vec<bool> {
    let mut next = vec![false; states.len()];
    for (index, token) in tokens.iter().enumerate().filter(|(index, _)| states[*index]) {
        match token {
            Token::Star => next[index] = true,
            Token::Any => next[index + 1] = true,
            Token::Char(wanted) if *wanted == c => next[index + 1] = true,
            Token::Char(_) => {}
        }
    }
    next
}
