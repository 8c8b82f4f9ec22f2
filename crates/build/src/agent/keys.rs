//! An agent for key files: OpenSSH's, started for the build.
//!
//! ```text
//! ssh-agent ── sh: ssh-add each key, say where the socket is, wait for the end of input, end the agent
//! ```
//!
//! The shell's input is a pipe that only the builder holds, so that the agent ends with it, however
//! that may be. A key reaches the agent through the shell's redirection; it is written nowhere.

use std::io::{self, BufRead as _, BufReader, Read as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::Error;

const SCRIPT: &str = r#"
for key; do ssh-add -q - <"$key" || { kill "$SSH_AGENT_PID"; exit 1; }; done
echo "$SSH_AUTH_SOCK"
exec >/dev/null 2>&1
cat
kill "$SSH_AGENT_PID"
"#;

/// An agent that holds keys. Ends when dropped.
pub(crate) struct KeyAgent {
    socket: PathBuf,
    child: Child,
}

impl KeyAgent {
    /// Starts an agent with these keys, none of which may have a passphrase.
    pub(crate) fn start(id: &str, keys: &[PathBuf]) -> Result<Self, Error> {
        let failed = |why: String| Error::Agent { id: id.to_owned(), why };
        let mut child = spawn(keys).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => failed("ssh-agent is not installed".to_owned()),
            _ => failed(format!("cannot start ssh-agent: {error}")),
        })?;
        let mut line = String::new();
        let read = child.stdout.take().map(|out| BufReader::new(out).read_line(&mut line));
        if !matches!(read, Some(Ok(1..))) {
            let said = said(&mut child);
            let _ = child.wait();
            return Err(failed(said));
        }
        Ok(Self { socket: PathBuf::from(line.trim_end()), child })
    }

    /// Where it listens.
    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }
}

impl Drop for KeyAgent {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

fn spawn(keys: &[PathBuf]) -> io::Result<Child> {
    Command::new("ssh-agent")
        .args(["sh", "-c", SCRIPT, "sh"])
        .args(keys)
        // Nobody is there to be asked for a passphrase.
        .env("SSH_ASKPASS", "/bin/false")
        .env("SSH_ASKPASS_REQUIRE", "force")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
}

/// What the programs said, as one line.
fn said(child: &mut Child) -> String {
    let mut text = String::new();
    if let Some(err) = child.stderr.take() {
        let _ = err.take(4096).read_to_string(&mut text);
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
