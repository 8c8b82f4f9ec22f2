//! Answering a registry's challenge: basic authentication, and tokens from its token server.
//!
//! distribution, `docs/spec/auth` (token.md, oauth.md).

use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use ureq::Body;
use ureq::http::Response;

use crate::challenge::Challenge;
use crate::credentials::{Credentials, Secret};
use crate::endpoint::Endpoint;
use crate::failure::Failure;
use crate::refusal;
use crate::transport::Http;

/// How much of a token server's answer is read.
const MAX_ANSWER: u64 = 1024 * 1024;
/// Who asks, where OAuth 2 wants to know.
const CLIENT_ID: &str = "tare";

/// Holds what the registry has accepted last, for all threads.
pub(crate) struct Authorizer<'a> {
    endpoint: &'a Endpoint,
    credentials: &'a Credentials,
    /// Rights to ask for, whatever the challenge says.
    scopes: Vec<String>,
    held: Mutex<Option<String>>,
}

/// A token server, as a challenge names it.
struct TokenServer<'a> {
    realm: &'a str,
    service: Option<&'a str>,
    scopes: Vec<String>,
}

impl<'a> Authorizer<'a> {
    pub(crate) fn new(
        endpoint: &'a Endpoint,
        credentials: &'a Credentials,
        scopes: Vec<String>,
    ) -> Self {
        Self { endpoint, credentials, scopes, held: Mutex::new(None) }
    }

    /// The same rights for requests about another repository, which they must cover.
    pub(crate) fn of(&self, endpoint: &'a Endpoint) -> Self {
        let held = Mutex::new(self.header());
        Self { endpoint, credentials: self.credentials, scopes: self.scopes.clone(), held }
    }

    /// The `Authorization` header to send, once there is one.
    pub(crate) fn header(&self) -> Option<String> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Gets a header that answers the challenges, after a request with `refused` was answered with
    /// them. Threads that were refused at the same time share one answer.
    ///
    /// # Errors
    /// Where no answer is left to give, or the token server says no.
    pub(crate) fn answer(
        &self,
        http: &Http,
        refused: Option<&str>,
        challenges: &[Challenge],
    ) -> Result<String, Failure> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(newer) = held.as_ref().filter(|held| Some(held.as_str()) != refused) {
            return Ok(newer.clone());
        }
        let header = self.respond(http, challenges)?;
        Ok(held.insert(header).clone())
    }

    /// The failure of a request that was refused with the best that we have.
    pub(crate) fn refused(&self, message: Option<String>) -> Failure {
        match self.secret() {
            Err(failure) => failure,
            Ok(None) => Failure::LoginNeeded { message },
            Ok(Some(secret)) => Failure::LoginRefused { user: user(&secret), message },
        }
    }

    fn respond(&self, http: &Http, challenges: &[Challenge]) -> Result<String, Failure> {
        let bearer = challenges.iter().find_map(|challenge| match challenge {
            Challenge::Bearer { realm, service, scope } => Some(TokenServer {
                realm,
                service: service.as_deref(),
                scopes: self.scopes(scope.as_deref()),
            }),
            Challenge::Basic => None,
        });
        let secret = self.secret()?;
        match (bearer, secret) {
            (Some(_), Some(Secret::RegistryToken(token))) => Ok(bearer_header(&token)),
            (Some(server), secret) => {
                server.token(http, secret.as_ref()).map(|t| bearer_header(&t))
            }
            (None, Some(Secret::Password { user, password })) => Ok(basic_header(&user, &password)),
            (None, _) => Err(self.refused(None)),
        }
    }

    /// What is asked for: what the registry wants to see for this request, and what the next ones will
    /// need.
    fn scopes(&self, challenge: Option<&str>) -> Vec<String> {
        let mut scopes = self.scopes.clone();
        let pull = || format!("repository:{}:pull", self.endpoint.repository());
        match challenge {
            Some(scope) if !scopes.iter().any(|it| it == scope) => {
                scopes.insert(0, scope.to_owned())
            }
            None if scopes.is_empty() => scopes.push(pull()),
            _ => {}
        }
        scopes
    }

    fn secret(&self) -> Result<Option<Secret>, Failure> {
        Ok(self.credentials.secret(self.endpoint.registry(), self.endpoint.repository())?)
    }
}

