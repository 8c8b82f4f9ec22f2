//! Cgroup v2: the directory with its controllers, handed down from the root, and the limits in it.
//!
//! libcgroups' manager for v2 is not used: its weights follow an older formula than runc's, its swap
//! limit without a memory limit is silently dropped, it ignores fields that v2 has no file for, and it
//! reads and writes `cgroup.subtree_control` once per controller.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use oci_spec::runtime::{LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxResources};

use super::write::{limit, write};
use super::{ROOT, convert, device, device_filter};
use crate::error::{Doing, Error, Result};
use crate::notice;

/// Makes the directory and those above it, each with all controllers of the root handed down. Whether
/// it was missing.
pub(super) fn make(path: &Path, resources: &LinuxResources) -> Result<bool> {
    let mut made: Vec<PathBuf> = Vec::new();
    let all = descend(path, resources, &mut made);
    if all.is_err() {
        made.iter().rev().for_each(|path| drop(fs::remove_dir(path)));
    }
    all.map(|()| made.last().is_some_and(|last| last == path))
}

fn descend(path: &Path, resources: &LinuxResources, made: &mut Vec<PathBuf>) -> Result<()> {
    let root = Path::new(ROOT);
    let file = root.join("cgroup.controllers");
    let controllers = fs::read_to_string(&file).doing(|| format!("read {}", file.display()))?;
    let mut above: Vec<_> = path.ancestors().take_while(|above| above.starts_with(root)).collect();
    above.reverse();
    for directory in above {
        if directory != root {
            match fs::create_dir(directory) {
                Ok(()) => made.push(directory.to_owned()),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => {
                    return Err(error).doing(|| format!("make the cgroup {}", directory.display()));
                }
            }
            check_type(directory, resources)?;
        }
        if directory != path {
            hand_down(directory, &controllers);
        }
    }
    Ok(())
}

/// Hands controllers down. Not every one can be had everywhere; a limit that needs it fails by its name.
fn hand_down(directory: &Path, controllers: &str) {
    let file = directory.join("cgroup.subtree_control");
    let have = fs::read_to_string(&file).unwrap_or_default();
    let has = |name: &str| have.split_whitespace().any(|have| have == name);
    let missing: Vec<_> = controllers
        .split_whitespace()
        .filter(|name| !has(name))
        .map(|name| format!("+{name}"))
        .collect();
    if !missing.is_empty() && fs::write(&file, missing.join(" ")).is_err() {
        missing.iter().for_each(|one| drop(fs::write(&file, one)));
    }
}

/// Below processes, or in threaded mode, a cgroup has only the controllers that know threads
/// (cgroups(7), "Thread mode").
fn check_type(directory: &Path, resources: &LinuxResources) -> Result<()> {
    let file = directory.join("cgroup.type");
    let Ok(kind) = fs::read_to_string(&file) else { return Ok(()) };
    let whole = needs_domain(resources);
    let refused = |how: &str| {
        let reason = format!(
            "cannot enter cgroupv2 {:?} with domain controllers -- it is in {how}",
            directory.display().to_string()
        );
        Err(Error::spec("linux.cgroupsPath", reason))
    };
    match kind.trim() {
        "domain invalid" if whole => refused("an invalid state"),
        "domain invalid" => {
            let _ = fs::write(&file, "threaded");
            Ok(())
        }
        kind @ ("domain threaded" | "threaded") if whole => refused(&format!("{kind} mode")),
        _ => Ok(()),
    }
}

fn needs_domain(resources: &LinuxResources) -> bool {
    let memory = resources.memory().as_ref().is_some_and(|memory| {
        [memory.limit(), memory.swap(), memory.reservation()].iter().any(|limit| limit.is_some())
    });
    let pages = resources.hugepage_limits().as_ref().is_some_and(|limits| !limits.is_empty());
    let io = resources.block_io().as_ref().is_some_and(|io| *io != LinuxBlockIo::default());
    memory || pages || io
}

/// Sets what `resources` names. `fresh`: the directory is new, so its device filter is set up too;
/// `lenient`: without the right to filter devices the container goes without a filter.
pub(super) fn apply(
    path: &Path,
    resources: &LinuxResources,
    fresh: bool,
    lenient: bool,
) -> Result<()> {
    refuse(resources)?;
    let group = Limits { path };
    if fresh {
        let filtered = device_filter::attach(path, &device::rules(resources)?);
        filtered.or_else(|error| if lenient { Ok(()) } else { Err(error) })?;
    }
    if let Some(count) =
        resources.pids().as_ref().map(|pids| pids.limit()).filter(|&count| count != 0)
    {
        group.set("pids.limit", "pids.max", or_max(count))?;
    }
    if let Some(memory) = resources.memory() {
        group.memory(memory)?;
    }
    if let Some(io) = resources.block_io() {
        group.io(io)?;
    }
    if let Some(cpu) = resources.cpu() {
        group.cpu(cpu)?;
    }
    for page in resources.hugepage_limits().iter().flatten() {
        group.huge_pages(page.page_size(), page.limit())?;
    }
    for (device, limit) in resources.rdma().iter().flatten() {
        group.set("rdma", "rdma.max", super::rdma(device, limit))?;
    }
    group.unified(resources)
}

