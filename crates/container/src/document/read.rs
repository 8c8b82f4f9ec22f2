//! What a value becomes where a type is wanted; see the module's head for the rules.

use serde::de::value::Error;
use serde::de::{Deserializer, Error as _, IntoDeserializer, Visitor};

use super::access::{Elements, Entries, Members};
use super::node::Node;
use super::{Go, Trail};

/// Values that oci-spec spells otherwise than runtime-spec: type, value, and what oci-spec takes.
const SPELLINGS: [(&str, &str, &str); 3] = [
    ("LinuxSchedulerFlag", "SCHED_FLAG_RESET_ON_FORK", "SCHED_RESET_ON_FORK"),
    ("LinuxSchedulerFlag", "SCHED_FLAG_DL_OVERRUN", "SCHED_FLAG_D_L_OVERRUN"),
    ("LinuxDeviceType", "", "a"),
];

impl Go<'_, '_> {
    fn refuse<'de, V: Visitor<'de>>(&self, visitor: &V) -> Error {
        Error::invalid_type(self.node.unexpected(), visitor)
    }
}

/// Scalars: `null` is the type's zero value, of others the visitor decides.
macro_rules! scalars {
    ($($method:ident $zero:expr),* $(,)?) => {$(
        fn $method<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Error> {
            match self.node {
                Node::Null => self.node = $zero,
                Node::List(_) | Node::Map(_) => return Err(self.refuse(&visitor)),
                _ => {}
            }
            self.deserialize_any(visitor)
        }
    )*};
}

impl<'de> Deserializer<'de> for Go<'_, 'de> {
    type Error = Error;

    scalars! {
        deserialize_bool Node::Bool(false), deserialize_i8 Node::Unsigned(0),
        deserialize_i16 Node::Unsigned(0), deserialize_i32 Node::Unsigned(0),
        deserialize_i64 Node::Unsigned(0), deserialize_u8 Node::Unsigned(0),
        deserialize_u16 Node::Unsigned(0), deserialize_u32 Node::Unsigned(0),
        deserialize_u64 Node::Unsigned(0), deserialize_str Node::Text("".into()),
        deserialize_string Node::Text("".into()), deserialize_char Node::Text("".into()),
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.node {
            Node::Null => visitor.visit_unit(),
            Node::Bool(value) => visitor.visit_bool(value),
            Node::Unsigned(value) => visitor.visit_u64(value),
            Node::Signed(value) => visitor.visit_i64(value),
            Node::Float(value) => visitor.visit_f64(value),
            Node::Text(value) => value.into_deserializer().deserialize_any(visitor),
            Node::List(nodes) => visitor.visit_seq(Elements::new(nodes, self.trail)),
            Node::Map(members) => visitor.visit_map(Entries::new(members, self.trail)),
        }
    }

    /// `null` and absence are one.
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.node {
            Node::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.node {
            Node::Null => visitor.visit_seq(Elements::new(Vec::new(), self.trail)),
            Node::List(nodes) => visitor.visit_seq(Elements::new(nodes, self.trail)),
            _ => Err(self.refuse(&visitor)),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.node {
            Node::Null => visitor.visit_map(Entries::new(Vec::new(), self.trail)),
            Node::Map(members) => visitor.visit_map(Entries::new(members, self.trail)),
            _ => Err(self.refuse(&visitor)),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let members = match self.node {
            Node::Null => Vec::new(),
            Node::Map(members) => members,
            _ => return Err(Error::invalid_type(self.node.unexpected(), &"an object")),
        };
        visitor.visit_map(Members::new(members, self.trail, fields))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let value = match &self.node {
            Node::Null => None,
            Node::Text(value) => spelling(name, value),
            _ => return Err(self.refuse(&visitor)),
        };
        let value = value.or_else(|| default(name, self.trail));
        let value = value.ok_or_else(|| Error::custom("missing"))?;
        visitor.visit_enum(value.into_deserializer()).map_err(|error: Error| match name {
            // Named as in runc's messages.
            "MemoryPolicyModeType" => Error::custom(format!("invalid memory policy mode: {error}")),
            "MemoryPolicyFlagType" => Error::custom(format!("invalid memory policy flag: {error}")),
            _ => error,
        })
    }

    serde::forward_to_deserialize_any! {
        i128 u128 f32 f64 bytes byte_buf unit unit_struct tuple tuple_struct identifier ignored_any
    }
}

/// A value of an enumeration as oci-spec spells it, if there is one.
fn spelling<'v>(name: &str, value: &'v str) -> Option<&'v str> {
    let other = SPELLINGS.iter().find(|(kind, spec, _)| *kind == name && *spec == value);
    Some(other.map_or(value, |(_, _, ours)| ours)).filter(|value| !value.is_empty())
}

/// An enumeration has no zero value: a missing one is an error, but for two, which are noticed.
fn default(name: &str, trail: &Trail) -> Option<&'static str> {
    if trail.at_default_action() {
        trail.without_default_action.set(true);
        return Some("SCMP_ACT_ALLOW");
    }
    if name == "MemoryPolicyModeType" {
        trail.without_memory_mode.set(true);
        return Some("MPOL_DEFAULT");
    }
    None
}
