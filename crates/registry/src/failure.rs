//! What can go wrong between a registry and us: the reasons below [`crate::Error`].

use std::time::Duration;

use image::Digest;

use crate::credentials::CredentialsError;
use crate::refusal::printable;

/// Why an exchange with a registry failed, or why what it sent is not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// No answer came: no connection, no TLS, or it broke off.
    #[error("{reason}")]
    Transport {
        /// What broke.
        reason: String,
        /// Whether it may work a little later.
        temporary: bool,
    },
    /// The answer was not complete in time.
    #[error("no answer in time ({0})")]
    Timeout(String),
    /// The connection broke off, or came to less than 16 KiB in the time that a stall may take.
    #[error("the transfer stopped after {received} of {size} bytes: {reason}")]
    Broken {
        /// How many bytes had come.
        received: u64,
        /// How many there are.
        size: u64,
        /// What stopped it.
        reason: String,
    },
    /// An answer that says no.
    #[error("the registry answered {}{}", status_line(*.status), said(.message))]
    Status {
        /// The HTTP status.
        status: u16,
        /// The registry's reason, made printable and short.
        message: Option<String>,
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// A web server's answer that says no.
    #[error("the server answered {}{}", status_line(*.status), said(.message))]
    Answer {
        /// The HTTP status.
        status: u16,
        /// The server's reason, made printable and short.
        message: Option<String>,
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// A resource has not the digest that was demanded.
    #[error("the checksum does not match: its digest is {found}, not {expected}")]
    Checksum {
        /// What was demanded.
        expected: Digest,
        /// What came.
        found: Digest,
    },
    /// A resource has more bytes than it may have.
    #[error("it is larger than the {limit} bytes that it may have")]
    TooLarge {
        /// How many it may have.
        limit: u64,
    },
    /// The registry wants to know who we are.
    #[error("the registry asks for a login{}", said(.message))]
    LoginNeeded {
        /// The registry's reason.
        message: Option<String>,
    },
    /// The registry or its token server knows us, and says no.
    #[error("the login as {user} is refused{}", said(.message))]
    LoginRefused {
        /// Who we said we are.
        user: String,
        /// The registry's reason.
        message: Option<String>,
    },
    /// No token can be had.
    #[error("cannot get a token from {realm}")]
    Token {
        /// The token server.
        realm: String,
        /// Why.
        source: Box<Failure>,
    },
    /// Nothing in the challenge can be answered.
    #[error("the registry asks for a {}", way(.0))]
    Challenge(String),
    /// The login cannot be read.
    #[error("the login cannot be used")]
    Credentials(#[from] CredentialsError),
    /// The bytes are not those that were asked for.
    #[error("the registry sent something else: its digest is {found}, not {expected}")]
    Digest {
        /// What was asked for.
        expected: Digest,
        /// What came.
        found: Digest,
    },
    /// There are more or fewer bytes than there should be.
    #[error("the registry sent something else: {found} bytes, not {expected}")]
    Size {
        /// What its descriptor says.
        expected: u64,
        /// What came, or was announced.
        found: u64,
    },
    /// The body goes on after its end.
    #[error("the registry sends more than the {limit} bytes that there should be at most")]
    Endless {
        /// Where reading stopped.
        limit: u64,
    },
    /// A range other than the one asked for.
    #[error("the registry sent another range than `{asked}`: {found:?}")]
    Range {
        /// `bytes=N-`.
        asked: String,
        /// What `Content-Range` says.
        found: String,
    },
    /// An upload cannot begin.
    #[error("the registry cannot take an upload: {0}")]
    Upload(String),
    /// The registry keeps something else than what was sent.
    #[error("the registry took something else: it says {found}, not {expected}")]
    Taken {
        /// What was sent.
        expected: Digest,
        /// What it says it got.
        found: Digest,
    },
    /// The destination names a digest, and the image has another.
    #[error("the image has the digest {found} there, not {expected}")]
    OtherDigest {
        /// What the destination names.
        expected: Digest,
        /// What the image has in this form.
        found: Digest,
    },
    /// The answer is no manifest.
    #[error("the answer is no image manifest: {0}")]
    NotManifest(String),
    /// A manifest of schema 1.
    #[error(
        "the image has a manifest of Docker's schema 1, which is not supported: it does not tell the \
         digests of the image's layers"
    )]
    Schema1,
    /// The index has nothing for the platform.
    #[error("there is no image for {wanted}, only for {}", list(.available))]
    NoPlatform {
        /// What was asked for.
        wanted: String,
        /// What there is.
        available: Vec<String>,
    },
    /// The image is for another platform, and is the only one.
    #[error("the image is for {found}, not for {wanted}")]
    OtherPlatform {
        /// What was asked for.
        wanted: String,
        /// What it is.
        found: String,
    },
    /// Something else than an image.
    #[error("this is no container image: {0}")]
    NotImage(String),
    /// A blob that the registry may not hand out.
    #[error("layer {digest} is not distributed by registries; its own source is {url}")]
    Foreign {
        /// The layer.
        digest: Digest,
        /// Where its owner offers it.
        url: String,
    },
}