/// Fields that only v1 has.
fn refuse(resources: &LinuxResources) -> Result<()> {
    let memory = resources.memory().as_ref();
    let cpu = resources.cpu().as_ref();
    let network = resources.network().as_ref();
    let priorities = network.and_then(|network| network.priorities().as_ref());
    for (field, given) in [
        ("memory.swappiness", memory.and_then(|memory| memory.swappiness()).is_some()),
        (
            "memory.disableOOMKiller",
            memory.and_then(|memory| memory.disable_oom_killer()) == Some(true),
        ),
        ("cpu.realtimeRuntime", cpu.and_then(|cpu| cpu.realtime_runtime()).unwrap_or(0) != 0),
        ("cpu.realtimePeriod", cpu.and_then(|cpu| cpu.realtime_period()).unwrap_or(0) != 0),
        ("network.classID", network.and_then(|network| network.class_id()).unwrap_or(0) != 0),
        ("network.priorities", priorities.is_some_and(|list| !list.is_empty())),
    ] {
        if given {
            return Err(Error::spec(
                format!("linux.resources.{field}"),
                "cgroup v2 has no such limit",
            ));
        }
    }
    if memory.is_some_and(|memory| memory.kernel().is_some() || memory.kernel_tcp().is_some()) {
        notice::warn("linux.resources.memory.kernel: limits of kernel memory are ignored");
    }
    Ok(())
}

fn or_max(number: i64) -> String {
    if number < 0 { "max".into() } else { number.to_string() }
}

struct Limits<'a> {
    path: &'a Path,
}

