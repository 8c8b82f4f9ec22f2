//! Whom one registry's connections trust, and how they say who we are: containers-certs.d(5), docker's
//! "certs.d".
//!
//! ```text
//! certs.d/HOST[:PORT]/NAME.crt     an authority that vouches for this registry alone
//!                     NAME.cert    our certificate for it, and NAME.key, its key
//! ```

use std::fs;
use std::path::{Path, PathBuf};

use crate::Error;
use crate::endpoint::Endpoint;
use crate::options::{Options, Trust};

/// What the TLS of a connection is made with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Whose certificates are believed.
    pub(crate) trust: Trust,
    /// Our own certificate, and its key.
    pub(crate) client: Option<(PathBuf, PathBuf)>,
}

impl Identity {
    /// For servers that no directory speaks of.
    pub(crate) fn of_anybody(options: &Options) -> Self {
        Self { trust: options.trust.clone(), client: None }
    }

    /// For a registry.
    ///
    /// # Errors
    /// A certificate of ours has no key beside it.
    pub(crate) fn for_registry(options: &Options, endpoint: &Endpoint) -> Result<Self, Error> {
        let trust = match endpoint.is_insecure() {
            true => Trust::Anybody,
            false => trust_for(options, endpoint.registry()),
        };
        Ok(Self { trust, client: client_for(options, endpoint.registry())? })
    }
}

/// Whose certificates are believed for this registry: besides the usual authorities those in its own
/// directories. Where the usual ones are those that are built in, its own take their place.
fn trust_for(options: &Options, registry: &str) -> Trust {
    let own: Vec<PathBuf> = files(options, registry, "crt").collect();
    match &options.trust {
        Trust::Anybody => Trust::Anybody,
        trust if own.is_empty() => trust.clone(),
        Trust::BuiltIn => Trust::Authorities(own),
        Trust::Authorities(usual) => Trust::Authorities(usual.iter().cloned().chain(own).collect()),
    }
}

fn client_for(options: &Options, registry: &str) -> Result<Option<(PathBuf, PathBuf)>, Error> {
    let Some(path) = files(options, registry, "cert").next() else { return Ok(None) };
    let key = path.with_extension("key");
    match key.exists() {
        true => Ok(Some((path, key))),
        false => {
            let reason = format!("there is no {} beside it", key.display());
            Err(Error::ClientCertificate { path, reason })
        }
    }
}

/// The files with an ending in a registry's directories, in order.
fn files<'a>(
    options: &'a Options,
    registry: &'a str,
    ending: &'a str,
) -> impl Iterator<Item = PathBuf> + 'a {
    let directories = options.certs_d.iter().map(move |directory| directory.join(registry));
    directories.flat_map(move |directory| with_ending(&directory, ending))
}

/// One that cannot be read has none.
fn with_ending(directory: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == ending))
        .collect();
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registries::Source;

    fn options(directory: &Path, trust: Trust) -> Options {
        let certs_d = vec!["/nowhere".into(), directory.to_owned()];
        Options { trust, certs_d, ..Options::default() }
    }

    fn identity(options: &Options, registry: &str, insecure: bool) -> Result<Identity, Error> {
        let reference = format!("{registry}/a").parse().unwrap();
        Identity::for_registry(options, &Endpoint::of(&Source { reference, insecure }))
    }

    #[test]
    fn a_registry_has_its_own_authorities_and_no_others() {
        let directory = tempfile::tempdir().unwrap();
        let own = directory.path().join("host:5000");
        fs::create_dir(&own).unwrap();
        for name in ["b.crt", "a.crt", "client.cert", "client.key"] {
            fs::write(own.join(name), "").unwrap();
        }
        let trust = |usual, registry: &str, insecure| {
            identity(&options(directory.path(), usual), registry, insecure).unwrap().trust
        };
        let files = vec![own.join("a.crt"), own.join("b.crt")];
        let own = Trust::Authorities(files.clone());
        assert_eq!(trust(Trust::BuiltIn, "host:5000", false), own);
        assert_eq!(trust(Trust::BuiltIn, "host.io", false), Trust::BuiltIn);
        assert_eq!(trust(Trust::Anybody, "host:5000", false), Trust::Anybody);
        assert_eq!(trust(Trust::BuiltIn, "host:5000", true), Trust::Anybody);
        let usual = PathBuf::from("usual.pem");
        let all = std::iter::once(usual.clone()).chain(files).collect();
        let trusted = trust(Trust::Authorities(vec![usual]), "host:5000", false);
        assert_eq!(trusted, Trust::Authorities(all));
    }

    #[test]
    fn a_certificate_of_ours_has_its_key_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let options = options(directory.path(), Trust::BuiltIn);
        let own = directory.path().join("host:5000");
        fs::create_dir(&own).unwrap();
        fs::write(own.join("me.cert"), "").unwrap();
        let error = identity(&options, "host:5000", false).unwrap_err().to_string();
        assert!(error.contains("me.cert") && error.contains("me.key"), "{error}");
        fs::write(own.join("me.key"), "").unwrap();
        let found = identity(&options, "host:5000", false).unwrap().client;
        assert_eq!(found, Some((own.join("me.cert"), own.join("me.key"))));
        assert_eq!(identity(&options, "other:5000", false).unwrap().client, None);
    }
}
