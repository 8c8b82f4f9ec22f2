//! `update`: other limits for a container.

use std::io::Read;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use container::{ContainerId, Schemata};
use serde_json::{Value, json};

use crate::arguments::Globals;

/// Change the limits of a container
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Take them from this file, `-` for stdin, in the form of linux.resources; other options are not
    /// looked at then
    #[arg(short, long, value_name = "FILE")]
    resources: Option<PathBuf>,
    /// Weight of block I/O, 10 to 1000
    #[arg(long, value_name = "N")]
    blkio_weight: Option<u16>,
    /// Period of the CPU quota, microseconds
    #[arg(long, value_name = "N")]
    cpu_period: Option<u64>,
    /// CPU time in a period, microseconds
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    cpu_quota: Option<i64>,
    /// CPU time saved up that a period may use beside its quota, microseconds
    #[arg(long, value_name = "N")]
    cpu_burst: Option<u64>,
    /// CPU shares, relative to other containers
    #[arg(long, value_name = "N")]
    cpu_share: Option<u64>,
    /// 1: run only when nothing else wants to; 0: as usual
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    cpu_idle: Option<i64>,
    /// Period of real-time scheduling, microseconds
    #[arg(long, value_name = "N")]
    cpu_rt_period: Option<u64>,
    /// Real-time CPU time in a period, microseconds
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    cpu_rt_runtime: Option<i64>,
    /// CPUs to use
    #[arg(long, value_name = "LIST")]
    cpuset_cpus: Option<String>,
    /// Memory nodes to use
    #[arg(long, value_name = "LIST")]
    cpuset_mems: Option<String>,
    /// Obsolete: warned of, and without effect
    #[arg(long, hide = true, value_name = "SIZE", value_parser = size, allow_hyphen_values = true)]
    kernel_memory: Option<i64>,
    /// Obsolete: warned of, and without effect
    #[arg(long, hide = true, value_name = "SIZE", value_parser = size, allow_hyphen_values = true)]
    kernel_memory_tcp: Option<i64>,
    /// Memory, bytes, or with k, m, g; -1 for no limit
    #[arg(long, value_name = "SIZE", value_parser = size, allow_hyphen_values = true)]
    memory: Option<i64>,
    /// Memory that is spared under pressure, bytes
    #[arg(long, value_name = "SIZE", value_parser = size, allow_hyphen_values = true)]
    memory_reservation: Option<i64>,
    /// Memory and swap, bytes; -1 for no limit
    #[arg(long, value_name = "SIZE", value_parser = size, allow_hyphen_values = true)]
    memory_swap: Option<i64>,
    /// Number of processes
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pids_limit: Option<i64>,
    /// Share of the L3 cache, in resctrl's notation
    #[arg(long, value_name = "SCHEMA")]
    l3_cache_schema: Option<String>,
    /// Share of the memory's bandwidth, in resctrl's notation
    #[arg(long, value_name = "SCHEMA")]
    mem_bw_schema: Option<String>,
    /// The container
    container_id: ContainerId,
}

pub(crate) fn run(globals: &Globals, options: &Options) -> anyhow::Result<u8> {
    let resources = match &options.resources {
        Some(file) => serde_json::from_str(&read(file)?).context("--resources")?,
        None => options.as_json(),
    };
    let schemata = Schemata {
        l3_cache: options.l3_cache_schema.clone().filter(|schema| !schema.is_empty()),
        memory_bandwidth: options.mem_bw_schema.clone().filter(|schema| !schema.is_empty()),
    };
    container::update(&globals.root()?, &options.container_id, resources, &schemata)?;
    Ok(0)
}

fn read(file: &PathBuf) -> anyhow::Result<String> {
    if file.as_os_str() != "-" {
        return std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()));
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).context("read stdin")?;
    Ok(text)
}

/// A number of bytes: `512m`, `1.5GiB`, `-1`.
fn size(text: &str) -> Result<i64, String> {
    if text == "-1" {
        return Ok(-1);
    }
    let end = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.');
    let (number, unit) = text.split_at(end.unwrap_or(text.len()));
    let unit = unit.trim().to_ascii_lowercase();
    let letters = unit.strip_suffix("ib").or(unit.strip_suffix('b')).unwrap_or(&unit);
    let power = match letters {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return Err(format!("unknown unit {unit:?}")),
    };
    let number: f64 = number.parse().map_err(|_| format!("invalid size {text:?}"))?;
    Ok((number * 1024f64.powi(power)) as i64)
}

impl Options {
    fn as_json(&self) -> Value {
        let mut resources = json!({
            "cpu": {
                "period": self.cpu_period,
                "quota": self.cpu_quota,
                "burst": self.cpu_burst,
                "idle": self.cpu_idle,
                "shares": self.cpu_share,
                "realtimePeriod": self.cpu_rt_period,
                "realtimeRuntime": self.cpu_rt_runtime,
                "cpus": self.cpuset_cpus,
                "mems": self.cpuset_mems,
            },
            "memory": {
                "limit": self.memory,
                "reservation": self.memory_reservation,
                "swap": self.memory_swap,
                "kernel": self.kernel_memory,
                "kernelTCP": self.kernel_memory_tcp,
            },
            "blockIO": { "weight": self.blkio_weight },
        });
        if let Some(limit) = self.pids_limit {
            resources["pids"] = json!({ "limit": limit });
        }
        resources
    }
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_have_units() {
        for (text, bytes) in [
            ("33554432", 33_554_432),
            ("-1", -1),
            ("32m", 33_554_432),
            ("32MiB", 33_554_432),
            ("1.5k", 1536),
            ("10b", 10),
            ("1 GB", 1 << 30),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for wrong in ["", "m", "-5", "1x", "1.2.3"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
