//! Small settings of a process: limits, scheduling, sysctls, names, keyring.

use std::fs::{self, File};
use std::io::{Seek, Write};

use oci_spec::runtime::{
    IOPriorityClass, Linux, LinuxPersonality, LinuxPersonalityDomain, LinuxSchedulerFlag,
    LinuxSchedulerPolicy, LinuxTimeOffset, PosixRlimitType, Process, Spec,
};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::process::{Pid, Resource, Rlimit};

use crate::cpu_set::CpuSet;
use crate::error::{Doing, Error, Result};
use crate::notice;
use crate::spec::sysctl;
use crate::syscalls::{self, SchedAttr};

/// A new session keyring, so that the caller's keys are not possessed. It has no name: a name could be
/// that of a keyring which another container prepared.
pub(crate) fn join_keyring() -> Result<()> {
    match syscalls::join_session_keyring() {
        // A kernel without keyrings has nothing to hide.
        Err(error) if error.raw_os_error() == Some(libc::ENOSYS) => Ok(()),
        joined => joined.map(drop).doing(|| "join a session keyring".into()),
    }
}

/// Resource limits of a process: of `pid`, or the caller's own.
pub(crate) fn set_limits(pid: Option<Pid>, process: &Process) -> Result<()> {
    for limit in process.rlimits().iter().flatten() {
        let infinite = |value: u64| (value != u64::MAX).then_some(value);
        let wanted = Rlimit { current: infinite(limit.soft()), maximum: infinite(limit.hard()) };
        let resource = resource(limit.typ());
        match resource {
            Some(resource) => rustix::process::prlimit(pid, resource, wanted).map(drop),
            None => Err(rustix::io::Errno::INVAL),
        }
        .doing(|| format!("set the limit {}", limit.typ()))?;
    }
    Ok(())
}

fn resource(kind: PosixRlimitType) -> Option<Resource> {
    Some(match kind {
        PosixRlimitType::RlimitCpu => Resource::Cpu,
        PosixRlimitType::RlimitFsize => Resource::Fsize,
        PosixRlimitType::RlimitData => Resource::Data,
        PosixRlimitType::RlimitStack => Resource::Stack,
        PosixRlimitType::RlimitCore => Resource::Core,
        PosixRlimitType::RlimitRss => Resource::Rss,
        PosixRlimitType::RlimitNproc => Resource::Nproc,
        PosixRlimitType::RlimitNofile => Resource::Nofile,
        PosixRlimitType::RlimitMemlock => Resource::Memlock,
        PosixRlimitType::RlimitAs => Resource::As,
        PosixRlimitType::RlimitLocks => Resource::Locks,
        PosixRlimitType::RlimitSigpending => Resource::Sigpending,
        PosixRlimitType::RlimitMsgqueue => Resource::Msgqueue,
        PosixRlimitType::RlimitNice => Resource::Nice,
        PosixRlimitType::RlimitRtprio => Resource::Rtprio,
        PosixRlimitType::RlimitRttime => Resource::Rttime,
    })
}

/// Writes the sysctls, by the host's procfs, whose entries follow the caller's namespaces: nothing
/// that the container mounted can redirect the write.
pub(crate) fn set_sysctls(linux: &Linux) -> Result<()> {
    for (name, value) in linux.sysctl().iter().flatten() {
        let path = sysctl::path(name)
            .ok_or_else(|| Error::spec(format!("linux.sysctl[{name:?}]"), "not a sysctl's name"))?;
        fs::write(format!("/proc/sys/{path}"), value)
            .doing(|| format!("set the sysctl {name} to {value:?}"))?;
    }
    Ok(())
}

/// Host and domain name.
pub(crate) fn set_names(spec: &Spec) -> Result<()> {
    if let Some(name) = spec.hostname().as_ref().filter(|name| !name.is_empty()) {
        rustix::system::sethostname(name.as_bytes())
            .doing(|| format!("set the host name {name:?}"))?;
    }
    if let Some(name) = spec.domainname().as_ref().filter(|name| !name.is_empty()) {
        rustix::system::setdomainname(name.as_bytes())
            .doing(|| format!("set the domain name {name:?}"))?;
    }
    Ok(())
}

/// The loopback interface of a new network namespace.
pub(crate) fn bring_loopback_up() -> Result<()> {
    let socket = rustix::net::socket_with(
        AddressFamily::INET,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        None,
    )
    .doing(|| "open a socket".into())?;
    use std::os::fd::AsFd;
    syscalls::loopback_up(socket.as_fd()).doing(|| "bring the loopback interface up".into())
}

