//! The typed form of a Dockerfile. Words are as written until [`Instruction::expanded`].

use std::time::Duration;

use crate::device::Device;
use crate::directive::Directives;
use crate::heredoc::Heredoc;
use crate::lint::Finding;
use crate::mount::MountOptions;
use crate::source::{Lines, Source};

/// A parsed Dockerfile.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Dockerfile {
    /// The text, to show places in it when a later step fails: [`Source::error`].
    pub source: Source,
    /// The escape character, `\` or `` ` ``, for [`crate::Expander::new`].
    pub escape: char,
    /// The parser directives.
    pub directives: Directives,
    /// The `ARG`s before the first `FROM`, in order. Each default may use those before it.
    pub global_args: Vec<Arg>,
    /// The stages, at least one, in order.
    pub stages: Vec<Stage>,
    /// What the rules say of the text alone, all rules: see [`crate::lint::Options::filter`].
    pub findings: Vec<Finding>,
}

impl Dockerfile {
    /// The index of the stage called `name` (case is ignored) among the first `before` stages; the
    /// last of several, as in BuildKit. `FROM` and `--mount=from=` see the stages before theirs, a
    /// build target sees all.
    pub fn stage_named(&self, name: &str, before: usize) -> Option<usize> {
        let named =
            |stage: &Stage| stage.name.as_deref().is_some_and(|n| n.eq_ignore_ascii_case(name));
        self.stages.iter().take(before).rposition(named)
    }

    /// As [`Dockerfile::stage_named`], and a number means the stage with that index: what
    /// `COPY --from` and a build target take.
    pub fn stage_referred(&self, name: &str, before: usize) -> Option<usize> {
        let numbered = || name.parse().ok().filter(|index| *index < before.min(self.stages.len()));
        self.stage_named(name, before).or_else(numbered)
    }
}

/// One `FROM` and the instructions up to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stage {
    /// The name after `AS`, in lower case.
    pub name: Option<String>,
    /// The image or earlier stage that it builds on, unexpanded: global arguments apply.
    pub base: String,
    /// `--platform`, unexpanded: global arguments apply.
    pub platform: Option<String>,
    /// What follows, in order.
    pub instructions: Vec<Instruction>,
    /// The lines of the `FROM`.
    pub lines: Lines,
    /// The `FROM` as progress shows it.
    pub text: String,
    /// The comment above the `FROM` that describes the stage: `# name text`.
    pub description: Option<String>,
}

/// One instruction with its place and text.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Instruction {
    /// What it says.
    pub kind: Kind,
    /// The lines that it spans, heredocs included.
    pub lines: Lines,
    /// The text as progress and history show it: continuation lines joined, comments dropped, the
    /// name in upper case, without heredoc bodies (`RUN apt-get update && …`).
    pub text: String,
    /// The name as written, in any case.
    pub keyword: String,
    /// Whether an `ENV` or `LABEL` has the old form `name value`.
    pub legacy: bool,
}

/// The instructions of a stage (Dockerfile reference), without `FROM`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// `ADD`
    Add(Add),
    /// `ARG`, one or several.
    Arg(Vec<Arg>),
    /// `CMD`
    Cmd(CommandLine),
    /// `COPY`
    Copy(Copy),
    /// `ENTRYPOINT`
    Entrypoint(CommandLine),
    /// `ENV`
    Env(Vec<Pair>),
    /// `EXPOSE`: port specifications, see [`crate::exposed_ports`].
    Expose(Vec<String>),
    /// `HEALTHCHECK`
    Healthcheck(Healthcheck),
    /// `LABEL`
    Label(Vec<Pair>),
    /// `MAINTAINER`
    Maintainer(String),
    /// `ONBUILD`
    OnBuild(OnBuild),
    /// `RUN`
    Run(Run),
    /// `SHELL`
    Shell(Vec<String>),
    /// `STOPSIGNAL`
    StopSignal(String),
    /// `USER`: `user[:group]`.
    User(String),
    /// `VOLUME`
    Volume(Vec<String>),
    /// `WORKDIR`
    Workdir(String),
}

impl Kind {
    /// The instruction's name in upper case.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Add(_) => "ADD",
            Self::Arg(_) => "ARG",
            Self::Cmd(_) => "CMD",
            Self::Copy(_) => "COPY",
            Self::Entrypoint(_) => "ENTRYPOINT",
            Self::Env(_) => "ENV",
            Self::Expose(_) => "EXPOSE",
            Self::Healthcheck(_) => "HEALTHCHECK",
            Self::Label(_) => "LABEL",
            Self::Maintainer(_) => "MAINTAINER",
            Self::OnBuild(_) => "ONBUILD",
            Self::Run(_) => "RUN",
            Self::Shell(_) => "SHELL",
            Self::StopSignal(_) => "STOPSIGNAL",
            Self::User(_) => "USER",
            Self::Volume(_) => "VOLUME",
            Self::Workdir(_) => "WORKDIR",
        }
    }
}

