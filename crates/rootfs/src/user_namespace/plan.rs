//! Which ids a user namespace will have, and who may map them: subuid(5), newuidmap(1).

use std::fs;

use rustix::thread::{CapabilitySet, capabilities};

use super::ids::{self, IdRange};

/// The two maps of a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Users,
    Groups,
}

impl Kind {
    /// The map's file in `/proc/PID`.
    pub(super) fn map(self) -> &'static str {
        match self {
            Self::Users => "uid_map",
            Self::Groups => "gid_map",
        }
    }

    /// Who maps more than one's own id.
    pub(super) fn program(self) -> &'static str {
        match self {
            Self::Users => "newuidmap",
            Self::Groups => "newgidmap",
        }
    }

    /// Where it stands which ids a user has besides.
    fn file(self) -> &'static str {
        match self {
            Self::Users => "/etc/subuid",
            Self::Groups => "/etc/subgid",
        }
    }
}

/// How a map comes about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Map {
    /// The process itself maps its own id.
    Own,
    /// By the set-user-ID programs, as the files in `/etc` allow.
    Program(Vec<IdRange>),
    /// By a process outside that may change its ids: all that it has, to themselves.
    Same(Vec<IdRange>),
}

/// What is to be mapped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) users: Map,
    pub(super) groups: Map,
    /// Why there is no more than one's own ids.
    pub(super) lone: Option<String>,
}

impl Plan {
    /// The best for who has these ids now.
    pub(super) fn find(user: u32, group: u32) -> Self {
        if may_map_all() {
            let all = |kind: Kind| {
                let map = fs::read_to_string(format!("/proc/self/{}", kind.map()));
                // By a map of all ids everybody would take it for the machine's own namespace.
                let count = |range: IdRange| range.count.min(u32::MAX - 1);
                let same = |range: IdRange| IdRange {
                    outside: range.inside,
                    count: count(range),
                    ..range
                };
                Map::Same(ids::parse(&map.unwrap_or_default()).into_iter().map(same).collect())
            };
            return Self { users: all(Kind::Users), groups: all(Kind::Groups), lone: None };
        }
        let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let name = name_of(&passwd, user);
        let given = |kind: Kind, own: u32| {
            let text = fs::read_to_string(kind.file()).unwrap_or_default();
            let more = subordinate(&text, name, user);
            if more.is_empty() { Err(kind.file()) } else { Ok(Map::Program(with_own(own, &more))) }
        };
        match (given(Kind::Users, user), given(Kind::Groups, group)) {
            (Ok(users), Ok(groups)) => Self { users, groups, lone: None },
            (Err(file), _) | (_, Err(file)) => {
                let who = name.map_or_else(|| user.to_string(), str::to_owned);
                let lone = Some(format!("{file} has no line for {who}"));
                Self { users: Map::Own, groups: Map::Own, lone }
            }
        }
    }
}

/// Whether this process can write any map, as root of a container can.
fn may_map_all() -> bool {
    let needed = CapabilitySet::SETUID | CapabilitySet::SETGID | CapabilitySet::SETFCAP;
    capabilities(None).is_ok_and(|held| held.effective.contains(needed))
}

/// The name of a user in a passwd(5).
pub(super) fn name_of(passwd: &str, user: u32) -> Option<&str> {
    let name = |line: &'_ str| -> Option<(u32, usize)> {
        let mut fields = line.split(':');
        let length = fields.next()?.len();
        Some((fields.nth(1)?.parse().ok()?, length))
    };
    passwd.lines().find_map(|line| match name(line) {
        Some((id, length)) if id == user => Some(&line[..length]),
        _ => None,
    })
}

/// The ranges that a subuid(5) gives a user, by name or number: first ids and how many.
fn subordinate(text: &str, name: Option<&str>, user: u32) -> Vec<(u32, u32)> {
    let number = user.to_string();
    let range = |line: &str| {
        let mut fields = line.trim().split(':');
        let who = fields.next()?;
        let (first, count) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        (count > 0 && (who == number || Some(who) == name)).then_some((first, count))
    };
    text.lines().filter_map(range).collect()
}

/// One's own id as root, and the others from 1 up.
fn with_own(own: u32, more: &[(u32, u32)]) -> Vec<IdRange> {
    let mut ranges = vec![IdRange { inside: 0, outside: own, count: 1 }];
    let mut inside = 1_u32;
    for &(outside, count) in more {
        // The highest number is no id.
        let count = count.min((u32::MAX - 1).saturating_sub(inside));
        if count > 0 {
            ranges.push(IdRange { inside, outside, count });
            inside += count;
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0::/root:/bin/sh\nbroken\nann:x:1000:1000::/:/bin/sh\n";

    #[test]
    fn users_have_names() {
        assert_eq!(name_of(PASSWD, 1000), Some("ann"));
        assert_eq!(name_of(PASSWD, 0), Some("root"));
        assert_eq!(name_of(PASSWD, 7), None);
    }

    #[test]
    fn ids_by_name_and_by_number() {
        let text =
            "bob:1:2\nann:100000:65536\n# x\nann:x:1\n1000:300000:10\nann:5:0\nannabel:7:7\n";
        assert_eq!(subordinate(text, Some("ann"), 1000), [(100_000, 65_536), (300_000, 10)]);
        assert_eq!(subordinate(text, None, 1000), [(300_000, 10)]);
        assert_eq!(subordinate(text, Some("eve"), 5), []);
    }

    #[test]
    fn own_id_is_root_and_the_others_follow() {
        let range = |inside, outside, count| IdRange { inside, outside, count };
        assert_eq!(
            with_own(1000, &[(100_000, 65_536), (300_000, 10)]),
            [range(0, 1000, 1), range(1, 100_000, 65_536), range(65_537, 300_000, 10)]
        );
        assert_eq!(with_own(1, &[(2, u32::MAX)]), [range(0, 1, 1), range(1, 2, u32::MAX - 2)]);
    }
}
