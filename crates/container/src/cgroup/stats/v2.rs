//! The numbers of cgroup v2, one directory.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::{Numbers, cpuset, entry, huge_page_sizes, number, object, pressure, table};
use crate::cgroup::Cgroup;

const NANOSECONDS_PER_MICROSECOND: u64 = 1000;

pub(super) fn read(cgroup: &Cgroup) -> Value {
    let Some(path) = cgroup.groups().first().map(|group| group.path.as_path()) else {
        return json!({});
    };
    let limit = number(&path.join("pids.max")).filter(|&limit| limit != u64::MAX);
    let pids = number(&path.join("pids.current"));
    json!({
        "cpu": cpu(path),
        "cpuset": cpuset(path),
        "memory": memory(path),
        "pids": Numbers::new().some("current", pids).some("limit", limit).done(),
        "blkio": block_io(path),
        "hugetlb": huge_pages(path),
    })
}

fn cpu(path: &Path) -> Value {
    let stat = table(&path.join("cpu.stat"));
    let time = |name| entry(&stat, name).map(|time| time * NANOSECONDS_PER_MICROSECOND);
    let usage = Numbers::new()
        .some("total", time("usage_usec"))
        .always("kernel", time("system_usec"))
        .always("user", time("user_usec"));
    let throttling = Numbers::new()
        .some("periods", entry(&stat, "nr_periods"))
        .some("throttledPeriods", entry(&stat, "nr_throttled"))
        .some("throttledTime", time("throttled_usec"));
    let cpu = Numbers::new().value("usage", usage.done()).value("throttling", throttling.done());
    cpu.value("psi", pressure(&path.join("cpu.pressure"))).done()
}

/// As on v1, what is said of swap is said of memory and swap together.
fn memory(path: &Path) -> Value {
    let raw = table(&path.join("memory.stat"));
    let value = |name: &str| number(&path.join(format!("memory.{name}")));
    let both = |memory: Option<u64>, swap: Option<u64>| Some(memory?.saturating_add(swap?));
    let events = table(&path.join("memory.events"));
    let usage = Numbers::new()
        .always("limit", value("max"))
        .some("usage", value("current"))
        .some("max", value("peak"))
        .always("failcnt", entry(&events, "max"));
    let swap = Numbers::new()
        .always("limit", both(value("max"), value("swap.max")))
        .some("usage", both(value("current"), value("swap.current")))
        .always("failcnt", None);
    Numbers::new()
        .some("cache", entry(&raw, "file"))
        .value("usage", usage.done())
        .value("swap", swap.done())
        .value("raw", object(raw))
        .value("psi", pressure(&path.join("memory.pressure")))
        .done()
}

/// Lines `8:0 rbytes=1 wbytes=2 rios=3 wios=4 …`.
fn block_io(path: &Path) -> Value {
    let text = fs::read_to_string(path.join("io.stat")).unwrap_or_default();
    let (mut bytes, mut operations) = (Vec::new(), Vec::new());
    for line in text.lines() {
        let mut words = line.split(' ');
        let Some((major, minor)) = words.next().and_then(|device| device.split_once(':')) else {
            continue;
        };
        for (name, value) in words.filter_map(|word| word.split_once('=')) {
            let (list, operation) = match name {
                "rbytes" => (&mut bytes, "Read"),
                "wbytes" => (&mut bytes, "Write"),
                "rios" => (&mut operations, "Read"),
                "wios" => (&mut operations, "Write"),
                _ => continue,
            };
            let entry = Numbers::new()
                .some("major", major.parse().ok())
                .some("minor", minor.parse().ok())
                .value("op", operation.into())
                .some("value", value.parse().ok());
            list.push(entry.done());
        }
    }
    Numbers::new()
        .value("ioServiceBytesRecursive", bytes.into())
        .value("ioServicedRecursive", operations.into())
        .value("psi", pressure(&path.join("io.pressure")))
        .done()
}

fn huge_pages(path: &Path) -> Value {
    let mut sizes = Map::new();
    for size in huge_page_sizes() {
        let Some(usage) = number(&path.join(format!("hugetlb.{size}.current"))) else { continue };
        let events = table(&path.join(format!("hugetlb.{size}.events")));
        let numbers = Numbers::new().some("usage", Some(usage));
        sizes.insert(size.clone(), numbers.always("failcnt", entry(&events, "max")).done());
    }
    sizes.into()
}
