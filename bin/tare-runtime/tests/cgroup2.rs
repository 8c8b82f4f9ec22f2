//! Cgroup v2 with each of its drivers: the same bundle under runc and under this runtime, compared by what
//! the kernel's files and systemd's properties say.
//!
//! Made for a machine whose only cgroups are v2's and whose first process is systemd. `scripts/test-cgroup2`
//! has one and runs these tests, which elsewhere are told as ignored.

#[path = "support/mod.rs"]
mod support;

#[path = "cgroup2/devices.rs"]
mod devices;
#[path = "cgroup2/life.rs"]
mod life;
#[path = "cgroup2/limits.rs"]
mod limits;
#[path = "cgroup2/oom.rs"]
mod oom;
#[path = "cgroup2/owner.rs"]
mod owner;
#[path = "cgroup2/rootless.rs"]
mod rootless;
#[path = "cgroup2/subject.rs"]
mod subject;
#[path = "cgroup2/unit.rs"]
mod unit;
#[path = "cgroup2/wrong.rs"]
mod wrong;