impl Failure {
    /// Whether the same request may succeed a little later.
    pub(crate) fn is_temporary(&self) -> bool {
        match self {
            Self::Transport { temporary, .. } => *temporary,
            Self::Timeout(_) | Self::Broken { .. } | Self::Range { .. } => true,
            Self::Status { status, .. } | Self::Answer { status, .. } => {
                matches!(status, 408 | 425 | 429 | 500 | 502 | 503 | 504)
            }
            Self::Token { source, .. } => source.is_temporary(),
            _ => false,
        }
    }

    /// How long the registry wants to be left alone.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } | Self::Answer { retry_after, .. } => *retry_after,
            Self::Token { source, .. } => source.retry_after(),
            _ => None,
        }
    }

    /// What the user may try where a resource of a web server cannot be had.
    pub(crate) fn hint_for_resource(&self) -> Option<String> {
        Some(match self {
            Self::Answer { status: 401 | 403, .. } => {
                "the server wants a login, or does not know the path; check the URL".to_owned()
            }
            Self::Answer { status: 404 | 410, .. } => "check the URL".to_owned(),
            Self::Checksum { .. } => {
                "the resource was changed, or the checksum is that of something else".to_owned()
            }
            Self::Transport { reason, .. } if reason.contains("certificate") => {
                "if you trust the server, name its authority with SSL_CERT_FILE".to_owned()
            }
            Self::Transport { .. } | Self::Timeout(_) => {
                "check the URL, the network and the proxy settings".to_owned()
            }
            _ => return None,
        })
    }

    /// What the user may try.
    pub(crate) fn hint(&self, registry: &str, repository: &str) -> Option<String> {
        Some(match self {
            Self::LoginNeeded { .. } | Self::Status { status: 401 | 403, .. } => format!(
                "check the name: registries answer so for repositories that do not exist, too; if it \
                 is private, log in first with: tare-store login {registry}"
            ),
            Self::LoginRefused { .. } => format!("log in again with: tare-store login {registry}"),
            Self::Status { status: 404, .. } => {
                format!(
                    "check the name and the tag; list the tags with: tare-store list-tags {registry}/{repository}"
                )
            }
            Self::Status { status: 405, .. } => {
                "the registry may be one that only gives, such as a mirror".to_owned()
            }
            Self::Status { status: 413, .. } => {
                "the registry, or a proxy in front of it, limits the size of a layer".to_owned()
            }
            Self::OtherDigest { .. } => {
                "name a tag instead; or push the layers as they are with: --compression keep"
                    .to_owned()
            }
            Self::Status { status: 429, .. } => {
                "the registry limits how much may be asked; wait, or log in".to_owned()
            }
            Self::Transport { reason, .. } if reason.contains("not valid for name") => {
                "call the registry by a name that its certificate is for".to_owned()
            }
            Self::Transport { reason, .. } if reason.contains("certificate: Expired") => {
                "have the registry's owner renew it, and look whether the clock here is right"
                    .to_owned()
            }
            Self::Transport { reason, .. } if reason.contains("certificate") => format!(
                "if you trust {registry}, put its authority into /etc/containers/certs.d/{registry}/ca.crt, or do not \
                 check with: --tls-verify=false"
            ),
            Self::Transport { reason, .. } if reason.contains("TLS") => {
                "if the registry speaks plain HTTP, allow it with: --tls-verify=false".to_owned()
            }
            Self::Transport { .. } | Self::Timeout(_) => {
                format!("check the name {registry}, the network and the proxy settings")
            }
            Self::Broken { .. } => "try again: a large blob goes on where it stopped".to_owned(),
            Self::Digest { .. } | Self::Size { .. } | Self::Endless { .. } | Self::Range { .. } => {
                format!(
                    "{registry}, or a proxy on the way to it, sends damaged data; try again, or tell its owner"
                )
            }
            Self::NotManifest(_) => {
                format!(
                    "see that {registry} is a registry, and that no login page or proxy answers for it"
                )
            }
            Self::NoPlatform { .. } | Self::OtherPlatform { .. } => {
                "choose another with: --platform OS/ARCHITECTURE".to_owned()
            }
            Self::Schema1 => {
                "have its owner push it again with a current tool, or convert it with: skopeo copy \
                 --format v2s2"
                    .to_owned()
            }
            Self::Token { source, .. } => return source.hint(registry, repository),
            Self::Credentials(CredentialsError::Helper { helper, .. }) => format!(
                "make docker-credential-{helper} work, or take it out of the file with the logins"
            ),
            _ => return None,
        })
    }
}

