//! Limits of the configuration, which are cgroup v1's, in cgroup v2's numbers.

use std::fs;
use std::path::Path;

use oci_spec::runtime::LinuxMemory;

use crate::error::{Error, Result};

/// Shares (2 to 262144, usually 1024) as a weight (1 to 10000, usually 100): a curve through both
/// usual values and both ends.
pub(super) fn weight(shares: u64) -> u64 {
    match shares {
        0 => 0,
        1..=2 => 1,
        262_144.. => 10_000,
        shares => {
            let log = (shares as f64).log2();
            let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
            10f64.powf(exponent).ceil() as u64
        }
    }
}

/// A weight of block I/O (10 to 1000) as `io.weight` (1 to 10000).
pub(super) fn io_weight(weight: u16) -> u64 {
    1 + u64::from(weight.clamp(10, 1000) - 10) * 9999 / 990
}

/// Swap alone, where the configuration has memory with swap; None: nothing to set, -1: no limit.
pub(super) fn swap(memory: &LinuxMemory, path: &Path) -> Result<Option<i64>> {
    let limit = memory.limit().filter(|&limit| limit != 0);
    let swap = memory.swap().filter(|&swap| swap != 0);
    let wrong = |reason: &str| Err(Error::spec("linux.resources.memory.swap", reason));
    match (swap, limit.or_else(|| limit_now(path))) {
        (None, _) if limit == Some(-1) => Ok(Some(-1)),
        (None, Some(limit)) => match both_now(path).map(|both| both - limit) {
            Some(left) if left < 0 => wrong("memory+swap limit should be >= memory limit"),
            left => Ok(left),
        },
        (None, None) => Ok(None),
        (Some(-1), _) => Ok(Some(-1)),
        (Some(swap), _) if swap < 0 => wrong("a negative limit other than -1"),
        (Some(swap), Some(-1)) => Ok(Some(swap)),
        (Some(_), None) => wrong("unable to set swap limit without memory limit"),
        (Some(swap), Some(limit)) if swap < limit => {
            wrong("memory+swap limit should be >= memory limit")
        }
        (Some(swap), Some(limit)) => Ok(Some(swap - limit)),
    }
}

/// The limit that a container has already.
fn limit_now(path: &Path) -> Option<i64> {
    bytes(path, "memory.max")
}

/// The limit of memory and swap together that a container has already: a new limit of memory alone leaves
/// that as it is.
fn both_now(path: &Path) -> Option<i64> {
    limit_now(path)?.checked_add(bytes(path, "memory.swap.max")?)
}

fn bytes(path: &Path, file: &str) -> Option<i64> {
    fs::read_to_string(path.join(file)).ok()?.trim().parse().ok()
}

/// The quota and period that a container has already, microseconds.
pub(super) fn current(path: &Path, unified: bool) -> (Option<i64>, Option<u64>) {
    let read = |file: &str| fs::read_to_string(path.join(file)).unwrap_or_default();
    if !unified {
        let quota = read("cpu.cfs_quota_us").trim().parse().ok();
        return (quota.filter(|&quota| quota > 0), read("cpu.cfs_period_us").trim().parse().ok());
    }
    let text = read("cpu.max");
    let mut words = text.split_whitespace();
    let quota = words.next().and_then(|quota| quota.parse().ok());
    (quota, words.next().and_then(|period| period.parse().ok()))
}

/// A quota as CPU time per second, rounded up to systemd's whole percents of a CPU, microseconds.
pub(super) fn per_second(quota: i64, period: u64) -> u64 {
    let exact = u128::from(quota.unsigned_abs()) * 1_000_000 / u128::from(period.max(1));
    u64::try_from(exact.next_multiple_of(10_000)).unwrap_or(u64::MAX)
}

/// The quota that systemd makes of a quota.
pub(super) fn rounded_quota(quota: i64, period: u64) -> i64 {
    let rounded = u128::from(per_second(quota, period)) * u128::from(period) / 1_000_000;
    i64::try_from(rounded).unwrap_or(quota)
}

/// `checkBeforeUpdate`: a limit below what is used would have the kernel kill.
pub(super) fn check_usage(memory: &LinuxMemory, path: &Path) -> Result<()> {
    if memory.check_before_update() != Some(true) {
        return Ok(());
    }
    let used = fs::read_to_string(path.join("memory.current")).ok();
    let Some(used) = used.and_then(|text| text.trim().parse::<i64>().ok()) else { return Ok(()) };
    for (field, name, limit) in
        [("swap", "memory+swap", memory.swap()), ("limit", "memory", memory.limit())]
    {
        if let Some(limit) = limit.filter(|&limit| limit > 0 && limit <= used) {
            let reason = format!("rejecting {name} limit {limit} <= usage {used}");
            return Err(Error::spec(format!("linux.resources.memory.{field}"), reason));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_meet_at_the_usual_value() {
        for (shares, converted) in [
            (0, 0),
            (1, 1),
            (2, 1),
            (1024, 100),
            (3333, 256),
            (262_144, 10_000),
            (u64::MAX, 10_000),
        ] {
            assert_eq!(weight(shares), converted, "{shares}");
        }
        assert_eq!(io_weight(750), 7475);
        assert_eq!((io_weight(10), io_weight(1000)), (1, 10_000));
    }

    #[test]
    fn a_new_limit_of_memory_keeps_that_of_both() {
        let directory = tempfile::TempDir::new().unwrap();
        let swap = |limit: i64| {
            let memory = serde_json::from_value(serde_json::json!({ "limit": limit })).unwrap();
            swap(&memory, directory.path())
        };
        fs::write(directory.path().join("memory.max"), "60\n").unwrap();
        fs::write(directory.path().join("memory.swap.max"), "max\n").unwrap();
        assert_eq!(swap(50).unwrap(), None);
        fs::write(directory.path().join("memory.swap.max"), "30\n").unwrap();
        assert_eq!(swap(50).unwrap(), Some(40));
        assert_eq!(swap(90).unwrap(), Some(0));
        assert!(swap(91).is_err());
    }

    #[test]
    fn swap_is_what_exceeds_memory() {
        let path = Path::new("/nonexistent");
        let memory = |text: &str| serde_json::from_str::<LinuxMemory>(text).unwrap();
        let swap = |text: &str| swap(&memory(text), path);
        assert_eq!(swap(r#"{"limit":10,"swap":30}"#).unwrap(), Some(20));
        assert_eq!(swap(r#"{"limit":10,"swap":10}"#).unwrap(), Some(0));
        assert_eq!(swap(r#"{"limit":-1}"#).unwrap(), Some(-1));
        assert_eq!(swap(r#"{"limit":10}"#).unwrap(), None);
        assert!(swap(r#"{"swap":10}"#).is_err());
        assert!(swap(r#"{"limit":20,"swap":10}"#).is_err());
    }
}
