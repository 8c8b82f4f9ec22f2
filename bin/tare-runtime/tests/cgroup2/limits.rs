//! Each limit: as the configuration sets it, and as `update` changes it.

use std::fs;

use serde_json::{Value, json};

use crate::subject::{Subject, same, same_with, shown_by_ours};

/// That every file is there, and what it says.
fn assert_has(settings: &str, lines: &[&str]) {
    for line in lines {
        assert!(settings.lines().any(|have| have == *line), "{line}: {settings}");
    }
}

fn resources(config: &mut Value) -> &mut Value {
    &mut config["linux"]["resources"]
}

#[test]
#[ignore = "needs cgroup v2 and systemd: scripts/test-cgroup2"]
fn memory_and_swap() {
    let change = |config: &mut Value| {
        let memory = json!({"limit": 64 << 20, "swap": 96 << 20, "reservation": 32 << 20});
        resources(config)["memory"] = memory;
    };
    let shown = same(change, |subject| {
        subject.start();
        [
            subject.settings(),
            subject.update(&["--memory", "50M"]),
            subject.update(&["--memory", "60M", "--memory-swap", "90M"]),
            subject.update(&["--memory-reservation", "20M"]),
            subject.update(&["--memory-swap", "-1"]),
            subject.update(&["--memory", "-1"]),
        ]
        .join("\n")
    });
    for shown in shown {
        let first = ["memory.max: 67108864", "memory.swap.max: 33554432", "memory.low: 33554432"];
        assert_has(&shown, &first);
        assert_has(&shown, &["memory.max: 52428800", "memory.max: max"]);
    }
}

/// runc does not tell systemd, which takes the limit back when it writes all of them again.
#[test]
#[ignore = "needs cgroup v2 and systemd: scripts/test-cgroup2"]
fn no_swap_at_all() {
    let change = |config: &mut Value| resources(config)["memory"] = json!({"limit": 64 << 20});
    let show = |subject: &Subject| {
        subject.start();
        subject.update_with(&json!({"memory": {"limit": 32 << 20, "swap": 32 << 20}}))
    };
    assert_has(&same_with(false, change, show), &["memory.swap.max: 0"]);
    assert_has(&shown_by_ours(true, change, show), &["memory.swap.max: 0", "MemorySwapMax=0"]);
}

/// As with swap.
#[test]
#[ignore = "needs cgroup v2 and systemd: scripts/test-cgroup2"]
fn all_die_together() {
    let change = |config: &mut Value| {
        resources(config)["unified"] = json!({"memory.oom.group": "1"});
    };
    let show = |subject: &Subject| {
        subject.start();
        subject.update(&["--memory", "50M"])
    };
    assert_has(&same_with(false, change, show), &["memory.oom.group: 1"]);
    assert_has(&shown_by_ours(true, change, show), &["memory.oom.group: 1", "OOMPolicy=kill"]);
}

#[test]
#[ignore = "needs cgroup v2 and systemd: scripts/test-cgroup2"]
fn processor_time() {
    let change = |config: &mut Value| {
        let cpu = json!({"shares": 512, "quota": 40_000, "period": 50_000, "burst": 1000});
        resources(config)["cpu"] = cpu;
    };
    let shown = same(change, |subject| {
        subject.start();
        [
            subject.settings(),
            subject.update(&["--cpu-quota", "20000"]),
            subject.update(&["--cpu-period", "80000"]),
            subject.update(&[
                "--cpu-share",
                "3333",
                "--cpu-quota",
                "4004",
                "--cpu-period",
                "10000",
            ]),
            subject.update(&["--cpu-quota", "-1"]),
            subject.update(&["--cpu-idle", "1"]),
            subject.update(&["--cpu-idle", "0"]),
        ]
        .join("\n")
        // systemd writes the file once more when it comes to it, and has a period of its own then.
        .replace("cpu.max: max 10000\n", "cpu.max: max 100000\n")
    });
    for shown in shown {
        assert_has(&shown, &["cpu.weight: 59", "cpu.max: 40000 50000", "cpu.max: max 100000"]);
        assert_has(&shown, &["cpu.idle: 1", "cpu.weight: 256"]);
    }
}

