//! `--chmod`: a mode in octal, or in chmod(1)'s symbols.

use std::fmt;
use std::str::FromStr;

/// A `--chmod`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chmod {
    /// Permission bits.
    Octal(u16),
    /// Changes, one after the other, and how they were written.
    Symbolic(String, Vec<Clause>),
}

/// As it was written, or the same in octal.
impl fmt::Display for Chmod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Octal(mode) => write!(f, "{mode:o}"),
            Self::Symbolic(text, _) => f.write_str(text),
        }
    }
}

/// One change of a symbolic mode: `go-w`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clause {
    /// Whose bits: a mask of `0o700`, `0o070`, `0o007` and the set-id and sticky bits that go along.
    who: u16,
    operator: Operator,
    what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Add,
    Remove,
    Set,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    /// Bits for everyone, of which `who` takes its share; `X` adds execution where it is due.
    Bits { bits: u16, conditional_execute: bool },
    /// The bits that another class has: its shift.
    Copy(u32),
}

impl What {
    fn names_sticky(self) -> bool {
        matches!(self, Self::Bits { bits, .. } if bits & STICKY != 0)
    }
}

const STICKY: u16 = 0o1000;

/// The bits of all classes: all but the sticky one.
const EVERYONE: u16 = 0o6777;

/// Text that is no mode.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no mode: use octal digits up to 7777, or symbols such as u+x,go-w")]
pub struct ModeError(String);

impl FromStr for Chmod {
    type Err = ModeError;

    fn from_str(text: &str) -> Result<Self, ModeError> {
        let wrong = || ModeError(text.to_owned());
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            let mode = u16::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o7777);
            return mode.map(Self::Octal).ok_or_else(wrong);
        }
        let mut clauses = Vec::new();
        for part in text.split(',') {
            clauses.extend(clause(part).ok_or_else(wrong)?);
        }
        Ok(Self::Symbolic(text.to_owned(), clauses))
    }
}

impl Chmod {
    /// The mode of a file that had `mode`.
    pub fn apply(&self, mode: u16, directory: bool) -> u16 {
        match self {
            Self::Octal(mode) => *mode,
            Self::Symbolic(_, clauses) => {
                clauses.iter().fold(mode, |mode, clause| clause.apply(mode, directory))
            }
        }
    }
}

impl Clause {
    fn apply(self, mode: u16, directory: bool) -> u16 {
        let bits = match self.what {
            What::Copy(shift) => ((mode >> shift) & 7) * 0o111,
            What::Bits { bits, conditional_execute } => {
                let due = conditional_execute && (directory || mode & 0o111 != 0);
                if due { bits | 0o111 } else { bits }
            }
        } & self.who;
        match self.operator {
            Operator::Add => mode | bits,
            Operator::Remove => mode & !bits,
            Operator::Set => (mode & !self.who) | bits,
        }
    }
}

/// `ug+rw-x`: one class list and its changes.
fn clause(text: &str) -> Option<Vec<Clause>> {
    let end = text.find(['+', '-', '='])?;
    let (classes, mut rest) = text.split_at(end);
    let who = classes.chars().try_fold(0, |mask, class| Some(mask | class_mask(class)?))?;
    let mut who = if classes.is_empty() { EVERYONE } else { who };
    let mut clauses = Vec::new();
    while let Some(sign) = rest.chars().next() {
        let operator = match sign {
            '+' => Operator::Add,
            '-' => Operator::Remove,
            _ => Operator::Set,
        };
        let end = rest[1..].find(['+', '-', '=']).map_or(rest.len(), |end| end + 1);
        let what = what(&rest[1..end])?;
        if what.names_sticky() {
            who = with_sticky(who, classes.is_empty());
        }
        clauses.push(Clause { who, operator, what });
        rest = &rest[end..];
    }
    Some(clauses)
}

fn class_mask(class: char) -> Option<u16> {
    match class {
        'u' => Some(0o4700),
        'g' => Some(0o2070),
        'o' => Some(0o0007),
        'a' => Some(EVERYONE),
        _ => None,
    }
}

/// The sticky bit changes only where it is named, as in BSD's setmode(3), which BuildKit follows: it belongs
/// to the owner and to the group, and where no class is named it is all that such a change is about.
fn with_sticky(who: u16, no_class: bool) -> u16 {
    match who {
        _ if no_class => STICKY,
        who if who & !0o007 != 0 => who | STICKY,
        who => who,
    }
}

fn what(text: &str) -> Option<What> {
    match text {
        "u" => return Some(What::Copy(6)),
        "g" => return Some(What::Copy(3)),
        "o" => return Some(What::Copy(0)),
        _ => {}
    }
    let mut conditional_execute = false;
    let mut bits = 0;
    for symbol in text.chars() {
        bits |= match symbol {
            'r' => 0o444,
            'w' => 0o222,
            'x' => 0o111,
            's' => 0o6000,
            't' => STICKY,
            'X' => {
                conditional_execute = true;
                0
            }
            _ => return None,
        };
    }
    Some(What::Bits { bits, conditional_execute })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_chmod_does() {
        for (text, mode, directory, want) in [
            ("644", 0o777, false, 0o644),
            ("4755", 0, false, 0o4755),
            ("u+x", 0o644, false, 0o744),
            ("+x", 0o644, false, 0o755),
            ("go-w", 0o666, false, 0o644),
            ("a=r", 0o777, false, 0o444),
            ("u=rwx,go=rx", 0, false, 0o755),
            ("u=rwX", 0o644, false, 0o644),
            ("a+X", 0o644, true, 0o755),
            ("a+X", 0o744, false, 0o755),
            ("g=u", 0o640, false, 0o660),
            ("ug+s", 0o755, false, 0o6755),
            ("+t", 0o755, true, 0o1755),
            ("u+r-w", 0o200, false, 0o400),
            ("o=", 0o777, false, 0o770),
            ("u+t", 0o644, false, 0o1644),
            ("o+t", 0o644, false, 0o644),
            ("o+st", 0o644, false, 0o644),
            ("o-t", 0o1644, false, 0o1644),
            ("a=r", 0o7777, false, 0o1444),
            ("=", 0o7777, false, 0o1000),
            ("u=t", 0o644, false, 0o1044),
            ("ug=xt", 0o644, false, 0o1114),
            ("=xt", 0o7777, false, 0o7777),
            ("-rt", 0o1644, false, 0o644),
        ] {
            let chmod: Chmod = text.parse().unwrap();
            assert_eq!(chmod.apply(mode, directory), want, "{text} on {mode:o}");
        }
    }

    #[test]
    fn what_is_no_mode() {
        for text in ["", "8", "99999", "x", "u", "u+q", "z+x", "u+x,", "0x7"] {
            text.parse::<Chmod>().expect_err(text);
        }
    }
}
