//! A container's output on disk, in the format of the Kubernetes runtime interface ("CRI logs"), which
//! conmon and containerd write too:
//!
//! ```text
//! 2026-01-31T10:20:30.123456789Z stdout F a whole line
//! 2026-01-31T10:20:30.223456789Z stderr P the beginning of a line, to be continued
//! ```
//!
//! Bytes that are not UTF-8 are kept as they are.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

/// The longest piece of a line that is kept waiting for its end, in bytes.
const LONGEST: usize = 16 << 10;

/// Which of the two outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// The log of one container, open for writing.
#[derive(Clone, Debug)]
pub(crate) struct Log(Arc<Mutex<File>>);

/// Cuts one stream into lines of the log.
#[derive(Debug)]
pub(crate) struct LogStream {
    log: Log,
    stream: Stream,
    pending: Vec<u8>,
}

impl Log {
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
        Ok(Self(Arc::new(Mutex::new(file))))
    }

    pub(crate) fn stream(&self, stream: Stream) -> LogStream {
        LogStream { log: self.clone(), stream, pending: Vec::new() }
    }
}

impl LogStream {
    /// Takes output as it comes; whole lines are written at once.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.pending.extend_from_slice(bytes);
        let mut out = Vec::with_capacity(self.pending.len() + 64);
        let mut rest = self.pending.as_slice();
        let now = cli::rfc3339_nanos(SystemTime::now());
        while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
            for (index, piece) in rest[..end].chunks(LONGEST).enumerate() {
                let last = (index + 1) * LONGEST >= end;
                self.line(&mut out, &now, last, piece);
            }
            if end == 0 {
                self.line(&mut out, &now, true, b"");
            }
            rest = &rest[end + 1..];
        }
        while rest.len() >= LONGEST {
            self.line(&mut out, &now, false, &rest[..LONGEST]);
            rest = &rest[LONGEST..];
        }
        let kept = rest.len();
        self.pending.drain(..self.pending.len() - kept);
        self.append(&out)
    }

    /// Writes what has no line end.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let mut out = Vec::new();
        let now = cli::rfc3339_nanos(SystemTime::now());
        self.line(&mut out, &now, false, &self.pending);
        self.pending.clear();
        self.append(&out)
    }

    fn line(&self, out: &mut Vec<u8>, now: &str, whole: bool, piece: &[u8]) {
        let tag = if whole { 'F' } else { 'P' };
        out.extend_from_slice(format!("{now} {} {tag} ", self.stream.name()).as_bytes());
        out.extend_from_slice(piece);
        out.push(b'\n');
    }

    /// One write for all lines, so that those of the two streams do not mix.
    fn append(&self, lines: &[u8]) -> io::Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        self.log.0.lock().unwrap_or_else(PoisonError::into_inner).write_all(lines)
    }
}

/// One line of a log.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LogLine<'a> {
    pub(crate) time: &'a str,
    pub(crate) stream: Stream,
    /// Whether the line ends here.
    pub(crate) whole: bool,
    pub(crate) text: &'a [u8],
}

impl<'a> LogLine<'a> {
    /// Understands a line without its line feed; `None` for one that is not of this format.
    pub(crate) fn parse(line: &'a [u8]) -> Option<Self> {
        let mut fields = line.splitn(4, |&byte| byte == b' ');
        let time = std::str::from_utf8(fields.next()?).ok()?;
        let stream = match fields.next()? {
            b"stdout" => Stream::Stdout,
            b"stderr" => Stream::Stderr,
            _ => return None,
        };
        let whole = match fields.next()? {
            b"F" => true,
            b"P" => false,
            _ => return None,
        };
        Some(Self { time, stream, whole, text: fields.next()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(pieces: &[&[u8]]) -> Vec<(bool, Vec<u8>)> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut stream = Log::create(&path).unwrap().stream(Stream::Stderr);
        for piece in pieces {
            stream.write(piece).unwrap();
        }
        stream.finish().unwrap();
        let text = std::fs::read(&path).unwrap();
        text.split(|&byte| byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| LogLine::parse(line).unwrap())
            .inspect(|line| assert_eq!(line.stream, Stream::Stderr))
            .map(|line| (line.whole, line.text.to_vec()))
            .collect()
    }

    #[test]
    fn lines_come_back_whole_however_they_were_cut() {
        let want = vec![(true, b"one".to_vec()), (true, b"".to_vec()), (true, b"t\xffo".to_vec())];
        assert_eq!(written(&[b"one\n\nt\xffo\n"]), want);
        assert_eq!(written(&[b"on", b"e\n", b"\nt", b"\xffo", b"\n"]), want);
    }

    #[test]
    fn a_line_without_end_is_partial() {
        assert_eq!(written(&[b"$ "]), [(false, b"$ ".to_vec())]);
    }

    #[test]
    fn long_lines_are_cut_and_lose_nothing() {
        for length in [LONGEST - 1, LONGEST, LONGEST + 1, 3 * LONGEST] {
            let mut line = vec![b'x'; length];
            line.push(b'\n');
            for pieces in [vec![&line[..]], line.chunks(1000).collect()] {
                let found = written(&pieces);
                let text: Vec<u8> = found.iter().flat_map(|(_, text)| text.clone()).collect();
                assert_eq!(text.len(), length);
                assert_eq!(found.iter().filter(|(whole, _)| *whole).count(), 1, "{length}");
                assert!(found.last().unwrap().0);
            }
        }
    }

    #[test]
    fn strange_lines_are_refused() {
        for line in [&b"x"[..], b"t stdout X a", b"t std F a", b"t stdout F"] {
            assert_eq!(LogLine::parse(line), None);
        }
    }
}
