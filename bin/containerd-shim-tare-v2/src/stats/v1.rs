//! cgroup version 1, as `io.containerd.cgroups.v1.Metrics`.

use std::path::Path;

use containerd_shim_protos::cgroups::metrics::{
    BlkIOEntry, BlkIOStat, CPUStat, CPUUsage, MemoryEntry, MemoryOomControl, MemoryStat, Metrics,
    PidsStat, Throttle,
};

use super::files::{device, fill, number, numbers, text};
use super::groups::Groups;

/// The kernel counts a process's time in hundredths of a second (cpuacct.txt, USER_HZ).
const TICK: u64 = 10_000_000;

pub(super) fn metrics(groups: &Groups) -> Metrics {
    let mut metrics = Metrics::new();
    if let Some(group) = groups.controller("pids") {
        let mut pids = PidsStat::new();
        pids.current = number(group, "pids.current");
        // No limit is 0 here.
        pids.limit = Some(number(group, "pids.max")).filter(|it| *it != u64::MAX).unwrap_or(0);
        metrics.pids = Some(pids).into();
    }
    metrics.cpu = Some(cpu(groups)).into();
    if let Some(group) = groups.controller("memory") {
        metrics.memory = Some(memory(group)).into();
        metrics.memory_oom_control = Some(oom_control(group)).into();
    }
    if let Some(group) = groups.controller("blkio") {
        metrics.blkio = Some(block_io(group)).into();
    }
    metrics
}

/// Nanoseconds.
fn cpu(groups: &Groups) -> CPUStat {
    let (mut stat, mut usage, mut throttling) = (CPUStat::new(), CPUUsage::new(), Throttle::new());
    if let Some(group) = groups.controller("cpuacct") {
        fill!(usage, group, "cpuacct.stat": "user" => user, "system" => kernel);
        usage.user = usage.user.saturating_mul(TICK);
        usage.kernel = usage.kernel.saturating_mul(TICK);
        usage.total = number(group, "cpuacct.usage");
        usage.per_cpu = numbers(group, "cpuacct.usage_percpu");
    }
    if let Some(group) = groups.controller("cpu") {
        fill!(throttling, group, "cpu.stat":
            "nr_periods" => periods,
            "nr_throttled" => throttled_periods,
            "throttled_time" => throttled_time,
        );
    }
    stat.usage = Some(usage).into();
    stat.throttling = Some(throttling).into();
    stat
}

/// Bytes, except for the page counters.
fn memory(group: &Path) -> MemoryStat {
    let mut stat = MemoryStat::new();
    fill!(stat, group, "memory.stat":
        "cache" => cache, "rss" => rss, "rss_huge" => rss_huge, "mapped_file" => mapped_file,
        "dirty" => dirty, "writeback" => writeback, "pgpgin" => pg_pg_in, "pgpgout" => pg_pg_out,
        "pgfault" => pg_fault, "pgmajfault" => pg_maj_fault, "inactive_anon" => inactive_anon,
        "active_anon" => active_anon, "inactive_file" => inactive_file,
        "active_file" => active_file, "unevictable" => unevictable,
        "hierarchical_memory_limit" => hierarchical_memory_limit,
        "hierarchical_memsw_limit" => hierarchical_swap_limit,
        "total_cache" => total_cache, "total_rss" => total_rss,
        "total_rss_huge" => total_rss_huge, "total_mapped_file" => total_mapped_file,
        "total_dirty" => total_dirty, "total_writeback" => total_writeback,
        "total_pgpgin" => total_pg_pg_in, "total_pgpgout" => total_pg_pg_out,
        "total_pgfault" => total_pg_fault, "total_pgmajfault" => total_pg_maj_fault,
        "total_inactive_anon" => total_inactive_anon, "total_active_anon" => total_active_anon,
        "total_inactive_file" => total_inactive_file, "total_active_file" => total_active_file,
        "total_unevictable" => total_unevictable,
    );
    stat.usage = Some(entry(group, "memory")).into();
    stat.swap = Some(entry(group, "memory.memsw")).into();
    stat.kernel = Some(entry(group, "memory.kmem")).into();
    stat.kernel_tcp = Some(entry(group, "memory.kmem.tcp")).into();
    stat
}

fn entry(group: &Path, name: &str) -> MemoryEntry {
    let mut entry = MemoryEntry::new();
    entry.usage = number(group, &format!("{name}.usage_in_bytes"));
    entry.max = number(group, &format!("{name}.max_usage_in_bytes"));
    entry.failcnt = number(group, &format!("{name}.failcnt"));
    entry.limit = number(group, &format!("{name}.limit_in_bytes"));
    entry
}

fn oom_control(group: &Path) -> MemoryOomControl {
    let mut control = MemoryOomControl::new();
    fill!(control, group, "memory.oom_control":
        "oom_kill_disable" => oom_kill_disable, "under_oom" => under_oom, "oom_kill" => oom_kill);
    control
}

/// The counters of whichever scheduler keeps them.
fn block_io(group: &Path) -> BlkIOStat {
    let recursive = |what: &str| {
        let of = |by: &str| entries(&text(group, &format!("blkio.{by}{what}_recursive")));
        [of("bfq."), of(""), of("throttle.")].into_iter().find(|it| !it.is_empty())
    };
    let mut stat = BlkIOStat::new();
    stat.io_service_bytes_recursive = recursive("io_service_bytes").unwrap_or_default();
    stat.io_serviced_recursive = recursive("io_serviced").unwrap_or_default();
    stat.io_queued_recursive = recursive("io_queued").unwrap_or_default();
    stat.io_service_time_recursive = recursive("io_service_time").unwrap_or_default();
    stat.io_wait_time_recursive = recursive("io_wait_time").unwrap_or_default();
    stat.io_merged_recursive = recursive("io_merged").unwrap_or_default();
    stat.io_time_recursive = recursive("time").unwrap_or_default();
    stat.sectors_recursive = recursive("sectors").unwrap_or_default();
    stat
}

/// Lines of `major:minor operation value`, or without the operation.
fn entries(text: &str) -> Vec<BlkIOEntry> {
    let entry = |line: &str| {
        let words: Vec<_> = line.split_whitespace().collect();
        let (name, operation, value) = match words[..] {
            [name, operation, value] => (name, operation, value),
            [name, value] => (name, "", value),
            _ => return None,
        };
        let mut entry = BlkIOEntry::new();
        (entry.major, entry.minor) = device(name)?;
        entry.op = operation.to_owned();
        entry.value = value.parse().ok()?;
        Some(entry)
    };
    text.lines().filter_map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn block_io_by_device() {
        let read = entries("8:0 Read 10\n8:0 Write 20\n8:16 7\nTotal 37\n");
        let all: Vec<_> = read.iter().map(|it| (it.minor, it.op.as_str(), it.value)).collect();
        assert_eq!(all, [(0, "Read", 10), (0, "Write", 20), (16, "", 7)]);
    }

    #[test]
    fn memory_from_its_files() {
        let group = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(group.path().join(name), text).unwrap();
        write("memory.stat", "cache 1\npgpgin 2\ntotal_rss 3\nhierarchical_memsw_limit 4\n");
        write("memory.usage_in_bytes", "4096\n");
        let stat = memory(group.path());
        assert_eq!((stat.cache, stat.pg_pg_in, stat.total_rss), (1, 2, 3));
        assert_eq!((stat.hierarchical_swap_limit, stat.usage.usage), (4, 4096));
    }
}
