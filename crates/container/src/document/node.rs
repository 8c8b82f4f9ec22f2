//! A JSON document as it stands, before anything is known of what it shall be.
//!
//! Our rules read from this one type instead of from the parser: each of oci-spec's sixty types would have
//! the whole parser compiled into its reader, which a third of the program's text was.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Unexpected, Visitor};

/// A value; text is borrowed from the document where it has no escapes.
#[derive(Debug)]
pub(super) enum Node<'de> {
    Null,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(Cow<'de, str>),
    List(Vec<Node<'de>>),
    /// In the document's order, with every double.
    Map(Vec<(Cow<'de, str>, Node<'de>)>),
}

impl Node<'_> {
    /// What it is, in an error.
    pub(super) fn unexpected(&self) -> Unexpected<'_> {
        match self {
            Self::Null => Unexpected::Other("null"),
            Self::Bool(value) => Unexpected::Bool(*value),
            Self::Unsigned(value) => Unexpected::Unsigned(*value),
            Self::Signed(value) => Unexpected::Signed(*value),
            Self::Float(value) => Unexpected::Float(*value),
            Self::Text(value) => Unexpected::Str(value),
            Self::List(_) => Unexpected::Seq,
            Self::Map(_) => Unexpected::Map,
        }
    }
}

impl<'de> Deserialize<'de> for Node<'de> {
    fn deserialize<D: Deserializer<'de>>(inner: D) -> Result<Self, D::Error> {
        inner.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

macro_rules! scalars {
    ($($method:ident $type:ty => $node:expr),* $(,)?) => {$(
        fn $method<E: Error>(self, value: $type) -> Result<Node<'de>, E> {
            Ok($node(value))
        }
    )*};
}

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node<'de>;

    fn expecting(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        text.write_str("a JSON value")
    }

    scalars! {
        visit_bool bool => Node::Bool, visit_u64 u64 => Node::Unsigned, visit_i64 i64 => Node::Signed,
        visit_f64 f64 => Node::Float,
        visit_borrowed_str &'de str => |text| Node::Text(Cow::Borrowed(text)),
        visit_str &str => |text: &str| Node::Text(Cow::Owned(text.to_owned())),
    }

    fn visit_unit<E: Error>(self) -> Result<Node<'de>, E> {
        Ok(Node::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node<'de>, A::Error> {
        let mut nodes = Vec::new();
        while let Some(node) = list.next_element()? {
            nodes.push(node);
        }
        Ok(Node::List(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node<'de>, A::Error> {
        let mut members = Vec::new();
        while let Some(Node::Text(name)) = map.next_key()? {
            members.push((name, map.next_value()?));
        }
        Ok(Node::Map(members))
    }
}
