//! Which devices a container may use: the spec's rules over "none", then those that every container
//! needs (runtime-spec, config-linux.md "Default Devices").

use oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceType, LinuxResources};

use crate::error::{Error, Result};
use crate::notice;

/// One rule; `None` stands for every number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) allow: bool,
    /// `a`, `b` or `c`.
    pub(crate) kind: u8,
    pub(crate) major: Option<u32>,
    pub(crate) minor: Option<u32>,
    pub(crate) read: bool,
    pub(crate) write: bool,
    pub(crate) mknod: bool,
}

impl Rule {
    /// Whether there is an access to a device that both are about.
    fn shares(&self, other: &Self) -> bool {
        let meet =
            |one: Option<u32>, two: Option<u32>| one.is_none() || two.is_none() || one == two;
        self.kind == other.kind
            && meet(self.major, other.major)
            && meet(self.minor, other.minor)
            && (self.read && other.read || self.write && other.write || self.mknod && other.mknod)
    }

    /// Whether it is about all devices that the other is about.
    fn covers(&self, other: &Self) -> bool {
        let within = |one: Option<u32>, two: Option<u32>| one.is_none() || one == two;
        within(self.major, other.major) && within(self.minor, other.minor)
    }

    /// The rule in cgroup v1's notation.
    pub(crate) fn v1(&self) -> String {
        if self.kind == b'a' {
            return "a".into();
        }
        let number = |number: Option<u32>| number.map_or("*".into(), |number| number.to_string());
        let mut access = String::new();
        for (granted, letter) in [(self.read, 'r'), (self.write, 'w'), (self.mknod, 'm')] {
            if granted {
                access.push(letter);
            }
        }
        format!("{} {}:{} {access}", self.kind as char, number(self.major), number(self.minor))
    }
}

/// All rules for a container, in the order in which they count, after "nothing is allowed".
pub(crate) fn rules(resources: &LinuxResources) -> Result<Vec<Rule>> {
    let given = resources.devices().iter().flatten().map(parse);
    given.chain(default_rules().into_iter().map(Ok)).collect()
}

/// Rules that cgroup v1 can keep, to the same effect: it has a list of what is allowed, from which only
/// whole entries are taken. After a rule for all devices it is left to keep the exceptions itself.
///
/// # Errors
/// When a part of what a rule allows is denied by a later one.
pub(crate) fn for_v1(rules: &[Rule]) -> Result<Vec<Rule>> {
    let begin = rules.iter().rposition(|rule| rule.kind == b'a');
    if begin.is_some_and(|place| rules[place].allow) {
        return Ok(rules.to_vec());
    }
    let mut allowed: Vec<Rule> = Vec::new();
    for rule in &rules[begin.map_or(0, |place| place + 1)..] {
        if rule.allow {
            allowed.push(*rule);
        } else {
            take_out(&mut allowed, rule)?;
        }
    }
    Ok(allowed)
}

fn take_out(allowed: &mut Vec<Rule>, denied: &Rule) -> Result<()> {
    for rule in allowed.iter_mut().filter(|rule| rule.shares(denied)) {
        if !denied.covers(rule) {
            let (part, whole) = (denied.v1(), rule.v1());
            return Err(refused(&format!("cgroup v1 cannot deny {part:?} alone of {whole:?}")));
        }
        rule.read &= !denied.read;
        rule.write &= !denied.write;
        rule.mknod &= !denied.mknod;
    }
    allowed.retain(|rule| rule.read || rule.write || rule.mknod);
    Ok(())
}

/// What every container may do: make any node, and use the harmless devices and terminals.
pub(crate) fn default_rules() -> Vec<Rule> {
    let all = Rule {
        allow: true,
        kind: b'c',
        major: None,
        minor: None,
        read: true,
        write: true,
        mknod: true,
    };
    let make = |kind| Rule { kind, read: false, write: false, ..all };
    let usable = |major, minor| Rule { major: Some(major), minor, ..all };
    let mut rules = vec![make(b'c'), make(b'b')];
    rules.extend([3, 5, 7, 8, 9].map(|minor| usable(1, Some(minor))));
    rules.extend([
        usable(5, Some(0)),
        usable(5, Some(2)),
        usable(136, None),
        usable(10, Some(200)),
    ]);
    rules
}

