//! The shim's own messages, in logrus' text form, which containerd copies from the bundle's `log` FIFO
//! into its log. The FIFO is the serving process's stderr; a message that it has no room for is lost.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

static DEBUG: AtomicBool = AtomicBool::new(false);

/// Whether [`debug`] writes.
pub(crate) fn set_debug(on: bool) {
    DEBUG.store(on, Ordering::Relaxed);
}

/// Something went wrong that no request can answer for.
pub(crate) fn error(message: &str) {
    write("error", message);
}

/// What is done, with `-debug`.
pub(crate) fn debug(message: &str) {
    if DEBUG.load(Ordering::Relaxed) {
        write("debug", message);
    }
}

fn write(level: &str, message: &str) {
    let time = cli::rfc3339_nanos(SystemTime::now());
    let line =
        format!("time=\"{time}\" level={level} msg={message:?} runtime={}\n", crate::RUNTIME_NAME);
    let _ = std::io::stderr().write_all(line.as_bytes());
}