#[test]
#[ignore = "needs cgroup v2 and systemd: scripts/test-cgroup2"]
fn processors_and_processes() {
    let change = |config: &mut Value| {
        resources(config)["cpu"] = json!({"cpus": "0", "mems": "0"});
        resources(config)["pids"] = json!({"limit": 20});
    };
    let shown = same(change, |subject| {
        subject.start();
        [
            subject.settings(),
            subject.update(&["--cpuset-cpus", "0-1", "--pids-limit", "30"]),
            subject.update(&["--pids-limit", "-1"]),
            subject.update_with(&json!({"cpu": {"cpus": "1"}, "pids": {"limit": 7}})),
        ]
        .join("\n")
    });
    for shown in shown {
        assert_has(&shown, &["cpuset.cpus: 0", "cpuset.mems: 0", "pids.max: 20"]);
        assert_has(&shown, &["cpuset.cpus: 0-1", "pids.max: max", "cpuset.cpus: 1", "pids.max: 7"]);
    }
}

#[test]
#[ignore = "needs cgroup v2 and systemd: scripts/test-cgroup2"]
fn block_devices_and_huge_pages() {
    let number = fs::read_to_string("/sys/block/vda/dev").unwrap();
    let number = number.trim();
    let (major, minor) = number.split_once(':').unwrap();
    let device = |key: &str, value: u64| {
        let mut device = json!({"major": major.parse::<u64>().unwrap()});
        device["minor"] = json!(minor.parse::<u64>().unwrap());
        device[key] = json!(value);
        json!([device])
    };
    let change = |config: &mut Value| {
        resources(config)["blockIO"] = json!({
            "weight": 500,
            "throttleReadBpsDevice": device("rate", 1 << 20),
            "throttleWriteBpsDevice": device("rate", 2 << 20),
            "throttleReadIOPSDevice": device("rate", 300),
            "throttleWriteIOPSDevice": device("rate", 400),
        });
        resources(config)["hugepageLimits"] = json!([{"pageSize": "2MB", "limit": 4 << 20}]);
    };
    let shown = same(change, |subject| {
        subject.start();
        [
            subject.settings(),
            subject.update(&["--blkio-weight", "100"]),
            subject.update_with(&json!({
                "blockIO": {"weight": 750, "throttleReadBpsDevice": device("rate", 3 << 20)},
            })),
        ]
        .join("\n")
    });
    for shown in shown {
        let io = format!("io.max: {number} rbps=1048576 wbps=2097152 riops=300 wiops=400");
        assert_has(&shown, &[&io, "hugetlb.2MB.max: 4194304", "hugetlb.2MB.rsvd.max: 4194304"]);
        assert_has(&shown, &["io.weight: default 4950", "io.weight: default 7475"]);
    }
}

#[test]
#[ignore = "needs cgroup v2 and systemd: scripts/test-cgroup2"]
fn files_by_name() {
    let change = |config: &mut Value| {
        resources(config)["unified"] = json!({
            "memory.min": "131072", "memory.low": "524288", "memory.high": "20971520",
            "memory.max": "41943040", "memory.swap.max": "20971520",
            "pids.max": "99", "cpu.max": "10000 100000", "cpu.weight": "42",
            "cpuset.cpus": "0", "cpuset.mems": "0", "hugetlb.2MB.max": "2097152",
            "cgroup.max.depth": "3", "io.weight": "default 200",
        });
    };
    let shown = same(change, |subject| {
        subject.start();
        [
            subject.settings(),
            subject.update_with(&json!({"unified": {"cpu.max": "max 100000", "pids.max": "max"}})),
            subject.update_with(&json!({"unified": {"cpuset.cpus": "1", "memory.high": "max"}})),
            subject.update_with(&json!({"unified": {"cpu.idle": "1"}})),
        ]
        .join("\n")
    });
    for shown in shown {
        assert_has(&shown, &["memory.max: 41943040", "memory.high: 20971520", "pids.max: 99"]);
        assert_has(&shown, &["cgroup.max.depth: 3", "hugetlb.2MB.max: 2097152", "cpu.weight: 42"]);
        assert_has(&shown, &["cpu.max: max 100000", "cpuset.cpus: 1"]);
    }
}

#[test]
#[ignore = "needs cgroup v2 and systemd: scripts/test-cgroup2"]
fn nothing_but_the_drivers_own() {
    let shown = same(
        |config| {
            config["linux"].as_object_mut().expect("an object").remove("resources");
        },
        |subject| {
            subject.start();
            subject.settings()
        },
    );
    assert_has(&shown[1], &["Delegate=yes", "Slice=machine.slice"]);
}