fn parse(rule: &LinuxDeviceCgroup) -> Result<Rule> {
    let kind = match rule.typ() {
        None | Some(LinuxDeviceType::A) => b'a',
        Some(LinuxDeviceType::B) => b'b',
        Some(LinuxDeviceType::C | LinuxDeviceType::U) => b'c',
        Some(LinuxDeviceType::P) => return Err(refused("a pipe is no device")),
    };
    let number = |number: Option<i64>| match number {
        None | Some(-1) => Ok(None),
        Some(number) => {
            u32::try_from(number).map(Some).map_err(|_| refused("a number is too large"))
        }
    };
    let access = rule.access().as_deref().unwrap_or("rwm");
    if !access.contains(['r', 'w', 'm']) {
        return Err(refused("access is made of r, w and m"));
    }
    if access.chars().any(|letter| !"rwm".contains(letter)) {
        // As runc does, which says nothing.
        notice::warn(&format!(
            "linux.resources.devices: of the access {access:?} only r, w and m count"
        ));
    }
    let (major, minor) = (number(rule.major())?, number(rule.minor())?);
    let has = |letter| access.contains(letter);
    Ok(Rule {
        allow: rule.allow(),
        kind,
        major,
        minor,
        read: has('r'),
        write: has('w'),
        mknod: has('m'),
    })
}

fn refused(reason: &str) -> Error {
    Error::spec("linux.resources.devices", reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_denied_is_not_in_the_list() {
        let rule = |allow, major, minor, access: &str| Rule {
            allow,
            kind: b'b',
            major,
            minor,
            read: access.contains('r'),
            write: access.contains('w'),
            mknod: access.contains('m'),
        };
        let all = Rule { kind: b'a', ..rule(true, None, None, "rwm") };
        let one = rule(true, Some(8), Some(1), "rw");
        let deny = |major, minor, access| rule(false, major, minor, access);
        let list = |rules: &[Rule]| -> Result<Vec<String>> {
            Ok(for_v1(rules)?.iter().map(Rule::v1).collect())
        };
        assert_eq!(list(&[one, deny(Some(8), None, "w")]).unwrap(), ["b 8:1 r"]);
        assert_eq!(list(&[one, deny(None, None, "rwm")]).unwrap(), [""; 0]);
        assert_eq!(list(&[one, deny(Some(9), None, "rwm")]).unwrap(), ["b 8:1 rw"]);
        assert_eq!(list(&[all, one]).unwrap(), ["a", "b 8:1 rw"]);
        assert_eq!(list(&[all, Rule { allow: false, ..all }, one]).unwrap(), ["b 8:1 rw"]);
        let wide = rule(true, Some(8), None, "rw");
        assert_eq!(list(&[wide, deny(Some(8), Some(1), "m")]).unwrap(), ["b 8:* rw"]);
        let error = for_v1(&[wide, deny(Some(8), Some(1), "w")]).unwrap_err().to_string();
        assert!(error.contains("b 8:1 w") && error.contains("b 8:* rw"), "{error}");
    }

    #[test]
    fn writes_the_old_notation() {
        let text: Vec<_> = default_rules().iter().map(Rule::v1).collect();
        assert_eq!(text[0], "c *:* m");
        assert!(text.contains(&"c 136:* rwm".to_owned()));
        let given: LinuxDeviceCgroup =
            serde_json::from_str(r#"{"allow":true,"type":"b","major":8,"minor":0,"access":"rw"}"#)
                .unwrap();
        assert_eq!(parse(&given).unwrap().v1(), "b 8:0 rw");
    }

    #[test]
    fn access_counts_in_any_order_and_other_letters_do_not() {
        let access = |access: &str| {
            let rule = serde_json::json!({"allow": false, "type": "c", "access": access});
            parse(&serde_json::from_value(rule).unwrap()).map(|rule| rule.v1())
        };
        for (given, read) in [("mr", "rm"), ("wmr", "rwm"), ("rwa", "rw"), ("ww", "w")] {
            assert_eq!(access(given).unwrap(), format!("c *:* {read}"));
        }
        for wrong in ["", "a", "R"] {
            assert!(access(wrong).is_err(), "{wrong:?}");
        }
    }
}