impl Limits<'_> {
    fn set(&self, field: &str, file: &str, value: impl ToString) -> Result<()> {
        limit(field, self.path, file, value)
    }

    fn has(&self, file: &str) -> bool {
        self.path.join(file).exists()
    }

    fn memory(&self, memory: &LinuxMemory) -> Result<()> {
        convert::check_usage(memory, self.path)?;
        if let Some(swap) = convert::swap(memory, self.path)? {
            // Without swap there is nothing to forbid or to allow without limit.
            if swap > 0 || self.has("memory.swap.max") {
                self.set("memory.swap", "memory.swap.max", or_max(swap))?;
            }
        }
        for (field, file, bytes) in [
            ("memory.limit", "memory.max", memory.limit()),
            ("memory.reservation", "memory.low", memory.reservation()),
        ] {
            if let Some(bytes) = bytes.filter(|&bytes| bytes != 0) {
                self.set(field, file, or_max(bytes))?;
            }
        }
        Ok(())
    }

    fn cpu(&self, cpu: &LinuxCpu) -> Result<()> {
        if let Some(idle) = cpu.idle() {
            self.set("cpu.idle", "cpu.idle", idle)?;
        }
        match cpu.shares().filter(|&shares| shares != 0) {
            // The kernel takes no weight for what is idle.
            Some(_) if cpu.idle() == Some(1) => {}
            Some(shares) => self.set("cpu.shares", "cpu.weight", convert::weight(shares))?,
            None => {}
        }
        self.quota(cpu)?;
        for (field, file, list) in
            [("cpu.cpus", "cpuset.cpus", cpu.cpus()), ("cpu.mems", "cpuset.mems", cpu.mems())]
        {
            if let Some(list) = list.as_ref().filter(|list| !list.is_empty()) {
                self.set(field, file, list)?;
            }
        }
        Ok(())
    }

    /// A burst must not exceed the quota, so which is written first depends on the direction.
    fn quota(&self, cpu: &LinuxCpu) -> Result<()> {
        let burst = cpu.burst().map(|burst| self.set("cpu.burst", "cpu.max.burst", burst));
        let quota = cpu.quota().filter(|&quota| quota != 0);
        let period = cpu.period().filter(|&period| period != 0);
        if quota.is_some() || period.is_some() {
            let (old_quota, old_period) = convert::current(self.path, true);
            let quota = or_max(quota.or(old_quota).unwrap_or(-1));
            let field = if period.is_some() { "cpu.period" } else { "cpu.quota" };
            let period = period.or(old_period).unwrap_or(100_000);
            self.set(field, "cpu.max", format!("{quota} {period}"))?;
        }
        match (burst, cpu.burst()) {
            (Some(Err(_)), Some(burst)) => self.set("cpu.burst", "cpu.max.burst", burst),
            _ => Ok(()),
        }
    }

    fn io(&self, io: &LinuxBlockIo) -> Result<()> {
        let bfq = self.has("io.bfq.weight");
        let file = if bfq { "io.bfq.weight" } else { "io.weight" };
        let convert = |weight: u16| match bfq {
            true => u64::from(weight),
            false => convert::io_weight(weight),
        };
        if let Some(weight) = io.weight().filter(|&weight| weight != 0) {
            self.set("blockIO.weight", file, convert(weight))?;
        }
        let leaves = io.weight_device().iter().flatten().filter_map(|device| device.leaf_weight());
        if io.leaf_weight().into_iter().chain(leaves).any(|weight| weight != 0) {
            let reason = "cgroup v2 has no such limit";
            return Err(Error::spec("linux.resources.blockIO.leafWeight", reason));
        }
        for device in io.weight_device().iter().flatten() {
            if let Some(weight) = device.weight().filter(|&weight| weight != 0) {
                let text = format!("{}:{} {}", device.major(), device.minor(), convert(weight));
                self.set("blockIO.weightDevice", file, text)?;
            }
        }
        for (field, key, devices) in [
            ("throttleReadBpsDevice", "rbps", io.throttle_read_bps_device()),
            ("throttleWriteBpsDevice", "wbps", io.throttle_write_bps_device()),
            ("throttleReadIOPSDevice", "riops", io.throttle_read_iops_device()),
            ("throttleWriteIOPSDevice", "wiops", io.throttle_write_iops_device()),
        ] {
            for limit in devices.iter().flatten() {
                let rate = if limit.rate() == 0 { "max".into() } else { limit.rate().to_string() };
                let text = format!("{}:{} {key}={rate}", limit.major(), limit.minor());
                self.set(&format!("blockIO.{field}"), "io.max", text)?;
            }
        }
        Ok(())
    }

    fn huge_pages(&self, size: &str, bytes: i64) -> Result<()> {
        let file = super::v1::checked(&format!("hugetlb.{size}.max"))?;
        self.set("hugepageLimits", &file, bytes)?;
        let reserved = format!("hugetlb.{size}.rsvd.max");
        if self.has(&reserved) { self.set("hugepageLimits", &reserved, bytes) } else { Ok(()) }
    }

    /// The kernel's own files, last, so that they win. One write a line: some files take only one.
    fn unified(&self, resources: &LinuxResources) -> Result<()> {
        let Some(files) = resources.unified() else { return Ok(()) };
        let mut files: Vec<_> = files.iter().collect();
        files.sort();
        for (file, value) in files {
            let field = format!("unified.{file}");
            let wrong = |reason: &str| Err(Error::spec(format!("linux.resources.{field}"), reason));
            if file.contains('/') {
                return wrong("must be a file name (no slashes)");
            }
            if file.split_once('.').is_none_or(|(controller, _)| controller.is_empty()) {
                return wrong("must be in the form CONTROLLER.PARAMETER");
            }
            for line in value.lines().filter(|line| !line.is_empty()) {
                self.set(&field, file, line)?;
            }
        }
        Ok(())
    }
}

/// Gives the directory to a user: the files that may be given (cgroups(7), "Cgroups delegation").
pub(super) fn delegate(path: &Path, uid: u32) -> Result<()> {
    let give = |path: &Path| match std::os::unix::fs::chown(path, Some(uid), None) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).doing(|| format!("give {} to user {uid}", path.display()))
        }
        _ => Ok(()),
    };
    give(path)?;
    let files = fs::read_to_string("/sys/kernel/cgroup/delegate")
        .unwrap_or_else(|_| "cgroup.procs\ncgroup.subtree_control\ncgroup.threads".into());
    files.lines().try_for_each(|file| give(&path.join(file)))
}

/// Freezes or thaws, and waits for the kernel's word.
pub(super) fn freeze(path: &Path, frozen: bool) -> Result<()> {
    let value = if frozen { "1" } else { "0" };
    write(&path.join("cgroup.freeze"), value)?;
    let events = path.join("cgroup.events");
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut pause = Duration::from_micros(100);
    loop {
        let text = fs::read_to_string(&events).doing(|| format!("read {}", events.display()))?;
        if text.lines().any(|line| line == format!("frozen {value}")) {
            return Ok(());
        }
        if Instant::now() > deadline {
            write(&path.join("cgroup.freeze"), "0")?;
            return Err(Error::spec("pause", "the processes did not freeze within 10 seconds"));
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}
