//! Messages: for people a line on stderr, for engines a line in `--log` as logrus writes them, which is
//! what containerd, podman and cri-o read.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::time::SystemTime;

use anyhow::Context;
use container::Level;

use crate::arguments::{Arguments, LogFormat};

/// Where messages go.
pub(crate) struct Log {
    file: Option<PathBuf>,
    format: LogFormat,
    debug: bool,
    /// The program and command that this one was called as, when not by its own name.
    stands_for: Option<String>,
}

impl Log {
    /// The file is there from the beginning, as runc's is.
    pub(crate) fn open(arguments: &Arguments) -> anyhow::Result<Self> {
        let globals = &arguments.globals;
        let (file, stands_for) = (globals.log.clone(), arguments.stands_for.clone());
        if let Some(file) = &file {
            let made = OpenOptions::new().create(true).append(true).open(file);
            made.with_context(|| format!("open the log {}", file.display()))?;
        }
        Ok(Self { file, format: globals.log_format, debug: globals.debug, stands_for })
    }

    /// What matters enough to be written.
    pub(crate) fn least(&self) -> Level {
        if self.debug { Level::Debug } else { Level::Warning }
    }

    /// A failure with its causes, in one line. Who put this program in runc's place reads what runc's
    /// users and their scripts look for.
    pub(crate) fn error(&self, error: &anyhow::Error) {
        let Some(called) = &self.stands_for else {
            return self.tell_error("tare-runtime: error: ", format!("{error:#}"));
        };
        let in_container = matches!(error.downcast_ref(), Some(container::Error::Init(_)));
        let where_to = match in_container {
            true => "unable to start container process: error during container init: ",
            false => "",
        };
        self.tell_error("", format!("{called} failed: {where_to}{error:#}"));
    }

    /// The same without our name before it.
    pub(crate) fn error_plainly(&self, error: &anyhow::Error) {
        self.tell_error("", format!("{error:#}"));
    }

    fn tell_error(&self, prefix: &str, message: String) {
        let message = bearable(message);
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
