//! What callers of this crate are told.

use std::path::PathBuf;

use crate::endpoint::Endpoint;
use crate::failure::Failure;
use crate::registries::RegistriesError;

/// Why a pull, a push or a fetch failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Registry and we did not come together.
    #[error("cannot {action} of {repository} {} {registry}", preposition(.action))]
    Registry {
        /// What was being done, and to what: `get manifest latest`.
        action: String,
        /// The registry as the user names it.
        registry: String,
        /// The repository in it.
        repository: String,
        /// Why.
        source: Box<Failure>,
    },
    /// A web server and we did not come together.
    #[error("cannot get {url}")]
    Resource {
        /// The URL, without its password.
        url: String,
        /// Why.
        source: Box<Failure>,
    },
    /// A URL that cannot be fetched. Shown without its password.
    #[error("{url:?} is not a URL that HTTP can get: want http:// or https://")]
    Url {
        /// The URL, without its password.
        url: String,
    },
    /// The store did not take it.
    #[error("cannot store {what}")]
    Store {
        /// Which blob or name.
        what: String,
        /// Why.
        source: Box<store::Error>,
    },
    /// The store does not give it.
    #[error("cannot read {what} from the store")]
    Read {
        /// Which blob or image.
        what: String,
        /// Why.
        source: Box<store::Error>,
    },
    /// The disk did not take it.
    #[error("cannot write {what} to the store")]
    Write {
        /// Which blob.
        what: String,
        /// Why.
        source: std::io::Error,
    },
    /// The certificates of the trusted authorities cannot be had.
    #[error("cannot read the trusted certificates in {}: {reason}", path.display())]
    Authorities {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The certificate that is to say who we are cannot be had.
    #[error("cannot use the client certificate {}: {reason}", path.display())]
    ClientCertificate {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// registries.conf lets a name lead nowhere.
    #[error(transparent)]
    Registries(#[from] RegistriesError),
    /// A proxy's URL is none. It is not shown: it may hold a password.
    #[error("the URL of the {0} proxy is malformed: want http://HOST:PORT")]
    Proxy(&'static str),
    /// The user asked to stop.
    #[error("interrupted")]
    Interrupted,
}

/// What helps on a full disk.
const MAKE_ROOM: &str = "make room; what nobody uses goes with: tare-store gc";

impl Error {
    /// What the user may try, in one line.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Registry { .. } if self.is_status(404, "list the tags") => {
                Some("check the name".to_owned())
            }
            Self::Registry { .. } if self.is_status(405, "delete") => Some(
                "the registry lets nobody delete; a docker-registry does with: \
                 REGISTRY_STORAGE_DELETE_ENABLED=true"
                    .to_owned(),
            ),
            Self::Registry { registry, repository, source, .. } => {
                source.hint(registry, repository)
            }
            Self::Resource { source, .. } => source.hint_for_resource(),
            Self::Store { source, .. } | Self::Read { source, .. } if source.is_full_disk() => {
                Some(MAKE_ROOM.to_owned())
            }
            Self::Write { source, .. } if store::is_full_disk(source) => Some(MAKE_ROOM.to_owned()),
            Self::Registries(RegistriesError::Ambiguous { candidates, .. }) => {
                let first = candidates.first().map(|name| name.familiar()).unwrap_or_default();
                Some(format!("write it whole: {first}"))
            }
            _ => None,
        }
    }

    /// Whether a registry answered an action that begins so with this status.
    fn is_status(&self, wanted: u16, begin: &str) -> bool {
        let Self::Registry { action, source, .. } = self else { return false };
        let found = matches!(**source, Failure::Status { status, .. } if status == wanted);
        found && action.starts_with(begin)
    }

    /// The error and its causes, in one line.
    pub fn one_line(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text += &format!(": {error}");
            cause = error.source();
        }
        text
    }

    /// The failure of `action` with this repository.
    pub(crate) fn registry(
        endpoint: &Endpoint,
        action: impl Into<String>,
        source: Failure,
    ) -> Self {
        Self::Registry {
            action: action.into(),
            registry: endpoint.registry().to_owned(),
            repository: endpoint.repository().to_owned(),
            source: Box::new(source),
        }
    }

    pub(crate) fn store(what: impl Into<String>, source: store::Error) -> Self {
        Self::Store { what: what.into(), source: Box::new(source) }
    }
}

/// What is pushed goes to a registry; everything else is about what is there.
fn preposition(action: &str) -> &'static str {
    if action.starts_with("push") { "to" } else { "from" }
}

#[cfg(test)]
mod tests {
    use std::io::{Error as IoError, ErrorKind};

    use super::*;

    #[test]
    fn a_hint_is_not_to_do_the_same_again() {
        let hint = |action: &str, status| {
            let failure = Failure::Status { status, message: None, retry_after: None };
            let (registry, repository) = ("r.example".to_owned(), "x".to_owned());
            let (action, source) = (action.to_owned(), Box::new(failure));
            Error::Registry { action, registry, repository, source }.hint().unwrap_or_default()
        };
        assert_eq!(hint("list the tags", 404), "check the name");
        assert!(hint("get manifest 1", 404).contains("list-tags r.example/x"));
        assert!(hint("delete the manifest", 405).contains("lets nobody delete"));
        assert!(hint("push blob x", 405).contains("only gives"));
    }

    #[test]
    fn a_full_disk_is_told_with_what_makes_room() {
        let hint = |kind: ErrorKind| {
            let source =
                store::Error::Io { verb: "write", path: "x".into(), source: IoError::from(kind) };
            Error::Read { what: "image x".to_owned(), source: Box::new(source) }.hint()
        };
        assert!(hint(ErrorKind::StorageFull).is_some_and(|hint| hint.contains("tare-store gc")));
        assert_eq!(hint(ErrorKind::PermissionDenied), None);
        let source = IoError::from(ErrorKind::StorageFull);
        let written = Error::Write { what: "blob x".to_owned(), source }.hint();
        assert!(written.is_some_and(|hint| hint.contains("tare-store gc")));
    }
}
