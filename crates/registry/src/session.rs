//! One repository of one registry, spoken to: scheme found, refused requests authorized, failures of
//! the moment tried again.

use std::io::Read;

use ureq::Body;
use ureq::http::{Method, Response};

use crate::Error;
use crate::auth::Authorizer;
use crate::cancel::Cancel;
use crate::certs::Identity;
use crate::challenge;
use crate::endpoint::{Endpoint, Scheme};
use crate::failure::Failure;
use crate::options::{Options, Trust};
use crate::progress::{Event, Progress};
use crate::refusal;
use crate::transport::{Http, Sending};

/// What a pull works with. Threads share it.
pub(crate) struct Session<'a> {
    pub(crate) endpoint: &'a Endpoint,
    pub(crate) options: &'a Options,
    pub(crate) progress: &'a dyn Progress,
    pub(crate) cancel: &'a Cancel<'a>,
    pub(crate) scheme: Scheme,
    pub(crate) http: Http,
    auth: Authorizer<'a>,
}

impl<'a> Session<'a> {
    /// Finds out how the registry is spoken to. Where plain HTTP is no choice, this costs nothing:
    /// the first request will tell.
    ///
    /// # Errors
    /// Options that cannot be used; no answer from a registry that may speak plain HTTP.
    pub(crate) fn connect(
        endpoint: &'a Endpoint,
        options: &'a Options,
        progress: &'a dyn Progress,
        cancel: &'a Cancel<'a>,
    ) -> Result<Self, Error> {
        Self::connect_to(endpoint, options, progress, cancel, Vec::new())
    }

    /// As [`Session::connect`], to ask for these rights, too, where the registry wants a token
    /// (token.md, "Resource Scope").
    ///
    /// # Errors
    /// As [`Session::connect`].
    pub(crate) fn connect_to(
        endpoint: &'a Endpoint,
        options: &'a Options,
        progress: &'a dyn Progress,
        cancel: &'a Cancel<'a>,
        scopes: Vec<String>,
    ) -> Result<Self, Error> {
        let (scheme, http) = connect(endpoint, options, cancel)?;
        let auth = Authorizer::new(endpoint, &options.credentials, scopes);
        Ok(Self { endpoint, options, progress, cancel, scheme, http, auth })
    }

    /// The same registry, spoken to about another repository over the same connections, with the same
    /// rights.
    pub(crate) fn about(&self, endpoint: &'a Endpoint) -> Self {
        let Self { options, progress, cancel, scheme, .. } = *self;
        let auth = self.auth.of(endpoint);
        Self { endpoint, options, progress, cancel, scheme, http: self.http.clone(), auth }
    }

    /// Gets a URL of the registry once, authorized where it asks for it.
    ///
    /// # Errors
    /// Any answer without success is a failure.
    pub(crate) fn get(
        &self,
        url: &str,
        headers: &[(&str, &str)],
    ) -> Result<Response<Body>, Failure> {
        self.request(&Call { method: Method::GET, url, headers, content: Payload::Nothing })
    }

    /// Sends a request once, authorized where the registry asks for it. A URL of another host, where a
    /// registry keeps its uploads, gets no credentials.
    ///
    /// # Errors
    /// Any answer without success is a failure.
    pub(crate) fn request(&self, call: &Call<'_>) -> Result<Response<Body>, Failure> {
        if !self.endpoint.is_at(call.url) {
            return self.succeeded(self.send(call, None)?);
        }
        let held = self.auth.header();
        let response = self.send(call, held.as_deref())?;
        if response.status().as_u16() != 401 {
            return self.succeeded(response);
        }
        let challenges = self.challenges(&response)?;
        self.http.finish(response);
        let header = self.auth.answer(&self.http, held.as_deref(), &challenges)?;
        let response = self.send(call, Some(&header))?;
        match response.status().as_u16() {
            401 => Err(match refusal::failure(&self.http, response) {
                Failure::Status { message, .. } => self.auth.refused(message),
                failure => failure,
            }),
            _ => self.succeeded(response),
        }
    }

    /// Does `work` until it succeeds, fails for good, or has failed too often.
    pub(crate) fn retry<T>(
        &self,
        action: &str,
        mut work: impl FnMut() -> Result<T, Failure>,
    ) -> Result<T, Error> {
        let mut patience = self.patience(action);
        loop {
            match work() {
                Ok(result) => return Ok(result),
                Err(failure) => patience.failed(failure)?,
            }
        }
    }

    /// Patience for one action.
    pub(crate) fn patience<'b>(&'b self, action: &'b str) -> Patience<'b> {
        Patience { session: self, action, attempt: 1 }
    }

    /// The failure of an action, as an error.
    pub(crate) fn error(&self, action: &str, failure: Failure) -> Error {
        Error::registry(self.endpoint, action, failure)
    }

