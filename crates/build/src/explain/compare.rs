//! How a step differs from an earlier one. Pure, but for the tables of files that it looks up.

use std::collections::{BTreeMap, BTreeSet};

use super::reason::Variable;
use super::trace::HIDDEN;
use super::{Change, Reason, Table, Trace};

/// What the build at hand calls things.
pub(crate) struct Names<'a> {
    /// Names that `ARG` declares.
    pub(crate) arguments: &'a BTreeSet<String>,
    /// The step before in the stage, or the stage that this one starts from.
    pub(crate) before: Option<&'a str>,
}

/// The reasons for which `now` is not `was`. `table` finds the files of a copy by its key.
pub(crate) fn compare(
    now: &Trace,
    was: &Trace,
    files: Option<&Table>,
    names: &Names<'_>,
    table: &dyn Fn(&str) -> Option<Table>,
) -> Vec<Reason> {
    let mut reasons = Vec::new();
    reasons.extend(copied(now, was, files, table));
    reasons.extend(instruction(now, was));
    reasons.extend(variables(now, was, names.arguments));
    reasons.extend(SETTINGS.iter().filter_map(|setting| setting.differs(now, was)));
    reasons.extend(mounts(now, was, table));
    if now.value("parent") != was.value("parent") {
        reasons.extend(parent(now, was, names, table));
    }
    reasons
}

/// The files that a copy reads.
fn copied(
    now: &Trace,
    was: &Trace,
    files: Option<&Table>,
    table: &dyn Fn(&str) -> Option<Table>,
) -> Vec<Reason> {
    let Some(files) = files.filter(|_| now.value("content") != was.value("content")) else {
        return Vec::new();
    };
    let Some(earlier) = table(&was.key.to_string()) else { return vec![Reason::Sources] };
    let reasons = files.against(&earlier);
    if reasons.is_empty() { vec![Reason::Sources] } else { reasons }
}

/// What the instruction itself says.
const OWN: [&str; 10] = [
    "args",
    "script",
    "content",
    "destination",
    "owner",
    "exclude",
    "flags",
    "mode",
    "path",
    "sources",
];

fn instruction(now: &Trace, was: &Trace) -> Option<Reason> {
    let differs = |name: &&&str| !now.values(name).eq(was.values(name));
    // The content of a copy is its files', that of a command its heredoc's.
    let is_copy = now.value("kind").starts_with("copy");
    let name = OWN.iter().filter(|name| !(is_copy && **name == "content")).find(differs)?;
    if now.place.text != was.place.text {
        return Some(Reason::Instruction { was: was.place.text.clone() });
    }
    let name = match *name {
        "args" => "the shell",
        "script" | "content" => "the text of the script",
        "owner" => "the owner",
        _ => "an option of the instruction",
    };
    Some(Reason::Setting { name: name.to_owned(), now: None, was: None })
}

fn variables(now: &Trace, was: &Trace, arguments: &BTreeSet<String>) -> Vec<Reason> {
    let map = |trace: &Trace| -> BTreeMap<String, String> {
        let pairs = trace.values("env").filter_map(|entry| entry.split_once('='));
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    };
    let (mut now, mut was) = (map(now), map(was));
    let all: BTreeSet<String> = now.keys().chain(was.keys()).cloned().collect();
    let reason = |name: String| {
        let (now, was) = (now.remove(&name), was.remove(&name));
        let hidden = [&now, &was].into_iter().flatten().any(|value| value.starts_with(HIDDEN));
        let shown = |value: Option<String>| value.filter(|_| !hidden);
        let is_argument = arguments.contains(&name);
        let differs = now != was;
        let variable = Variable { name, now: shown(now), was: shown(was), hidden };
        let reason = match is_argument {
            true => Reason::BuildArgument(variable),
            false => Reason::Environment(variable),
        };
        differs.then_some(reason)
    };
    all.into_iter().filter_map(reason).collect()
}

/// A field that says how a step is done, and what to call it.
struct Setting {
    field: &'static str,
    name: &'static str,
    show: fn(&str) -> Option<String>,
}

