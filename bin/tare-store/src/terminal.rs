//! Asking the user at the terminal.

use std::io::{self, Write as _};

use anyhow::Context as _;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

/// Asks on standard error and reads a line; with `echo` the user sees what is typed.
pub(crate) fn ask(question: &str, echo: bool) -> anyhow::Result<String> {
    let failed = "cannot ask at the terminal";
    let mut out = io::stderr();
    out.write_all(question.as_bytes()).and_then(|()| out.flush()).context(failed)?;
    let _silent = if echo { None } else { Some(Silent::new().context(failed)?) };
    let mut line = String::new();
    io::stdin().read_line(&mut line).context(failed)?;
    if !echo {
        out.write_all(b"\n").context(failed)?;
    }
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// The terminal without echo, until it is dropped.
struct Silent(rustix::termios::Termios);

impl Silent {
    fn new() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut silent = before.clone();
        silent.local_modes -= LocalModes::ECHO;
        tcsetattr(io::stdin(), OptionalActions::Now, &silent)?;
        Ok(Self(before))
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}
