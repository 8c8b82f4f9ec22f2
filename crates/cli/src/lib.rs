//! What all programs share at the edge: arguments, messages, exit codes, signals.
//!
//! ```no_run
//! use anyhow::Context as _;
//! use cli::ErrorExt as _;
//!
//! fn main() -> std::process::ExitCode {
//!     cli::run("tare-store", || {
//!         std::fs::read("/etc/image")
//!             .context("cannot read the image /etc/image")
//!             .hint("see what is there with: tare-store ls")?;
//!         Ok(std::process::ExitCode::SUCCESS)
//!     })
//! }
//! ```
//!
//! Results go to standard output ([`Out`], [`Table`], [`print_json`]); progress and messages go to
//! standard error ([`Progress`], [`warn`]). This crate and the programs are the only places that
//! print, read the environment and end the process.

mod arguments;
mod destination;
mod devices;
mod env;
mod error;
mod format;
mod human;
mod interrupt;
mod output;
mod place;
mod program;
mod progress;
mod rootless;
mod run_flags;
mod suggest;
mod table;

pub use arguments::{parse, parse_without_empty, try_parse};
pub use destination::Destination;
pub use env::variables;
pub use error::{ErrorExt, code, coded, hinted, usage};
pub use format::FormatFlags;
pub use human::{age, bytes, bytes_iec, duration, parse_bytes, parse_time, rfc3339, rfc3339_nanos};
pub use interrupt::{Interrupt, Interrupted};
pub use output::{Out, note, print, print_json, warn};
pub use place::{StoreFlag, runtime_dir, sibling, store_path};
pub use program::run;
pub use progress::{Bar, Counted, Progress, ProgressMode, Step};
pub use rootless::{go_on, user};
pub use run_flags::RunFlags;
pub use suggest::{nearest, nearest_images};
pub use table::Table;
