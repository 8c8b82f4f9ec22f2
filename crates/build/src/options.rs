//! What a build is asked to do.

use std::io::Read;
use std::path::PathBuf;

use image::{Platform, Reference};
use rootfs::Driver;

use crate::plan::{BuildArgs, Network};

/// What is built.
pub struct Inputs {
    /// Where the Dockerfile is.
    pub dockerfile: DockerfileSource,
    /// Where `COPY` takes files from.
    pub context: ContextSource,
}

/// How it is built.
#[derive(Clone, Debug)]
pub struct BuildOptions {
    /// Names for the image.
    pub tags: Vec<Reference>,
    /// `--build-arg`
    pub build_args: BuildArgs,
    /// `--target`
    pub target: Option<String>,
    /// `--platform`; the host's without.
    pub platform: Option<Platform>,
    /// `--label`
    pub labels: Vec<(String, String)>,
    /// Do every step again. What they give is remembered as ever.
    pub no_cache: bool,
    /// Pull base images that are in the store, too.
    pub pull: bool,
    /// The network of `RUN` steps that do not say.
    pub network: Network,
    /// Files and directories of the host that `RUN` steps see, read-only.
    pub volumes: Vec<Volume>,
    /// The program that pulls images: called as `PROGRAM --store DIR pull NAME`.
    pub puller: PathBuf,
    /// How root file systems are made; the better one that works without.
    pub driver: Option<Driver>,
    /// `SOURCE_DATE_EPOCH`: all times in the image are at most this, in seconds since 1970.
    pub source_date_epoch: Option<i64>,
}

/// Where the Dockerfile is.
pub enum DockerfileSource {
    /// `Dockerfile` in the context.
    Default,
    /// A file. When the context is a tar, a path in it.
    Path(PathBuf),
    /// It is at hand.
    Text {
        /// What errors call it.
        name: String,
        /// Its bytes.
        text: Vec<u8>,
    },
}

/// Where `COPY` takes files from.
pub enum ContextSource {
    /// A directory.
    Directory(PathBuf),
    /// A stream: a tar, plain or compressed, or a Dockerfile without any context.
    Stream(Box<dyn Read + Send>),
}

/// A file or directory of the host that `RUN` steps see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// On the host, absolute.
    pub source: PathBuf,
    /// In the container, absolute.
    pub target: PathBuf,
}
