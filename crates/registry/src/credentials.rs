//! Who we are to a registry: what `docker login` and `podman login` left in their files.
//!
//! Formats: docker's `config.json` (docker-login(1)), `containers-auth.json(5)`. What a file leaves to a
//! helper program is got from that. Secrets never appear in `Debug` output or errors.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::files::read_optional;
use crate::helper;

/// The key under which docker keeps the credentials of docker.io.
const DOCKER_HUB_KEY: &str = "index.docker.io";

/// Why credentials cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialsError {
    /// The file is there, but cannot be read.
    #[error("cannot read the credentials in {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file cannot be written.
    #[error("cannot write the credentials to {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not JSON of the known shape. What is wrong is not shown: it may be a secret.
    #[error("cannot understand the credentials in {}: bad JSON at line {line}, column {column}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where reading stopped, from 1.
        line: usize,
        /// Where in the line, from 1.
        column: usize,
    },
    /// A helper program keeps the secret, and does not give it.
    #[error("docker-credential-{helper} fails to {action} the login for {server}: {reason}")]
    Helper {
        /// The helper's name, without `docker-credential-`.
        helper: String,
        /// What it was to do: `get`, `store` or `erase`.
        action: String,
        /// The registry, as helpers name it.
        server: String,
        /// Why.
        reason: String,
    },
    /// `auth` is not base64 of `user:password`.
    #[error(
        "the credentials for {registry} in {} are damaged: `auth` is not base64 of user:password",
        path.display()
    )]
    Auth {
        /// The registry as the file names it.
        registry: String,
        /// The file.
        path: PathBuf,
    },
}

/// What authenticates us to one registry.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// For basic authentication, and to get tokens with.
    Password {
        /// The user's name.
        user: String,
        /// The password.
        password: String,
    },
    /// A refresh token of OAuth 2, to get access tokens with.
    IdentityToken(String),
    /// An access token, used as it is.
    RegistryToken(String),
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Password { user, .. } => write!(f, "Password({user:?}, …)"),
            Self::IdentityToken(_) => f.write_str("IdentityToken(…)"),
            Self::RegistryToken(_) => f.write_str("RegistryToken(…)"),
        }
    }
}

/// The credentials of all registries, from files in the order of precedence.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// Asked about each registry, before the files.
    helpers: Vec<String>,
    files: Vec<(PathBuf, AuthFile)>,
}

impl Credentials {
    /// Reads the files that exist; the first that knows a registry wins.
    ///
    /// # Errors
    /// A file that exists and cannot be read or understood.
    pub fn read<P: AsRef<Path>>(
        paths: impl IntoIterator<Item = P>,
    ) -> Result<Self, CredentialsError> {
        let mut files = Vec::new();
        for path in paths {
            let path = path.as_ref();
            let unreadable = |source| CredentialsError::Read { path: path.to_owned(), source };
            if let Some(text) = read_optional(path).map_err(unreadable)? {
                files.push((path.to_owned(), parse(&text, path)?));
            }
        }
        Ok(Self { helpers: Vec::new(), files })
    }

    /// The same, with helpers that are asked about each registry before the files are: by their names
    /// without `docker-credential-`.
    pub fn with_helpers<'n>(mut self, names: impl IntoIterator<Item = &'n str>) -> Self {
        self.helpers.extend(names.into_iter().map(str::to_owned));
        self
    }

    /// A login for one registry, that of no file.
    pub fn of(registry: &str, user: &str, password: &str) -> Self {
        let (username, password) = (user.to_owned(), password.to_owned());
        let auth = Auth { username, password, ..Auth::default() };
        let auths = HashMap::from([(registry.to_owned(), auth)]);
        let file = AuthFile { auths, ..AuthFile::default() };
        Self { helpers: Vec::new(), files: vec![(PathBuf::from("the command line"), file)] }
    }

    /// The secret for a repository: that of the longest prefix of `registry/repository` that a file
    /// knows, or `None`.
    ///
    /// # Errors
    /// A helper fails, or the file holds the secret damaged.
    pub fn secret(
        &self,
        registry: &str,
        repository: &str,
    ) -> Result<Option<Secret>, CredentialsError> {
        for name in &self.helpers {
            if let Some(secret) = helper::get(name, helper::server(registry))? {
                return Ok(Some(secret));
            }
        }
        for (path, file) in &self.files {
            for key in keys(registry, repository) {
                if let Some(secret) = file.secret(&key, path)? {
                    return Ok(Some(secret));
                }
            }
            if let Some(secret) = file.stored(registry)? {
                return Ok(Some(secret));
            }
        }
        Ok(None)
    }
}

