//! The wildcards that [`crate::Glob`] and [`crate::IgnorePatterns`] have in common, and one way to
//! run them: all states side by side, so that no pattern takes exponential time.

/// A character of a name, or a byte that belongs to none, so that names of any bytes can be matched.
pub(crate) type Unit = u32;

pub(crate) const SLASH: Unit = b'/' as Unit;
/// Added to a byte that is not UTF-8; no character is that large.
const RAW: Unit = 0x11_0000;

/// The units of a name.
pub(crate) fn units(bytes: &[u8]) -> Vec<Unit> {
    let mut units = Vec::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        units.extend(chunk.valid().chars().map(Unit::from));
        units.extend(chunk.invalid().iter().map(|byte| RAW + Unit::from(*byte)));
    }
    units
}

/// What one piece of a pattern matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// Exactly this.
    Unit(Unit),
    /// `?`: one unit that is no slash.
    Any,
    /// `*`: any number of units that are no slashes.
    Star,
    /// `[…]`
    Class(Class),
    /// `**` before more: nothing, or anything up to and including a slash.
    Deep,
    /// `**` at the end: anything.
    Rest,
}

/// `[a-z]`, `[^a-z]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Class {
    negated: bool,
    ranges: Vec<(Unit, Unit)>,
}

impl Class {
    /// Reads what follows `[` (Go `filepath.Match`); none where it is malformed.
    pub(crate) fn read(chars: &mut impl Iterator<Item = char>) -> Option<Self> {
        let mut class = Self::default();
        let mut next = chars.next()?;
        if next == '^' {
            class.negated = true;
            next = chars.next()?;
        }
        loop {
            if next == ']' {
                return (!class.ranges.is_empty()).then_some(class);
            }
            let low = member(next, chars)?;
            next = chars.next()?;
            let mut high = low;
            if next == '-' {
                let end = chars.next()?;
                high = member(end, chars)?;
                next = chars.next()?;
            }
            class.ranges.push((low, high));
        }
    }

    fn matches(&self, unit: Unit) -> bool {
        self.ranges.iter().any(|(low, high)| (low..=high).contains(&&unit)) != self.negated
    }
}

/// A bound of a range: a character, or an escaped one.
fn member(c: char, chars: &mut impl Iterator<Item = char>) -> Option<Unit> {
    match c {
        '\\' => chars.next().map(Unit::from),
        '-' | ']' => None,
        c => Some(Unit::from(c)),
    }
}

/// The states that a list of tokens is in after some units.
#[derive(Clone, Debug)]
pub(crate) struct States<'a> {
    tokens: &'a [Token],
    on: Vec<bool>,
}

impl<'a> States<'a> {
    pub(crate) fn new(tokens: &'a [Token]) -> Self {
        let mut states = Self { tokens, on: vec![false; tokens.len() + 1] };
        states.enter(0);
        states
    }

    /// Switches a state on, and those that follow tokens which may match nothing.
    fn enter(&mut self, mut at: usize) {
        self.on[at] = true;
        while matches!(self.tokens.get(at), Some(Token::Star | Token::Deep | Token::Rest)) {
            at += 1;
            self.on[at] = true;
        }
    }

    pub(crate) fn take(&mut self, unit: Unit) {
        let before = std::mem::replace(&mut self.on, vec![false; self.tokens.len() + 1]);
        let tokens = self.tokens;
        for (at, token) in tokens.iter().enumerate().filter(|(at, _)| before[*at]) {
            match token {
                Token::Unit(wanted) if *wanted == unit => self.enter(at + 1),
                Token::Any if unit != SLASH => self.enter(at + 1),
                Token::Class(class) if class.matches(unit) => self.enter(at + 1),
                Token::Star if unit != SLASH => self.enter(at),
                Token::Rest => self.enter(at),
                Token::Deep => {
                    self.on[at] = true;
                    if unit == SLASH {
                        self.enter(at + 1);
                    }
                }
                _ => {}
            }
        }
    }

    /// Whether all tokens are matched.
    pub(crate) fn complete(&self) -> bool {
        self.on[self.tokens.len()]
    }

    /// Whether at least one more unit could be taken on the way to a match.
    pub(crate) fn alive(&self) -> bool {
        self.on[..self.tokens.len()].contains(&true)
    }
}
