//! Who we are to a registry: what `docker login` and `podman login` left in their files.
//!
//! Formats: docker's `config.json` (docker-login(1)), `containers-auth.json(5)`. Only what stands in
//! the file is used; a helper program that keeps the secret elsewhere is named in the error that says
//! so. Secrets never appear in `Debug` output or errors.

use std::collections::HashMap;
use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

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
    /// A helper program keeps the secret.
    #[error(
        "the credentials for {registry} are kept by docker-credential-{helper}, as {} says, and \
         credential helpers are not supported",
        path.display()
    )]
    Helper {
        /// The registry as the file names it.
        registry: String,
        /// The helper's name, without `docker-credential-`.
        helper: String,
        /// The file that names the helper.
        path: PathBuf,
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
            match std::fs::read(path) {
                Ok(text) => files.push((path.to_owned(), parse(&text, path)?)),
                Err(error)
                    if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {}
                Err(source) => {
                    return Err(CredentialsError::Read { path: path.to_owned(), source });
                }
            }
        }
        Ok(Self { files })
    }

    /// A login for one registry, that of no file.
    pub fn of(registry: &str, user: &str, password: &str) -> Self {
        let (username, password) = (user.to_owned(), password.to_owned());
        let auth = Auth { username, password, ..Auth::default() };
        let auths = HashMap::from([(registry.to_owned(), auth)]);
        let file = AuthFile { auths, ..AuthFile::default() };
        Self { files: vec![(PathBuf::from("the command line"), file)] }
    }

    /// The secret for a repository: that of the longest prefix of `registry/repository` that a file
    /// knows, or `None`.
    ///
    /// # Errors
    /// Where the file leaves the secret to a helper, or holds it damaged.
    pub fn secret(
        &self,
        registry: &str,
        repository: &str,
    ) -> Result<Option<Secret>, CredentialsError> {
        for (path, file) in &self.files {
            for key in keys(registry, repository) {
                if let Some(secret) = file.secret(&key, path)? {
                    return Ok(Some(secret));
                }
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
        let auth = self.auths.get(key);
        if let Some(helper) = self.helper(key, auth) {
            let (registry, helper) = (key.to_owned(), helper.to_owned());
            return Err(CredentialsError::Helper { registry, helper, path: path.to_owned() });
        }
        auth.map_or(Ok(None), |auth| auth.secret(key, path))
    }

    /// The helper that keeps this registry's secret. `credsStore` keeps those of all registries that
    /// were logged in to, which leave an empty entry in `auths`.
    fn helper(&self, key: &str, auth: Option<&Auth>) -> Option<&str> {
        let stored = || self.creds_store.as_ref().filter(|_| auth.is_some_and(Auth::is_empty));
        let helper = self.cred_helpers.get(key).or_else(stored)?;
        (!helper.is_empty()).then_some(helper)
    }
}

impl Auth {
    fn is_empty(&self) -> bool {
        [&self.auth, &self.username, &self.identitytoken, &self.registrytoken]
            .iter()
            .all(|field| field.is_empty())
    }

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
        Credentials { files: vec![(path, file)] }
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
    fn helpers_are_refused_by_name_and_only_where_they_matter() {
        let found = credentials(
            r#"{"auths": {"a.io": {}}, "credsStore": "desktop", "credHelpers": {"b.io": "ecr-login"}}"#,
        );
        for (registry, helper) in
            [("a.io", "docker-credential-desktop"), ("b.io", "docker-credential-ecr-login")]
        {
            let error = found.secret(registry, "x").unwrap_err().to_string();
            assert!(error.contains(helper) && error.contains(registry), "{error}");
        }
        assert_eq!(found.secret("c.io", "x").unwrap(), None);
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
