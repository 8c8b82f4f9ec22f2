//! Why a step was done, and not found in the cache: what differs from the nearest earlier build.
//!
//! ```text
//! key       the definition of a step, field by field ─┐
//! table     the files that a copy reads, by path ─────┴─▶ trace, kept for each step that was done
//! nearest   of all traces, the one that a person would compare a step with
//! compare   two traces ──▶ reasons
//! ```
//!
//! A trace says what a key was made from, so that nothing that makes a miss can be missing from the
//! explanation; and what is in no key, the content of a secret above all, is in no trace. Of variables
//! whose names tell of a secret a trace has a few digits of a hash.

mod compare;
mod nearest;
mod reason;
mod table;
mod trace;

pub(crate) use compare::{Names, compare};
pub(crate) use nearest::nearest;
pub use reason::{Change, Explanation, Reason};
pub(crate) use table::Table;
pub(crate) use trace::{BaseImage, Place, Trace, Traces};