const SETTINGS: [Setting; 13] = [
    Setting { field: "platform", name: "the platform", show: as_it_is },
    Setting { field: "user", name: "the user", show: user },
    Setting { field: "directory", name: "the working directory", show: as_it_is },
    Setting { field: "network", name: "the network", show: network },
    Setting { field: "hostname", name: "the host's name", show: as_it_is },
    Setting { field: "insecure", name: "the security", show: security },
    Setting { field: "host", name: "--add-host", show: as_it_is },
    Setting { field: "ulimit", name: "--ulimit", show: as_it_is },
    Setting { field: "limit", name: "--ulimit", show: number },
    Setting { field: "shm", name: "--shm-size", show: number },
    Setting { field: "cgroup", name: "--cgroup-parent", show: as_it_is },
    Setting { field: "epoch", name: "SOURCE_DATE_EPOCH", show: number },
    Setting { field: "kind", name: "the builder's way to do it", show: hidden },
];

impl Setting {
    fn differs(&self, now: &Trace, was: &Trace) -> Option<Reason> {
        let show = |trace: &Trace| {
            let values: Option<Vec<String>> = trace.values(self.field).map(self.show).collect();
            values.filter(|values| !values.is_empty()).map(|values| values.join(" "))
        };
        let same = now.values(self.field).eq(was.values(self.field));
        let name = self.name.to_owned();
        (!same).then(|| Reason::Setting { name, now: show(now), was: show(was) })
    }
}

fn as_it_is(value: &str) -> Option<String> {
    Some(value.to_owned())
}

fn hidden(_: &str) -> Option<String> {
    None
}

fn user(value: &str) -> Option<String> {
    Some(if value.is_empty() { "root".to_owned() } else { value.to_owned() })
}

fn network(value: &str) -> Option<String> {
    Some(if value == "01" { "none".to_owned() } else { "the host's".to_owned() })
}

fn security(value: &str) -> Option<String> {
    Some(if value == "01" { "insecure".to_owned() } else { "sandbox".to_owned() })
}

/// Eight bytes, little endian.
fn number(value: &str) -> Option<String> {
    let bytes = u64::from_str_radix(value, 16).ok().filter(|_| value.len() == 16)?;
    Some(bytes.swap_bytes().cast_signed().to_string())
}

/// Mounts by what to call them: the fields of each.
fn mounts_of(trace: &Trace) -> BTreeMap<String, Vec<(&str, &str)>> {
    let mut mounts: BTreeMap<String, Vec<(&str, &str)>> = BTreeMap::new();
    let mut at = None;
    for (name, value) in &trace.fields {
        at = match &**name {
            "mount" => Some(value.clone()),
            "secret" | "agent" => {
                let kind = if name == "agent" { "ssh" } else { name };
                Some(format!("type={kind},id={value}"))
            }
            "read-only" | "bind" | "files" | "part" | "cache" | "tmpfs" | "access"
            | "secret-target" | "secret-env" | "agent-target" => at,
            _ => None,
        };
        if let Some(mount) = &at {
            mounts.entry(mount.clone()).or_default().push((name, value));
        }
    }
    mounts
}

fn mounts(now: &Trace, was: &Trace, table: &dyn Fn(&str) -> Option<Table>) -> Vec<Reason> {
    let (now, was) = (mounts_of(now), mounts_of(was));
    let all: BTreeSet<&String> = now.keys().chain(was.keys()).collect();
    let mut reasons = Vec::new();
    for mount in all {
        let change = match (now.get(mount), was.get(mount)) {
            (Some(_), None) => Change::Added,
            (None, Some(_)) => Change::Removed,
            (Some(now), Some(was)) if now != was => {
                let files = seen(now, was, table);
                if !files.is_empty() {
                    reasons.extend(files);
                    continue;
                }
                Change::Changed
            }
            _ => continue,
        };
        reasons.push(Reason::Mount { mount: mount.clone(), change });
    }
    reasons
}

/// The files that a bind mount shows, where nothing but they differ.
fn seen(
    now: &[(&str, &str)],
    was: &[(&str, &str)],
    table: &dyn Fn(&str) -> Option<Table>,
) -> Vec<Reason> {
    let differs = |((one, _), (other, _)): &(&(&str, &str), &(&str, &str))| one != other;
    if now.len() != was.len() || now.iter().zip(was).any(|pair| differs(&pair)) {
        return Vec::new();
    }
    let pairs = now.iter().zip(was).filter(|(one, other)| one != other);
    let files = |((name, now), (_, was)): (&(&str, &str), &(&str, &str))| match *name {
        "files" => Some(table(now)?.against(&table(was)?)),
        _ => None,
    };
    let found: Option<Vec<Vec<Reason>>> = pairs.map(files).collect();
    found.unwrap_or_default().concat()
}

