//! What is worth saying though nothing failed: warnings, and what `--debug` tells. The program that
//! uses this crate says where it goes; without that nobody pays for a text.

use std::sync::OnceLock;

/// How much a notice matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Something was asked for that is passed over.
    Warning,
    /// How something is done.
    Debug,
}

static LISTENER: OnceLock<fn(Level, &str)> = OnceLock::new();

/// Has notices told to `listener` from now on; of several calls the first counts.
pub fn on_notice(listener: fn(Level, &str)) {
    let _ = LISTENER.set(listener);
}

pub(crate) fn warn(text: &str) {
    if let Some(listener) = LISTENER.get() {
        listener(Level::Warning, text);
    }
}

pub(crate) fn debug(text: impl FnOnce() -> String) {
    if let Some(listener) = LISTENER.get() {
        listener(Level::Debug, &text());
    }
}
