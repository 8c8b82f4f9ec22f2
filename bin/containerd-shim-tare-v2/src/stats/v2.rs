//! cgroup version 2, as `io.containerd.cgroups.v2.Metrics`.

use std::path::Path;

use containerd_shim_protos::cgroups_v2::metrics::{
    CPUStat, IOEntry, IOStat, MemoryEvents, MemoryStat, Metrics, PidsStat,
};

use super::files::{device, fill, number, text};

pub(super) fn metrics(group: &Path) -> Metrics {
    let mut metrics = Metrics::new();
    let mut pids = PidsStat::new();
    pids.current = number(group, "pids.current");
    // No limit is 0 here.
    pids.limit = Some(number(group, "pids.max")).filter(|it| *it != u64::MAX).unwrap_or(0);
    metrics.pids = Some(pids).into();
    metrics.cpu = Some(cpu(group)).into();
    metrics.memory = Some(memory(group)).into();
    let mut events = MemoryEvents::new();
    fill!(events, group, "memory.events": "low" => low, "high" => high, "max" => max, "oom" => oom,
        "oom_kill" => oom_kill, "oom_group_kill" => oom_group_kill);
    metrics.memory_events = Some(events).into();
    let mut io = IOStat::new();
    io.usage = text(group, "io.stat").lines().filter_map(io_entry).collect();
    metrics.io = Some(io).into();
    metrics
}

/// Microseconds.
fn cpu(group: &Path) -> CPUStat {
    let mut stat = CPUStat::new();
    fill!(stat, group, "cpu.stat":
        "usage_usec" => usage_usec, "user_usec" => user_usec, "system_usec" => system_usec,
        "nr_periods" => nr_periods, "nr_throttled" => nr_throttled,
        "throttled_usec" => throttled_usec, "nr_bursts" => nr_bursts, "burst_usec" => burst_usec,
    );
    stat
}

/// Bytes, except for the counters of events.
fn memory(group: &Path) -> MemoryStat {
    let mut stat = MemoryStat::new();
    fill!(stat, group, "memory.stat":
        "anon" => anon, "file" => file, "kernel_stack" => kernel_stack, "slab" => slab,
        "sock" => sock, "shmem" => shmem, "file_mapped" => file_mapped,
        "file_dirty" => file_dirty, "file_writeback" => file_writeback, "anon_thp" => anon_thp,
        "inactive_anon" => inactive_anon, "active_anon" => active_anon,
        "inactive_file" => inactive_file, "active_file" => active_file,
        "unevictable" => unevictable, "slab_reclaimable" => slab_reclaimable,
        "slab_unreclaimable" => slab_unreclaimable, "pgfault" => pgfault,
        "pgmajfault" => pgmajfault, "workingset_refault" => workingset_refault,
        "workingset_activate" => workingset_activate,
        "workingset_nodereclaim" => workingset_nodereclaim, "pgrefill" => pgrefill,
        "pgscan" => pgscan, "pgsteal" => pgsteal, "pgactivate" => pgactivate,
        "pgdeactivate" => pgdeactivate, "pglazyfree" => pglazyfree, "pglazyfreed" => pglazyfreed,
        "thp_fault_alloc" => thp_fault_alloc, "thp_collapse_alloc" => thp_collapse_alloc,
    );
    stat.usage = number(group, "memory.current");
    stat.usage_limit = number(group, "memory.max");
    stat.max_usage = number(group, "memory.peak");
    stat.swap_usage = number(group, "memory.swap.current");
    stat.swap_limit = number(group, "memory.swap.max");
    stat.swap_max_usage = number(group, "memory.swap.peak");
    stat
}

/// `major:minor rbytes=1 wbytes=2 rios=3 wios=4 …`
fn io_entry(line: &str) -> Option<IOEntry> {
    let mut words = line.split_whitespace();
    let mut entry = IOEntry::new();
    (entry.major, entry.minor) = device(words.next()?)?;
    for (name, value) in words.filter_map(|word| word.split_once('=')) {
        let value = value.parse().unwrap_or(0);
        match name {
            "rbytes" => entry.rbytes = value,
            "wbytes" => entry.wbytes = value,
            "rios" => entry.rios = value,
            "wios" => entry.wios = value,
            _ => {}
        }
    }
    Some(entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_from_files() {
        let group = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(group.path().join(name), text).unwrap();
        write("pids.current", "3\n");
        write("pids.max", "max\n");
        write("cpu.stat", "usage_usec 100\nnr_throttled 2\n");
        write("memory.stat", "anon 10\npgfault 11\n");
        write("memory.current", "4096\n");
        write("memory.max", "max\n");
        write("memory.events", "oom_kill 1\n");
        write("io.stat", "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0\nnonsense\n");
        let metrics = metrics(group.path());
        assert_eq!((metrics.pids.current, metrics.pids.limit), (3, 0));
        assert_eq!((metrics.cpu.usage_usec, metrics.cpu.nr_throttled), (100, 2));
        assert_eq!((metrics.memory.anon, metrics.memory.usage_limit), (10, u64::MAX));
        assert_eq!(metrics.memory_events.oom_kill, 1);
        let [io] = &metrics.io.usage[..] else { panic!("one device") };
        assert_eq!((io.rbytes, io.wios), (1, 4));
    }
}
