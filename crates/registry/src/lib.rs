//! The distribution API, as a client: images from registries into the store, and back. And [`fetch()`]: what any
//! web server gives. And as a server: [`Server`] gives the store to such clients.
//!
//! ```text
//! Reference ─▶ registries ─▶ endpoint ─▶ session ─▶ manifest ─▶ pull ─▶ blob ─▶ Store
//!            (mirrors)                     │       ◀─ upload ◀─ mounts ◀─ push ◀─ Store
//!                                          │
//!                                          ├ transport  HTTP, TLS, proxies, what their errors mean
//!                                          ├ resolver   names to addresses, remembered for a while
//!                                          ├ auth       challenge ─▶ credentials, helpers ─▶ token
//!                                          └ cancel     the user's Ctrl-C ends all connections
//! ```
//!
//! Nothing that a registry sends is trusted: bytes are bounded by what their descriptor says and
//! verified against their digest before they have a name, text is made printable before it is shown,
//! and an answer over TLS never leads to plain HTTP. Credentials go to the registry and to the token
//! server that it names, and appear in no error.
//!
//! The only network code of the project. It reads no environment: what comes from there is in
//! [`Options`]. A pull that fails leaves blobs without a name at most, never half of one.

mod auth;
mod auth_file;
mod blob;
mod cancel;
mod certs;
mod challenge;
mod credentials;
mod endpoint;
mod error;
mod failure;
mod fetch;
mod files;
mod find;
mod helper;
mod manifest;
mod mounts;
mod options;
mod pem;
mod progress;
mod proxy;
mod pull;
mod push;
mod queue;
mod refusal;
mod registries;
mod remote;
mod resolver;
mod serve;
mod session;
mod sources;
mod transfer;
mod transport;
mod upload;

pub use auth_file::{Keeper, remove_login, save_login};
pub use credentials::{Credentials, CredentialsError, Secret};
pub use error::Error;
pub use failure::Failure;
pub use fetch::{Fetched, Resource, fetch};
pub use options::{Options, Proxies, Retries, Timeouts, Trust};
pub use progress::{Event, Progress};
pub use pull::{Pulled, fetch_image, pull};
pub use push::{Parcel, Pushed, push};
pub use registries::{Registries, RegistriesError};
pub use remote::{Document, Remote, RemoteImage, check_login};
pub use serve::{Access, ServeError, Server};
pub use transfer::copy_within;
