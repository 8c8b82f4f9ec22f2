//! What this machine and the command line say about registries: where names lead, trusted authorities,
//! logins, proxies.
//!
//! The places are those where docker, podman and OpenSSL look.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context as _, anyhow, bail};
use cli::Interrupted;
use image::Reference;
use registry::{Credentials, Options, Proxies, Registries, Trust};

/// Where distributions keep the authorities that they trust: Debian, Fedora, SUSE, Alpine.
const BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The options of each command that speaks to a registry.
#[derive(Debug, clap::Args)]
pub(crate) struct RegistryFlags {
    /// File with the logins [default: those of podman login and docker login]
    #[arg(long, value_name = "FILE", env = "REGISTRY_AUTH_FILE")]
    authfile: Option<PathBuf>,
    /// Speak TLS only, and check the certificate; false also allows plain HTTP
    #[arg(long, value_name = "BOOL", default_value_t = true, default_missing_value = "true")]
    #[arg(num_args = 0..=1, require_equals = true, action = clap::ArgAction::Set)]
    tls_verify: bool,
    /// The same as --tls-verify=false
    #[arg(long, conflicts_with = "tls_verify")]
    insecure: bool,
}

impl RegistryFlags {
    pub(crate) fn options(&self) -> anyhow::Result<Options> {
        let options = self.options_without_login()?;
        let credentials = credentials(self.authfile.as_deref())?
            .with_helpers(options.registries.credential_helpers());
        Ok(Options { credentials, ..options })
    }

    /// As [`RegistryFlags::options`], for a login that is not kept yet.
    pub(crate) fn options_without_login(&self) -> anyhow::Result<Options> {
        let verify = self.tls_verify && !self.insecure;
        let trust = if verify { trust() } else { Trust::Anybody };
        let registries = Registries::read(registries_files()?)?;
        let (certs_d, proxies) = (certs_d(), proxies());
        Ok(Options { trust, certs_d, proxies, registries, ..Options::default() })
    }

    /// Where a new login is kept: in the file that is named, or where podman keeps them.
    pub(crate) fn login_file(&self) -> anyhow::Result<PathBuf> {
        let usual = || credential_files().into_iter().next();
        self.authfile.clone().or_else(usual).ok_or_else(|| anyhow!("there is no place for logins"))
    }

    /// All files that may have logins.
    pub(crate) fn login_files(&self) -> Vec<PathBuf> {
        self.authfile.clone().map_or_else(credential_files, |named| vec![named])
    }
}

/// A reference, perhaps with the transport in front that skopeo and podman write.
#[derive(Clone, Debug)]
pub(crate) struct Name(pub(crate) Reference);

impl FromStr for Name {
    type Err = image::ReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.strip_prefix("docker://").unwrap_or(text).parse().map(Self)
    }
}

/// What a user writes for an image to be had: with `docker://` in front, exactly what it says; else
/// perhaps a short name, which registries.conf explains.
#[derive(Clone, Debug)]
pub(crate) struct Word(String);

impl FromStr for Word {
    type Err = image::ReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse::<Name>().map(|_| Self(text.to_owned()))
    }
}

impl Word {
    /// What it may mean, in the order in which to try.
    ///
    /// # Errors
    /// It may mean several things, and that is not allowed.
    pub(crate) fn candidates(&self, registries: &Registries) -> anyhow::Result<Vec<Reference>> {
        match self.0.strip_prefix("docker://") {
            Some(exact) => Ok(vec![exact.parse()?]),
            None => registries
                .candidates(&self.0)
                .map_err(|error| explain(registry::Error::from(error))),
        }
    }
}

impl std::fmt::Display for Word {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.strip_prefix("docker://").unwrap_or(&self.0))
    }
}

/// A failure with what the user may try.
pub(crate) fn explain(error: registry::Error) -> anyhow::Error {
    match error.hint() {
        _ if matches!(error, registry::Error::Interrupted) => Interrupted.into(),
        Some(hint) => cli::hinted(error, hint),
        None => error.into(),
    }
}

/// registries.conf and what is added to it, in the order in which they have their word: the file that
/// `$CONTAINERS_REGISTRIES_CONF` names, the user's, or the machine's; both folders of additions; and the
/// short names that podman's users have chosen.
fn registries_files() -> anyhow::Result<Vec<PathBuf>> {
    let home = variable("HOME").map(PathBuf::from);
    let own = home.as_ref().map(|home| home.join(".config/containers"));
    let main = match variable("CONTAINERS_REGISTRIES_CONF").map(PathBuf::from) {
        Some(named) if !named.exists() => {
            bail!("there is no file {}, which CONTAINERS_REGISTRIES_CONF names", named.display())
        }
        Some(named) => Some(named),
        None => {
            let own = own.iter().map(|own| own.join("registries.conf"));
            let common =
                ["/etc/containers/registries.conf", "/usr/share/containers/registries.conf"];
            own.chain(common.map(PathBuf::from)).find(|path| path.exists())
        }
    };
    let folders = [Some(PathBuf::from("/etc/containers")), own].into_iter().flatten();
    let mut files: Vec<PathBuf> = main.into_iter().collect();
    for folder in folders.map(|folder| folder.join("registries.conf.d")) {
        files.extend(additions(&folder)?);
    }
    // podman's own notes. Root of a user namespace has the user's, and may not read the machine's.
    let common = rustix::process::geteuid().is_root().then(|| PathBuf::from("/var/cache"));
    let caches = common.into_iter().chain(home.map(|home| home.join(".cache")));
    let noted = caches.map(|cache| cache.join("containers/short-name-aliases.conf"));
    files.extend(noted.into_iter().find(|file| std::fs::File::open(file).is_ok()));
    Ok(files)
}

/// The `*.conf` of a folder, by name.
fn additions(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.with_context(|| format!("cannot read {}", folder.display()))?,
    };
    let mut files: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "conf"))
        .collect();
    files.sort();
    Ok(files)
}

/// Where authorities for single registries are kept: podman's places, the user's first, and docker's.
fn certs_d() -> Vec<PathBuf> {
    let own = variable("HOME").map(|home| Path::new(&home).join(".config/containers/certs.d"));
    let common = ["/etc/containers/certs.d", "/etc/docker/certs.d"].map(PathBuf::from);
    own.into_iter().chain(common).collect()
}

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
    let user = cli::user().as_raw();
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
