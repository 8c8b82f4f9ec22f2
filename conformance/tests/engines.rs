//! Engines that people run containers with, over tare-runtime in runc's place: podman, buildah, containerd's
//! `ctr`, docker. Every test runs over runc first, which shows that the test is right.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "a test is a program: it reads the environment, and shows a daemon's log when it fails"
)]

#[path = "engines/buildah.rs"]
mod buildah;
#[path = "engines/containerd.rs"]
mod containerd;
#[path = "engines/docker.rs"]
mod docker;
#[path = "engines/podman.rs"]
mod podman;
#[path = "engines/podman_options.rs"]
mod podman_options;
#[path = "engines/podman_rootless.rs"]
mod podman_rootless;
#[path = "engines/support.rs"]
mod support;
