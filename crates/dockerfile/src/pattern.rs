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
        match ends(&self.tokens, &chars, reach)[0] {
            Some(end) => chars[end..].iter().collect(),
            None => value.to_owned(),
        }
    }

    pub(crate) fn without_suffix(&self, value: &str, reach: Reach) -> String {
        let tokens: Vec<Token> = self.tokens.iter().rev().copied().collect();
        let chars: Vec<char> = value.chars().rev().collect();
        match ends(&tokens, &chars, reach)[0] {
            Some(end) => chars[end..].iter().rev().collect(),
            None => value.to_owned(),
        }
    }

    /// Replaces the longest match at the first place where there is one, or there and at all places
    /// behind it. An empty match directly behind another match does not count.
    pub(crate) fn replace(&self, value: &str, replacement: &str, all: bool) -> String {
        let chars: Vec<char> = value.chars().collect();
        let ends = ends(&self.tokens, &chars, Reach::Longest);
        let mut result = String::new();
        let (mut at, mut end_of_last, mut wanted) = (0, None, true);
        while at <= chars.len() {
            let end = ends[at].filter(|end| wanted && (*end > at || end_of_last != Some(at)));
            if end.is_some() {
                result += replacement;
                wanted = all;
                end_of_last = end;
            }
            match end {
                Some(end) if end > at => at = end,
                _ => {
                    result.extend(chars.get(at));
                    at += 1;
                }
            }
        }
        result
    }

    /// How many steps it takes to match a text of `length` bytes.
    pub(crate) fn steps(&self, length: usize) -> usize {
        (self.tokens.len() + 1).saturating_mul(length)
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

/// For each place in `text`, its end included, where the shortest or longest match that begins there
/// ends. From the end of the text to its start, so that each place takes one step per token: no
/// pattern takes exponential or quadratic time.
fn ends(tokens: &[Token], text: &[char], reach: Reach) -> Vec<Option<usize>> {
    let mut ends = vec![None; text.len() + 1];
    let mut later = vec![None; tokens.len() + 1];
    for at in (0..=text.len()).rev() {
        let mut here = vec![None; tokens.len() + 1];
        here[tokens.len()] = Some(at);
        for (index, token) in tokens.iter().enumerate().rev() {
            here[index] = match (token, text.get(at)) {
                (Token::Star, _) => farther(here[index + 1], later[index], reach),
                (Token::Any, Some(_)) => later[index + 1],
                (Token::Char(wanted), Some(c)) if wanted == c => later[index + 1],
                _ => None,
            };
        }
        ends[at] = here[0];
        later = here;
    }
    ends
}

/// The end that is meant; `short` is not behind `long` where there are both.
fn farther(short: Option<usize>, long: Option<usize>, reach: Reach) -> Option<usize> {
    match reach {
        Reach::Shortest => short.or(long),
        Reach::Longest => long.or(short),
    }
}
