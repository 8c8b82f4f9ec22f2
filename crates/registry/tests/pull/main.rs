//! Pulls from a real registry (Debian's docker-registry, filled by skopeo), and from one that lies.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod authentication;
mod docker_registry;
mod fixture;
mod flaky;
mod honest;
mod hostile;
mod liar;
