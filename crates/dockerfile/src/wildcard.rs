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

    /// Whether a range ends before it begins.
    pub(crate) fn is_reversed(&self) -> bool {
        self.ranges.iter().any(|(low, high)| low > high)
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

/// The states that a list of tokens is in after some units. State n means that the first n tokens
/// are matched.
#[derive(Clone, Debug)]
pub(crate) struct States<'a> {
    tokens: &'a [Token],
    on: Bits,
}

impl<'a> States<'a> {
    pub(crate) fn new(tokens: &'a [Token]) -> Self {
        let mut states = Self { tokens, on: Bits::new(tokens.len() + 1) };
        states.enter(0);
        states
    }

    /// Switches a state on, and those that follow tokens which may match nothing.
    fn enter(&mut self, mut at: usize) {
        self.on.set(at);
        while matches!(self.tokens.get(at), Some(Token::Star | Token::Deep | Token::Rest)) {
            at += 1;
            self.on.set(at);
        }
    }

    pub(crate) fn take(&mut self, unit: Unit) {
        let before = self.on.take();
        before.each(|at| self.step(at, unit));
    }

    /// Where `unit` leads from the state `at`.
    fn step(&mut self, at: usize, unit: Unit) {
        match self.tokens.get(at) {
            Some(Token::Unit(wanted)) if *wanted == unit => self.enter(at + 1),
            Some(Token::Any) if unit != SLASH => self.enter(at + 1),
            Some(Token::Class(class)) if class.matches(unit) => self.enter(at + 1),
            Some(Token::Star) if unit != SLASH => self.enter(at),
            Some(Token::Rest) => self.enter(at),
            Some(Token::Deep) => {
                self.on.set(at);
                if unit == SLASH {
                    self.enter(at + 1);
                }
            }
            _ => {}
        }
    }

    /// Whether all tokens are matched.
    pub(crate) fn complete(&self) -> bool {
        self.on.has(self.tokens.len())
    }

    /// Whether no more units can lead to a match.
    pub(crate) fn dead(&self) -> bool {
        self.on.none_below(self.tokens.len())
    }
}

/// A set of small numbers. A walk over a large context makes millions of them, so that one word,
/// without allocation, must do for patterns of usual length.
#[derive(Clone, Debug)]
struct Bits {
    first: u64,
    /// The numbers from 64 on.
    more: Vec<u64>,
}

impl Bits {
    fn new(size: usize) -> Self {
        Self { first: 0, more: vec![0; size.saturating_sub(1) / 64] }
    }

    fn set(&mut self, at: usize) {
        match at.checked_sub(64) {
            None => self.first |= 1 << at,
            Some(rest) => self.more[rest / 64] |= 1 << (rest % 64),
        }
    }

    fn has(&self, at: usize) -> bool {
        match at.checked_sub(64) {
            None => self.first >> at & 1 == 1,
            Some(rest) => self.more[rest / 64] >> (rest % 64) & 1 == 1,
        }
    }

    /// Whether it holds no number below `end`, which is its largest possible one.
    fn none_below(&self, end: usize) -> bool {
        let count: u32 =
            self.first.count_ones() + self.more.iter().map(|word| word.count_ones()).sum::<u32>();
        count == u32::from(self.has(end))
    }

    /// Empties it into another.
    fn take(&mut self) -> Self {
        let more = self.more.iter_mut().map(std::mem::take).collect();
        Self { first: std::mem::take(&mut self.first), more }
    }

    fn each(&self, mut visit: impl FnMut(usize)) {
        let words = std::iter::once(&self.first).chain(&self.more);
        for (index, word) in words.enumerate() {
            let mut word = *word;
            while word != 0 {
                visit(index * 64 + word.trailing_zeros() as usize);
                word &= word - 1;
            }
        }
    }
}