fn said(message: &Option<String>) -> String {
    message.as_ref().map(|message| format!(": {message}")).unwrap_or_default()
}

/// The way to log in that a registry names.
fn way(named: &str) -> String {
    match named {
        "" => "login, and names no way to log in".to_owned(),
        named => format!("way to log in that is not supported: {named:?}"),
    }
}

fn list(available: &[String]) -> String {
    if available.is_empty() {
        "no platform at all".to_owned()
    } else {
        printable(&available.join(", "))
    }
}

fn status_line(status: u16) -> String {
    let name = match status {
        400 => " Bad Request",
        401 => " Unauthorized",
        403 => " Forbidden",
        404 => " Not Found",
        405 => " Method Not Allowed",
        413 => " Content Too Large",
        415 => " Unsupported Media Type",
        416 => " Range Not Satisfiable",
        429 => " Too Many Requests",
        500 => " Internal Server Error",
        502 => " Bad Gateway",
        503 => " Service Unavailable",
        504 => " Gateway Timeout",
        _ => "",
    };
    format!("{status}{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_are_about_what_is_wrong() {
        let tls = |reason: &str| Failure::Transport {
            reason: format!("TLS: invalid peer certificate: {reason}"),
            temporary: false,
        };
        for (failure, want) in [
            (tls("UnknownIssuer"), "put its authority into"),
            (tls("Expired"), "renew it"),
            (tls("certificate not valid for name \"a\""), "by a name that its certificate is for"),
            (Failure::Endless { limit: 5 }, "sends damaged data"),
            (Failure::Size { expected: 5, found: 4 }, "sends damaged data"),
            (Failure::NotManifest("it is of type text/html".to_owned()), "no login page"),
        ] {
            let hint = failure.hint("r.example", "x").unwrap_or_default();
            assert!(hint.contains(want), "{failure}: {hint}");
        }
        let none = Failure::Challenge(String::new()).to_string();
        assert_eq!(none, "the registry asks for a login, and names no way to log in");
    }
}