/// What the step is put on.
fn parent(
    now: &Trace,
    was: &Trace,
    names: &Names<'_>,
    table: &dyn Fn(&str) -> Option<Table>,
) -> Vec<Reason> {
    if let Some(step) = names.before {
        return vec![Reason::Follows { step: step.to_owned() }];
    }
    if now.place.base != was.place.base {
        let (base, earlier) = (now.place.base.as_ref(), was.place.base.as_ref());
        return vec![Reason::Base {
            image: base.map_or("scratch", |base| &base.name).to_owned(),
            digest: base.map(|it| it.digest.clone()),
            was_image: earlier.map(|it| it.name.clone()),
            was_digest: earlier.map(|it| it.digest.clone()),
        }];
    }
    // A stage that starts from a context.
    let files = table(now.value("parent")).zip(table(was.value("parent")));
    let files = files.map(|(now, was)| now.against(&was)).unwrap_or_default();
    let base = || Reason::Setting { name: "the base".to_owned(), now: None, was: None };
    if files.is_empty() { vec![base()] } else { files }
}

#[cfg(test)]
mod tests {
    use super::super::{BaseImage, Explanation, Place};
    use super::*;
    use crate::key::{Definition, scratch};

    fn trace(fields: &[(&str, &[u8])], text: &str) -> Trace {
        let definition = Definition::new("run/3");
        let add = |all: Definition, (name, value): &(&str, &[u8])| all.field(name, value);
        let (key, fields) = fields.iter().fold(definition, add).parts();
        let base = Some(BaseImage { name: "debian:12".into(), digest: "sha256:1".into() });
        Trace::new(key, fields, Place { text: text.into(), base, ..Place::default() })
    }

    fn why(now: &Trace, was: &Trace) -> String {
        let arguments = BTreeSet::from(["V".to_owned(), "API_TOKEN".to_owned()]);
        let names = Names { arguments: &arguments, before: Some("RUN before") };
        Explanation::line(&compare(now, was, None, &names, &|_| None))
    }

    #[test]
    fn a_line_for_each_reason() {
        let plain = trace(&[], "RUN x");
        let numbers = [7_i64, -7].map(i64::to_le_bytes);
        for (now, was, want) in [
            (
                trace(&[("env", b"V=2")], "RUN x"),
                trace(&[("env", b"V=1")], "RUN x"),
                "build argument V is now \"2\", was \"1\"",
            ),
            (
                trace(&[("env", b"API_TOKEN=2")], "RUN x"),
                trace(&[("env", b"API_TOKEN=1")], "RUN x"),
                "build argument API_TOKEN changed",
            ),
            (
                trace(&[("env", b"HOME=/x")], "RUN x"),
                plain.clone(),
                "variable HOME is now \"/x\", was not set",
            ),
            (trace(&[("args", b"y")], "RUN y"), plain.clone(), "the instruction was RUN x"),
            (trace(&[("args", b"y")], "RUN x"), plain.clone(), "the shell changed"),
            (
                trace(&[("network", &[1])], "RUN x"),
                trace(&[("network", &[0])], "RUN x"),
                "the network is now none, was the host's",
            ),
            (
                trace(&[("epoch", &numbers[0])], "RUN x"),
                trace(&[("epoch", &numbers[1])], "RUN x"),
                "SOURCE_DATE_EPOCH is now 7, was -7",
            ),
            (
                trace(&[("secret", b"npm"), ("access", b"1234")], "RUN x"),
                trace(&[("mount", b"/c"), ("cache", b"1")], "RUN x"),
                "the mount /c removed; the mount type=secret,id=npm added",
            ),
            (
                trace(&[("parent", scratch().as_bytes())], "RUN x"),
                plain.clone(),
                "follows RUN before",
            ),
        ] {
            assert_eq!(why(&now, &was), want);
        }
        assert_eq!(why(&plain, &plain), "");
    }
}
