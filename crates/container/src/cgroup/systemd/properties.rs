//! Limits as properties of a systemd unit (systemd.resource-control(5)). What systemd has no property
//! for is written to the cgroup alone, after this.

use std::collections::HashMap;
use std::path::Path;

use oci_spec::runtime::{LinuxCpu, LinuxResources};

use super::super::convert::{self, current};
use super::text;
use super::value::Value;
use crate::error::{Error, Result};

const PREFIX: &str = "org.systemd.property.";
/// The kernel's period of the CPU quota, microseconds.
const DEFAULT_PERIOD: u64 = 100_000;

type Property = (String, Value);

fn number(name: &str, number: u64) -> Property {
    (name.to_owned(), Value::U64(number))
}

/// The properties that the annotations `org.systemd.property.<Name>` ask for. A name that ends in `Sec`
/// is given in seconds and passed on in microseconds, as systemd has it.
pub(super) fn of_annotations(annotations: &HashMap<String, String>) -> Result<Vec<Property>> {
    let mut all = Vec::new();
    for (key, given) in annotations {
        let Some(name) = key.strip_prefix(PREFIX) else { continue };
        let wrong = |reason: String| Error::spec(format!("annotations.{key}"), reason);
        if name.len() < 3 || !name.bytes().all(|letter| letter.is_ascii_alphabetic()) {
            return Err(wrong("not the name of a property".into()));
        }
        let value = text::parse(given).map_err(|reason| wrong(format!("{given:?}: {reason}")))?;
        all.push(match name.strip_suffix("Sec").filter(|rest| !rest.ends_with('U')) {
            Some(stem) => (
                format!("{stem}USec"),
                microseconds(&value)
                    .ok_or_else(|| wrong(format!("{given:?} is not a number of seconds")))?,
            ),
            None => (name.to_owned(), value),
        });
    }
    Ok(all)
}

fn microseconds(seconds: &Value) -> Option<Value> {
    let whole = |seconds: i128| u64::try_from(seconds.checked_mul(1_000_000)?).ok();
    let microseconds = match seconds {
        Value::Byte(number) => whole((*number).into()),
        Value::I16(number) => whole((*number).into()),
        Value::U16(number) => whole((*number).into()),
        Value::I32(number) => whole((*number).into()),
        Value::U32(number) => whole((*number).into()),
        Value::I64(number) => whole((*number).into()),
        Value::U64(number) => whole((*number).into()),
        Value::Double(number) if *number >= 0.0 => Some((number * 1_000_000.0) as u64),
        _ => None,
    };
    microseconds.map(Value::U64)
}

/// What systemd does when a process of the unit was killed for want of memory.
pub(super) fn of_oom_group(resources: &LinuxResources) -> Option<Property> {
    let group = resources.unified().as_ref()?.get("memory.oom.group")?;
    let policy = match group.trim() {
        "0" => "continue",
        "1" => "kill",
        _ => return None,
    };
    Some(("OOMPolicy".to_owned(), Value::text(policy)))
}

/// The limits that `resources` names. `version` is systemd's.
pub(super) fn of_resources(
    resources: &LinuxResources,
    path: &Path,
    unified: bool,
    version: u32,
) -> Result<Vec<Property>> {
    let mut all = Vec::new();
    if unified {
        memory(resources, path, &mut all)?;
    } else if let Some(limit) = resources.memory().and_then(|memory| memory.limit()) {
        all.extend((limit != 0).then(|| number("MemoryLimit", limit as u64)));
    }
    if let Some(cpu) = resources.cpu() {
        weight(cpu, unified, version, &mut all);
        quota(cpu, path, unified, version, &mut all);
        if unified && version >= 244 {
            cpuset("AllowedCPUs", cpu.cpus(), &mut all)?;
            cpuset("AllowedMemoryNodes", cpu.mems(), &mut all)?;
        }
    }
    if let Some(limit) = resources.pids().as_ref().map(|pids| pids.limit()) {
        all.extend((limit != 0).then(|| number("TasksMax", limit.max(-1) as u64)));
    }
    if !unified {
        let weight = resources.block_io().as_ref().and_then(|io| io.weight());
        let weight = weight.filter(|&weight| weight != 0);
        all.extend(weight.map(|weight| number("BlockIOWeight", weight.into())));
    }
    of_unified(resources, version, &mut all)?;
    Ok(all)
}

fn memory(resources: &LinuxResources, path: &Path, all: &mut Vec<Property>) -> Result<()> {
    let Some(memory) = resources.memory() else { return Ok(()) };
    convert::check_usage(memory, path)?;
    let limit = memory.limit().filter(|&limit| limit != 0);
    all.extend(limit.map(|limit| number("MemoryMax", limit as u64)));
    let low = memory.reservation().filter(|&low| low != 0);
    all.extend(low.map(|low| number("MemoryLow", low as u64)));
    let swap = convert::swap(memory, path)?;
    all.extend(swap.map(|swap| number("MemorySwapMax", swap as u64)));
    Ok(())
}

/// A weight of 0 is systemd's word for idle, from version 252 on.
fn weight(cpu: &LinuxCpu, unified: bool, version: u32, all: &mut Vec<Property>) {
    let shares = cpu.shares().filter(|&shares| shares != 0);
    if !unified {
        all.extend(shares.map(|shares| number("CPUShares", shares)));
        return;
    }
    let idle = cpu.idle() == Some(1) && version >= 252;
    if idle {
        all.push(number("CPUWeight", 0));
    }
    if let Some(shares) = shares {
        if idle {
            warn_of_idle("CPU shares");
        } else {
            all.push(number("CPUWeight", convert::weight(shares)));
        }
    }
}

