//! The members of lists, maps and structures, each read with its place in the document in mind.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use oci_spec::runtime::Capability;
use serde::de::{
    DeserializeSeed, Deserializer, Error, IgnoredAny, IntoDeserializer, MapAccess, SeqAccess,
    Visitor,
};

use super::{Go, Step, Trail};

/// Has a value read by our rules.
struct Seed<'t, S> {
    seed: S,
    trail: &'t Trail,
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Seed<'_, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<S::Value, D::Error> {
        self.seed.deserialize(Go { inner, trail: self.trail })
    }
}

/// A list.
pub(super) struct Elements<'t, A> {
    pub(super) list: A,
    pub(super) trail: &'t Trail,
    pub(super) index: usize,
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Elements<'_, A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        let (trail, list) = (self.trail, &mut self.list);
        if trail.in_capabilities() {
            return next_capability(list, trail, seed);
        }
        let step = Step::Index(self.index);
        self.index += 1;
        trail.step(step, || list.next_element_seed(Seed { seed, trail }))
    }
}

/// Capabilities that only a newer kernel or nobody knows are left out, as runc leaves them out: nobody
/// has them. They count by their exact names.
fn next_capability<'de, A: SeqAccess<'de>, S: DeserializeSeed<'de>>(
    list: &mut A,
    trail: &Trail,
    seed: S,
) -> Result<Option<S::Value>, A::Error> {
    while let Some(name) = list.next_element_seed(Text)? {
        let known =
            name.strip_prefix("CAP_").is_some_and(|name| Capability::from_str(name).is_ok());
        if known {
            return seed.deserialize(name.into_deserializer()).map(Some);
        }
        let mut unknown = trail.unknown_capabilities.borrow_mut();
        if !unknown.iter().any(|have| *have == name) {
            unknown.push(name.into_owned());
        }
    }
    Ok(None)
}

/// A map with keys of the document's own.
pub(super) struct Entries<'t, A> {
    pub(super) map: A,
    pub(super) trail: &'t Trail,
    pub(super) key: String,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Entries<'_, A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        let Some(key) = self.map.next_key_seed(Text)? else { return Ok(None) };
        self.key.clear();
        self.key.push_str(&key);
        seed.deserialize(key.into_deserializer()).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        let (trail, map) = (self.trail, &mut self.map);
        let step = Step::Key(std::mem::take(&mut self.key));
        trail.step(step, || map.next_value_seed(Seed { seed, trail }))
    }
}

/// A structure: its members by their names in any case, and at the end those that are missing.
pub(super) struct Members<'t, A> {
    map: A,
    trail: &'t Trail,
    fields: &'static [&'static str],
    /// A bit for each field that has been there.
    seen: u64,
    current: Current,
}

/// Whose value comes next.
enum Current {
    Given(usize),
    Missing(usize),
}

impl<'t, A> Members<'t, A> {
    pub(super) fn new(map: A, trail: &'t Trail, fields: &'static [&'static str]) -> Self {
        debug_assert!(fields.len() <= 64, "a bit for each field");
        Self { map, trail, fields, seen: 0, current: Current::Missing(0) }
    }

    fn position(&self, name: &str) -> Option<usize> {
        let exact = self.fields.iter().position(|field| *field == name);
        exact.or_else(|| self.fields.iter().position(|field| field.eq_ignore_ascii_case(name)))
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Members<'_, A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        while let Some(key) = self.map.next_key_seed(Text)? {
            let Some(index) = self.position(&key) else {
                self.map.next_value::<IgnoredAny>()?;
                continue;
            };
            if self.seen & (1 << index) != 0 {
                return Err(A::Error::custom(format!("{} is given twice", self.fields[index])));
            }
            self.seen |= 1 << index;
            self.current = Current::Given(index);
            return seed.deserialize(self.fields[index].into_deserializer()).map(Some);
        }
        let missing = (0..self.fields.len()).find(|index| self.seen & (1 << index) == 0);
        let Some(index) = missing else { return Ok(None) };
        self.seen |= 1 << index;
        self.current = Current::Missing(index);
        seed.deserialize(self.fields[index].into_deserializer()).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        let (trail, map, fields) = (self.trail, &mut self.map, self.fields);
        let seed = Seed { seed, trail };
        match self.current {
            Current::Given(index) => {
                trail.step(Step::Field(fields[index]), || map.next_value_seed(seed))
            }
            Current::Missing(index) => trail.step(Step::Field(fields[index]), || {
                seed.deserialize(Null::<A::Error>(PhantomData))
            }),
        }
    }
}

/// A missing member's value.
struct Null<E>(PhantomData<E>);

impl<'de, E: Error> Deserializer<'de> for Null<E> {
    type Error = E;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
        visitor.visit_unit()
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
        visitor.visit_none()
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// The members of a structure that is `null`.
pub(super) struct NoMembers<E>(PhantomData<E>);

impl<E> NoMembers<E> {
    pub(super) fn new() -> Self {
        Self(PhantomData)
    }
}

impl<'de, E: Error> MapAccess<'de> for NoMembers<E> {
    type Error = E;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, _: S) -> Result<Option<S::Value>, E> {
        Ok(None)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, _: S) -> Result<S::Value, E> {
        Err(E::custom("a value without its name"))
    }
}

/// A string, borrowed from the document where it can be.
struct Text;

impl<'de> DeserializeSeed<'de> for Text {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<Self::Value, D::Error> {
        inner.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Text {
    type Value = Cow<'de, str>;

    fn expecting(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        text.write_str("a string")
    }

    fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(value.to_owned()))
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(""))
    }
}
