//! Talking to criu(8), the program that writes processes to files and brings them back.
//!
//! It is asked by its RPC (criu.org/RPC), not by its command line: only so can it hand over a terminal,
//! wait for hooks, and make the restored process our own child. Nothing of it is linked; a host without
//! criu can do all but `checkpoint` and `restore`.

mod external;
mod options;
mod request;
mod service;
mod wire;

pub(crate) use external::External;
pub use options::{CgroupMode, CriuOptions, PageServer};
pub(crate) use request::{Feature, Kind, Options, Response, field, request};
pub(crate) use service::{Service, check_feature, require, version};

/// The oldest criu whose RPC tells its version.
pub(crate) const OLDEST: u32 = 30_000;
/// External pid namespaces; readiness of lazy pages by notification.
pub(crate) const EXTERNAL_PID: u32 = 31_500;
/// External network namespaces.
pub(crate) const EXTERNAL_NET: u32 = 31_100;
/// The freezer of cgroup v2.
pub(crate) const FREEZER_V2: u32 = 31_400;
/// A changed security label on restore.
pub(crate) const LSM: u32 = 31_600;
