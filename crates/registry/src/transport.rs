//! HTTP: agents, their trust and patience, and what their errors mean.

use std::io::{self, ErrorKind, Read};
use std::path::Path;
use std::time::{Duration, Instant};

use ureq::config::RedirectAuthHeaders;
use ureq::http::{Method, Request, Response};
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig};
use ureq::unversioned::transport::DefaultConnector;
use ureq::{Agent, Body, SendBody};

use crate::Error;
use crate::certs::Identity;
use crate::endpoint::Scheme;
use crate::failure::Failure;
use crate::options::{Options, Timeouts, Trust};
use crate::pem::{Pair, Unusable};
use crate::proxy;
use crate::refusal::printable;
use crate::resolver::Remembering;

const USER_AGENT: &str = concat!("tare/", env!("CARGO_PKG_VERSION"));
/// A registry's blob store is one redirect away; some have two.
const MAX_REDIRECTS: u32 = 5;

/// As many as browsers and Go follow.
const MAX_REDIRECTS_ANYWHERE: u32 = 10;
/// How many connections are kept for the next requests: one for each thread that sends some.
const MAX_IDLE: usize = 32;
/// How much of an answer that nobody wants is read, so that its connection can be used again.
const MAX_DRAINED: u64 = 16 * 1024;
/// How much has to come in the time of a stall, in bytes.
const TRICKLE: u64 = 16 * 1024;

/// Speaks HTTP. Clones share their connections.
#[derive(Clone, Debug)]
pub(crate) struct Http {
    agent: Agent,
    timeouts: Timeouts,
}

impl Http {
    /// For a registry that is spoken to with `scheme`. With TLS, nothing ever leads to plain HTTP: no
    /// redirect, and no token server.
    ///
    /// # Errors
    /// Certificates that cannot be read, and a malformed proxy.
    pub(crate) fn new(
        options: &Options,
        identity: &Identity,
        scheme: Scheme,
    ) -> Result<Self, Error> {
        let encrypted = scheme == Scheme::Https && identity.trust != Trust::Anybody;
        Self::with_redirects(options, identity, scheme, MAX_REDIRECTS, encrypted)
    }

    /// For any web server: as [`Http::new`], with more redirects, which may lead to plain HTTP as they do
    /// for other programs that fetch files. Whoever minds gives a checksum.
    ///
    /// # Errors
    /// As [`Http::new`].
    pub(crate) fn for_any_server(options: &Options, scheme: Scheme) -> Result<Self, Error> {
        let identity = Identity::of_anybody(options);
        Self::with_redirects(options, &identity, scheme, MAX_REDIRECTS_ANYWHERE, false)
    }

    fn with_redirects(
        options: &Options,
        identity: &Identity,
        scheme: Scheme,
        redirects: u32,
        encrypted: bool,
    ) -> Result<Self, Error> {
        let timeouts = options.timeouts;
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .https_only(encrypted)
            .tls_config(tls(identity)?)
            .max_idle_connections(MAX_IDLE)
            .max_idle_connections_per_host(MAX_IDLE)
            .proxy(proxy::of(&options.proxies, scheme)?)
            .max_redirects(redirects)
            .redirect_auth_headers(RedirectAuthHeaders::SameHost)
            .user_agent(USER_AGENT)
            // A body that was compressed on the way would have another digest.
            .accept_encoding("identity")
            .timeout_resolve(Some(timeouts.connect))
            .timeout_connect(Some(timeouts.connect))
            .timeout_recv_response(Some(timeouts.response))
            .timeout_per_read(Some(timeouts.stall))
            .timeout_per_write(Some(timeouts.stall))
            .build();
        let connector = DefaultConnector::default();
        let agent = Agent::with_parts(config, connector, Remembering::default());
        Ok(Self { agent, timeouts })
    }

    pub(crate) fn agent(&self) -> &Agent {
        &self.agent
    }