    fn send(
        &self,
        call: &Call<'_>,
        authorization: Option<&str>,
    ) -> Result<Response<Body>, Failure> {
        let authorization = authorization.map(|header| ("Authorization", header));
        let headers: Vec<_> = call.headers.iter().copied().chain(authorization).collect();
        let send = |body| self.http.send(call.method.clone(), call.url, &headers, body);
        match &call.content {
            Payload::Nothing => send(Sending::Nothing),
            Payload::Empty => send(Sending::Empty),
            Payload::Bytes(bytes) => send(Sending::Stream(&mut &bytes[..], bytes.len() as u64)),
            Payload::Stream(open, size) => send(Sending::Stream(&mut *open()?, *size)),
        }
    }

    fn succeeded(&self, response: Response<Body>) -> Result<Response<Body>, Failure> {
        if response.status().is_success() {
            Ok(response)
        } else {
            Err(refusal::failure(&self.http, response))
        }
    }

    fn challenges(&self, response: &Response<Body>) -> Result<Vec<challenge::Challenge>, Failure> {
        let values = response.headers().get_all("www-authenticate").iter();
        let texts: Vec<&str> = values.filter_map(|value| value.to_str().ok()).collect();
        let challenges: Vec<_> = texts.iter().flat_map(|text| challenge::parse(text)).collect();
        if challenges.is_empty() {
            return Err(Failure::Challenge(refusal::printable(&texts.join(", "))));
        }
        Ok(challenges)
    }
}

/// A request, which may have to be sent twice.
pub(crate) struct Call<'a> {
    pub(crate) method: Method,
    pub(crate) url: &'a str,
    pub(crate) headers: &'a [(&'a str, &'a str)],
    pub(crate) content: Payload<'a>,
}

/// What a request carries.
pub(crate) enum Payload<'a> {
    /// No body at all.
    Nothing,
    /// A body of no bytes.
    Empty,
    Bytes(&'a [u8]),
    /// What opens the body, and its size.
    Stream(&'a Open<'a>, u64),
}

/// Opens a body, from its start.
pub(crate) type Open<'a> = dyn Fn() -> Result<Box<dyn Read + 'a>, Failure> + 'a;

/// Decides whether what failed is tried again, and waits before it is.
pub(crate) struct Patience<'a> {
    session: &'a Session<'a>,
    action: &'a str,
    attempt: u32,
}

impl Patience<'_> {
    /// Returns when it is time for another attempt.
    ///
    /// # Errors
    /// The failure, when there will be none.
    pub(crate) fn failed(&mut self, failure: Failure) -> Result<(), Error> {
        let Session { options, cancel, progress, .. } = self.session;
        let exhausted = self.attempt >= options.retries.attempts;
        if exhausted || cancel.is_stopped() || !failure.is_temporary() {
            return Err(self.session.error(self.action, failure));
        }
        let pause = options.retries.pause_after(self.attempt, failure.retry_after());
        progress.event(Event::Retry { action: self.action, reason: failure.to_string(), pause });
        cancel.pause(pause);
        self.attempt += 1;
        Ok(())
    }

    /// Starts to count anew: there was progress.
    pub(crate) fn renew(&mut self) {
        self.attempt = 1;
    }
}

fn connect(
    endpoint: &Endpoint,
    options: &Options,
    cancel: &Cancel<'_>,
) -> Result<(Scheme, Http), Error> {
    let identity = Identity::for_registry(options, endpoint)?;
    let open = |scheme| {
        let http = Http::new(options, &identity, scheme)?;
        cancel.include(http.agent());
        Ok::<_, Error>(http)
    };
    if !endpoint.is_loopback() && identity.trust != Trust::Anybody {
        return Ok((Scheme::Https, open(Scheme::Https)?));
    }
    // Where nobody listens in, the cheaper way is tried first, if both come to the same server.
    let plain_first = endpoint.is_loopback() && endpoint.has_port();
    if plain_first && let Some(plain) = speaks_plainly(endpoint, open(Scheme::Http)?) {
        return Ok((Scheme::Http, plain));
    }
    let encrypted = open(Scheme::Https)?;
    let failure = match encrypted.get(&endpoint.base(Scheme::Https), &[], &[]) {
        Ok(response) => {
            encrypted.finish(response);
            return Ok((Scheme::Https, encrypted));
        }
        Err(failure) => failure,
    };
    match plain_first {
        false => speaks_plainly(endpoint, open(Scheme::Http)?).map(|http| (Scheme::Http, http)),
        true => None,
    }
    .ok_or_else(|| Error::registry(endpoint, "get images", failure))
}

/// Whether a registry answers in plain HTTP. A server that speaks TLS says 400, if anything.
fn speaks_plainly(endpoint: &Endpoint, http: Http) -> Option<Http> {
    let response = http.get(&endpoint.base(Scheme::Http), &[], &[]).ok()?;
    let is_plain = response.status().as_u16() != 400;
    http.finish(response);
    is_plain.then_some(http)
}