impl TokenServer<'_> {
    fn token(&self, http: &Http, secret: Option<&Secret>) -> Result<String, Failure> {
        let failed =
            |source| Failure::Token { realm: self.realm.to_owned(), source: Box::new(source) };
        let mut response = self.ask(http, secret).map_err(failed)?;
        let status = response.status().as_u16();
        if !response.status().is_success() {
            let failure = refusal::failure(http, response);
            return Err(failed(match (status, failure, secret) {
                (401 | 403, Failure::Status { message, .. }, Some(secret)) => {
                    Failure::LoginRefused { user: user(secret), message }
                }
                (401, Failure::Status { message, .. }, None) => Failure::LoginNeeded { message },
                (_, failure, _) => failure,
            }));
        }
        let body = http.read(&mut response, MAX_ANSWER).map_err(failed)?;
        parse_token(&body).map_err(failed)
    }

    fn ask(&self, http: &Http, secret: Option<&Secret>) -> Result<Response<Body>, Failure> {
        let scopes = self.scopes.iter().map(|scope| ("scope", scope.as_str()));
        let service = self.service.map(|service| ("service", service));
        let mut fields: Vec<(&str, &str)> = service.into_iter().chain(scopes).collect();
        match secret {
            Some(Secret::IdentityToken(token)) => {
                // OAuth 2 has one field, with spaces between the scopes.
                let scope = self.scopes.join(" ");
                fields.retain(|(name, _)| *name != "scope");
                fields.extend([
                    ("scope", scope.as_str()),
                    ("grant_type", "refresh_token"),
                    ("client_id", CLIENT_ID),
                    ("refresh_token", token.as_str()),
                ]);
                http.post(self.realm, &fields)
            }
            Some(Secret::Password { user, password }) => {
                fields.push(("account", user.as_str()));
                let header = basic_header(user, password);
                http.get(self.realm, &[("Authorization", header.as_str())], &fields)
            }
            Some(Secret::RegistryToken(_)) | None => http.get(self.realm, &[], &fields),
        }
    }
}

fn user(secret: &Secret) -> String {
    match secret {
        Secret::Password { user, .. } => user.clone(),
        Secret::IdentityToken(_) | Secret::RegistryToken(_) => "the holder of a token".to_owned(),
    }
}

fn basic_header(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

fn bearer_header(token: &str) -> String {
    format!("Bearer {token}")
}

/// The token in a token server's answer, under either of its two names.
fn parse_token(body: &[u8]) -> Result<String, Failure> {
    #[derive(Deserialize)]
    struct Answer {
        token: Option<String>,
        access_token: Option<String>,
    }
    let wrong = |reason: &str| Failure::Transport { reason: reason.to_owned(), temporary: false };
    // The parser's own message is not shown: it could quote the token.
    let answer: Answer =
        serde_json::from_slice(body).map_err(|_| wrong("its answer is not the JSON of a token"))?;
    let token = [answer.token, answer.access_token].into_iter().flatten().find(|t| !t.is_empty());
    let token = token.ok_or_else(|| wrong("there is no token in its answer"))?;
    if token.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(token)
    } else {
        Err(wrong("its token has characters that no token may have"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens() {
        for (body, want) in [
            (r#"{"token":"a","expires_in":300}"#, Some("a")),
            (r#"{"access_token":"b"}"#, Some("b")),
            (r#"{"token":"","access_token":"c"}"#, Some("c")),
            (r#"{}"#, None),
            (r#"{"token":"a\r\nX-Evil: 1"}"#, None),
            (r#"["secret"]"#, None),
            ("", None),
        ] {
            assert_eq!(parse_token(body.as_bytes()).ok().as_deref(), want, "{body}");
        }
        let error = parse_token(br#"{"token":{"x":"hunter2"}}"#).unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }
}
