//! What a registry says when it says no: a failure with its own reason.

use std::time::Duration;

use serde::Deserialize;
use ureq::Body;
use ureq::http::Response;

use crate::failure::Failure;
use crate::transport::{Http, header};

/// How much of a refusal is read.
const MAX_BODY: u64 = 64 * 1024;
/// How much of its reason is shown, in characters.
const MAX_MESSAGE: usize = 300;

/// The failure that an answer without success stands for.
pub(crate) fn failure(http: &Http, mut response: Response<Body>) -> Failure {
    let status = response.status().as_u16();
    let retry_after = header(&response, "retry-after")
        .and_then(|value| value.trim().parse().ok())
        .map(Duration::from_secs);
    let body = http.read(&mut response, MAX_BODY).unwrap_or_default();
    Failure::Status { status, message: message(&body), retry_after }
}

/// The errors in a body of the distribution-spec's shape ("Error Codes"), or of a token server's.
pub(crate) fn message(body: &[u8]) -> Option<String> {
    let refusal: Refusal = serde_json::from_slice(body).ok()?;
    let mut parts: Vec<String> = refusal.errors.iter().map(Reason::text).collect();
    parts.extend([refusal.details, refusal.message].into_iter().flatten());
    let text = printable(&parts.join("; "));
    (!text.is_empty()).then_some(text)
}

/// A stranger's text, fit for a terminal: one line, of bounded length.
pub(crate) fn printable(text: &str) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    let mut short: String = text.chars().map(clean).take(MAX_MESSAGE + 1).collect();
    if short.chars().count() > MAX_MESSAGE {
        short.pop();
        short.push('…');
    }
    short.trim().to_owned()
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Refusal {
    errors: Vec<Reason>,
    /// Docker's token server says it so.
    details: Option<String>,
    /// Some front ends say it so.
    message: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Reason {
    code: String,
    message: String,
}

impl Reason {
    fn text(&self) -> String {
        match (self.code.as_str(), self.message.as_str()) {
            ("", message) => message.to_owned(),
            (code, "") => code.to_owned(),
            (code, message) => format!("{message} ({code})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons() {
        for (body, want) in [
            (
                r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown","detail":{"Tag":"x"}}]}"#,
                Some("manifest unknown (MANIFEST_UNKNOWN)"),
            ),
            (r#"{"errors":[{"code":"A"},{"message":"b"}]}"#, Some("A; b")),
            (
                r#"{"details":"incorrect username or password"}"#,
                Some("incorrect username or password"),
            ),
            (r#"{"errors":[{"message":"a\u001b[31m\nb"}]}"#, Some("a [31m b")),
            (r#"{"errors":[]}"#, None),
            ("<html>", None),
            ("", None),
        ] {
            assert_eq!(message(body.as_bytes()).as_deref(), want, "{body}");
        }
        let long = format!(r#"{{"message":"{}"}}"#, "x".repeat(5000));
        assert_eq!(message(long.as_bytes()).unwrap().chars().count(), MAX_MESSAGE + 1);
    }
}
