//! Why a build failed.

use std::io;
use std::path::{Path, PathBuf};

use dockerfile::lint::OptionError;
use dockerfile::{Lines, ParseError, Source};
use tree::LayerPath;

/// Why a build failed. The chain of sources ends in the cause.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The Dockerfile is wrong; shown with its place.
    #[error(transparent)]
    Dockerfile(#[from] ParseError),
    /// The `check` directive's build argument cannot be understood.
    #[error("cannot understand the build argument {name}")]
    CheckOptions {
        /// Its name.
        name: &'static str,
        /// Why.
        source: OptionError,
    },
    /// Rules were broken that the Dockerfile says are errors.
    #[error("lint violation found for rules: {}", rules.join(", "))]
    Lint {
        /// Their names, each once.
        rules: Vec<&'static str>,
    },
    /// An instruction failed.
    #[error("{file}:{}: {instruction}", lines.start)]
    Instruction {
        /// The Dockerfile's name.
        file: String,
        /// Where the instruction stands.
        lines: Lines,
        /// The lines around it, numbered.
        excerpt: String,
        /// The instruction, variables expanded.
        instruction: String,
        /// What may help.
        hint: Option<String>,
        /// Why it failed.
        source: Box<Error>,
    },
    /// `--target` names no stage.
    #[error("the Dockerfile has no stage {target:?}")]
    NoTarget {
        /// What was asked for.
        target: String,
        /// What there is.
        stages: Vec<String>,
    },
    /// An image is not in the store and could not be pulled.
    #[error("image {name} is not in the store{}", and_not_pulled(pull.as_deref()))]
    NoImage {
        /// The image's name.
        name: String,
        /// What the program that pulls said, if it was tried.
        pull: Option<String>,
    },
    /// A resource of a web server could not be had.
    #[error("cannot get {url}{}", because(said))]
    Fetch {
        /// Its URL, without its password.
        url: String,
        /// What the program that fetches said.
        said: String,
    },
    /// A build cache could not be had.
    #[error("cannot import the cache {from}{}", because(said))]
    CacheImport {
        /// Where it is.
        from: String,
        /// Why, or what the program that pulls said.
        said: String,
    },
    /// The build cache could not be taken along.
    #[error("cannot export the cache to {to}{}", because(said))]
    CacheExport {
        /// Where to.
        to: String,
        /// What the program that pushes said.
        said: String,
    },
    /// The build cache could not be written into a directory.
    #[error("cannot write the cache to {path:?}")]
    CacheLayout {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: Box<archive::Error>,
    },
    /// A tree of a git repository could not be had.
    #[error("cannot {action} {remote}{}", because(said))]
    Git {
        /// `fetch ref main of`, …
        action: String,
        /// The repository, without its password.
        remote: String,
        /// What git said, or what is wrong.
        said: String,
    },
    /// A remote source that is none.
    #[error(transparent)]
    Remote(#[from] dockerfile::RemoteError),
    /// An image has no variant for the platform.
    #[error("image {name} is for {found}, not for {wanted}")]
    WrongPlatform {
        /// The image's name.
        name: String,
        /// What it is for.
        found: String,
        /// What was asked for.
        wanted: String,
    },
    /// A `RUN` for a machine that this one is not.
    #[error("cannot run programs for {platform} on this machine")]
    ForeignPlatform {
        /// The stage's platform.
        platform: String,
    },
    /// A `RUN` asks for more than the sandbox has, and the build was not told to grant it.
    #[error("{flag} needs the entitlement {entitlement}, which the build does not have")]
    Entitlement {
        /// What asks: `RUN --security=insecure`.
        flag: &'static str,
        /// What it needs: `security.insecure`.
        entitlement: &'static str,
    },
    /// A required secret was not given.
    #[error("the build was not given the secret {id:?}")]
    NoSecret {
        /// Its name.
        id: String,
    },
    /// A secret that no variable can hold.
    #[error("the secret {id:?} is no text, and cannot be an environment variable")]
    SecretNotText {
        /// Its name.
        id: String,
    },
    /// A required SSH agent was not given.
    #[error("the build was not given the SSH agent {id:?}")]
    NoAgent {
        /// Its name.
        id: String,
    },
    /// An SSH agent for key files could not be had.
    #[error("cannot start the SSH agent {id:?}: {why}")]
    Agent {
        /// Its name.
        id: String,
        /// Why.
        why: String,
    },
    /// There is an emulator for the machine, which no container can start.
    #[error("the emulator for {platform} is registered without the flag F, so containers lack it")]
    EmulatorOutside {
        /// The stage's platform.
        platform: String,
    },
    /// A source of `COPY` or `ADD` is not there.
    #[error("{path} is not in {place}")]
    MissingSource {
        /// What the instruction names.
        path: String,
        /// `the build context /src`, `stage builder`, …
        place: String,
        /// What may help.
        hint: Option<String>,
    },
    /// A source of `COPY` or `ADD` is a pattern that means nothing.
    #[error(transparent)]
    Pattern(dockerfile::GlobError),
    /// A path leads out of the context.
    #[error("{path} leads out of the build context {context:?}")]
    Outside {
        /// What the instruction names.
        path: String,
        /// The context.
        context: PathBuf,
    },
    /// A copy would put a file where a directory is, or the other way round.
    #[error("cannot copy {what} over {there} {path}")]
    Replaces {
        /// `a file`, `a directory`.
        what: &'static str,
        /// What is there.
        there: &'static str,
        /// Where, in the image.
        path: LayerPath,
    },
    /// A path of the image leads nowhere.
    #[error("cannot find the place of {path} in the image")]
    Destination {
        /// The path.
        path: String,
        /// Why.
        source: tree::ResolveError,
    },
    /// A name of a user or group is not in the image.
    #[error("cannot tell who {owner:?} is")]
    Owner {
        /// `user[:group]`
        owner: String,
        /// Why.
        source: image::UserError,
    },
    /// The command of a `RUN` ended with another code than 0.
    #[error("the command ended with exit code {code}{}", shown(output))]
    ExitCode {
        /// The code; 128 and the signal's number where a signal ended it.
        code: i32,
        /// The last lines that it wrote.
        output: String,
        /// Whether nothing more could be written then where its files lie.
        disk_full: bool,
    },
    /// The runtime program could not be started.
    #[error("cannot start the runtime {program:?}")]
    Runtime {
        /// The program.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The user, or a failure of another stage, ended the build.
    #[error("interrupted")]
    Interrupted,
    /// The context is not one.
    #[error("cannot use {0:?} as build context: it is neither a directory, nor a URL, nor -")]
    Context(PathBuf),
    /// A `--build-context` that is none.
    #[error("cannot use {context:?} as build context: {reason}")]
    NamedContext {
        /// What was given.
        context: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// There is no Dockerfile.
    #[error("there is no {name} in {place}")]
    NoDockerfile {
        /// Its name.
        name: String,
        /// Where it should be.
        place: String,
    },
    /// `.dockerignore` has a malformed pattern.
    #[error("{file} is malformed")]
    Ignore {
        /// The file.
        file: String,
        /// Why.
        source: dockerfile::IgnoreError,
    },
    /// An archive cannot be read.
    #[error("{name:?} is not an archive that can be unpacked")]
    Archive {
        /// The archive.
        name: PathBuf,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A system call failed on a path.
    #[error("cannot {verb} {path:?}")]
    Io {
        /// What was being done.
        verb: &'static str,
        /// To what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A path that no file can have.
    #[error("{path} holds a name that no image can hold")]
    Path {
        /// Where.
        path: LayerPath,
        /// Why.
        source: tree::PathError,
    },
    /// A layer could not be written.
    #[error("cannot write the layer")]
    Layer(#[from] tree::WriteError),
    /// Layers do not fit together.
    #[error("cannot put the layers together")]
    Fold(#[from] tree::FoldError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A root file system could not be had.
    #[error(transparent)]
    Rootfs(#[from] rootfs::Error),
    /// The command's configuration is wrong.
    #[error("cannot configure the container")]
    Spec(#[from] image::Error),
    /// A defect of the builder.
    #[error("internal error: {0}")]
    Internal(&'static str),
}

/// Why an image was not pulled, if that was tried.
fn and_not_pulled(said: Option<&str>) -> String {
    let reason = reason(said.unwrap_or_default());
    reason.map_or_else(String::new, |reason| format!(", and cannot be pulled: {reason}"))
}

/// The reason that a program gave, after a colon.
fn because(said: &str) -> String {
    reason(said).map_or_else(String::new, |reason| format!(": {reason}"))
}

/// What a program said, as one line: the causes that it gave, or else its last words.
fn reason(said: &str) -> Option<String> {
    let lines = || said.lines().map(str::trim).filter(|line| !line.is_empty());
    let causes: Vec<&str> = lines().filter_map(|line| line.strip_prefix("caused by: ")).collect();
    if !causes.is_empty() {
        return Some(causes.join(": "));
    }
    let last = lines().rfind(|line| !line.starts_with("hint: "))?;
    let last = last.split_once("error: ").map_or(last, |(_, reason)| reason);
    Some(last.trim_start_matches("fatal: ").to_owned())
}

/// Lines of output below a message, indented.
fn shown(output: &str) -> String {
    let lines: String = output.lines().map(|line| format!("\n    {line}")).collect();
    if lines.is_empty() { lines } else { format!("; it wrote last:{lines}") }
}

impl Error {
    pub(crate) fn io(
        verb: &'static str,
        path: impl AsRef<Path>,
        source: impl Into<io::Error>,
    ) -> Self {
        Self::Io { verb, path: path.as_ref().to_owned(), source: source.into() }
    }

    pub(crate) fn internal(what: &'static str) -> Self {
        Self::Internal(what)
    }

    pub(crate) fn outside(path: &LayerPath, context: &Path) -> Self {
        Self::Outside { path: path.to_string(), context: context.to_owned() }
    }

    pub(crate) fn path(path: &LayerPath, source: tree::PathError) -> Self {
        Self::Path { path: path.clone(), source }
    }

    pub(crate) fn archive(
        name: &Path,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Archive { name: name.to_owned(), source: source.into() }
    }

    /// The same error with the instruction that it is about, unless it has a place already.
    pub(crate) fn at(source: &Source, lines: Lines, instruction: String, error: Self) -> Self {
        if matches!(error, Self::Dockerfile(_) | Self::Instruction { .. } | Self::Interrupted) {
            return error;
        }
        Self::Instruction {
            file: source.name().to_owned(),
            lines,
            excerpt: source.excerpt(lines),
            instruction: dockerfile::glimpse(&instruction),
            hint: None,
            source: Box::new(error),
        }
    }

    /// The same error of an instruction, with something that may help.
    pub(crate) fn hinted(mut self, advice: Option<String>) -> Self {
        if let Self::Instruction { hint, .. } = &mut self {
            *hint = advice;
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_an_image_was_not_pulled() {
        for (said, want) in [
            (None, ""),
            (Some(" \n"), ""),
            (
                Some("x: error: cannot pull a\n  caused by: no b\n  caused by: c\n  hint: d"),
                "no b: c",
            ),
            (Some("x: error: no a\n  hint: d"), "no a"),
            (Some("one\ntwo\n"), "two"),
        ] {
            let want = if want.is_empty() {
                String::new()
            } else {
                format!(", and cannot be pulled: {want}")
            };
            assert_eq!(and_not_pulled(said), want);
        }
    }
}
