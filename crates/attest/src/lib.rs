//! What is said of an image beside it: how it was built, and what it consists of.
//!
//! ```text
//! provenance   how a build came about ──▶ SLSA predicate, v1 or v0.2
//! sbom         files that tell of packages ──▶ SPDX 2.3 document
//! statement    predicate and the digests that it is about ──▶ in-toto statement, the bytes of a blob
//! purl         names of packages and images (package-url specification)
//! ```
//!
//! Pure: bytes in, bytes out. Where a statement is put is BuildKit's layout
//! (docs/attestations/attestation-storage.md of its repository), and whoever builds does that. Nothing
//! here trusts what it reads: a file of an image that makes no sense names no package.

pub mod provenance;
mod purl;
pub mod sbom;
mod statement;

pub use purl::image as image_purl;
pub use statement::{Subject, statement};
