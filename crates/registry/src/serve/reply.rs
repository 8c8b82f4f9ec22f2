//! Answers, and refusals in the API's form (distribution-spec, "Error Codes").

use std::fs::File;
use std::io::{self, ErrorKind, Read as _, Write as _};

use serde::Serialize;
use serde_json::json;

use super::connection::Connection;

/// An answer.
pub(super) struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Body,
}

enum Body {
    Bytes(Vec<u8>),
    /// A part of a file, and its length.
    File(std::io::Take<File>, u64),
}

impl Reply {
    /// An answer without a body.
    pub(super) fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Body::Bytes(Vec::new()) }
    }

    pub(super) fn json(status: u16, value: &impl Serialize) -> Self {
        let bytes = serde_json::to_vec(value).unwrap_or_default();
        Self::bytes(status, "application/json", bytes)
    }

    pub(super) fn bytes(status: u16, kind: &str, bytes: Vec<u8>) -> Self {
        let body = Body::Bytes(bytes);
        Self { status, headers: Vec::new(), body }.with("Content-Type", kind)
    }

    /// What a file gives from where it stands, of this length.
    pub(super) fn file(status: u16, kind: &str, file: File, length: u64) -> Self {
        let body = Body::File(file.take(length), length);
        Self { status, headers: Vec::new(), body }.with("Content-Type", kind)
    }

    /// A refusal, with the API's code for it.
    pub(super) fn refusal(status: u16, code: &str, message: &str) -> Self {
        Self::json(status, &json!({ "errors": [{ "code": code, "message": message }] }))
    }

    /// To who has to say who they are (RFC 7617).
    pub(super) fn unauthorized() -> Self {
        Self::refusal(401, "UNAUTHORIZED", "this server wants a login")
            .with("WWW-Authenticate", "Basic realm=\"tare-store\"")
    }

    pub(super) fn unsupported(message: &str) -> Self {
        Self::refusal(405, "UNSUPPORTED", message)
    }

    /// The store does not do its part. Its paths are nobody's business.
    pub(super) fn failed(error: &store::Error) -> Self {
        let full = error.is_full_disk();
        let (status, message) = match full {
            true => (507, "the disk is full"),
            false => (500, "the store cannot be read or written"),
        };
        Self::refusal(status, "UNKNOWN", message)
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(super) fn status(&self) -> u16 {
        self.status
    }

    /// Writes the answer; to `HEAD` without its body. `again` says that more requests may come.
    pub(super) fn send(self, out: &mut Connection, head: bool, again: bool) -> io::Result<()> {
        let length = match &self.body {
            Body::Bytes(bytes) => bytes.len() as u64,
            Body::File(_, length) => *length,
        };
        let mut text = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        for (name, value) in &self.headers {
            // What a client said may be in it.
            let value: String = value.chars().filter(|char| !char.is_control()).collect();
            text += &format!("{name}: {value}\r\n");
        }
        text += "Docker-Distribution-API-Version: registry/2.0\r\n";
        // An answer of this status has no body, and so no length (RFC 9110, section 8.6).
        if self.status != 204 {
            text += &format!("Content-Length: {length}\r\n");
        }
        text += if again { "\r\n" } else { "Connection: close\r\n\r\n" };
        match self.body {
            _ if head => out.write_all(text.as_bytes()),
            // In one piece: two would be two packets.
            Body::Bytes(bytes) => out.write_all(&[text.as_bytes(), &bytes].concat()),
            Body::File(mut file, length) => {
                out.write_all(text.as_bytes())?;
                let sent = out.send_file(&mut file)?;
                // The client must not take what follows for the rest.
                if sent == length { Ok(()) } else { Err(ErrorKind::UnexpectedEof.into()) }
            }
        }?;
        out.flush()
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        206 => "Partial Content",
        400 => "Bad Request",
        401 => "Unauthorized",
        404 => "Not Found",
        405 => "Method Not Allowed",
        413 => "Content Too Large",
        416 => "Range Not Satisfiable",
        429 => "Too Many Requests",
        507 => "Insufficient Storage",
        _ => "Internal Server Error",
    }
}
