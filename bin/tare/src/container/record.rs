//! What is written down about a container.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::ContainerId;

/// What a container was made from.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) id: ContainerId,
    pub(crate) name: String,
    /// The image as the user named it.
    pub(crate) image: String,
    /// The digest of the image's config.
    pub(crate) image_id: String,
    /// What runs: entry point and arguments.
    pub(crate) command: Vec<String>,
    pub(crate) created: SystemTime,
    pub(crate) store: PathBuf,
    /// The runtime program.
    pub(crate) runtime: PathBuf,
    pub(crate) tty: bool,
    pub(crate) interactive: bool,
    pub(crate) detached: bool,
    /// Whether it is removed when it ends.
    pub(crate) auto_remove: bool,
    /// The signal that `tare stop` sends, by name or number.
    pub(crate) stop_signal: Option<String>,
    /// Seconds that `tare stop` waits.
    pub(crate) stop_timeout: Option<u64>,
    pub(crate) labels: BTreeMap<String, String>,
}

/// A container's first process.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    /// In clock ticks since the machine started (proc(5), `starttime`): tells a process from a later
    /// one with the same number.
    pub(crate) start_ticks: u64,
    pub(crate) started: SystemTime,
}

/// How a container ended.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Exit {
    pub(crate) code: u8,
    pub(crate) finished: SystemTime,
}
