//! What a container has used, in runc's JSON: the numbers of its cgroups, read and passed on.
//!
//! A file that a kernel does not have leaves its numbers out; nothing is written here.

mod v1;
mod v2;

use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::Cgroup;

/// An object whose zeros are left out, as runc leaves them out.
pub(super) struct Numbers(Map<String, Value>);

impl Numbers {
    pub(super) fn new() -> Self {
        Self(Map::new())
    }

    /// Adds a number that is there and not zero.
    pub(super) fn some(mut self, name: &str, number: Option<u64>) -> Self {
        if let Some(number) = number.filter(|&number| number != 0) {
            self.0.insert(name.into(), number.into());
        }
        self
    }

    /// Adds a number, zero if it is not there.
    pub(super) fn always(mut self, name: &str, number: Option<u64>) -> Self {
        self.0.insert(name.into(), number.unwrap_or(0).into());
        self
    }

    /// Adds a value that is no empty list, object or null.
    pub(super) fn value(mut self, name: &str, value: Value) -> Self {
        let empty = match &value {
            Value::Null => true,
            Value::Array(list) => list.is_empty(),
            Value::Object(map) => map.is_empty(),
            _ => false,
        };
        if !empty {
            self.0.insert(name.into(), value);
        }
        self
    }

    pub(super) fn done(self) -> Value {
        Value::Object(self.0)
    }
}

/// The object `data` of runc's event `stats`. Times are nanoseconds, sizes bytes.
pub(crate) fn read(cgroup: &Cgroup) -> Value {
    let mut stats = if cgroup.is_unified() { v2::read(cgroup) } else { v1::read(cgroup) };
    if let Some(stats) = stats.as_object_mut() {
        stats.insert("intel_rdt".into(), json!({}));
        stats.insert("network_interfaces".into(), Value::Null);
    }
    stats
}

/// A file's one number; `max` is the largest one.
pub(super) fn number(path: &Path) -> Option<u64> {
    parse(fs::read_to_string(path).ok()?.trim())
}

fn parse(text: &str) -> Option<u64> {
    if text == "max" { Some(u64::MAX) } else { text.parse().ok() }
}

/// A file of lines `name number`.
pub(crate) fn table(path: &Path) -> Vec<(String, u64)> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let line = |line: &str| {
        let (name, number) = line.split_once(' ')?;
        Some((name.to_owned(), parse(number.trim())?))
    };
    text.lines().filter_map(line).collect()
}

/// One number of such a table.
pub(crate) fn entry(table: &[(String, u64)], name: &str) -> Option<u64> {
    table.iter().find(|(have, _)| have == name).map(|&(_, number)| number)
}

/// A table as a JSON object.
pub(super) fn object(table: Vec<(String, u64)>) -> Value {
    table
        .into_iter()
        .map(|(name, number)| (name, Value::from(number)))
        .collect::<Map<_, _>>()
        .into()
}

/// A list of CPUs or nodes: `0-2,5` is `[0,1,2,5]`.
pub(super) fn list(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap_or_default();
    let ranges = text.trim().split(',').filter_map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some(first.parse::<u16>().ok()?..=last.parse::<u16>().ok()?)
    });
    ranges.flatten().map(Value::from).collect()
}

/// What a cpuset allows. v2 has none of the flags, which are told as zeros then, as runc has it.
pub(super) fn cpuset(path: &Path) -> Value {
    let value = |name: &str| number(&path.join(format!("cpuset.{name}")));
    let mut set = Numbers::new()
        .value("cpus", list(&path.join("cpuset.cpus")))
        .value("mems", list(&path.join("cpuset.mems")));
    for name in [
        "cpu_exclusive",
        "mem_hardwall",
        "mem_exclusive",
        "memory_migrate",
        "memory_spread_page",
        "memory_spread_slab",
        "memory_pressure",
        "sched_load_balance",
    ] {
        set = set.always(name, value(name));
    }
    let relax = fs::read_to_string(path.join("cpuset.sched_relax_domain_level"));
    let relax = relax.ok().and_then(|text| text.trim().parse::<i64>().ok()).unwrap_or(0);
    set.value("sched_relax_domain_level", relax.into()).done()
}

/// Pressure stall information (the kernel's accounting/psi.rst).
pub(super) fn pressure(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap_or_default();
    let mut kinds = Map::new();
    for line in text.lines() {
        let mut words = line.split(' ');
        let Some(kind) = words.next() else { continue };
        let mut numbers = Map::new();
        for (name, number) in words.filter_map(|word| word.split_once('=')) {
            let value = number.parse::<u64>().map(Value::from);
            let value = value.or_else(|_| number.parse::<f64>().map(Value::from));
            numbers.insert(name.into(), value.unwrap_or_default());
        }
        kinds.insert(kind.into(), numbers.into());
    }
    kinds.into()
}

/// Sizes of huge pages as files are named after them: `2MB`, `1GB`.
pub(super) fn huge_page_sizes() -> Vec<String> {
    let entries = fs::read_dir("/sys/kernel/mm/hugepages").into_iter().flatten().flatten();
    let size = |name: String| {
        let kilobytes: u64 = name.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()?;
        Some(match kilobytes {
            0..1024 => format!("{kilobytes}KB"),
            1024..1_048_576 => format!("{}MB", kilobytes / 1024),
            _ => format!("{}GB", kilobytes / 1_048_576),
        })
    };
    entries.filter_map(|entry| size(entry.file_name().into_string().ok()?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn reads_what_the_kernel_writes() {
        assert_eq!(number(file("max\n").path()), Some(u64::MAX));
        assert_eq!(list(file("0-2,5\n").path()), json!([0, 1, 2, 5]));
        assert_eq!(list(file("\n").path()), json!([]));
        let table = table(file("user 7\nsystem 9\n").path());
        assert_eq!(entry(&table, "system"), Some(9));
        let psi = pressure(file("some avg10=0.50 avg60=0.00 avg300=0.00 total=42\n").path());
        assert_eq!(psi, json!({"some": {"avg10": 0.5, "avg60": 0.0, "avg300": 0.0, "total": 42}}));
    }

    #[test]
    fn zeros_are_left_out_where_runc_does() {
        let numbers = Numbers::new().some("a", Some(0)).some("b", Some(1)).always("c", None);
        assert_eq!(numbers.done(), json!({"b": 1, "c": 0}));
    }
}
