//! `update`: other limits for a container.

use std::io::Read;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use container::ContainerId;
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
    /// CPU shares, relative to other containers
    #[arg(long, value_name = "N")]
    cpu_share: Option<u64>,
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
    /// Memory, bytes
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    memory: Option<i64>,
    /// Memory that is spared under pressure, bytes
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    memory_reservation: Option<i64>,
    /// Memory and swap, bytes; -1 for no limit
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    memory_swap: Option<i64>,
    /// Number of processes
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pids_limit: Option<i64>,
    /// The container
    container_id: ContainerId,
}

pub(crate) fn run(globals: &Globals, options: &Options) -> anyhow::Result<u8> {
    let resources = match &options.resources {
        Some(file) => serde_json::from_str(&read(file)?).context("--resources")?,
        None => options.as_json(),
    };
    container::update(&globals.root()?, &options.container_id, resources)?;
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

impl Options {
    fn as_json(&self) -> Value {
        let mut resources = json!({
            "cpu": {
                "period": self.cpu_period,
                "quota": self.cpu_quota,
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
            },
            "blockIO": { "weight": self.blkio_weight },
        });
        if let Some(limit) = self.pids_limit {
            resources["pids"] = json!({ "limit": limit });
        }
        resources
    }
}
