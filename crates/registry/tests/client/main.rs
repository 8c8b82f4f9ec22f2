//! Pulls and pushes with a real registry (Debian's docker-registry, with skopeo beside), and with one
//! that lies.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod authentication;
mod docker_registry;
mod fixture;
mod flaky;
mod honest;
mod hostile;
mod liar;
mod mirrors;
mod parallel;
mod push;
mod push_refused;
mod remote;
