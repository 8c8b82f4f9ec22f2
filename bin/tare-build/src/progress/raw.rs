//! `--progress=rawjson`: BuildKit's status as buildx writes it, one JSON object a line on standard error.
//!
//! The form is that of BuildKit's Go type `client.SolveStatus`: bytes are in base64, times in RFC 3339,
//! what is empty is left out. A vertex is named by a digest, which here is that of its name and number.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use build::{Event, Progress, StepId};
use dockerfile::Source;
use dockerfile::lint::Finding;
use image::Digest;
use serde::Serialize;

use super::Report;
use crate::call::Range;

/// Writes each event as it comes.
#[derive(Default)]
pub(crate) struct Raw {
    steps: Mutex<HashMap<StepId, Vertex>>,
}

/// One line.
///
/// ```json
/// {"vertexes": [{"digest": "sha256:…", "name": "[1/2] RUN make", "started": "2026-01-01T00:00:00Z"}]}
/// {"logs": [{"vertex": "sha256:…", "stream": 1, "data": "bWFrZQo=", "timestamp": "2026-01-01T00:00:01Z"}]}
/// ```
#[derive(Default, Serialize)]
struct Status {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    vertexes: Vec<Vertex>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    statuses: Vec<VertexStatus>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    logs: Vec<Log>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<Warning>,
}

#[derive(Clone, Serialize)]
struct Vertex {
    digest: String,
    name: String,
    started: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    completed: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    cached: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'static str>,
}

/// A part of a vertex's work; here why it is done.
#[derive(Serialize)]
struct VertexStatus {
    id: String,
    vertex: String,
    name: String,
    current: u64,
    timestamp: String,
    started: String,
    completed: String,
}

#[derive(Serialize)]
struct Log {
    vertex: String,
    /// As of a terminal: the two streams of a command come as one.
    stream: u8,
    data: String,
    timestamp: String,
}

#[derive(Serialize)]
struct Warning {
    #[serde(skip_serializing_if = "Option::is_none")]
    vertex: Option<String>,
    level: u8,
    short: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    detail: Vec<String>,
    #[serde(skip_serializing_if = "str::is_empty")]
    url: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    range: Vec<Range>,
}

impl Raw {
    fn start(&self, id: StepId, name: &str) {
        let digest = Digest::of(format!("{} {name}", id.0)).to_string();
        let (completed, cached, error) = (None, false, None);
        let vertex =
            Vertex { digest, name: name.to_owned(), started: now(), completed, cached, error };
        let mut steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        steps.insert(id, vertex.clone());
        drop(steps);
        write(&Status { vertexes: vec![vertex], ..Status::default() });
    }

    fn end(&self, id: StepId, cached: bool, error: Option<&'static str>) {
        let mut steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(vertex) = steps.remove(&id) else { return };
        drop(steps);
        let vertex = Vertex { completed: Some(now()), cached, error, ..vertex };
        write(&Status { vertexes: vec![vertex], ..Status::default() });
    }

    fn digest(&self, id: StepId) -> String {
        let steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        steps.get(&id).map(|vertex| vertex.digest.clone()).unwrap_or_default()
    }

    fn log(&self, id: StepId, bytes: &[u8]) {
        let (vertex, data) = (self.digest(id), STANDARD.encode(bytes));
        let log = Log { vertex, stream: 1, data, timestamp: now() };
        write(&Status { logs: vec![log], ..Status::default() });
    }

    fn explain(&self, id: StepId, why: &str) {
        let status = VertexStatus {
            id: "why".to_owned(),
            vertex: self.digest(id),
            name: why.to_owned(),
            current: 0,
            timestamp: now(),
            started: now(),
            completed: now(),
        };
        write(&Status { statuses: vec![status], ..Status::default() });
    }
}

impl Progress for Raw {
    fn event(&self, id: StepId, event: Event<'_>) {
        match event {
            Event::Started { name } => self.start(id, name),
            Event::Output { bytes } => self.log(id, bytes),
            Event::Explained { explanation } => self.explain(id, &explanation.why),
            Event::Cached => self.end(id, true, None),
            Event::Done { .. } => self.end(id, false, None),
            Event::Failed { .. } => self.end(id, false, Some("failed")),
            _ => self.end(id, false, Some("context canceled")),
        }
    }

    fn findings(&self, _file: &Source, findings: &[Finding]) {
        let warning = |it: &Finding| Warning {
            vertex: None,
            level: 1,
            short: STANDARD.encode(format!("{}: {}", it.rule.name, it.detail).as_bytes()),
            detail: vec![STANDARD.encode(it.rule.description.as_bytes())],
            url: it.rule.url,
            range: vec![it.lines.into()],
        };
        if !findings.is_empty() {
            let warnings = findings.iter().map(warning).collect();
            write(&Status { warnings, ..Status::default() });
        }
    }
}

impl Report for Raw {
    fn warn(&self, message: &str) {
        let short = STANDARD.encode(message.as_bytes());
        let (detail, range) = Default::default();
        let warning = Warning { vertex: None, level: 1, short, detail, url: "", range };
        write(&Status { warnings: vec![warning], ..Status::default() });
    }

    /// They were written as they came.
    fn show_findings(&self) {}
}

fn now() -> String {
    cli::rfc3339_nanos(SystemTime::now())
}

fn write(status: &Status) {
    if let Ok(line) = serde_json::to_string(status) {
        cli::note(line);
    }
}
