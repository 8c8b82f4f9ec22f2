//! Limits on cgroup v1: a file per value, in the hierarchy of its controller.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use oci_spec::runtime::{LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxResources};

use super::{Cgroup, device, write};
use crate::error::{Doing, Error, Result};
use crate::kernel_file;

/// Sets what `resources` names. `fresh`: the directory is new, so its devices and cpuset are set up
/// too.
pub(super) fn apply(cgroup: &Cgroup, resources: &LinuxResources, fresh: bool) -> Result<()> {
    let writer = Writer { cgroup };
    if fresh {
        if let Some(group) = cgroup.group("cpuset") {
            inherit_cpuset(&group.path, &group.root())?;
        }
        writer.devices(resources)?;
    }
    if let Some(memory) = resources.memory() {
        writer.memory(memory)?;
    }
    if let Some(cpu) = resources.cpu() {
        writer.cpu(cpu)?;
    }
    if let Some(pids) = resources.pids().as_ref().filter(|pids| pids.limit() != 0) {
        let limit = if pids.limit() < 0 { "max".into() } else { pids.limit().to_string() };
        writer.set("pids", "pids.max", limit)?;
    }
    if let Some(block_io) = resources.block_io() {
        writer.block_io(block_io)?;
    }
    for limit in resources.hugepage_limits().iter().flatten() {
        let file = format!("hugetlb.{}.limit_in_bytes", limit.page_size());
        writer.set("hugetlb", &checked(&file)?, limit.limit())?;
    }
    writer.network(resources)?;
    for (device, limit) in resources.rdma().iter().flatten() {
        let handles = limit.hca_handles().map(|count| format!(" hca_handle={count}"));
        let objects = limit.hca_objects().map(|count| format!(" hca_object={count}"));
        let text =
            format!("{device}{}{}", handles.unwrap_or_default(), objects.unwrap_or_default());
        writer.set("rdma", "rdma.max", text)?;
    }
    if resources.unified().as_ref().is_some_and(|map| !map.is_empty()) {
        return Err(Error::spec("linux.resources.unified", "this host uses cgroup v1"));
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
fn checked(file: &str) -> Result<String> {
    if file.contains('/') {
        return Err(Error::spec("linux.resources", format!("{file:?} is not a cgroup's file")));
    }
    Ok(file.to_owned())
}

struct Writer<'a> {
    cgroup: &'a Cgroup,
}

impl Writer<'_> {
    fn set(&self, controller: &str, file: &str, value: impl ToString) -> Result<()> {
        let group = self.cgroup.group(controller).ok_or_else(|| {
            let reason = format!("{file} cannot be set: this host has no {controller} cgroup");
            Error::spec("linux.resources", reason)
        })?;
        write(&group.path.join(file), value.to_string())
    }

    fn set_some(&self, controller: &str, file: &str, value: Option<impl ToString>) -> Result<()> {
        value.map_or(Ok(()), |value| self.set(controller, file, value))
    }

    /// One descriptor for all rules of a kind: each rule is a write of its own.
    fn devices(&self, resources: &LinuxResources) -> Result<()> {
        let rules = device::rules(resources)?;
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
        let limit_first = self.set_some("memory", limit_file, limit);
        self.set_some("memory", swap_file, swap)?;
        if limit_first.is_err() {
            self.set_some("memory", limit_file, limit)?;
        }
        let soft = memory.reservation().filter(|&bytes| bytes != 0);
        self.set_some("memory", "memory.soft_limit_in_bytes", soft)?;
        let (kernel, tcp) = (memory.kernel(), memory.kernel_tcp());
        let kernel = kernel.filter(|&bytes| bytes != 0);
        self.set_some("memory", "memory.kmem.limit_in_bytes", kernel)?;
        let tcp = tcp.filter(|&bytes| bytes != 0);
        self.set_some("memory", "memory.kmem.tcp.limit_in_bytes", tcp)?;
        if memory.disable_oom_killer() == Some(true) {
            self.set("memory", "memory.oom_control", 1)?;
        }
        if memory.use_hierarchy() == Some(true) {
            self.set("memory", "memory.use_hierarchy", 1)?;
        }
        match memory.swappiness() {
            Some(percent) if percent > 100 => {
                Err(Error::spec("linux.resources.memory.swappiness", "not between 0 and 100"))
            }
            percent => self.set_some("memory", "memory.swappiness", percent),
        }
    }

    fn cpu(&self, cpu: &LinuxCpu) -> Result<()> {
        let shares = cpu.shares().filter(|&shares| shares != 0);
        self.set_some("cpu", "cpu.shares", shares)?;
        let period = cpu.period().filter(|&period| period != 0);
        let quota = cpu.quota().filter(|&quota| quota != 0);
        let period_first = self.set_some("cpu", "cpu.cfs_period_us", period);
        self.set_some("cpu", "cpu.cfs_quota_us", quota)?;
        if period_first.is_err() {
            self.set_some("cpu", "cpu.cfs_period_us", period)?;
        }
        self.set_some("cpu", "cpu.cfs_burst_us", cpu.burst())?;
        self.set_some("cpu", "cpu.idle", cpu.idle())?;
        let period = cpu.realtime_period().filter(|&period| period != 0);
        self.set_some("cpu", "cpu.rt_period_us", period)?;
        let runtime = cpu.realtime_runtime().filter(|&runtime| runtime != 0);
        self.set_some("cpu", "cpu.rt_runtime_us", runtime)?;
        let some = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        self.set_some("cpuset", "cpuset.cpus", some(cpu.cpus()))?;
        self.set_some("cpuset", "cpuset.mems", some(cpu.mems()))
    }

    fn block_io(&self, io: &LinuxBlockIo) -> Result<()> {
        if let Some(weight) = io.weight().filter(|&weight| weight != 0) {
            self.weight("", weight)?;
        }
        if let Some(weight) = io.leaf_weight().filter(|&weight| weight != 0) {
            self.set("blkio", "blkio.leaf_weight", weight)?;
        }
        for device in io.weight_device().iter().flatten() {
            let name = format!("{}:{} ", device.major(), device.minor());
            if let Some(weight) = device.weight().filter(|&weight| weight != 0) {
                self.weight(&name, weight)?;
            }
            if let Some(weight) = device.leaf_weight().filter(|&weight| weight != 0) {
                self.set("blkio", "blkio.leaf_weight_device", format!("{name}{weight}"))?;
            }
        }
        for (file, devices) in [
            ("blkio.throttle.read_bps_device", io.throttle_read_bps_device()),
            ("blkio.throttle.write_bps_device", io.throttle_write_bps_device()),
            ("blkio.throttle.read_iops_device", io.throttle_read_iops_device()),
            ("blkio.throttle.write_iops_device", io.throttle_write_iops_device()),
        ] {
            for limit in devices.iter().flatten() {
                let text = format!("{}:{} {}", limit.major(), limit.minor(), limit.rate());
                self.set("blkio", file, text)?;
            }
        }
        Ok(())
    }

    /// The scheduler decides the file's name: bfq has its own.
    fn weight(&self, device: &str, weight: u16) -> Result<()> {
        let suffix = if device.is_empty() { "" } else { "_device" };
        let (plain, bfq) = (format!("blkio.weight{suffix}"), format!("blkio.bfq.weight{suffix}"));
        let has = |file: &str| {
            self.cgroup.group("blkio").is_some_and(|group| group.path.join(file).exists())
        };
        let file = if !has(&plain) && has(&bfq) { bfq } else { plain };
        self.set("blkio", &file, format!("{device}{weight}"))
    }

    fn network(&self, resources: &LinuxResources) -> Result<()> {
        let Some(network) = resources.network() else { return Ok(()) };
        let class = network.class_id().filter(|&class| class != 0);
        self.set_some("net_cls", "net_cls.classid", class)?;
        for priority in network.priorities().iter().flatten() {
            let text = format!("{} {}", priority.name(), priority.priority());
            self.set("net_prio", "net_prio.ifpriomap", text)?;
        }
        Ok(())
    }
}