/// `registry/a/b`, `registry/a`, `registry`: containers-auth.json(5), "FORMAT".
fn keys(registry: &str, repository: &str) -> Vec<String> {
    let full = format!("{registry}/{repository}");
    let shorter = full.rmatch_indices('/').map(|(at, _)| full[..at].to_owned());
    let hub = (registry == "docker.io").then(|| DOCKER_HUB_KEY.to_owned());
    std::iter::once(full.clone()).chain(shorter).chain(hub).collect()
}

pub(crate) fn parse(text: &[u8], path: &Path) -> Result<AuthFile, CredentialsError> {
    // Docker makes the file empty where it has nothing to say.
    if text.trim_ascii().is_empty() {
        return Ok(AuthFile::default());
    }
    let parsed: AuthFile = serde_json::from_slice(text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        CredentialsError::Parse { path: path.to_owned(), line, column }
    })?;
    Ok(parsed.with_plain_keys())
}

/// A registry as a file may name it, without the rest of a URL.
pub(crate) fn plain_key(key: &str) -> String {
    let bare = key.trim_start_matches("https://").trim_start_matches("http://");
    let is_url = bare.len() != key.len();
    let bare = if is_url { bare.split('/').next().unwrap_or(bare) } else { bare };
    bare.trim_end_matches('/').to_owned()
}

#[derive(Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct AuthFile {
    auths: HashMap<String, Auth>,
    creds_store: Option<String>,
    cred_helpers: HashMap<String, String>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct Auth {
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
    registrytoken: String,
}

impl fmt::Debug for AuthFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.auths.keys()).finish()
    }
}

impl AuthFile {
    /// Old files name a registry by a URL: `https://index.docker.io/v1/`.
    fn with_plain_keys(mut self) -> Self {
        let plain = |key: String| plain_key(&key);
        self.auths = self.auths.into_iter().map(|(key, auth)| (plain(key), auth)).collect();
        self.cred_helpers =
            self.cred_helpers.into_iter().map(|(key, helper)| (plain(key), helper)).collect();
        self
    }

    fn secret(&self, key: &str, path: &Path) -> Result<Option<Secret>, CredentialsError> {
        if let Some(name) = self.cred_helpers.get(key).filter(|name| !name.is_empty()) {
            let server = if key == DOCKER_HUB_KEY { helper::server(key) } else { key };
            return helper::get(name, server);
        }
        self.auths.get(key).map_or(Ok(None), |auth| auth.secret(key, path))
    }

    /// What the helper of `credsStore` keeps, which is asked about each registry that has no helper of
    /// its own.
    fn stored(&self, registry: &str) -> Result<Option<Secret>, CredentialsError> {
        match self.creds_store.as_ref().filter(|name| !name.is_empty()) {
            Some(name) => helper::get(name, helper::server(registry)),
            None => Ok(None),
        }
    }
}

impl Auth {
    fn secret(&self, key: &str, path: &Path) -> Result<Option<Secret>, CredentialsError> {
        if !self.registrytoken.is_empty() {
            return Ok(Some(Secret::RegistryToken(self.registrytoken.clone())));
        }
        if !self.identitytoken.is_empty() {
            return Ok(Some(Secret::IdentityToken(self.identitytoken.clone())));
        }
        if self.auth.is_empty() {
            let (user, password) = (self.username.clone(), self.password.clone());
            return Ok((!user.is_empty()).then_some(Secret::Password { user, password }));
        }
        let damaged = || CredentialsError::Auth { registry: key.to_owned(), path: path.to_owned() };
        decode(&self.auth).map(Some).ok_or_else(damaged)
    }
}

