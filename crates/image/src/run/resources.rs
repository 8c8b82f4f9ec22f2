//! cgroup limits, checked by docker's rules.

use oci_spec::runtime::{
    LinuxCpu, LinuxCpuBuilder, LinuxDeviceCgroup, LinuxMemory, LinuxMemoryBuilder,
    LinuxPidsBuilder, LinuxResources, LinuxResourcesBuilder,
};

use super::{Error, Resources};

/// The least memory that a container can start in, by docker's measure.
const MIN_MEMORY: u64 = 6 << 20;

/// The period that CPU quotas are given over, in microseconds.
const PERIOD: u64 = 100_000;

pub(super) fn resources(
    limits: &Resources,
    devices: Vec<LinuxDeviceCgroup>,
) -> Result<LinuxResources, Error> {
    let mut builder = LinuxResourcesBuilder::default().devices(devices);
    if let Some(memory) = memory(limits)? {
        builder = builder.memory(memory);
    }
    if let Some(cpu) = cpu(limits)? {
        builder = builder.cpu(cpu);
    }
    if let Some(limit) = limits.pids_limit.filter(|&limit| limit > 0) {
        let pids = LinuxPidsBuilder::default().limit(limit).build();
        builder = builder.pids(pids.expect("the limit is given"));
    }
    Ok(builder.build().expect("every field has a default"))
}

fn memory(limits: &Resources) -> Result<Option<LinuxMemory>, Error> {
    check_memory(limits)?;
    let mut builder = LinuxMemoryBuilder::default();
    let mut any = false;
    if let Some(limit) = limits.memory {
        builder = builder.limit(limit.cast_signed());
        any = true;
    }
    if let Some(swap) = swap(limits) {
        builder = builder.swap(swap);
        any = true;
    }
    if let Some(reservation) = limits.memory_reservation {
        builder = builder.reservation(reservation.cast_signed());
        any = true;
    }
    if let Some(swappiness) = limits.memory_swappiness {
        builder = builder.swappiness(swappiness);
        any = true;
    }
    if limits.oom_kill_disable {
        builder = builder.disable_oom_killer(true);
        any = true;
    }
    Ok(any.then(|| builder.build().expect("every field has a default")))
}

/// Memory and swap together. Unless the user says otherwise there is as much swap as memory.
fn swap(limits: &Resources) -> Option<i64> {
    let memory = limits.memory?;
    match limits.memory_swap {
        _ if limits.no_swap_accounting => None,
        None | Some(0) => {
            Some(memory.saturating_mul(2).min(i64::MAX.cast_unsigned()).cast_signed())
        }
        given => given,
    }
}

fn check_memory(limits: &Resources) -> Result<(), Error> {
    let Some(limit) = limits.memory else {
        let swap = limits.memory_swap.is_some_and(|swap| swap > 0);
        return if swap { Err(Error::SwapWithoutMemory) } else { Ok(()) };
    };
    if limit < MIN_MEMORY || limit > i64::MAX.cast_unsigned() {
        return Err(Error::MemoryTooLow(limit));
    }
    let misfit = |what, value, rule| Err(Error::Memory { what, value, limit, rule });
    match limits.memory_swap {
        Some(swap) if swap < -1 => misfit("memory-swap", swap, "want -1 or a size"),
        Some(swap) if swap > 0 && swap.cast_unsigned() < limit => {
            misfit("memory-swap", swap, "it counts memory and swap together")
        }
        _ => match limits.memory_reservation {
            Some(value) if value > limit => {
                misfit("memory-reservation", value.cast_signed(), "it must be smaller")
            }
            _ => Ok(()),
        },
    }
}

fn cpu(limits: &Resources) -> Result<Option<LinuxCpu>, Error> {
    let mut builder = LinuxCpuBuilder::default();
    let mut any = false;
    if let Some(nano) = limits.nano_cpus {
        builder = builder.period(PERIOD).quota(quota(nano)?);
        any = true;
    }
    if let Some(shares) = limits.cpu_shares {
        builder = builder.shares(shares);
        any = true;
    }
    if let Some(cpus) = &limits.cpuset_cpus {
        builder = builder.cpus(cpu_list("cpuset-cpus", cpus)?);
        any = true;
    }
    if let Some(mems) = &limits.cpuset_mems {
        builder = builder.mems(cpu_list("cpuset-mems", mems)?);
        any = true;
    }
    Ok(any.then(|| builder.build().expect("every field has a default")))
}

/// Microseconds of CPU time in each period.
fn quota(nano: u64) -> Result<i64, Error> {
    let quota = u128::from(nano) * u128::from(PERIOD) / 1_000_000_000;
    match i64::try_from(quota) {
        // The kernel takes no quota below a millisecond.
        Ok(quota) if quota >= 1000 => Ok(quota),
        _ => Err(Error::Cpus(format!("{}.{:09}", nano / 1_000_000_000, nano % 1_000_000_000))),
    }
}

/// cpuset(7), "List format".
fn cpu_list(what: &'static str, list: &str) -> Result<String, Error> {
    let number = |text: &str| -> Option<u32> {
        text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
    };
    let valid = |part: &str| match part.split_once('-') {
        Some((from, to)) => number(from).zip(number(to)).is_some_and(|(from, to)| from <= to),
        None => number(part).is_some(),
    };
    match list.split(',').all(valid) {
        true => Ok(list.to_owned()),
        false => Err(Error::CpuSet { what, value: list.to_owned() }),
    }
}
