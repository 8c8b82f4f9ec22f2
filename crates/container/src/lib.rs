//! A container's life: an OCI bundle becomes isolated processes, and leaves nothing behind.
//!
//! The choreography and the root file system are ours; capabilities' names and system call filters
//! are libcontainer's.
//!
//! # Who says what when
//!
//! ```text
//!  create / run                             first process (clone3: all new namespaces at once)
//!  ────────────                             ─────────────
//!  reserves <root>/<id>
//!  makes cgroups, sets limits
//!  binds start.sock (create)
//!      │ clone3 ───────────────────────────▶│
//!  user namespace: writes id maps, limits   │ user namespace: waits
//!      │ Proceed ──────────────────────────▶│
//!      │                                    │ enters cgroups, joins and makes what is left
//!      │                                    │ names, network, sysctls; builds the root
//!      │◀──────────────────────── RunHooks  │ (only with prestart or createRuntime hooks)
//!  runs them                                │
//!      │ Proceed ──────────────────────────▶│ createContainer hooks, pivot_root, masks
//!      │◀───────────────────────── Terminal │ (only with a terminal)
//!      │                                    │ becomes the user, finds the program
//!      │◀───────────────────────────  Ready │
//!  writes state.json, the pid file          │
//!      │ Proceed ──────────────────────────▶│
//!      │                                    │ create: waits for a word at start.sock ◀──────── start
//!      │                                    │ startContainer hooks, seccomp, execve
//!      │◀──────────────────────────── (End) │ the socket closes on exec: run knows that it runs
//! ```
//!
//! Instead of anything, the first process may say `Failed` with its reason and end. Either side sees
//! the other's death as the end of the conversation; the first process dies of it, the runtime takes
//! everything back. Before `Ready` a filter with notifications is handed over by `SeccompListener`.
//!
//! # Limits
//!
//! The process that calls into this crate has one thread: what runs between `clone3` and `execve` uses
//! its memory. Signals that ask it to end are held back while there is something to take back, and end
//! the creation. A killed `create` leaves `<root>/<id>` without `state.json` and perhaps cgroup
//! directories; `delete --force` removes both.

#![allow(unsafe_code, reason = "clone3, execve and mount calls; each block says why it holds")]

mod birth;
mod cgroup;
mod checkpoint;
mod console;
mod cpu_set;
mod criu;
mod default_spec;
mod delete;
mod document;
mod error;
mod exec;
mod features;
mod footprint;
mod foreground;
mod hooks;
mod id;
mod id_map;
mod identity;
mod init;
mod intel_rdt;
mod kernel_file;
mod kill;
mod launch;
mod memory_policy;
mod mount_source;
mod namespaces;
mod net_devices;
mod netlink;
mod notice;
mod notify;
mod process_stat;
mod query;
mod relay;
mod restore;
mod rootfs;
mod run;
mod seccomp;
mod shield;
mod signals;
mod spec;
mod starting;
mod state;
mod sync;
mod syscalls;
mod tenant;
mod time;
mod update;
mod watch;

pub use checkpoint::{CheckpointOptions, checkpoint};
pub use criu::{CgroupMode, CriuOptions, PageServer};
pub use default_spec::default_spec;
pub use delete::delete;
pub use error::{Error, Result};
pub use exec::{ExecOptions, exec};
pub use features::features;
pub use id::ContainerId;
pub use id_map::in_user_namespace;
pub use kill::kill;
pub use launch::CreateOptions;
pub use notice::{Level, on_notice};
pub use query::{list, pause, processes, resume, state};
pub use restore::{RestoreOptions, restore};
pub use run::{RunOptions, create, run, start};
pub use shield::shield;
pub use signals::{Signal, end_by_broken_pipes};
pub use spec::check_configuration;
pub use state::{State, Status};
pub use time::rfc3339 as timestamp;
pub use update::{Schemata, update};
pub use watch::{Event, Watch};