    /// Gets a URL, with these headers. Any status is an answer.
    pub(crate) fn get(
        &self,
        url: &str,
        headers: &[(&str, &str)],
        query: &[(&str, &str)],
    ) -> Result<Response<Body>, Failure> {
        let request = headers
            .iter()
            .fold(self.agent.get(url), |request, (name, value)| request.header(*name, *value));
        let request = query.iter().fold(request, |request, (key, value)| request.query(key, value));
        request.call().map_err(failure)
    }

    /// Sends a request with any method and body. Any status is an answer.
    pub(crate) fn send(
        &self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
        body: Sending<'_>,
    ) -> Result<Response<Body>, Failure> {
        let request = Request::builder().method(method).uri(url);
        let request = headers.iter().fold(request, |it, (name, value)| it.header(*name, *value));
        let length = match &body {
            Sending::Nothing => None,
            Sending::Empty => Some(0),
            Sending::Stream(_, size) => Some(*size),
        };
        let request =
            length.into_iter().fold(request, |it, size| it.header("Content-Length", size));
        let malformed = |error: ureq::http::Error| failure(error.into());
        let sent = match body {
            Sending::Nothing | Sending::Empty => {
                self.agent.run(request.body(()).map_err(malformed)?)
            }
            Sending::Stream(reader, _) => {
                let body = SendBody::from_reader(reader);
                self.agent.run(request.body(body).map_err(malformed)?)
            }
        };
        sent.map_err(failure)
    }

    /// Posts a form. Any status is an answer.
    pub(crate) fn post(&self, url: &str, form: &[(&str, &str)]) -> Result<Response<Body>, Failure> {
        self.agent.post(url).send_form(form.iter().copied()).map_err(failure)
    }

    /// The whole of a small body.
    ///
    /// # Errors
    /// [`Failure::Endless`] over `limit` bytes; a body that is not there in the time for a response.
    pub(crate) fn read(
        &self,
        response: &mut Response<Body>,
        limit: u64,
    ) -> Result<Vec<u8>, Failure> {
        let started = Instant::now();
        let mut body = response.body_mut().with_config().limit(u64::MAX).reader();
        let mut bytes = Vec::new();
        let mut piece = [0; 16 * 1024];
        loop {
            match body.read(&mut piece).map_err(|error| failure(error.into()))? {
                0 => return Ok(bytes),
                count => bytes.extend_from_slice(&piece[..count]),
            }
            if bytes.len() as u64 > limit {
                return Err(Failure::Endless { limit });
            }
            if started.elapsed() > self.timeouts.response {
                return Err(Failure::Timeout("the answer comes too slowly".to_owned()));
            }
        }
    }

    /// Ends an answer that nobody wants, and keeps its connection where it was a small one.
    pub(crate) fn finish(&self, mut response: Response<Body>) {
        let _ = self.read(&mut response, MAX_DRAINED);
    }

    pub(crate) fn stall(&self) -> Duration {
        self.timeouts.stall
    }
}

/// The body of a request.
pub(crate) enum Sending<'a> {
    /// None at all.
    Nothing,
    /// One of no bytes.
    Empty,
    /// What a reader gives, and how many bytes that is.
    Stream(&'a mut dyn Read, u64),
}

fn tls(identity: &Identity) -> Result<TlsConfig, Error> {
    let client = identity.client.as_ref().map(|(certificate, key)| client(certificate, key));
    let builder = TlsConfig::builder().client_cert(client.transpose()?);
    Ok(match &identity.trust {
        Trust::BuiltIn => builder,
        Trust::Anybody => builder.disable_verification(true),
        Trust::Authorities(files) => {
            let mut certificates = Vec::new();
            for file in files {
                let unreadable = |reason: String| Error::Authorities { path: file.clone(), reason };
                let text = std::fs::read(file).map_err(|error| unreadable(error.to_string()))?;
                certificates.extend(parse_certificates(&text).map_err(unreadable)?);
            }
            builder.root_certs(RootCerts::from(certificates))
        }
    }
    .build())
}

