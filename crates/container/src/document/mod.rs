//! Reads JSON documents as Go does, for engines and runc are written in Go: a member that is `null` or
//! missing has its type's zero value, names match in any case, unknown members are passed over.
//!
//! oci-spec's types alone would refuse `"user": null`, a system call argument without `value`, or a
//! capability that is newer than they are. Here, an error names the member by its path
//! (`linux.resources.memory.limit`). Size and depth are bounded.
//!
//! Two things differ from Go, both refused instead of guessed: a member given twice, and text that is
//! not UTF-8.

mod access;
mod node;
mod read;

use std::cell::{Cell, RefCell};
use std::fmt::Write;

use serde::de::DeserializeOwned;

use self::node::Node;
use crate::error::{Error, Result};

/// A document, and what was noticed while it was read.
#[derive(Debug)]
pub(crate) struct Document<T> {
    pub(crate) value: T,
    /// Capabilities that are not known, each once; they were left out.
    pub(crate) unknown_capabilities: Vec<String>,
    /// A seccomp profile has no `defaultAction`.
    pub(crate) without_default_action: bool,
    /// A memory policy has no `mode`.
    pub(crate) without_memory_mode: bool,
}

/// Parses a document; `name` is what an error calls it where no member is to blame.
pub(crate) fn parse<T: DeserializeOwned>(name: &str, bytes: &[u8]) -> Result<Document<T>> {
    let node =
        serde_json::from_slice(bytes).map_err(|error| Error::spec(name, error.to_string()))?;
    let trail = Trail::default();
    let value = T::deserialize(Go { node, trail: &trail })
        .map_err(|error| Error::spec(trail.blamed().unwrap_or(name.into()), error.to_string()))?;
    Ok(Document {
        value,
        unknown_capabilities: trail.unknown_capabilities.into_inner(),
        without_default_action: trail.without_default_action.get(),
        without_memory_mode: trail.without_memory_mode.get(),
    })
}

/// A step from a value to one of its members.
#[derive(Debug)]
enum Step {
    Field(&'static str),
    Key(String),
    Index(usize),
}

/// Where in the document we are, and what was noticed on the way.
#[derive(Debug, Default)]
struct Trail {
    steps: RefCell<Vec<Step>>,
    failed: RefCell<Option<String>>,
    unknown_capabilities: RefCell<Vec<String>>,
    without_default_action: Cell<bool>,
    without_memory_mode: Cell<bool>,
}

impl Trail {
    /// Reads a member; the innermost that fails is remembered.
    fn step<T, E>(&self, step: Step, read: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        self.steps.borrow_mut().push(step);
        let result = read();
        if result.is_err() && self.failed.borrow().is_none() {
            *self.failed.borrow_mut() = Some(self.path());
        }
        self.steps.borrow_mut().pop();
        result
    }

    fn path(&self) -> String {
        let mut path = String::new();
        for step in self.steps.borrow().iter() {
            let dot = if path.is_empty() { "" } else { "." };
            let _ = match step {
                Step::Field(name) => write!(path, "{dot}{name}"),
                Step::Key(name) => write!(path, "[{name:?}]"),
                Step::Index(index) => write!(path, "[{index}]"),
            };
        }
        path
    }

    /// Notices a capability that nobody has; false, since it is not among those that are read.
    fn leave_out(&self, capability: &str) -> bool {
        let mut unknown = self.unknown_capabilities.borrow_mut();
        if !unknown.iter().any(|have| have == capability) {
            unknown.push(capability.to_owned());
        }
        false
    }

    fn blamed(&self) -> Option<String> {
        self.failed.borrow().clone().filter(|path| !path.is_empty())
    }

    /// Whether the list that is being read is one of `process.capabilities`.
    fn in_capabilities(&self) -> bool {
        let steps = self.steps.borrow();
        matches!(steps[..], [.., Step::Field("capabilities"), Step::Field(_)])
    }

    /// Whether the value that is being read is a profile's `defaultAction`.
    fn at_default_action(&self) -> bool {
        matches!(self.steps.borrow().last(), Some(Step::Field("defaultAction")))
    }
}

/// A deserializer whose null is every type's zero value.
struct Go<'t, 'de> {
    node: Node<'de>,
    trail: &'t Trail,
}

#[cfg(test)]
mod tests;
