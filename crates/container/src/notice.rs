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

type Listener = (Level, fn(Level, &str));

static LISTENER: OnceLock<Listener> = OnceLock::new();

/// Has notices told to `listener` from now on, those of `least` and what matters more; of several
/// calls the first counts.
pub fn on_notice(least: Level, listener: fn(Level, &str)) {
    let _ = LISTENER.set((least, listener));
}

pub(crate) fn warn(text: &str) {
    if let Some((_, listener)) = LISTENER.get() {
        listener(Level::Warning, text);
    }
}

pub(crate) fn debug(text: impl FnOnce() -> String) {
    if let Some((Level::Debug, listener)) = LISTENER.get() {
        listener(Level::Debug, &text());
    }
}

/// Whether anyone listens to what [`debug`] tells.
pub(crate) fn debugs() -> bool {
    LISTENER.get().is_some_and(|(least, _)| *least == Level::Debug)
}
