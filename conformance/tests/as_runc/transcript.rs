//! What a session told, without what must differ between two sessions; and what differs between two.

use std::path::Path;

/// What a session has for itself alone.
pub(crate) struct Places<'s> {
    pub(crate) work: &'s Path,
    /// The name of its cgroup.
    pub(crate) group: &'s str,
    pub(crate) program: &'s Path,
}

impl Places<'_> {
    /// The text's lines, with words for the session's own names.
    pub(crate) fn normalize(&self, text: &str) -> Vec<String> {
        let work = self.work.to_string_lossy();
        let text = text.replace(&*work, "WORK").replace(self.group, "GROUP");
        let text = text.replace(&*self.program.to_string_lossy(), "RUNTIME");
        text.lines().map(|line| namespaces(line.trim_end())).collect()
    }
}

/// A line with `HOST` and `OTHER` for the numbers of namespaces: `pid:[4026531836]`.
fn namespaces(line: &str) -> String {
    let Some((head, rest)) = line.split_once(":[") else { return line.to_owned() };
    let Some((number, tail)) = rest.split_once(']') else { return line.to_owned() };
    let kind = head.rsplit(|letter: char| !letter.is_alphabetic()).next().unwrap_or_default();
    let host = std::fs::read_link(format!("/proc/self/ns/{kind}"));
    let Ok(host) = host else { return line.to_owned() };
    let same = host.to_string_lossy() == format!("{kind}:[{number}]");
    let word = if same { "HOST" } else { "OTHER" };
    format!("{head}:{word}{}", namespaces(tail))
}

/// The lines that only one has, in order: `< ` before those of the first, `> ` before the second's.
pub(crate) fn difference(one: &[String], other: &[String]) -> Vec<String> {
    let table = common(one, other);
    let (mut i, mut j, mut found) = (0, 0, Vec::new());
    while i < one.len() || j < other.len() {
        if i < one.len() && j < other.len() && one[i] == other[j] {
            (i, j) = (i + 1, j + 1);
        } else if j == other.len() || (i < one.len() && table[i + 1][j] >= table[i][j + 1]) {
            found.push(format!("< {}", one[i]));
            i += 1;
        } else {
            found.push(format!("> {}", other[j]));
            j += 1;
        }
    }
    found
}

/// How many lines are common to what follows line i of the one and line j of the other.
fn common(one: &[String], other: &[String]) -> Vec<Vec<usize>> {
    let mut table = vec![vec![0; other.len() + 1]; one.len() + 1];
    for i in (0..one.len()).rev() {
        for j in (0..other.len()).rev() {
            table[i][j] = if one[i] == other[j] {
                table[i + 1][j + 1] + 1
            } else {
                table[i + 1][j].max(table[i][j + 1])
            };
        }
    }
    table
}

#[test]
fn differences_are_lines() {
    let lines = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let found = |one, other| difference(&lines(one), &lines(other)).join(" ");
    assert_eq!(found("a b c", "a b c"), "");
    assert_eq!(found("a b c", "a x c"), "< b > x");
    assert_eq!(found("a c", "a b c d"), "> b > d");
}

#[test]
fn own_names_are_taken_out() {
    let places = Places { work: "/tmp/w".as_ref(), group: "g1", program: "/bin/r".as_ref() };
    assert_eq!(places.normalize("/tmp/w/a /g1/b \n/bin/r x"), ["WORK/a /GROUP/b", "RUNTIME x"]);
    let own = std::fs::read_link("/proc/self/ns/pid").unwrap();
    assert_eq!(namespaces(&format!("-> {}", own.display())), "-> pid:HOST");
    assert_eq!(namespaces("pid:[1] uts:[2]"), "pid:OTHER uts:OTHER");
}
