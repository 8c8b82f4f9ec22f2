//! The files of an image, looked at without unpacking them.
//!
//! ```text
//! Image ──▶ Layers: each layer's changeset, and its tar for the bytes of files
//!             ├─ state     the tree that the lowest n layers make
//!             ├─ steps     what each layer did to the tree below it
//!             ├─ traces    what each layer did to one path
//!             ├─ copy      the bytes of one file
//!             └─ compare   two trees, of one image or of two
//! ```
//!
//! What is read are the layers' tables of contents, and of the tars only the files whose bytes are asked
//! for. Nothing is mounted, unpacked or written, but for the table of a layer that had none yet.

mod compare;
mod content;
mod error;
mod layers;
mod trace;

pub use compare::{Aspect, Difference, Side, compare};
pub use error::Error;
pub use layers::{LayerFiles, Layers, Step};
pub use trace::{Trace, real_path};
