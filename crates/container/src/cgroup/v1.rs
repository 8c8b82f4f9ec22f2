//! Limits on cgroup v1: a file per value, in the hierarchy of its controller.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use oci_spec::runtime::{LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxResources};

use super::write::{limit, write};
use super::{Cgroup, device};
use crate::error::{Doing, Error, Result};
use crate::kernel_file;
use crate::notice;

/// Sets what `resources` names. `fresh`: the directory is new, so its devices and cpuset are set up
/// too. `lenient`: who is not allowed to restrict devices goes without.
pub(super) fn apply(
    cgroup: &Cgroup,
    resources: &LinuxResources,
    fresh: bool,
    lenient: bool,
) -> Result<()> {
    let writer = Writer { cgroup };
    if fresh {
        if let Some(group) = cgroup.group("cpuset") {
            inherit_cpuset(&group.path, &group.root())?;
        }
        writer.devices(resources).or_else(|error| {
            let denied = lenient && error.is_denied();
            if denied { Ok(()) } else { Err(error) }
        })?;
    }
    if let Some(memory) = resources.memory() {
        writer.memory(memory)?;
    }
    if let Some(cpu) = resources.cpu() {
        writer.cpu(cpu)?;
    }
    if let Some(pids) = resources.pids().as_ref().filter(|pids| pids.limit() != 0) {
        let limit = if pids.limit() < 0 { "max".into() } else { pids.limit().to_string() };
        writer.set("pids.limit", "pids", "pids.max", limit)?;
    }
    if let Some(block_io) = resources.block_io() {
        writer.block_io(block_io)?;
    }
    for limit in resources.hugepage_limits().iter().flatten() {
        writer.huge_pages(limit.page_size(), limit.limit())?;
    }
    writer.network(resources)?;
    for (device, limit) in resources.rdma().iter().flatten() {
        writer.set("rdma", "rdma", "rdma.max", super::rdma(device, limit))?;
    }
    if resources.unified().as_ref().is_some_and(|map| !map.is_empty()) {
        return Err(Error::spec(
            "linux.resources.unified",
            "invalid configuration: this host uses cgroup v1",
        ));
    }
    Ok(())
}

