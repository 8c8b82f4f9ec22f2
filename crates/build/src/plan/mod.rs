//! What there is to do: a Dockerfile and its arguments become steps. Pure.
//!
//! ```text
//! Dockerfile ──stages──▶ those that the target needs, bases first
//!            ──scope───▶ the environment of each instruction: ARG, ENV, platform arguments
//!            ──lower───▶ steps (RUN, COPY, WORKDIR) and the image configuration they end in
//! ```
//!
//! Only the configuration of base images comes from outside, through [`Bases`]. Everything else that
//! a step needs is in its [`Operation`], with variables expanded: steps are run, and cached, without
//! looking at the Dockerfile again.

mod bases;
mod entitlements;
mod history;
mod images;
mod lower;
mod mode;
mod named;
mod origin;
mod outline;
mod scope;
mod settings;
mod signal;
mod source;
mod stages;

use dockerfile::Lines;
use image::{ImageConfig, Platform};

pub use dockerfile::Sharing;
pub use entitlements::Entitlements;
pub use mode::{Chmod, ModeError};
pub use named::{Named, NamedContexts};
pub use outline::{Outline, OutlineArg, OutlineCache, OutlineMount};
pub use scope::BuildArgs;
pub(crate) use scope::hostname;
pub use settings::{Bases, Request, Settings};
pub use source::{CopySource, GitSource, HttpSource};
pub use stages::{Examined, examine, plan};

/// The stages to build, each after those it needs. The last one is the target.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The stages.
    pub stages: Vec<Stage>,
    /// The images that stages start from or copy from, each once.
    pub images: Vec<Request>,
    /// Build arguments that were given and that no instruction declares.
    pub unused_args: Vec<String>,
    /// Devices that a command asks for and can do without; none is given.
    pub absent_devices: Vec<String>,
    /// The platform that it is for.
    pub platform: Platform,
    /// What the target takes from outside.
    pub outline: Outline,
    /// Whether `BUILDKIT_INLINE_CACHE` asks for an image with its cache in it.
    pub wants_inline_cache: bool,
}

/// One stage.
#[derive(Clone, Debug)]
pub struct Stage {
    /// Its name, or `stage-N` for the N-th of several without one; empty when it is the only one.
    pub name: String,
    /// What it starts from.
    pub base: Base,
    /// The platform that its `RUN` steps are for.
    pub platform: Platform,
    /// What it does.
    pub steps: Vec<Step>,
    /// What its image is configured to do: without layers and history, which building adds.
    pub config: ImageConfig,
    /// Indexes in [`Plan::stages`] of the stages that it reads from, its base included.
    pub needs: Vec<usize>,
    /// The lines of its `FROM`.
    pub lines: Lines,
    /// `FROM debian AS builder`, for people.
    pub text: String,
}

/// What a stage starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// Nothing.
    Scratch,
    /// A stage, by its index in [`Plan::stages`].
    Stage(usize),
    /// An image, by its index in [`Plan::images`].
    Image(usize),
    /// The files of a context that has a name, by its index.
    Files(usize),
}

/// One instruction, ready to be done.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// What to do.
    pub operation: Operation,
    /// The instruction as the image's history has it.
    pub created_by: String,
    /// The instruction as progress shows it, variables expanded.
    pub text: String,
    /// Where it stands.
    pub lines: Lines,
}

/// What a step does to the file system.
#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    /// Nothing: it changed the configuration.
    Configure,
    /// `RUN`
    Run(Box<Run>),
    /// `COPY` and `ADD`
    Copy(Box<Copy>),
    /// `WORKDIR`: the directory is made where it is missing.
    Workdir {
        /// Absolute.
        path: String,
        /// `user[:group]` that owns what is made; empty for root.
        owner: String,
    },
}

