//! What the caller decides: trust, credentials, proxies, patience.

use std::path::PathBuf;
use std::time::Duration;

use image::Platform;

use crate::credentials::Credentials;
use crate::registries::Registries;

/// How registries are spoken to. The default trusts the roots that are built in, logs in nowhere and
/// uses no proxy: where these come from (environment, files) is the program's to know.
#[derive(Clone, Debug)]
pub struct Options {
    /// The platform whose image is taken out of an index. `None` is the host's; a lone image for
    /// another platform is then taken, too.
    pub platform: Option<Platform>,
    /// Whose certificates are believed.
    pub trust: Trust,
    /// Directories with further authorities for single registries, in `HOST[:PORT]/*.crt`, and with
    /// certificates that say who we are, in `*.cert` and `*.key` (containers-certs.d(5)).
    pub certs_d: Vec<PathBuf>,
    /// Where names lead.
    pub registries: Registries,
    /// Who we are to which registry.
    pub credentials: Credentials,
    /// How hosts are reached.
    pub proxies: Proxies,
    /// How long is waited for what.
    pub timeouts: Timeouts,
    /// How often, and how slowly, what failed for the moment is tried again.
    pub retries: Retries,
    /// How many layers are fetched at a time; 0 counts as 1.
    pub parallel: usize,
    /// Whether a pulled layer is unpacked as soon as it is here, while others still come: for an image
    /// that is to run.
    pub unpack: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            platform: None,
            trust: Trust::BuiltIn,
            certs_d: Vec::new(),
            registries: Registries::default(),
            credentials: Credentials::default(),
            proxies: Proxies::default(),
            timeouts: Timeouts::default(),
            retries: Retries::default(),
            parallel: 3,
            unpack: false,
        }
    }
}

/// Whose certificates are believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Those that Mozilla's programme vouches for, as of the build of this program.
    BuiltIn,
    /// Those that an authority in one of these PEM files vouches for.
    Authorities(Vec<PathBuf>),
    /// Everybody's; and a registry without TLS is spoken to in plain HTTP.
    Anybody,
}

/// Proxies, by URL (`http://user:password@host:port`), as `https_proxy`, `http_proxy` and `no_proxy`
/// have them. Hosts on this machine are never reached through one.
#[derive(Clone, Default)]
pub struct Proxies {
    /// For registries that are spoken to with TLS.
    pub https: Option<String>,
    /// For registries that are spoken to in plain HTTP.
    pub http: Option<String>,
    /// Hosts, or domains with all their hosts, that are reached directly; `*` for all.
    pub none_for: Vec<String>,
}

/// The URLs may hold passwords: only whether there are any is shown.
impl std::fmt::Debug for Proxies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proxies")
            .field("https", &self.https.is_some())
            .field("http", &self.http.is_some())
            .field("none_for", &self.none_for)
            .finish()
    }
}

/// How long is waited for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection, TLS included.
    pub connect: Duration,
    /// For the head of a response, and for the whole of a small one (manifest, token).
    pub response: Duration,
    /// Between two pieces of a blob; and the time in which at least 16 KiB of it must come.
    pub stall: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(15),
            response: Duration::from_secs(45),
            stall: Duration::from_secs(45),
        }
    }
}

/// How often, and how slowly, what failed for the moment is tried again. A blob whose transfer moved
/// on by a mebibyte or more starts to count anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retries {
    /// How often something is tried in all; 0 counts as 1.
    pub attempts: u32,
    /// The pause before the second attempt. It doubles with each further one.
    pub pause: Duration,
    /// The longest pause, whatever the registry asks for.
    pub longest: Duration,
}

impl Default for Retries {
    fn default() -> Self {
        Self { attempts: 5, pause: Duration::from_millis(400), longest: Duration::from_secs(30) }
    }
}

impl Retries {
    /// The pause after the attempt with this number (the first is 1), at least what was asked for.
    pub(crate) fn pause_after(&self, attempt: u32, asked: Option<Duration>) -> Duration {
        let doubled = self.pause.saturating_mul(1 << attempt.saturating_sub(1).min(16));
        asked.map_or(doubled, |asked| asked.max(doubled)).min(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let retries = Retries::default();
        let pauses = [1, 2, 3, 9].map(|attempt| retries.pause_after(attempt, None).as_millis());
        assert_eq!(pauses, [400, 800, 1600, 30_000]);
        let asked = |seconds| retries.pause_after(1, Some(Duration::from_secs(seconds)));
        assert_eq!((asked(2).as_secs(), asked(3600).as_secs()), (2, 30));
    }

    #[test]
    fn no_password_of_a_proxy_is_shown() {
        let proxies = Proxies { https: Some("http://u:hunter2@p".into()), ..Proxies::default() };
        assert!(!format!("{proxies:?}").contains("hunter2"));
    }
}