/// The caller's time namespace offsets, while its entry in `/proc` belongs to its user still: that of an
/// unreadable process belongs to the host's root, whom a user namespace does not have.
pub(crate) fn open_time_offsets() -> Result<File> {
    File::options()
        .write(true)
        .open("/proc/self/timens_offsets")
        .doing(|| "open /proc/self/timens_offsets".into())
}

/// Offsets of a time namespace, before anyone is in it (time_namespaces(7)).
pub(crate) fn set_time_offsets(linux: &Linux, mut file: &File) -> Result<()> {
    for (clock, offset) in linux.time_offsets().iter().flatten() {
        let offset: &LinuxTimeOffset = offset;
        let (seconds, nanoseconds) = (offset.secs().unwrap_or(0), offset.nanosecs().unwrap_or(0));
        file.write_all(format!("{clock} {seconds} {nanoseconds}").as_bytes())
            .and_then(|()| file.rewind())
            .doing(|| format!("set the offset of the clock {clock:?}"))?;
    }
    Ok(())
}

/// personality(2).
pub(crate) fn set_personality(personality: Option<&LinuxPersonality>) -> Result<()> {
    let Some(personality) = personality else { return Ok(()) };
    let domain = match personality.domain() {
        LinuxPersonalityDomain::PerLinux => 0,
        LinuxPersonalityDomain::PerLinux32 => 8,
    };
    syscalls::personality(domain).doing(|| "set the personality".into())
}

/// CPU scheduling and I/O priority. `pinned`: the container may use some processors only.
pub(crate) fn set_scheduling(process: &Process, pinned: bool) -> Result<()> {
    if let Some(priority) = process.io_priority() {
        let class = match priority.class() {
            IOPriorityClass::IoprioClassRt => 1,
            IOPriorityClass::IoprioClassBe => 2,
            IOPriorityClass::IoprioClassIdle => 3,
        };
        let level = priority.priority() as i32;
        syscalls::set_io_priority(class << 13 | level).doing(|| "set the I/O priority".into())?;
    }
    let Some(scheduler) = process.scheduler() else { return Ok(()) };
    let mut flags = 0;
    for flag in scheduler.flags().iter().flatten() {
        flags |= match flag {
            LinuxSchedulerFlag::SchedResetOnFork => 0x01,
            LinuxSchedulerFlag::SchedFlagReclaim => 0x02,
            LinuxSchedulerFlag::SchedFlagDLOverrun => 0x04,
            LinuxSchedulerFlag::SchedFlagKeepPolicy => 0x08,
            LinuxSchedulerFlag::SchedFlagKeepParams => 0x10,
            LinuxSchedulerFlag::SchedFlagUtilClampMin => 0x20,
            LinuxSchedulerFlag::SchedFlagUtilClampMax => 0x40,
        };
    }
    let attr = SchedAttr {
        policy: match scheduler.policy() {
            LinuxSchedulerPolicy::SchedOther => 0,
            LinuxSchedulerPolicy::SchedFifo => 1,
            LinuxSchedulerPolicy::SchedRr => 2,
            LinuxSchedulerPolicy::SchedBatch => 3,
            LinuxSchedulerPolicy::SchedIso => 4,
            LinuxSchedulerPolicy::SchedIdle => 5,
            LinuxSchedulerPolicy::SchedDeadline => 6,
        },
        flags,
        nice: scheduler.nice().unwrap_or(0),
        priority: scheduler.priority().unwrap_or(0).unsigned_abs(),
        runtime: scheduler.runtime().unwrap_or(0),
        deadline: scheduler.deadline().unwrap_or(0),
        period: scheduler.period().unwrap_or(0),
        ..SchedAttr::default()
    };
    match syscalls::set_scheduler(attr) {
        // sched_setattr(2): a deadline needs all processors.
        Err(error) if pinned && error.raw_os_error() == Some(libc::EPERM) => {
            let reason = "process scheduler can't be used together with AllowedCPUs";
            Err(Error::spec("process.scheduler", reason))
        }
        set => set.doing(|| "set the scheduler".into()),
    }
}

/// All processors that its cgroup allows: the caller's own affinity is no part of the container.
pub(crate) fn reset_affinity() {
    if let Err(error) = syscalls::set_affinity(CpuSet::ALL.words()) {
        notice::warn(&format!("resetting the CPU affinity: {error}"));
    }
}
