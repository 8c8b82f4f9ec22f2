//! What a build is asked to do.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::io::Read;
use std::net::IpAddr;
use std::path::PathBuf;

use dockerfile::{GitRef, HttpRef};
use image::{Platform, Reference, Ulimit};
use rootfs::Driver;

use crate::attesting::Attesting;
use crate::cache::{CacheSource, CacheTarget};
use crate::plan::{BuildArgs, Entitlements, Network};

/// What is built.
pub struct Inputs {
    /// Where the Dockerfile is.
    pub dockerfile: DockerfileSource,
    /// Where `COPY` takes files from.
    pub context: ContextSource,
    /// `--build-context`: what replaces images and stages of these names.
    pub named: Vec<(String, NamedSource)>,
}

/// How it is built.
#[derive(Clone, Debug, Default)]
pub struct BuildOptions {
    /// Names for the image.
    pub tags: Vec<Reference>,
    /// `--build-arg`
    pub build_args: BuildArgs,
    /// `--target`
    pub target: Option<String>,
    /// `--platform`; the host's without. Several give an index of as many images.
    pub platforms: Vec<Platform>,
    /// `BUILDKIT_MULTI_PLATFORM`: an index for a single platform, too.
    pub multi_platform: bool,
    /// `--label`
    pub labels: Vec<(String, String)>,
    /// `--annotation`
    pub annotations: Vec<Annotation>,
    /// Leave the image out of the store's index: it is taken elsewhere.
    pub unlisted: bool,
    /// Do every step again. What they give is remembered as ever.
    pub no_cache: bool,
    /// Do every step of these stages again, as `no_cache` does for all. Names of no stage are ignored.
    pub no_cache_filter: Vec<String>,
    /// `--cache-from`: caches to find steps in that the store does not know.
    pub cache_from: Vec<CacheSource>,
    /// `--cache-to`: where to take the cache of this build along.
    pub cache_to: Vec<CacheTarget>,
    /// Say of each step that is done why it was not found in the cache.
    pub explain: bool,
    /// Pull base images that are in the store, too.
    pub pull: bool,
    /// The network of `RUN` steps that do not say.
    pub network: Network,
    /// What `RUN` steps may ask for beyond the sandbox: `--allow`.
    pub allow: Entitlements,
    /// What `RUN --mount=type=secret` shows, by id.
    pub secrets: BTreeMap<String, SecretValue>,
    /// What answers on a `RUN --mount=type=ssh`, by id.
    pub agents: BTreeMap<String, AgentSource>,
    /// Names that `RUN` steps find in `/etc/hosts`.
    pub hosts: Vec<Host>,
    /// Resource limits of `RUN` steps.
    pub ulimits: Vec<Ulimit>,
    /// Size of `/dev/shm` for `RUN` steps, in bytes; docker's 64 MiB without.
    pub shm_size: Option<u64>,
    /// The cgroup in which the containers of `RUN` steps get theirs; `/tare` without.
    pub cgroup_parent: Option<PathBuf>,
    /// Files and directories of the host that `RUN` steps see, read-only.
    pub volumes: Vec<Volume>,
    /// The program that pulls images and fetches files: called as `PROGRAM --store DIR pull NAME`, and
    /// as `PROGRAM --store DIR fetch --json -` with a URL on its standard input.
    pub puller: PathBuf,
    /// The program that fetches git repositories.
    pub git: GitProgram,
    /// The program that ends what this process leaves when it is killed: called as `PROGRAM --clean-up
    /// DIR --runtime RUNTIME`, it waits for the end of its standard input and calls
    /// [`crate::clean_up`]. Without it the next build does.
    pub guard: Option<PathBuf>,
    /// How root file systems are made; the better one that works without.
    pub driver: Option<Driver>,
    /// `SOURCE_DATE_EPOCH`: all times in the image are at most this, in seconds since 1970.
    pub source_date_epoch: Option<i64>,
    /// `--attest`: what is said of the image beside it, which makes the result an index.
    pub attesting: Attesting,
}

/// A remark in what names an image, not in its configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotation {
    /// What gets it.
    pub on: AnnotationTarget,
    /// Only in the image for this platform; in all without.
    pub platform: Option<Platform>,
    /// Its name, such as `org.opencontainers.image.title`.
    pub name: String,
    /// What it says.
    pub value: String,
}

/// What can have annotations (image-spec, annotations.md).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnnotationTarget {
    /// The manifest of an image.
    Manifest,
    /// The index of several.
    Index,
    /// What names a manifest: in the index, or where there is none in the layout.
    ManifestDescriptor,
    /// What names the index in the layout.
    IndexDescriptor,
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
    /// The same from a web server.
    Http(HttpRef),
    /// A tree of a git repository.
    Git(GitRef),
}

/// What a `--build-context` gives.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NamedSource {
    /// The files of a directory, less what its `.dockerignore` names.
    Directory(PathBuf),
    /// An image, by the name that it is pulled by; `scratch` for none.
    Image(String),
    /// A file from a web server, which is called `context`.
    Http(HttpRef),
    /// A tree of a git repository.
    Git(GitRef),
}

/// The `git` program, and the whole of the environment that it gets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GitProgram {
    /// A path, or a name to be found in the `PATH` of the environment below.
    pub program: PathBuf,
    /// `PATH`, proxies, trusted authorities.
    pub environment: Vec<(OsString, OsString)>,
    /// The socket of the user's SSH agent, for contexts; `ADD` may not use it unless it was forwarded.
    pub ssh_agent: Option<PathBuf>,
    /// Whether the agent was forwarded (`--ssh default`).
    pub forward_agent: bool,
}

/// A file or directory of the host that `RUN` steps see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// On the host, absolute.
    pub source: PathBuf,
    /// In the container, absolute.
    pub target: PathBuf,
}

/// What a secret holds. It shows itself to nobody who does not ask: not to `{:?}` either.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretValue(Vec<u8>);

impl SecretValue {
    /// A secret that holds these bytes.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    pub(crate) fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretValue(…)")
    }
}

/// Where an SSH agent comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentSource {
    /// One that is there, by its socket.
    Socket(PathBuf),
    /// One that is started for the build, with these keys, which have no passphrase.
    Keys(Vec<PathBuf>),
}

/// A name of a host: `--add-host`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// The name.
    pub name: String,
    /// Its address.
    pub address: IpAddr,
}
