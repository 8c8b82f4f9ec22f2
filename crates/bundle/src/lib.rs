//! An image in the store as an OCI runtime bundle, and back.
//!
//! ```text
//! DIR/
//!   config.json        the runtime configuration (runtime-spec, config.md)
//!   rootfs/            the image, mounted over rw/
//!   rw/upper, rw/work  what the container changes: an overlay's directories
//!   tare.json          where it comes from, and the lease on the image: see Record
//! ```
//!
//! Any OCI runtime runs such a directory. [`create`] makes it or leaves nothing; a process that is
//! killed meanwhile leaves a directory that [`release`] can take away. `tare.json` is the first file
//! to come and the last to go, so that there is never a mount without it, and the image's lease dies
//! with it.
//!
//! [`unpack`] makes a plain directory instead, which nothing ties to the store, and [`commit_unpacked`] finds what was
//! changed there.
//!
//! Once an image has been mounted, mounting it again opens its index and nothing else: no layer is
//! read, nothing is hashed.

mod commit;
mod create;
mod error;
mod layers;
mod mounted;
mod namespace;
mod record;
mod release;
mod unpacked;
mod users;
mod volumes;

pub use commit::{Committed, commit};
pub use create::{Bundle, BundleOptions, create};
pub use error::Error;
pub use layers::prepare_rootfs;
pub use mounted::{Mounted, mount, mounted, unmount};
pub use namespace::user_namespace;
pub use record::Record;
pub use release::release;
pub use unpacked::{Unpacked, commit_directory, commit_unpacked, unpack};
pub use users::read_users;
