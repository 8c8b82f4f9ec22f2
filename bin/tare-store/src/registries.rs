//! What this machine says about registries: trusted authorities, logins, proxies.
//!
//! The places are those where docker, podman and OpenSSL look.

use std::path::{Path, PathBuf};

use anyhow::bail;
use registry::{Credentials, Proxies, Trust};

/// Where distributions keep the authorities that they trust: Debian, Fedora, SUSE, Alpine.
const BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The authorities to trust: `$SSL_CERT_FILE`, the distribution's, or those that are built in.
pub(crate) fn trust() -> Trust {
    let chosen = variable("SSL_CERT_FILE").map(PathBuf::from);
    let bundle = || BUNDLES.iter().map(PathBuf::from).find(|path| path.is_file());
    chosen.or_else(bundle).map_or(Trust::BuiltIn, |file| Trust::Authorities(vec![file]))
}

/// The logins in this file, or in those of podman and docker.
///
/// # Errors
/// A file that was named and is not there; one that cannot be understood.
pub(crate) fn credentials(named: Option<&Path>) -> anyhow::Result<Credentials> {
    match named {
        Some(path) if !path.exists() => {
            bail!("there is no file with credentials at {}", path.display())
        }
        Some(path) => Ok(Credentials::read([path])?),
        None => Ok(Credentials::read(credential_files())?),
    }
}

/// containers-auth.json(5) and docker-login(1); podman's first, because it is the later invention.
fn credential_files() -> Vec<PathBuf> {
    let home = variable("HOME").map(PathBuf::from);
    let user = rustix::process::geteuid().as_raw();
    let runtime = variable("XDG_RUNTIME_DIR").map(PathBuf::from);
    let runtime = runtime.unwrap_or_else(|| format!("/run/containers/{user}").into());
    let config = variable("XDG_CONFIG_HOME").map(PathBuf::from);
    let config = config.or_else(|| home.as_ref().map(|home| home.join(".config")));
    let docker = variable("DOCKER_CONFIG").map(PathBuf::from);
    let docker = docker.or_else(|| home.map(|home| home.join(".docker")));
    let podman = [
        Some(runtime.join("containers/auth.json")),
        // Where podman of root puts it without a runtime directory.
        Some(runtime.join("auth.json")),
        config.map(|config| config.join("containers/auth.json")),
    ];
    podman.into_iter().flatten().chain(docker.map(|docker| docker.join("config.json"))).collect()
}

/// The proxies of the environment. The lower-case names win, as with curl.
pub(crate) fn proxies() -> Proxies {
    let either = |lower: &str, upper: &str| variable(lower).or_else(|| variable(upper));
    let all = either("all_proxy", "ALL_PROXY");
    let none_for = either("no_proxy", "NO_PROXY").unwrap_or_default();
    Proxies {
        https: either("https_proxy", "HTTPS_PROXY").or_else(|| all.clone()),
        http: either("http_proxy", "HTTP_PROXY").or(all),
        none_for: none_for.split(',').map(|entry| entry.trim().to_owned()).collect(),
    }
}

#[expect(clippy::disallowed_methods, reason = "the edge, where the environment is read")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
