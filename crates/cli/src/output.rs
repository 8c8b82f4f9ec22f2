//! Standard output for results, standard error for messages.

use std::fmt;
use std::io::{self, ErrorKind, IsTerminal as _, Write};

use serde::Serialize;

/// Buffered standard output, flushed by [`Out::finish`].
///
/// Use it in place of `println!`: a reader that went away becomes an error that [`crate::run`]
/// passes over, and a full disk becomes an error that is reported.
#[derive(Debug)]
pub struct Out(io::BufWriter<io::StdoutLock<'static>>);

impl Out {
    /// Standard output, locked for this thread.
    #[expect(clippy::new_without_default, reason = "it takes a lock")]
    pub fn new() -> Self {
        Self(io::BufWriter::with_capacity(64 << 10, io::stdout().lock()))
    }

    /// Writes what is buffered. Without it, an error at the end would be lost.
    ///
    /// # Errors
    /// Where standard output cannot be written.
    pub fn finish(mut self) -> io::Result<()> {
        self.flush()
    }
}

impl Write for Out {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.write(buf).map_err(ClosedOutput::mark)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().and_then(|()| self.0.get_mut().flush()).map_err(ClosedOutput::mark)
    }
}

/// Prints one line of result.
///
/// # Errors
/// Where standard output cannot be written.
pub fn print(line: impl fmt::Display) -> io::Result<()> {
    let mut out = Out::new();
    writeln!(out, "{line}")?;
    out.finish()
}

/// Prints a value as indented JSON and a line feed.
///
/// # Errors
/// Where standard output cannot be written or the value cannot be serialised.
pub fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    let mut text = serde_json::to_string_pretty(value)?;
    text.push('\n');
    let mut out = Out::new();
    out.write_all(text.as_bytes())?;
    Ok(out.finish()?)
}

/// Prints a warning on standard error. While a [`crate::Progress`] is live, use its own instead.
pub fn warn(message: impl fmt::Display) {
    let (yellow, off) =
        if io::stderr().is_terminal() { ("\x1b[1;33m", "\x1b[0m") } else { ("", "") };
    to_stderr(&format!("{yellow}warning:{off} {message}\n"));
}

/// Prints a line on standard error.
pub fn note(message: impl fmt::Display) {
    to_stderr(&format!("{message}\n"));
}

/// One write, so that lines of several processes do not mix. There is nobody to tell of a failure.
pub(crate) fn to_stderr(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

/// Marks an error as "nobody reads our standard output", in contrast to any other broken pipe.
#[derive(Debug, thiserror::Error)]
#[error("standard output is closed")]
pub(crate) struct ClosedOutput;

impl ClosedOutput {
    pub(crate) fn wrap() -> io::Error {
        io::Error::new(ErrorKind::BrokenPipe, Self)
    }

    pub(crate) fn mark(error: io::Error) -> io::Error {
        if error.kind() == ErrorKind::BrokenPipe { Self::wrap() } else { error }
    }
}
