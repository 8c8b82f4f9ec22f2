//! Names and configuration of images, and what a runtime needs to know of them.
//!
//! Pure: text and bytes in, values out. Nothing here touches a file system, a network or the
//! environment. Nothing here trusts its input: every type is validated when it is made.
//!
//! ```text
//! "debian"  ──▶ Reference   docker.io/library/debian:latest
//! "sha256:…" ─▶ Digest ⊃ DiffId (uncompressed layer), LayerDigest (layer blob), ChainId (stack)
//! config blob ─▶ ImageConfig ──runtime_spec(options, users)──▶ oci_spec::runtime::Spec
//! ```

mod config;
mod digest;
pub mod manifest;
pub mod media_type;
mod platform;
mod reference;
mod run;
mod time;
mod user;

pub use config::{ContainerConfig, Healthcheck, History, ImageConfig, RootFs};
pub use digest::{ChainId, DiffId, Digest, DigestError, LayerDigest};
pub use manifest::{Descriptor, ImageIndex, ImageManifest};
pub use platform::{Platform, PlatformError};
pub use reference::{Reference, ReferenceError};
pub use run::{
    Device, Error, Mount, MountKind, Network, ParseError, Propagation, Resources, RunOptions,
    Seccomp, Ulimit, UserNamespace, parse, runtime_spec,
};
pub use time::{DateTime, DateTimeError};
pub use user::{User, UserError, Users};
