//! Device rules as properties of a unit (systemd.resource-control(5), "DeviceAllow="), as runc sets them:
//! who asks systemd is told what a container may use.
//!
//! What holds is the kernel's program, which the runtime attaches itself beside systemd's: systemd has no
//! word for a rule that takes back a part of another.

use std::collections::BTreeMap;

use super::super::device::Rule;
use super::value::Value;

/// What is allowed of one kind, major and minor number; None stands for every number.
type Allowed = BTreeMap<(u8, Option<u32>, Option<u32>), [bool; 3]>;

/// The policy and its exceptions, out of rules of which the last one that matches counts.
pub(super) fn properties(rules: &[Rule]) -> Vec<(String, Value)> {
    let (policy, allowed) = match settle(rules) {
        None => ("auto", Vec::new()),
        Some(allowed) => ("strict", exceptions(&allowed)),
    };
    vec![
        ("DevicePolicy".to_owned(), Value::text(policy)),
        ("DeviceAllow".to_owned(), Value::Array("(ss)".into(), allowed)),
    ]
}

/// None: everything is allowed.
fn settle(rules: &[Rule]) -> Option<Allowed> {
    let mut settled = Some(Allowed::new());
    for rule in rules {
        if rule.kind == b'a' {
            settled = (!rule.allow).then(Allowed::new);
            continue;
        }
        let Some(allowed) = &mut settled else { continue };
        let have = allowed.entry((rule.kind, rule.major, rule.minor)).or_default();
        for (have, named) in have.iter_mut().zip([rule.read, rule.write, rule.mknod]) {
            *have = if named { rule.allow } else { *have };
        }
    }
    settled
}

fn exceptions(allowed: &Allowed) -> Vec<Value> {
    let one = |(&(kind, major, minor), access): (&_, &[bool; 3])| {
        let letters = ["r", "w", "m"].into_iter().zip(access);
        let access: String = letters.filter_map(|(letter, &has)| has.then_some(letter)).collect();
        let name = name(kind, major, minor).filter(|_| !access.is_empty())?;
        Some(Value::Tuple(vec![Value::text(name), Value::text(access)]))
    };
    allowed.iter().filter_map(one).collect()
}

/// systemd's name for devices; None where it has none.
fn name(kind: u8, major: Option<u32>, minor: Option<u32>) -> Option<String> {
    let kind = if kind == b'b' { "block" } else { "char" };
    match (major, minor) {
        (None, None) => Some(format!("{kind}-*")),
        (Some(major), Some(minor)) => Some(format!("/dev/{kind}/{major}:{minor}")),
        (Some(major), None) => Some(format!("{kind}-{major}")),
        (None, Some(_)) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(allow: bool, kind: u8, major: Option<u32>, minor: Option<u32>, letters: &str) -> Rule {
        let has = |letter| letters.contains(letter);
        let (read, write, mknod) = (has('r'), has('w'), has('m'));
        Rule { allow, kind, major, minor, read, write, mknod }
    }

    fn told(rules: &[Rule]) -> Option<Vec<Value>> {
        settle(rules).map(|allowed| exceptions(&allowed))
    }

    #[test]
    fn rules_become_exceptions() {
        let rules = [
            rule(true, b'c', None, None, "m"),
            rule(true, b'c', Some(136), None, "rwm"),
            rule(true, b'b', Some(8), Some(1), "rw"),
            rule(false, b'b', Some(8), Some(1), "w"),
        ];
        let pair =
            |name: &str, access: &str| Value::Tuple(vec![Value::text(name), Value::text(access)]);
        let wanted =
            vec![pair("/dev/block/8:1", "r"), pair("char-*", "m"), pair("char-136", "rwm")];
        assert_eq!(told(&rules), Some(wanted));
    }

    #[test]
    fn the_last_word_about_all_counts() {
        let (all, none) =
            (rule(true, b'a', None, None, "rwm"), rule(false, b'a', None, None, "rwm"));
        assert_eq!(told(&[none, all]), None);
        assert_eq!(told(&[all, none]), Some(Vec::new()));
        assert_eq!(told(&[]), Some(Vec::new()));
    }
}