/// `FROZEN` is reached only when every process stopped; one that is just being born may need a
/// second request.
pub(super) fn freeze(path: &Path, frozen: bool) -> Result<()> {
    let file = path.join("freezer.state");
    let wanted = if frozen { "FROZEN" } else { "THAWED" };
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut pause = Duration::from_micros(100);
    loop {
        write(&file, wanted)?;
        let now = fs::read_to_string(&file).doing(|| format!("read {}", file.display()))?;
        if now.trim() == wanted {
            return Ok(());
        }
        if Instant::now() > deadline {
            write(&file, "THAWED")?;
            return Err(Error::spec("pause", "the processes did not freeze within 10 seconds"));
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// A new cpuset is empty and takes no process: it gets its parent's processors and memory nodes.
fn inherit_cpuset(path: &Path, root: &Path) -> Result<()> {
    if path == root {
        return Ok(());
    }
    let parent = path.parent().unwrap_or(root);
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let read =
            |path: &Path| kernel_file::read(path).doing(|| format!("read {}", path.display()));
        if !read(&path.join(file))?.trim().is_empty() {
            continue;
        }
        let mut value = read(&parent.join(file))?;
        if value.trim().is_empty() {
            inherit_cpuset(parent, root)?;
            value = read(&parent.join(file))?;
        }
        write(&path.join(file), value.trim())?;
    }
    Ok(())
}

/// A name out of the configuration that becomes part of a file's name.
pub(super) fn checked(file: &str) -> Result<String> {
    if file.contains('/') {
        return Err(Error::spec("linux.resources", format!("{file:?} is not a cgroup's file")));
    }
    Ok(file.to_owned())
}

struct Writer<'a> {
    cgroup: &'a Cgroup,
}

impl Writer<'_> {
    fn set(&self, field: &str, controller: &str, file: &str, value: impl ToString) -> Result<()> {
        let group = self.cgroup.group(controller).ok_or_else(|| {
            let reason = format!("{file} cannot be set: this host has no {controller} cgroup");
            Error::spec(format!("linux.resources.{field}"), reason)
        })?;
        limit(field, &group.path, file, value)
    }

    fn set_some(
        &self,
        field: &str,
        controller: &str,
        file: &str,
        value: Option<impl ToString>,
    ) -> Result<()> {
        value.map_or(Ok(()), |value| self.set(field, controller, file, value))
    }

    fn has(&self, controller: &str, file: &str) -> bool {
        self.cgroup.group(controller).is_some_and(|group| group.path.join(file).exists())
    }

    fn huge_pages(&self, size: &str, bytes: i64) -> Result<()> {
        let file = checked(&format!("hugetlb.{size}.limit_in_bytes"))?;
        self.set("hugepageLimits", "hugetlb", &file, bytes)?;
        let reserved = format!("hugetlb.{size}.rsvd.limit_in_bytes");
        match self.has("hugetlb", &reserved) {
            true => self.set("hugepageLimits", "hugetlb", &reserved, bytes),
            false => Ok(()),
        }
    }

    /// One descriptor for all rules of a kind: each rule is a write of its own.
    fn devices(&self, resources: &LinuxResources) -> Result<()> {
        let rules = device::for_v1(&device::rules(resources)?)?;
        let Some(group) = self.cgroup.group("devices") else {
            return Err(Error::spec("linux.resources.devices", "this host has no devices cgroup"));
        };
        let open = |file| {
            let path = group.path.join(file);
            fs::OpenOptions::new()
                .write(true)
                .open(&path)
                .doing(|| format!("open {}", path.display()))
        };
        let (mut allow, mut deny) = (open("devices.allow")?, open("devices.deny")?);
        let put = |file: &mut fs::File, rule: &str| -> Result<(), io::Error> {
            file.write_all(rule.as_bytes())
        };
        put(&mut deny, "a").doing(|| "deny all devices".into())?;
        for rule in rules {
            let file = if rule.allow { &mut allow } else { &mut deny };
            put(file, &rule.v1()).doing(|| format!("set the device rule {:?}", rule.v1()))?;
        }
        Ok(())
    }

    /// The limit of memory and that of memory with swap must never cross: which is written first
    /// depends on the direction.
    fn memory(&self, memory: &LinuxMemory) -> Result<()> {
        let limit = memory.limit().filter(|&limit| limit != 0);
        let swap = memory.swap().filter(|&swap| swap != 0);
        let swap = if limit == Some(-1) && swap.is_none() { Some(-1) } else { swap };
        let (limit_file, swap_file) = ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes");
        // A kernel without accounting of swap has nothing to allow without limit.
        let swap = swap.filter(|&swap| swap != -1 || self.has("memory", swap_file));
        let first = self.set_some("memory.limit", "memory", limit_file, limit);
        match self.set_some("memory.swap", "memory", swap_file, swap) {
            Err(error) => return Err(first.err().unwrap_or(error)),
            Ok(()) if first.is_err() && swap.is_some() => {
                self.set_some("memory.limit", "memory", limit_file, limit)?;
            }
            Ok(()) => first?,
        }
        let soft = memory.reservation().filter(|&bytes| bytes != 0);
        self.set_some("memory.reservation", "memory", "memory.soft_limit_in_bytes", soft)?;
        if memory.kernel().is_some() || memory.kernel_tcp().is_some() {
            notice::warn("linux.resources.memory.kernel: limits of kernel memory are ignored");
        }
        if memory.disable_oom_killer() == Some(true) {
            self.set("memory.disableOOMKiller", "memory", "memory.oom_control", 1)?;
        }
        if memory.use_hierarchy() == Some(true) {
            self.set("memory.useHierarchy", "memory", "memory.use_hierarchy", 1)?;
        }
        match memory.swappiness() {
            Some(percent) if percent > 100 => {
                Err(Error::spec("linux.resources.memory.swappiness", "not between 0 and 100"))
            }
            percent => self.set_some("memory.swappiness", "memory", "memory.swappiness", percent),
        }
    }

    fn cpu(&self, cpu: &LinuxCpu) -> Result<()> {
        if let Some(shares) = cpu.shares().filter(|&shares| shares != 0) {
            self.shares(shares)?;
        }
        let period = cpu.period().filter(|&period| period != 0);
        let quota = cpu.quota().filter(|&quota| quota != 0);
        let burst = || self.set_some("cpu.burst", "cpu", "cpu.cfs_burst_us", cpu.burst());
        let burst_first = burst();
        self.pair(
            || self.set_some("cpu.period", "cpu", "cpu.cfs_period_us", period),
            || self.set_some("cpu.quota", "cpu", "cpu.cfs_quota_us", quota),
        )?;
        if burst_first.is_err() {
            burst()?;
        }
        self.set_some("cpu.idle", "cpu", "cpu.idle", cpu.idle())?;
        let period = cpu.realtime_period().filter(|&period| period != 0);
        let runtime = cpu.realtime_runtime().filter(|&runtime| runtime != 0);
        self.pair(
            || self.set_some("cpu.realtimePeriod", "cpu", "cpu.rt_period_us", period),
            || self.set_some("cpu.realtimeRuntime", "cpu", "cpu.rt_runtime_us", runtime),
        )?;
        let some = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        self.set_some("cpu.cpus", "cpuset", "cpuset.cpus", some(cpu.cpus()))?;
        self.set_some("cpu.mems", "cpuset", "cpuset.mems", some(cpu.mems()))
    }

    /// A period may be too short for the old share of it, so it is tried again after the new one.
    fn pair(&self, period: impl Fn() -> Result<()>, share: impl Fn() -> Result<()>) -> Result<()> {
        let first = period();
        share()?;
        if first.is_err() { period() } else { Ok(()) }
    }

    /// The kernel puts what is out of its range at the range's end and says nothing.
    fn shares(&self, shares: u64) -> Result<()> {
        self.set("cpu.shares", "cpu", "cpu.shares", shares)?;
        let file = self.cgroup.group("cpu").map(|group| group.path.join("cpu.shares"));
        let now = file.and_then(|file| fs::read_to_string(file).ok());
        let now = now.and_then(|text| text.trim().parse::<u64>().ok()).unwrap_or(shares);
        let refused = |reason: String| Err(Error::spec("linux.resources.cpu.shares", reason));
        if now < shares {
            refused(format!("the maximum allowed cpu-shares is {now}"))
        } else if now > shares {
            refused(format!("the minimum allowed cpu-shares is {now}"))
        } else {
            Ok(())
        }
    }

    fn block_io(&self, io: &LinuxBlockIo) -> Result<()> {
        if let Some(weight) = io.weight().filter(|&weight| weight != 0) {
            self.weight("", weight)?;
        }
        if let Some(weight) = io.leaf_weight().filter(|&weight| weight != 0) {
            self.set("blockIO.leafWeight", "blkio", "blkio.leaf_weight", weight)?;
        }
        for device in io.weight_device().iter().flatten() {
            let name = format!("{}:{} ", device.major(), device.minor());
            if let Some(weight) = device.weight().filter(|&weight| weight != 0) {
                self.weight(&name, weight)?;
            }
            if let Some(weight) = device.leaf_weight().filter(|&weight| weight != 0) {
                let text = format!("{name}{weight}");
                self.set("blockIO.weightDevice", "blkio", "blkio.leaf_weight_device", text)?;
            }
        }
        for (field, file, devices) in [
            (
                "blockIO.throttleReadBpsDevice",
                "blkio.throttle.read_bps_device",
                io.throttle_read_bps_device(),
            ),
            (
                "blockIO.throttleWriteBpsDevice",
                "blkio.throttle.write_bps_device",
                io.throttle_write_bps_device(),
            ),
            (
                "blockIO.throttleReadIOPSDevice",
                "blkio.throttle.read_iops_device",
                io.throttle_read_iops_device(),
            ),
            (
                "blockIO.throttleWriteIOPSDevice",
                "blkio.throttle.write_iops_device",
                io.throttle_write_iops_device(),
            ),
        ] {
            for limit in devices.iter().flatten() {
                let text = format!("{}:{} {}", limit.major(), limit.minor(), limit.rate());
                self.set(field, "blkio", file, text)?;
            }
        }
        Ok(())
    }

    /// The scheduler decides the file's name: bfq has its own.
    fn weight(&self, device: &str, weight: u16) -> Result<()> {
        let suffix = if device.is_empty() { "" } else { "_device" };
        let (plain, bfq) = (format!("blkio.weight{suffix}"), format!("blkio.bfq.weight{suffix}"));
        let has = |file: &str| self.has("blkio", file);
        let file = if !has(&plain) && has(&bfq) { bfq } else { plain };
        let field = if device.is_empty() { "blockIO.weight" } else { "blockIO.weightDevice" };
        self.set(field, "blkio", &file, format!("{device}{weight}"))
    }

    fn network(&self, resources: &LinuxResources) -> Result<()> {
        let Some(network) = resources.network() else { return Ok(()) };
        let class = network.class_id().filter(|&class| class != 0);
        self.set_some("network.classID", "net_cls", "net_cls.classid", class)?;
        for priority in network.priorities().iter().flatten() {
            let text = format!("{} {}", priority.name(), priority.priority());
            self.set("network.priorities", "net_prio", "net_prio.ifpriomap", text)?;
        }
        Ok(())
    }
}
