//! The members of lists, maps and structures, each read with its place in the document in mind.

use std::borrow::Cow;
use std::str::FromStr;
use std::vec;

use oci_spec::runtime::Capability;
use serde::de::value::Error;
use serde::de::{DeserializeSeed, Error as _, IntoDeserializer, MapAccess, SeqAccess};

use super::node::Node;
use super::{Go, Step, Trail};

/// A list.
pub(super) struct Elements<'t, 'de> {
    nodes: vec::IntoIter<Node<'de>>,
    trail: &'t Trail,
    index: usize,
}

impl<'t, 'de> Elements<'t, 'de> {
    pub(super) fn new(nodes: Vec<Node<'de>>, trail: &'t Trail) -> Self {
        Self { nodes: nodes.into_iter(), trail, index: 0 }
    }

    /// Capabilities that only a newer kernel or nobody knows are left out, as runc leaves them out: nobody
    /// has them. They count by their exact names.
    fn next_node(&mut self) -> Option<Node<'de>> {
        if !self.trail.in_capabilities() {
            return self.nodes.next();
        }
        self.nodes.find(|node| match node {
            Node::Null => self.trail.leave_out(""),
            Node::Text(name) => is_known(name) || self.trail.leave_out(name),
            _ => true,
        })
    }
}

fn is_known(capability: &str) -> bool {
    capability.strip_prefix("CAP_").is_some_and(|name| Capability::from_str(name).is_ok())
}

impl<'de> SeqAccess<'de> for Elements<'_, 'de> {
    type Error = Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Error> {
        let Some(node) = self.next_node() else { return Ok(None) };
        let step = Step::Index(self.index);
        self.index += 1;
        let trail = self.trail;
        trail.step(step, || seed.deserialize(Go { node, trail })).map(Some)
    }
}

/// A map with keys of the document's own.
pub(super) struct Entries<'t, 'de> {
    members: vec::IntoIter<(Cow<'de, str>, Node<'de>)>,
    trail: &'t Trail,
    current: Option<(String, Node<'de>)>,
}

impl<'t, 'de> Entries<'t, 'de> {
    pub(super) fn new(members: Vec<(Cow<'de, str>, Node<'de>)>, trail: &'t Trail) -> Self {
        Self { members: members.into_iter(), trail, current: None }
    }
}

impl<'de> MapAccess<'de> for Entries<'_, 'de> {
    type Error = Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Error> {
        let Some((name, node)) = self.members.next() else { return Ok(None) };
        self.current = Some((name.clone().into_owned(), node));
        seed.deserialize(name.into_deserializer()).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Error> {
        let (name, node) = self.current.take().ok_or_else(without_name)?;
        let trail = self.trail;
        trail.step(Step::Key(name), || seed.deserialize(Go { node, trail }))
    }
}

/// A structure: its members by their names in any case, and at the end those that are missing.
pub(super) struct Members<'t, 'de> {
    members: vec::IntoIter<(Cow<'de, str>, Node<'de>)>,
    trail: &'t Trail,
    fields: &'static [&'static str],
    /// A bit for each field that has been there.
    seen: u64,
    current: Option<(usize, Node<'de>)>,
}

impl<'t, 'de> Members<'t, 'de> {
    pub(super) fn new(
        members: Vec<(Cow<'de, str>, Node<'de>)>,
        trail: &'t Trail,
        fields: &'static [&'static str],
    ) -> Self {
        debug_assert!(fields.len() <= 64, "a bit for each field");
        Self { members: members.into_iter(), trail, fields, seen: 0, current: None }
    }

    fn position(&self, name: &str) -> Option<usize> {
        let exact = self.fields.iter().position(|field| *field == name);
        exact.or_else(|| self.fields.iter().position(|field| field.eq_ignore_ascii_case(name)))
    }

    /// The next field with its value: those that are given, then those that are not.
    fn next_field(&mut self) -> Result<Option<(usize, Node<'de>)>, Error> {
        while let Some((name, node)) = self.members.next() {
            let Some(index) = self.position(&name) else { continue };
            if self.seen & (1 << index) != 0 {
                return Err(Error::custom(format!("{} is given twice", self.fields[index])));
            }
            self.seen |= 1 << index;
            return Ok(Some((index, node)));
        }
        let missing = (0..self.fields.len()).find(|index| self.seen & (1 << index) == 0);
        Ok(missing.map(|index| {
            self.seen |= 1 << index;
            (index, Node::Null)
        }))
    }
}

impl<'de> MapAccess<'de> for Members<'_, 'de> {
    type Error = Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Error> {
        self.current = self.next_field()?;
        let Some((index, _)) = self.current else { return Ok(None) };
        seed.deserialize(self.fields[index].into_deserializer()).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Error> {
        let (index, node) = self.current.take().ok_or_else(without_name)?;
        let trail = self.trail;
        trail.step(Step::Field(self.fields[index]), || seed.deserialize(Go { node, trail }))
    }
}

/// serde's order of calls was not kept.
fn without_name() -> Error {
    Error::custom("a value without its name")
}
