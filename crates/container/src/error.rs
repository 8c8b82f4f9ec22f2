//! What can go wrong in a container's life: one error for one failure, with the verb, the object and the cause.

use std::io;

/// Why a command on a container failed. Its text is one line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A system call or file operation failed.
    #[error("{doing}: {}", reason(cause))]
    Io {
        /// What was being done, to what.
        doing: String,
        /// The kernel's answer.
        cause: io::Error,
    },
    /// A container id with other characters than runc accepts.
    #[error(
        "invalid container id {0:?}: use letters, digits, '_', '+', '-' and '.', at most 1024 of them, and neither \".\" nor \"..\""
    )]
    InvalidId(String),
    /// No container of this id under the state root.
    #[error("container \"{0}\" does not exist")]
    NotFound(String),
    /// The id is taken.
    #[error("container with given ID already exists: \"{0}\"")]
    Exists(String),
    /// The container is in a state in which the command makes no sense.
    #[error("cannot {verb} a container in the {status} state")]
    WrongState {
        /// The command.
        verb: &'static str,
        /// The container's state, in runtime-spec's words.
        status: &'static str,
    },
    /// `exec` needs a container that can run something.
    #[error("cannot exec in a {0} container")]
    CannotExec(&'static str),
    /// `kill` found no process.
    #[error("container not running")]
    NotRunning,
    /// A stopped container has nothing to watch.
    #[error("container with id {0} is not running")]
    IdNotRunning(String),
    /// A container that runs is deleted only by force.
    #[error("cannot delete container \"{id}\" that is not stopped: {status}")]
    NotStopped {
        /// Its id.
        id: String,
        /// Its state.
        status: &'static str,
    },
    /// `config.json` (or `process.json`) asks for something wrong or impossible.
    #[error("{field}: {reason}")]
    Spec {
        /// The field, as a path in the JSON document.
        field: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The container's first process failed while it set itself up; the text is its own report.
    #[error("{0}")]
    Init(String),
    /// All was set up, but the kernel did not execute the program; the text says why.
    #[error("{0}")]
    NotExecuted(String),
    /// A hook failed.
    #[error("error running {point} hook #{index}: {path}: {reason}")]
    Hook {
        /// Where in the container's life, as named in `config.json`.
        point: &'static str,
        /// Its place among the hooks of that point, from 0.
        index: usize,
        /// The program.
        path: String,
        /// How it failed.
        reason: String,
    },
    /// criu is missing, too old, or failed.
    #[error("{0}")]
    Criu(String),
    /// Not a signal's name or number.
    #[error("unknown signal {0:?}")]
    UnknownSignal(String),
}

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Whether the kernel grants this process no right to do it.
    pub(crate) fn is_denied(&self) -> bool {
        use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
        let Self::Io { cause, .. } = self else { return false };
        [PermissionDenied, ReadOnlyFilesystem].contains(&cause.kind())
    }

    pub(crate) fn spec(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Spec { field: field.into(), reason: reason.into() }
    }
}

/// The kernel's answer in the words of the field: `no such file or directory`.
pub(crate) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let Some(number) = error.raw_os_error() else { return text };
    let plain = text.strip_suffix(&format!(" (os error {number})")).unwrap_or(&text);
    let mut letters = plain.chars();
    let first = letters.next().map(|letter| letter.to_ascii_lowercase());
    first.into_iter().chain(letters).collect()
}

/// Says what was being done when an operating system call failed.
pub(crate) trait Doing<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Into<io::Error>> Doing<T> for Result<T, E> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| Error::Io { doing: what(), cause: error.into() })
    }
}
