//! The ids of the user namespace that this process is in.

use std::fs;
use std::sync::OnceLock;

/// Ids that lie side by side, inside and outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdRange {
    /// The first one, in the namespace.
    pub inside: u32,
    /// The same one, in the namespace around it.
    pub outside: u32,
    /// How many there are.
    pub count: u32,
}

/// The users and groups of a user namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ids {
    users: Vec<IdRange>,
    groups: Vec<IdRange>,
    sets_groups: bool,
}

/// The ids that this process can give to files; `None` in the machine's own namespace, where those are all.
/// Not to be asked before [`enter`](super::enter).
pub fn ids() -> Option<&'static Ids> {
    static IDS: OnceLock<Option<Ids>> = OnceLock::new();
    IDS.get_or_init(|| {
        let read = |name: &str| parse(&fs::read_to_string(name).unwrap_or_default());
        let users = read("/proc/self/uid_map");
        let sets_groups =
            || fs::read_to_string("/proc/self/setgroups").is_ok_and(|word| word.trim() == "allow");
        (!is_whole(&users)).then(|| Ids {
            users,
            groups: read("/proc/self/gid_map"),
            sets_groups: sets_groups(),
        })
    })
    .as_ref()
}

impl Ids {
    /// Whether a file can belong to the user.
    pub fn has_user(&self, id: u32) -> bool {
        has(&self.users, id)
    }

    /// Whether a file can belong to the group.
    pub fn has_group(&self, id: u32) -> bool {
        has(&self.groups, id)
    }

    /// Whether a process may have supplementary groups.
    pub fn sets_groups(&self) -> bool {
        self.sets_groups
    }

    /// How many users there are.
    pub fn users(&self) -> u64 {
        self.users.iter().map(|range| u64::from(range.count)).sum()
    }

    /// Who is root here, by the id in the namespace around it.
    pub fn root(&self) -> Option<u32> {
        self.users.iter().find(|range| range.inside == 0).map(|range| range.outside)
    }
}

fn has(ranges: &[IdRange], id: u32) -> bool {
    ranges.iter().any(|range| id.checked_sub(range.inside).is_some_and(|at| at < range.count))
}

/// Reads a map: `INSIDE OUTSIDE COUNT` on each line (user_namespaces(7)).
pub(super) fn parse(map: &str) -> Vec<IdRange> {
    let line = |line: &str| {
        let mut numbers = line.split_whitespace().map(|number| number.parse().ok());
        let mut next = || numbers.next().flatten();
        Some(IdRange { inside: next()?, outside: next()?, count: next()? })
    };
    map.lines().filter_map(line).collect()
}

/// The first namespace maps all ids to themselves. Without procfs there is no telling: that is taken for it.
fn is_whole(users: &[IdRange]) -> bool {
    users.is_empty() || users == [IdRange { inside: 0, outside: 0, count: u32::MAX }]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_says_which_ids_there_are() {
        let users = parse("         0       1000          1\n         1     100000      65536\n");
        assert!(!is_whole(&users));
        let ids = Ids { users, groups: parse("0 1000 1\n"), sets_groups: false };
        assert_eq!((ids.users(), ids.root()), (65_537, Some(1000)));
        for (id, has) in [(0, true), (1, true), (65_536, true), (65_537, false), (u32::MAX, false)]
        {
            assert_eq!(ids.has_user(id), has, "{id}");
        }
        assert!(ids.has_group(0) && !ids.has_group(5));
    }

    #[test]
    fn the_machines_own_namespace_has_all() {
        assert!(is_whole(&parse("         0          0 4294967295\n")));
        assert!(!is_whole(&parse("0 0 65536\n")));
    }
}
