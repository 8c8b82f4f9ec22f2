//! Why a request is not done, in the codes that containerd tells apart.

use containerd_shim_protos::ttrpc::Code;

/// A refusal: its code decides what containerd does, its message is for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: Code,
    pub(crate) message: String,
}

impl Refusal {
    fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// There is no such container, process or exec.
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(Code::NOT_FOUND, message)
    }

    /// The name is taken.
    pub(crate) fn exists(message: impl Into<String>) -> Self {
        Self::new(Code::ALREADY_EXISTS, message)
    }

    /// The request itself is wrong.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(Code::INVALID_ARGUMENT, message)
    }

    /// Not in the state that the container or process is in.
    pub(crate) fn state(message: impl Into<String>) -> Self {
        Self::new(Code::FAILED_PRECONDITION, message)
    }

    /// This shim does not do it.
    pub(crate) fn unimplemented(what: &str) -> Self {
        Self::new(
            Code::UNIMPLEMENTED,
            format!("{what} is not supported by {}", crate::RUNTIME_NAME),
        )
    }

    /// It was tried, and failed.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::new(Code::UNKNOWN, message)
    }
}

impl From<anyhow::Error> for Refusal {
    fn from(error: anyhow::Error) -> Self {
        Self::failed(format!("{error:#}"))
    }
}
