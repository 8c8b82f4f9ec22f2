//! Messages: for people a line on stderr, for engines a line in `--log` as logrus writes them, which is
//! what containerd, podman and cri-o read.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::time::SystemTime;

use container::Level;

use crate::arguments::{Globals, LogFormat};

/// Where messages go.
pub(crate) struct Log {
    file: Option<PathBuf>,
    format: LogFormat,
    debug: bool,
}

impl Log {
    pub(crate) fn new(globals: &Globals) -> Self {
        Self { file: globals.log.clone(), format: globals.log_format, debug: globals.debug }
    }

    /// What matters enough to be written.
    pub(crate) fn least(&self) -> Level {
        if self.debug { Level::Debug } else { Level::Warning }
    }

    /// A failure with its causes, in one line.
    pub(crate) fn error(&self, error: &anyhow::Error) {
        self.tell_error("tare-runtime: error: ", error);
    }

    /// The same without our name before it.
    pub(crate) fn error_plainly(&self, error: &anyhow::Error) {
        self.tell_error("", error);
    }

    fn tell_error(&self, prefix: &str, error: &anyhow::Error) {
        let message = bearable(format!("{error:#}"));
        let unwritten = self.append("error", &message);
        eprintln!("{prefix}{}", message.replace('\n', " "));
        if let Err(error) = unwritten {
            eprintln!("tare-runtime: error: write the log: {error}");
        }
    }

    /// What is done, when asked.
    pub(crate) fn debug(&self, message: &str) {
        if !self.debug {
            return;
        }
        if self.file.is_none() {
            eprint!("{}", line(LogFormat::Text, "debug", message));
        } else if let Err(error) = self.append("debug", message) {
            eprintln!("tare-runtime: error: write the log: {error}");
        }
    }

    /// What the engine has to say though nothing failed.
    pub(crate) fn notice(&self, level: Level, message: &str) {
        if level == Level::Debug {
            return self.debug(message);
        }
        let unwritten = self.append("warning", message);
        if self.file.is_none() || unwritten.is_err() {
            eprintln!("tare-runtime: warning: {}", message.replace('\n', " "));
        }
    }

    fn append(&self, level: &str, message: &str) -> std::io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let line = line(self.format, level, message);
        OpenOptions::new().create(true).append(true).open(file)?.write_all(line.as_bytes())
    }
}

/// What is repeated of a configuration may be megabytes long: the middle is left out.
fn bearable(message: String) -> String {
    let (begin, end) = (2000, 500);
    if message.len() <= begin + end {
        return message;
    }
    let head = &message[..message.floor_char_boundary(begin)];
    let tail = &message[message.ceil_char_boundary(message.len() - end)..];
    format!("{head} … {tail}")
}

/// A line as logrus writes it.
fn line(format: LogFormat, level: &str, message: &str) -> String {
    let time = container::timestamp(SystemTime::now());
    match format {
        LogFormat::Json => {
            let line = serde_json::json!({ "level": level, "msg": message, "time": time });
            format!("{line}\n")
        }
        LogFormat::Text => format!("time=\"{time}\" level={level} msg={message:?}\n"),
    }
}