/// Shell or exec form of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandLine {
    /// For the shell, as one string.
    Shell(String),
    /// The words themselves, from a JSON array; may be empty.
    Exec(Vec<String>),
}

/// A name and its value, of `ENV` and `LABEL`. Both are expanded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The name.
    pub key: String,
    /// The value, with its quotes and escapes until it is expanded.
    pub value: String,
}

/// One argument of an `ARG`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arg {
    /// The name.
    pub name: String,
    /// The default; `None` for `ARG name` alone.
    pub default: Option<String>,
    /// The lines of its `ARG`.
    pub lines: Lines,
    /// The comment above that describes it: `# name text`.
    pub description: Option<String>,
}

/// `RUN`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The command as written, without heredoc bodies; see [`Run::command`].
    pub line: CommandLine,
    /// The heredocs of a shell form, in order.
    pub heredocs: Vec<Heredoc>,
    /// `--mount`, in order.
    pub mounts: Vec<MountOptions>,
    /// `--network`
    pub network: Network,
    /// `--security`
    pub security: Security,
    /// `--device`, in order.
    pub devices: Vec<Device>,
}

/// What a `RUN` executes, its heredocs taken into account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// For the stage's shell, as its last argument.
    Shell(String),
    /// The words themselves.
    Exec(Vec<String>),
    /// A heredoc that begins with `#!`: a file of that name with that content, to be executed.
    Script {
        /// The heredoc's name.
        name: String,
        /// The file's content.
        content: String,
    },
}

/// `RUN --network`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Network {
    /// What the build as a whole uses.
    #[default]
    Default,
    /// No network but the loopback interface.
    None,
    /// The host's.
    Host,
}

/// `RUN --security`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Security {
    /// The usual confinement.
    #[default]
    Sandbox,
    /// Privileged.
    Insecure,
}

/// A file written in the Dockerfile itself: a heredoc that is a source of `COPY` or `ADD`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InlineFile {
    /// The heredoc's name, which is the file's.
    pub name: String,
    /// The content; tabs of `<<-` are stripped.
    pub content: String,
    /// Whether variables in the content are expanded: the heredoc's name is not quoted.
    pub expand: bool,
}

/// What `COPY` and `ADD` have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files {
    /// The sources: paths with wildcards, of `ADD` also URLs and git references; together with `inline`
    /// at least one.
    pub sources: Vec<String>,
    /// The heredocs among the sources.
    pub inline: Vec<InlineFile>,
    /// The destination; a trailing slash makes it a directory.
    pub destination: String,
    /// `--chown`
    pub chown: Option<String>,
    /// `--chmod`: octal or symbolic.
    pub chmod: Option<String>,
    /// `--link`
    pub link: bool,
    /// `--exclude`, in order.
    pub exclude: Vec<String>,
}

/// `COPY`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copy {
    /// What goes where.
    pub files: Files,
    /// `--from`: a stage's name or index, an image, or a named context. Never expanded.
    pub from: Option<String>,
    /// `--parents`
    pub parents: bool,
}

/// `ADD`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Add {
    /// What goes where.
    pub files: Files,
    /// `--keep-git-dir`, where it was given.
    pub keep_git_dir: Option<bool>,
    /// `--checksum`: a digest or a git commit.
    pub checksum: Option<String>,
    /// `--unpack`: whether archives are unpacked; by default local ones only.
    pub unpack: Option<bool>,
}

/// `HEALTHCHECK`. What is `None` is inherited from the base image or the engine's default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Healthcheck {
    /// What is run.
    pub test: HealthTest,
    /// `--interval`
    pub interval: Option<Duration>,
    /// `--timeout`
    pub timeout: Option<Duration>,
    /// `--start-period`
    pub start_period: Option<Duration>,
    /// `--start-interval`
    pub start_interval: Option<Duration>,
    /// `--retries`
    pub retries: Option<u32>,
}

impl Healthcheck {
    /// `HEALTHCHECK NONE`
    pub fn none() -> Self {
        Self {
            test: HealthTest::None,
            interval: None,
            timeout: None,
            start_period: None,
            start_interval: None,
            retries: None,
        }
    }
}

/// The test of a `HEALTHCHECK`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HealthTest {
    /// `NONE`: no check, not even the base image's.
    None,
    /// `CMD`
    Command(CommandLine),
}

/// `ONBUILD`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnBuild {
    /// What the image config stores and [`crate::parse_trigger`] reads back: the instruction with
    /// its heredocs.
    pub expression: String,
    /// The instruction.
    pub instruction: Box<Instruction>,
}
