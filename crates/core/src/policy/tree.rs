//! What HCL and JSON have in common: entries of a key and a value, in order, duplicates kept. A duplicate `path` must
//! not vanish in a map: the one that vanishes may be the deny.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::error::{Line, PolicyError};
use super::hcl::read_hcl;
use super::parse::MAX_DEPTH;

/// A key with its value; `path "x" { … }` is the entry `path` holding the one entry `x`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) value: Node,
    pub(crate) line: Line,
}

/// A value. Nested at most [`MAX_DEPTH`] deep, which bounds every recursion over it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node {
    Scalar(Value),
    List(Vec<Node>),
    Object(Vec<Entry>),
}

impl Node {
    /// The value as plain JSON; of equal keys the last one holds.
    pub(super) fn into_value(self) -> Value {
        match self {
            Self::Scalar(value) => value,
            Self::List(nodes) => Value::Array(nodes.into_iter().map(Self::into_value).collect()),
            Self::Object(entries) => Value::Object(
                entries.into_iter().map(|entry| (entry.key, entry.value.into_value())).collect::<Map<_, _>>(),
            ),
        }
    }

    /// The text, if it is text.
    pub(crate) fn into_text(self) -> Option<String> {
        match self {
            Self::Scalar(Value::String(text)) => Some(text),
            _ => None,
        }
    }

    /// The objects that this value stands for: itself, or those of a list, which is how JSON repeats a block.
    pub(crate) fn into_objects(self) -> Option<Vec<Vec<Entry>>> {
        match self {
            Self::Object(entries) => Some(vec![entries]),
            Self::List(nodes) => nodes
                .into_iter()
                .map(|node| match node {
                    Self::Object(entries) => Some(entries),
                    _ => None,
                })
                .collect(),
            Self::Scalar(_) => None,
        }
    }
}

/// Reads a text in either language: JSON where it begins with `{`.
pub(crate) fn read_text(text: &str) -> Result<Vec<Entry>, PolicyError> {
    if text.trim_start().starts_with('{') { read_json(text) } else { read_hcl(text) }
}

/// Reads a JSON policy.
fn read_json(text: &str) -> Result<Vec<Entry>, PolicyError> {
    let json = |error: serde_json::Error| PolicyError::Json { problem: error.to_string() };
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let root = NodeSeed { depth: 0 }.deserialize(&mut deserializer).map_err(json)?;
    deserializer.end().map_err(json)?;
    match root {
        Node::Object(entries) => Ok(entries),
        _ => Err(PolicyError::Json { problem: "the whole must be one object".to_owned() }),
    }
}

struct NodeSeed {
    depth: usize,
}

impl NodeSeed {
    fn inner<E: serde::de::Error>(&self) -> Result<Self, E> {
        if self.depth >= MAX_DEPTH {
            return Err(E::custom(format_args!("nested deeper than {MAX_DEPTH} levels")));
        }
        Ok(Self { depth: self.depth + 1 })
    }
}

impl<'de> DeserializeSeed<'de> for NodeSeed {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for NodeSeed {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Bool(value)))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Number(value.into())))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Number(value.into())))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Node, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("a number out of range"))?;
        Ok(Node::Scalar(Value::Number(number)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Scalar(Value::String(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
        let mut nodes = Vec::new();
        while let Some(node) = list.next_element_seed(self.inner::<A::Error>()?)? {
            nodes.push(node);
        }
        Ok(Node::List(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            let value = map.next_value_seed(self.inner::<A::Error>()?)?;
            entries.push(Entry { key, value, line: Line::default() });
        }
        Ok(Node::Object(entries))
    }
}
