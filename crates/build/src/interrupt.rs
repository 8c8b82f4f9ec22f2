//! A flag that asks a build to stop. Setting it is all a signal handler has to do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Asks a build, or one part of it, to stop as soon as it can leave nothing behind.
///
/// Clones share the flag. A [child](Interrupt::child) is stopped with its parent, but not the other
/// way round: a failing stage stops its siblings, not the program.
#[derive(Clone, Debug, Default)]
pub struct Interrupt {
    flag: Arc<AtomicBool>,
    parent: Option<Arc<AtomicBool>>,
}

impl Interrupt {
    /// A flag that is not set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Watches a flag that someone else sets, such as a signal handler.
    pub fn watching(flag: Arc<AtomicBool>) -> Self {
        Self { flag, parent: None }
    }

    /// A flag of its own that is also set when this one is.
    pub fn child(&self) -> Self {
        Self { flag: Arc::default(), parent: Some(self.flag.clone()) }
    }

    /// Asks to stop.
    pub fn set(&self) {
        self.flag.store(true, Ordering::Release);
    }

    /// An error, once somebody asked to stop.
    pub(crate) fn check(&self) -> Result<(), crate::Error> {
        if self.is_set() { Err(crate::Error::Interrupted) } else { Ok(()) }
    }

    /// Whether somebody asked to stop.
    pub fn is_set(&self) -> bool {
        let set = |flag: &Arc<AtomicBool>| flag.load(Ordering::Acquire);
        set(&self.flag) || self.parent.as_ref().is_some_and(set)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_stops_with_its_parent_only() {
        let parent = Interrupt::new();
        let (one, two) = (parent.child(), parent.child());
        one.set();
        assert!(one.is_set() && !two.is_set() && !parent.is_set());
        parent.set();
        assert!(two.is_set());
    }
}
