//! Places in BuildKit's JSON: a range for each line.

use dockerfile::Lines;
use serde::Serialize;

/// `{"ranges": [{"start": {"line": 1}, "end": {"line": 1}}]}`
#[derive(Serialize)]
pub(super) struct Location {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ranges: Vec<Range>,
}

#[derive(Serialize)]
struct Range {
    start: Position,
    end: Position,
}

#[derive(Serialize)]
struct Position {
    line: usize,
}

impl Location {
    /// Nowhere.
    pub(super) fn none() -> Self {
        Self { ranges: Vec::new() }
    }
}

impl From<Lines> for Location {
    fn from(lines: Lines) -> Self {
        let range = |line| Range { start: Position { line }, end: Position { line } };
        Self { ranges: (lines.start..=lines.end).map(range).collect() }
    }
}