fn decode(auth: &str) -> Option<Secret> {
    let bytes = STANDARD.decode(auth.trim()).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    // Docker pads the password with zero bytes in some old files.
    let (user, password) = text.trim_end_matches('\0').split_once(':')?;
    Some(Secret::Password { user: user.to_owned(), password: password.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(text: &str) -> Credentials {
        let path = PathBuf::from("/home/u/config.json");
        let file = parse(text.as_bytes(), &path).unwrap();
        Credentials { helpers: Vec::new(), files: vec![(path, file)] }
    }

    fn password(user: &str, password: &str) -> Secret {
        Secret::Password { user: user.to_owned(), password: password.to_owned() }
    }

    #[test]
    fn the_longest_known_prefix_wins() {
        let found = credentials(
            r#"{"auths": {
                "quay.io": {"auth": "dTpw"},
                "quay.io/team/app": {"auth": "YTpiOmM="},
                "https://index.docker.io/v1/": {"username": "hub", "password": "x"},
                "https://old.example.com/v2/": {"identitytoken": "t"},
                "host:5000": {"registrytoken": "r"}
            }}"#,
        );
        for (registry, repository, want) in [
            ("quay.io", "team/app", Some(password("a", "b:c"))),
            ("quay.io", "team/app/part", Some(password("a", "b:c"))),
            ("quay.io", "team/apple", Some(password("u", "p"))),
            ("docker.io", "library/debian", Some(password("hub", "x"))),
            ("old.example.com", "a", Some(Secret::IdentityToken("t".into()))),
            ("host:5000", "a", Some(Secret::RegistryToken("r".into()))),
            ("host", "a", None),
            ("io", "quay", None),
        ] {
            assert_eq!(
                found.secret(registry, repository).unwrap(),
                want,
                "{registry}/{repository}"
            );
        }
    }

    #[test]
    fn a_helper_that_is_not_there_is_named_only_where_it_matters() {
        let found = credentials(
            r#"{"auths": {"a.io": {"auth": "dTpw"}, "b.io": {"auth": "dTpw"}}, "credsStore": "no-such",
                "credHelpers": {"b.io": "not-there"}}"#,
        );
        assert_eq!(found.secret("a.io", "x").unwrap(), Some(password("u", "p")));
        for (registry, helper) in
            [("c.io", "docker-credential-no-such"), ("b.io", "docker-credential-not-there")]
        {
            let error = found.secret(registry, "x").unwrap_err().to_string();
            assert!(error.contains(helper) && error.contains(registry), "{error}");
        }
    }

    #[test]
    fn damaged_files_are_named_and_no_secret_is_shown() {
        let damaged = credentials(r#"{"auths": {"a.io": {"auth": "c2VjcmV0"}}}"#);
        let error = damaged.secret("a.io", "x").unwrap_err().to_string();
        assert!(error.contains("/home/u/config.json") && !error.contains("c2VjcmV0"), "{error}");
        parse(b"{", Path::new("/x")).unwrap_err();
        let good = credentials(r#"{"auths": {"a.io": {"auth": "dTpodW50ZXIy"}}}"#);
        assert!(!format!("{good:?}{:?}", good.secret("a.io", "x")).contains("hunter2"));
    }

    #[test]
    fn missing_and_empty_files_hold_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let empty = directory.path().join("empty");
        std::fs::write(&empty, "\n").unwrap();
        let missing = directory.path().join("missing/config.json");
        let read = Credentials::read([&empty, &missing]).unwrap();
        assert_eq!(read.secret("a.io", "x").unwrap(), None);
        let unreadable = Credentials::read([directory.path()]).unwrap_err();
        assert!(matches!(unreadable, CredentialsError::Read { .. }));
    }
}