fn warn_of_idle(what: &str) {
    crate::notice::warn(&format!(
        "unable to apply both {what} and cpu.idle to systemd: ignoring {what}"
    ));
}

fn quota(cpu: &LinuxCpu, path: &Path, unified: bool, version: u32, all: &mut Vec<Property>) {
    let given = cpu.quota().filter(|&quota| quota != 0);
    let period = cpu.period().filter(|&period| period != 0);
    if given.is_none() && period.is_none() {
        return;
    }
    let (old_quota, old_period) = current(path, unified);
    quota_properties(given.or(old_quota), period.or(old_period), period.is_some(), version, all);
}

fn quota_properties(
    quota: Option<i64>,
    period: Option<u64>,
    tell_period: bool,
    version: u32,
    all: &mut Vec<Property>,
) {
    let period = period.unwrap_or(DEFAULT_PERIOD).max(1);
    if version >= 242 && (tell_period || period != DEFAULT_PERIOD) {
        all.push(number("CPUQuotaPeriodUSec", period));
    }
    let quota = quota.filter(|&quota| quota > 0);
    let per_second = quota.map_or(u64::MAX, |quota| convert::per_second(quota, period));
    all.push(number("CPUQuotaPerSecUSec", per_second));
}

fn cpuset(name: &str, list: &Option<String>, all: &mut Vec<Property>) -> Result<()> {
    if let Some(list) = list.as_ref().filter(|list| !list.is_empty()) {
        let bits = bits(list).ok_or_else(|| {
            let field = if name == "AllowedCPUs" { "cpus" } else { "mems" };
            Error::spec(format!("linux.resources.cpu.{field}"), format!("{list:?} is no list"))
        })?;
        all.push((name.to_owned(), Value::bytes(bits)));
    }
    Ok(())
}

/// `0-2,8` as bits from the lowest.
fn bits(list: &str) -> Option<Vec<u8>> {
    let mut bits = Vec::new();
    for range in list.trim().split(',').map(str::trim) {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last) = (first.parse::<u16>().ok()?, last.parse::<u16>().ok()?);
        if first > last {
            return None;
        }
        for number in first..=last {
            let byte = usize::from(number / 8);
            bits.resize(bits.len().max(byte + 1), 0);
            bits[byte] |= 1 << (number % 8);
        }
    }
    Some(bits)
}

/// The files of `linux.resources.unified` that systemd has properties for.
fn of_unified(resources: &LinuxResources, version: u32, all: &mut Vec<Property>) -> Result<()> {
    let Some(files) = resources.unified() else { return Ok(()) };
    let mut files: Vec<_> = files.iter().collect();
    files.sort();
    let idle = version >= 252
        && files.iter().any(|(file, value)| *file == "cpu.idle" && value.trim() == "1");
    if idle {
        all.push(number("CPUWeight", 0));
    }
    for (file, value) in files {
        let value = value.trim();
        let wrong = || Error::spec(format!("linux.resources.unified.{file}"), format!("{value:?}"));
        let whole = || match value {
            "max" => Ok(u64::MAX),
            value => value.parse().map_err(|_| wrong()),
        };
        let name = match file.as_str() {
            "cpu.weight" if idle => {
                warn_of_idle("cpu.weight");
                continue;
            }
            "cpu.max" => {
                let mut words = value.split_whitespace();
                let quota = words.next().filter(|&quota| quota != "max");
                let quota = quota.map(|quota| quota.parse().map_err(|_| wrong())).transpose()?;
                let period = words.next().map(|period| period.parse().map_err(|_| wrong()));
                quota_properties(quota, period.transpose()?, true, version, all);
                continue;
            }
            "cpuset.cpus" | "cpuset.mems" if version >= 244 => {
                let name = if file == "cpuset.cpus" { "AllowedCPUs" } else { "AllowedMemoryNodes" };
                all.push((name.to_owned(), Value::bytes(bits(value).ok_or_else(wrong)?)));
                continue;
            }
            "cpu.weight" => "CPUWeight",
            "memory.high" => "MemoryHigh",
            "memory.low" => "MemoryLow",
            "memory.min" => "MemoryMin",
            "memory.max" => "MemoryMax",
            "memory.swap.max" => "MemorySwapMax",
            "pids.max" => "TasksMax",
            _ => continue,
        };
        all.push(number(name, whole()?));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_become_bits() {
        assert_eq!(bits("0-2,8"), Some(vec![0b111, 1]));
        assert_eq!(bits("5"), Some(vec![1 << 5]));
        assert_eq!(bits("3-1"), None);
        assert_eq!(bits("x"), None);
    }

    #[test]
    fn quotas_are_whole_percents() {
        let mut all = Vec::new();
        quota_properties(Some(4_004), Some(10_000), true, 252, &mut all);
        let wanted = [number("CPUQuotaPeriodUSec", 10_000), number("CPUQuotaPerSecUSec", 410_000)];
        assert_eq!(all, wanted);
    }

    #[test]
    fn seconds_become_microseconds() {
        let one = HashMap::from([(format!("{PREFIX}TimeoutStopSec"), "uint64 5".to_owned())]);
        let property = ("TimeoutStopUSec".to_owned(), Value::U64(5_000_000));
        assert_eq!(of_annotations(&one).unwrap(), [property]);
        let wrong = HashMap::from([(format!("{PREFIX}A=b"), "1".to_owned())]);
        assert!(of_annotations(&wrong).is_err());
    }
}
