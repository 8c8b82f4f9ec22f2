//! The table's form, and its rows.
//!
//! ```text
//! # a remark
//! == the row's name
//! since 1.2                         runcs before this do not know what it is about
//! config .hostname = "box"          a jq filter on as_runc/config.json
//! inside hostname                   the script that the container runs
//!     r run box                     the session (see prelude.sh); without one the container is run
//! ```

use crate::engine::Version;

const FILES: [(&str, &str); 8] = [
    ("checkpoint.cases", include_str!("checkpoint.cases")),
    ("cgroups.cases", include_str!("cgroups.cases")),
    ("exec.cases", include_str!("exec.cases")),
    ("fields.cases", include_str!("fields.cases")),
    ("life.cases", include_str!("life.cases")),
    ("mounts.cases", include_str!("mounts.cases")),
    ("usage.cases", include_str!("usage.cases")),
    ("wrong.cases", include_str!("wrong.cases")),
];

/// A row.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Case {
    /// Which file it stands in.
    pub(crate) file: &'static str,
    pub(crate) name: String,
    /// The first runc that knows what it is about.
    pub(crate) since: Version,
    /// A jq filter that makes its configuration of the usual one.
    pub(crate) config: String,
    /// The container's own script.
    pub(crate) inside: String,
    /// The session's script.
    pub(crate) session: String,
}

/// All rows. Their names are different.
pub(crate) fn all() -> Vec<Case> {
    let cases: Vec<_> = FILES.into_iter().flat_map(|(name, text)| parse(name, text)).collect();
    let mut names: Vec<_> = cases.iter().map(|case| &case.name).collect();
    names.sort();
    let twice = names.windows(2).find(|pair| pair[0] == pair[1]);
    assert!(twice.is_none(), "two rows have the name {twice:?}");
    cases
}

fn parse(file: &'static str, text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
        if let Some(name) = line.strip_prefix("== ") {
            cases.push(Case { file, name: name.to_owned(), config: ".".into(), ..Case::default() });
            continue;
        }
        let case = cases.last_mut().unwrap_or_else(|| panic!("{file}: {line} is in no row"));
        match line.split_once(' ') {
            Some(("since", version)) => case.since = version.parse().expect("a version"),
            Some(("config", filter)) => case.config.push_str(&format!(" | {filter}")),
            Some(("inside", script)) => case.inside.push_str(&format!("{script}\n")),
            Some(("", _)) => case.session.push_str(&format!("{}\n", &line[4..])),
            _ => panic!("{file}: {:?} has a line of no kind: {line}", case.name),
        }
    }
    cases
}

#[test]
fn rows_are_read() {
    let text = "# no\n== one\nsince 1.2\nconfig .a = 1\nconfig .b = 2\ninside x\ninside y\n    r run\n== two\n";
    let one = Case {
        file: "f",
        name: "one".into(),
        since: Version(1, 2),
        config: ". | .a = 1 | .b = 2".into(),
        inside: "x\ny\n".into(),
        session: "r run\n".into(),
    };
    let two = Case { file: "f", name: "two".into(), config: ".".into(), ..Case::default() };
    assert_eq!(parse("f", text), [one, two]);
}
