//! The numbers of cgroup v1, a directory for each controller.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::{Numbers, cpuset, entry, huge_page_sizes, number, object, table};
use crate::cgroup::Cgroup;

/// The kernel counts CPU time for `cpuacct.stat` in these parts of a second (USER_HZ).
const NANOSECONDS_PER_TICK: u64 = 10_000_000;

pub(super) fn read(cgroup: &Cgroup) -> Value {
    let directory = |controller| cgroup.group(controller).map(|group| group.path.clone());
    json!({
        "cpu": cpu(directory("cpuacct"), directory("cpu")),
        "cpuset": directory("cpuset").map_or(json!({}), |path| cpuset(&path)),
        "memory": directory("memory").map_or(json!({}), |path| memory(&path)),
        "pids": directory("pids").map_or(json!({}), |path| pids(&path)),
        "blkio": directory("blkio").map_or(json!({}), |path| block_io(&path)),
        "hugetlb": directory("hugetlb").map_or(json!({}), |path| huge_pages(&path)),
    })
}

fn cpu(accounting: Option<PathBuf>, limits: Option<PathBuf>) -> Value {
    let mut usage = Numbers::new();
    if let Some(path) = accounting {
        let text = fs::read_to_string(path.join("cpuacct.usage_percpu")).unwrap_or_default();
        let each: Vec<u64> = text.split_whitespace().filter_map(|n| n.parse().ok()).collect();
        let ticks = table(&path.join("cpuacct.stat"));
        let time = |name| entry(&ticks, name).map(|ticks| ticks * NANOSECONDS_PER_TICK);
        usage = usage
            .some("total", number(&path.join("cpuacct.usage")))
            .value("percpu", json!(each))
            .value("percpu_kernel", json!(per_processor(&path, "system")))
            .value("percpu_user", json!(per_processor(&path, "user")))
            .always("kernel", time("system"))
            .always("user", time("user"));
    }
    let throttled = limits.map(|path| table(&path.join("cpu.stat"))).unwrap_or_default();
    let throttling = Numbers::new()
        .some("periods", entry(&throttled, "nr_periods"))
        .some("throttledPeriods", entry(&throttled, "nr_throttled"))
        .some("throttledTime", entry(&throttled, "throttled_time"));
    json!({ "usage": usage.done(), "throttling": throttling.done() })
}

/// A column of the table of times by processor; nothing on kernels that have none.
fn per_processor(path: &Path, column: &str) -> Vec<u64> {
    let text = fs::read_to_string(path.join("cpuacct.usage_all")).unwrap_or_default();
    let mut lines = text.lines().map(|line| line.split_whitespace());
    let place = lines.next().and_then(|mut head| head.position(|name| name == column));
    let Some(place) = place else { return Vec::new() };
    lines.filter_map(|mut line| line.nth(place)?.parse().ok()).collect()
}

fn memory(path: &Path) -> Value {
    let raw = table(&path.join("memory.stat"));
    let part = |prefix: &str| {
        let value = |name: &str| number(&path.join(format!("memory.{prefix}{name}")));
        Numbers::new()
            .always("limit", value("limit_in_bytes"))
            .some("usage", value("usage_in_bytes"))
            .some("max", value("max_usage_in_bytes"))
            .always("failcnt", value("failcnt"))
            .done()
    };
    Numbers::new()
        .some("cache", entry(&raw, "cache"))
        .value("usage", part(""))
        .value("swap", part("memsw."))
        .value("kernel", part("kmem."))
        .value("kernelTCP", part("kmem.tcp."))
        .value("raw", object(raw))
        .done()
}

/// No limit is written as 0, as runc has it.
fn pids(path: &Path) -> Value {
    let limit = number(&path.join("pids.max")).filter(|&limit| limit != u64::MAX);
    Numbers::new().some("current", number(&path.join("pids.current"))).some("limit", limit).done()
}

fn block_io(path: &Path) -> Value {
    // The files of the bfq scheduler count all groups; without it only throttled ones are counted.
    let names = [
        ("ioServiceBytesRecursive", "io_service_bytes"),
        ("ioServicedRecursive", "io_serviced"),
        ("ioQueueRecursive", "io_queued"),
        ("ioServiceTimeRecursive", "io_service_time"),
        ("ioWaitTimeRecursive", "io_wait_time"),
        ("ioMergedRecursive", "io_merged"),
        ("ioTimeRecursive", "time"),
        ("sectorsRecursive", "sectors"),
    ];
    let mut all = Numbers::new();
    for (name, file) in names {
        let candidates = [
            format!("blkio.bfq.{file}_recursive"),
            format!("blkio.{file}_recursive"),
            format!("blkio.throttle.{file}_recursive"),
            format!("blkio.throttle.{file}"),
        ];
        let mut found = candidates.iter().map(|file| entries(&path.join(file)));
        all = all.value(name, found.find(|list| !list.is_empty()).unwrap_or_default().into());
    }
    all.done()
}

/// Lines `8:0 Read 42`, or `8:0 42`.
fn entries(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let line = |line: &str| {
        let (device, rest) = line.split_once(' ')?;
        let (major, minor) = device.split_once(':')?;
        let (operation, value) = rest.rsplit_once(' ').unwrap_or(("", rest));
        let mut entry =
            Numbers::new().some("major", major.parse().ok()).some("minor", minor.parse().ok());
        if !operation.is_empty() {
            entry = entry.value("op", operation.into());
        }
        Some(entry.some("value", value.parse().ok()).done())
    };
    text.lines().filter_map(line).collect()
}

fn huge_pages(path: &Path) -> Value {
    let mut sizes = Map::new();
    for size in huge_page_sizes() {
        let value = |name: &str| number(&path.join(format!("hugetlb.{size}.{name}")));
        let numbers = Numbers::new()
            .some("usage", value("usage_in_bytes"))
            .some("max", value("max_usage_in_bytes"))
            .always("failcnt", value("failcnt"));
        sizes.insert(size.clone(), numbers.done());
    }
    sizes.into()
}
