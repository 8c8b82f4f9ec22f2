//! Programs that keep secrets: docker's credential helpers, `docker-credential-NAME`.
//!
//! The protocol is that of docker-credential-helpers: the action as argument, a server's URL or JSON on
//! standard input, JSON or a complaint on standard output. Secrets go through pipes alone, and what a
//! helper prints is shown only where it says that it failed.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde::Deserialize;
use serde_json::json;

use crate::credentials::{CredentialsError, Secret};
use crate::refusal::printable;

/// What helpers say, with failure, where they know nothing of a server.
const NOT_FOUND: &str = "credentials not found in native keychain";
/// The user's name beside an identity token.
const TOKEN: &str = "<token>";
/// The URL under which docker keeps the login of its own registry.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Kept {
    username: String,
    secret: String,
}

/// The secret that a helper keeps for a server, or `None`.
///
/// # Errors
/// The helper is not there, fails, or makes no sense.
pub(crate) fn get(helper: &str, server: &str) -> Result<Option<Secret>, CredentialsError> {
    let Some(text) = ask(helper, "get", server, server)? else { return Ok(None) };
    // The parser's own message is not shown: it could quote the secret.
    let kept: Kept = serde_json::from_slice(&text)
        .map_err(|_| failed(helper, "get", server, "its answer is not the JSON of a login"))?;
    Ok(Some(match kept.username == TOKEN {
        true => Secret::IdentityToken(kept.secret),
        false => Secret::Password { user: kept.username, password: kept.secret },
    }))
}

/// Has a helper keep a login.
///
/// # Errors
/// As [`get`].
pub(crate) fn store(
    helper: &str,
    server: &str,
    user: &str,
    password: &str,
) -> Result<(), CredentialsError> {
    let login = json!({ "ServerURL": server, "Username": user, "Secret": password });
    ask(helper, "store", server, &login.to_string()).map(drop)
}

/// Has a helper forget a login; `false` where it has none.
///
/// # Errors
/// As [`get`].
pub(crate) fn erase(helper: &str, server: &str) -> Result<bool, CredentialsError> {
    if get(helper, server)?.is_none() {
        return Ok(false);
    }
    ask(helper, "erase", server, server).map(|answer| answer.is_some())
}

/// What a helper calls a registry.
pub(crate) fn server(registry: &str) -> &str {
    match registry {
        "docker.io" | "index.docker.io" => DOCKER_HUB,
        other => other,
    }
}

/// One action; `None` where the helper knows nothing of the server.
fn ask(
    helper: &str,
    action: &str,
    server: &str,
    input: &str,
) -> Result<Option<Vec<u8>>, CredentialsError> {
    let program = format!("docker-credential-{helper}");
    let broken = |error: std::io::Error| failed(helper, action, server, &error.to_string());
    if helper.contains('/') {
        return Err(failed(helper, action, server, "a helper's name has no slash"));
    }
    let mut command = Command::new(&program);
    command.arg(action).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(broken)?;
    // One that does not listen says why, below.
    let _ = child.stdin.take().map(|mut pipe| pipe.write_all(input.as_bytes()));
    let output = child.wait_with_output().map_err(broken)?;
    if output.status.success() {
        return Ok(Some(output.stdout));
    }
    let said = String::from_utf8_lossy(&output.stdout);
    match said.trim() {
        NOT_FOUND => Ok(None),
        "" => Err(failed(helper, action, server, &output.status.to_string())),
        said => Err(failed(helper, action, server, &printable(said))),
    }
}

fn failed(helper: &str, action: &str, server: &str, reason: &str) -> CredentialsError {
    CredentialsError::Helper {
        helper: helper.to_owned(),
        action: action.to_owned(),
        server: server.to_owned(),
        reason: reason.to_owned(),
    }
}