/// What says who we are.
fn client(certificate: &Path, key: &Path) -> Result<ClientCert, Error> {
    let pair = Pair::read(certificate, key)
        .map_err(|Unusable { path, reason }| Error::ClientCertificate { path, reason })?;
    let chain: Vec<_> = pair.chain.iter().map(|it| Certificate::from_der(it).to_owned()).collect();
    // The library takes no key but in PEM. The reason could quote it.
    let reason = "it is no private key in PEM".to_owned();
    let key = PrivateKey::from_pem(&pair.key_text)
        .map_err(|_| Error::ClientCertificate { path: key.to_owned(), reason })?;
    Ok(ClientCert::new_with_certs(&chain, key))
}

fn parse_certificates(pem: &[u8]) -> Result<Vec<Certificate<'static>>, String> {
    let mut certificates = Vec::new();
    for item in ureq::tls::parse_pem(pem) {
        if let PemItem::Certificate(certificate) = item.map_err(|error| error.to_string())? {
            certificates.push(certificate);
        }
    }
    if certificates.is_empty() { Err("there are none in it".to_owned()) } else { Ok(certificates) }
}

/// What an error of the HTTP library means to us, and whether it may be gone a little later.
pub(crate) fn failure(error: ureq::Error) -> Failure {
    let lasting =
        |reason: String| Failure::Transport { reason: printable(&reason), temporary: false };
    match error {
        ureq::Error::Io(error) => io_failure(&error),
        ureq::Error::Timeout(which) => Failure::Timeout(which.to_string()),
        ureq::Error::HostNotFound => lasting("there is no host of this name".to_owned()),
        ureq::Error::TooManyRedirects => lasting("it redirects too often".to_owned()),
        ureq::Error::RequireHttpsOnly(_) => {
            lasting("the server leads from TLS to plain HTTP".to_owned())
        }
        ureq::Error::Rustls(error) => lasting(format!("TLS: {error}")),
        ureq::Error::BodyStalled => {
            Failure::Transport { reason: "the answer broke off".to_owned(), temporary: true }
        }
        ureq::Error::Protocol(error) => lasting(format!("the answer is no HTTP: {error}")),
        error => lasting(error.to_string()),
    }
}

fn io_failure(error: &io::Error) -> Failure {
    let temporary = matches!(
        error.kind(),
        ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe
            | ErrorKind::UnexpectedEof
            | ErrorKind::TimedOut
            | ErrorKind::WouldBlock
    );
    // TLS errors come wrapped in this kind.
    let tls = error.kind() == ErrorKind::InvalidData;
    let reason = match (tls, error.kind()) {
        (true, _) => format!("TLS: {error}"),
        (_, ErrorKind::UnexpectedEof) => "the server closed the connection".to_owned(),
        _ => error.to_string(),
    };
    Failure::Transport { reason, temporary }
}

/// A header's value, where it is text.
pub(crate) fn header<'a>(response: &'a Response<Body>, name: &str) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}

/// How fast it goes: a peer that sends a byte now and then is a stalled one.
pub(crate) struct Pace {
    since: Instant,
    bytes: u64,
}

impl Pace {
    pub(crate) fn new() -> Self {
        Self { since: Instant::now(), bytes: 0 }
    }

    /// Counts bytes that have come.
    ///
    /// # Errors
    /// What is wrong when too little came in the time that a stall may take.
    pub(crate) fn check(&mut self, count: u64, stall: Duration) -> Result<(), String> {
        self.bytes += count;
        if self.since.elapsed() < stall {
            return Ok(());
        }
        let bytes = std::mem::take(&mut self.bytes);
        self.since = Instant::now();
        if bytes >= TRICKLE { Ok(()) } else { Err(format!("only {bytes} bytes came in that time")) }
    }
}
