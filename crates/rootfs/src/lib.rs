//! Root file systems on a machine: made from layers, mounted, captured, unpacked.
//!
//! ```text
//! Tree + layer tars ──prepare──▶ Prepared ──mount──▶ rootfs/ over upper/ ──capture──▶ layer
//!                  └──unpack──▶ a plain directory ──capture_directory──▶ layer
//! ```
//!
//! [`prepare`] makes, once per chain of layers, what stands below an overlay: with [`Driver::Erofs`]
//! an index of the layer tars, with [`Driver::Directory`] the unpacked files. [`mount()`] lays a thin
//! read-write layer over it, and [`capture`] reads that layer back as a changeset.
//!
//! [`mount_listed`] makes what a container engine has listed instead, and [`mount_memory`] a place for
//! secrets.
//!
//! All mounts of the project but a container's own are made here. A mount becomes visible when it
//! is complete, as a single one, and outlives the process only if [`Mount::keep`] says so. What is
//! prepared appears under its final name when it is complete; a crash leaves at most a name that
//! ends in `.partial`, which the next maker takes over. Nothing here follows a symbolic link out of a
//! tree, and nothing here trusts an index, a layer or an upper directory.

mod capture;
mod driver;
mod error;
mod inside;
mod listed;
mod mount;
mod network;
mod open;
mod prepare;
mod remove;
mod unmount;
mod unpack;
mod unpacked;
pub mod user_namespace;
mod xattrs;

pub use capture::{Lower, capture, capture_directory};
pub use driver::{Driver, DriverError};
pub use error::Error;
pub use inside::open_inside;
pub use listed::{ListedMount, mount_listed, unmount_listed};
pub use mount::{Mount, ReadWrite, mount, mount_memory};
pub use network::NetworkNamespace;
pub use prepare::{Base, LayerTar, Prepared, prepare, prepare_over};
pub use remove::remove;
pub use unmount::{is_mounted, unmount};
pub use unpack::{unpack, unpack_noted, unpack_over};
pub use unpacked::Unpacked;
pub use user_namespace::{Ids, ids};