/// A command in a container.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Run {
    /// The program and its arguments.
    pub args: Vec<String>,
    /// A heredoc with `#!`: its name and content, to be found in `/dev/pipes`.
    pub script: Option<(String, String)>,
    /// Environment, `NAME=value` each, in order.
    pub env: Vec<String>,
    /// Further environment that changes no result by agreement: proxies.
    pub proxies: Vec<String>,
    /// `user[:group]`; empty for root.
    pub user: String,
    /// Where the command starts, absolute.
    pub working_dir: String,
    /// `--network`
    pub network: Network,
    /// `--security=insecure`: with all that the builder itself may do.
    pub insecure: bool,
    /// The name of the host that the command sees.
    pub hostname: String,
    /// `--mount` of files.
    pub mounts: Vec<Mount>,
    /// `--mount=type=secret`
    pub secrets: Vec<Secret>,
    /// `--mount=type=ssh`
    pub agents: Vec<Agent>,
}

/// A `RUN --mount=type=secret`. What it holds is never part of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secret {
    /// Its name among the secrets that the build was given.
    pub id: String,
    /// The file that shows it, absolute.
    pub target: Option<String>,
    /// The variable that holds it.
    pub env: Option<String>,
    /// Of the file.
    pub access: Access,
    /// Whether it is an error if the build was not given it.
    pub required: bool,
}

/// A `RUN --mount=type=ssh`: a socket on which an SSH agent answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agent {
    /// Its name among the agents that the build was given.
    pub id: String,
    /// Where the socket is, absolute.
    pub target: String,
    /// Of the socket.
    pub access: Access,
    /// Whether it is an error if the build was not given it.
    pub required: bool,
}

/// Who may use a file that a mount makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// Permission bits.
    pub mode: u32,
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// The network of a `RUN`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Network {
    /// The host's, as there is no bridge yet; for an ordinary user one of the build's own, where there can be.
    #[default]
    Default,
    /// The host's.
    Host,
    /// Loopback only.
    None,
}

/// A `RUN --mount`.
#[derive(Clone, Debug, PartialEq)]
pub struct Mount {
    /// Where it is seen, absolute.
    pub target: String,
    /// What is seen.
    pub kind: MountKind,
    /// Whether it may be written to. What is written to a bind mount is dropped.
    pub read_only: bool,
}

/// What a `RUN --mount` shows.
#[derive(Clone, Debug, PartialEq)]
pub enum MountKind {
    /// A part of the context, a stage or an image.
    Bind {
        /// Of what.
        from: From,
        /// Which part, from its root.
        source: String,
    },
    /// A directory that stays between builds.
    Cache {
        /// Its name: `id`, or the target.
        id: String,
        /// How it is shared with other commands that run at the same time.
        sharing: Sharing,
        /// What is in it when it is made; nothing without.
        from: Option<From>,
        /// Which part of it is seen, from its root.
        source: String,
        /// Of the directory when it is made empty, where the Dockerfile says.
        access: Option<Access>,
    },
    /// Memory.
    Tmpfs {
        /// Its limit in bytes.
        size: Option<u64>,
    },
}

/// What files are copied from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// The build context.
    Context,
    /// A context that has a name, by its index.
    Named(usize),
    /// A stage, by its index in [`Plan::stages`].
    Stage(usize),
    /// An image, by its index in [`Plan::images`].
    Image(usize),
}

/// `COPY` and `ADD`.
#[derive(Clone, Debug, PartialEq)]
pub struct Copy {
    /// What files are copied from.
    pub from: From,
    /// What is copied, variables expanded.
    pub sources: Vec<CopySource>,
    /// Files written in the Dockerfile: name and content.
    pub inline: Vec<(String, String)>,
    /// Absolute; a trailing slash makes it a directory.
    pub destination: String,
    /// `--chown`: `user[:group]`.
    pub chown: Option<String>,
    /// `--chmod`.
    pub chmod: Option<Chmod>,
    /// `--link`: the destination's links do not matter, nor what was there.
    pub link: bool,
    /// `--parents`: the source's directories are kept.
    pub parents: bool,
    /// `--exclude`: patterns of what to leave out.
    pub exclude: Vec<String>,
    /// `ADD` unpacks local archives. What is fetched says so itself.
    pub unpack: bool,
}

impl Copy {
    /// Whether the layer does not depend on what it is put on: `--link`, and no name to look up.
    pub fn stands_alone(&self) -> bool {
        let by_name = |owner: &String| owner.bytes().any(|b| !b.is_ascii_digit() && b != b':');
        self.link && !self.chown.as_ref().is_some_and(by_name)
    }
}
