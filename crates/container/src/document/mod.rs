//! Reads JSON documents as Go does, for engines and runc are written in Go: a member that is `null` or
//! missing has its type's zero value, names match in any case, unknown members are passed over.
//!
//! oci-spec's types alone would refuse `"user": null`, a system call argument without `value`, or a
//! capability that is newer than they are. Here, an error names the member by its path
//! (`linux.resources.memory.limit`). Size and depth are bounded; nothing is read twice.
//!
//! Two things differ from Go, both refused instead of guessed: a member given twice, and text that is
//! not UTF-8.

mod access;
mod visit;

use std::cell::{Cell, RefCell};
use std::fmt::Write;

use serde::de::{DeserializeOwned, Deserializer, Visitor};

use crate::error::{Error, Result};
use visit::{EnumVisitor, Expect, ScalarVisitor, StructVisitor, Zero};

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
    let trail = Trail::default();
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let parsed = T::deserialize(Go { inner: &mut json, trail: &trail });
    let value = parsed
        .and_then(|value| json.end().map(|()| value))
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
struct Go<'t, D> {
    inner: D,
    trail: &'t Trail,
}

/// Values that are no composites: what the document has decides, the visitor checks.
macro_rules! scalars {
    ($($method:ident $zero:expr),* $(,)?) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            self.inner.deserialize_any(ScalarVisitor { visitor, zero: $zero })
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Go<'_, D> {
    type Error = D::Error;

    scalars! {
        deserialize_bool Zero::Bool, deserialize_i8 Zero::Number, deserialize_i16 Zero::Number,
        deserialize_i32 Zero::Number, deserialize_i64 Zero::Number, deserialize_u8 Zero::Number,
        deserialize_u16 Zero::Number, deserialize_u32 Zero::Number, deserialize_u64 Zero::Number,
        deserialize_str Zero::Text, deserialize_string Zero::Text, deserialize_char Zero::Text,
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_option(visit::OptionVisitor { visitor, trail: self.trail })
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_any(visit::CompositeVisitor {
            visitor,
            trail: self.trail,
            expect: Expect::List,
        })
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_any(visit::CompositeVisitor {
            visitor,
            trail: self.trail,
            expect: Expect::Map,
        })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.inner.deserialize_any(StructVisitor { visitor, trail: self.trail, fields })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.inner.deserialize_any(EnumVisitor { visitor, trail: self.trail, name })
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_ignored_any(visitor)
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_any(visitor)
    }

    serde::forward_to_deserialize_any! {
        i128 u128 f32 f64 bytes byte_buf unit unit_struct tuple tuple_struct identifier
    }
}

#[cfg(test)]
mod tests;
