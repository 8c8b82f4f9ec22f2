//! Places in BuildKit's JSON: a range for each line.

use dockerfile::Lines;
use serde::Serialize;

/// `{"ranges": [{"start": {"line": 1}, "end": {"line": 1}}]}`
#[derive(Serialize)]
pub(super) struct Location {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ranges: Vec<Range>,
}

/// Lines, the first and the last.
#[derive(Serialize)]
pub(crate) struct Range {
    start: Position,
    end: Position,
}

#[derive(Serialize)]
struct Position {
    line: usize,
}

impl From<Lines> for Range {
    fn from(lines: Lines) -> Self {
        Self { start: Position { line: lines.start }, end: Position { line: lines.end } }
    }
}

impl Location {
    /// Nowhere.
    pub(super) fn none() -> Self {
        Self { ranges: Vec::new() }
    }
}

impl From<Lines> for Location {
    fn from(lines: Lines) -> Self {
        let range = |line| Range::from(Lines { start: line, end: line });
        Self { ranges: (lines.start..=lines.end).map(range).collect() }
    }
}
