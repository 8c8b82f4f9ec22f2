//! What becomes of each kind of JSON value; see the module's head for the rules.

use std::borrow::Cow;
use std::fmt;

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{Deserializer, Error, IntoDeserializer, MapAccess, SeqAccess, Visitor};

use super::access::{Elements, Entries, Members, NoMembers};
use super::{Go, Trail};

/// What `null` stands for.
#[derive(Clone, Copy)]
pub(super) enum Zero {
    Bool,
    Number,
    Text,
}

pub(super) struct ScalarVisitor<V> {
    pub(super) visitor: V,
    pub(super) zero: Zero,
}

macro_rules! forward {
    ($($method:ident $type:ty),* $(,)?) => {$(
        fn $method<E: Error>(self, value: $type) -> Result<V::Value, E> {
            self.visitor.$method(value)
        }
    )*};
}

impl<'de, V: Visitor<'de>> Visitor<'de> for ScalarVisitor<V> {
    type Value = V::Value;

    fn expecting(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(text)
    }

    forward! {
        visit_bool bool, visit_i64 i64, visit_u64 u64, visit_f64 f64, visit_str &str,
        visit_borrowed_str &'de str, visit_string String,
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        match self.zero {
            Zero::Bool => self.visitor.visit_bool(false),
            Zero::Number => self.visitor.visit_u64(0),
            Zero::Text => self.visitor.visit_str(""),
        }
    }
}

/// `null` and absence are one; a value is read by our rules.
pub(super) struct OptionVisitor<'t, V> {
    pub(super) visitor: V,
    pub(super) trail: &'t Trail,
}

impl<'de, V: Visitor<'de>> Visitor<'de> for OptionVisitor<'_, V> {
    type Value = V::Value;

    fn expecting(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(text)
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.visitor.visit_none()
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.visitor.visit_none()
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.visitor.visit_some(Go { inner, trail: self.trail })
    }
}

/// Which of both a composite has to be.
#[derive(Clone, Copy)]
pub(super) enum Expect {
    List,
    Map,
}

pub(super) struct CompositeVisitor<'t, V> {
    pub(super) visitor: V,
    pub(super) trail: &'t Trail,
    pub(super) expect: Expect,
}

impl<'de, V: Visitor<'de>> Visitor<'de> for CompositeVisitor<'_, V> {
    type Value = V::Value;

    fn expecting(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(text)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_seq(Elements { list, trail: self.trail, index: 0 })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_map(Entries { map, trail: self.trail, key: String::new() })
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        match self.expect {
            Expect::List => self.visitor.visit_seq(SeqDeserializer::new(std::iter::empty::<u8>())),
            Expect::Map => {
                self.visitor.visit_map(MapDeserializer::new(std::iter::empty::<(u8, u8)>()))
            }
        }
    }
}

pub(super) struct StructVisitor<'t, V> {
    pub(super) visitor: V,
    pub(super) trail: &'t Trail,
    pub(super) fields: &'static [&'static str],
}

impl<'de, V: Visitor<'de>> Visitor<'de> for StructVisitor<'_, V> {
    type Value = V::Value;

    fn expecting(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        text.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_map(Members::new(map, self.trail, self.fields))
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.visitor.visit_map(Members::new(NoMembers::new(), self.trail, self.fields))
    }
}

/// Values that oci-spec spells otherwise than runtime-spec: type, value, and what oci-spec takes.
const SPELLINGS: [(&str, &str, &str); 3] = [
    ("LinuxSchedulerFlag", "SCHED_FLAG_RESET_ON_FORK", "SCHED_RESET_ON_FORK"),
    ("LinuxSchedulerFlag", "SCHED_FLAG_DL_OVERRUN", "SCHED_FLAG_D_L_OVERRUN"),
    ("LinuxDeviceType", "", "a"),
];

/// An enumeration has no zero value: a missing one is an error.
pub(super) struct EnumVisitor<'t, V> {
    pub(super) visitor: V,
    pub(super) trail: &'t Trail,
    pub(super) name: &'static str,
}

impl<'de, V: Visitor<'de>> Visitor<'de> for EnumVisitor<'_, V> {
    type Value = V::Value;

    fn expecting(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(text)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<V::Value, E> {
        let spelling = SPELLINGS
            .iter()
            .find(|(name, spec, _)| *name == self.name && *spec == value)
            .map_or(value, |(_, _, ours)| ours);
        match spelling {
            "" => self.visit_unit(),
            spelling => {
                let value = Cow::Borrowed(spelling).into_deserializer();
                self.visitor.visit_enum(value).map_err(|error: E| match self.name {
                    // Named as in runc's messages.
                    "MemoryPolicyModeType" => {
                        E::custom(format!("invalid memory policy mode: {error}"))
                    }
                    "MemoryPolicyFlagType" => {
                        E::custom(format!("invalid memory policy flag: {error}"))
                    }
                    _ => error,
                })
            }
        }
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        if self.trail.at_default_action() {
            self.trail.without_default_action.set(true);
            return self.visitor.visit_enum("SCMP_ACT_ALLOW".into_deserializer());
        }
        if self.name == "MemoryPolicyModeType" {
            self.trail.without_memory_mode.set(true);
            return self.visitor.visit_enum("MPOL_DEFAULT".into_deserializer());
        }
        Err(E::custom("missing"))
    }
}
