//! The fields of one version, and what is remembered of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use quick_cache::sync::Cache;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    TEXT_NAME,
    fresh::Answers,
    reference::{MAX_SECRET_NAME, references},
};
use crate::{
    kv::{Payload, Secret, Version},
    secret::{SecretBytes, SecretString},
};

/// Outlines that are remembered.
const REMEMBERED: usize = 2048;
/// The largest outline that is remembered, in names.
const MAX_REMEMBERED_NAMES: usize = 4096;

/// Who is shown a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub enum Visibility {
    /// Always shown.
    Unmasked,
    /// Hidden until somebody asks for it.
    #[default]
    Masked,
    /// Shown to programs alone.
    Restricted,
}

/// What is said about a field.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FieldMark {
    /// Who is shown its value.
    pub visibility: Visibility,
    /// What kind of text it is; empty: any.
    pub value_type: String,
}

/// Whether a name can stand in an environment, and so is shown as a secret of the config: letters, digits, `_`, `-` and
/// `.`, a letter or `_` in front.
#[must_use]
pub fn is_shown(name: &str) -> bool {
    name.len() <= MAX_SECRET_NAME
        && name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
}

/// The content of a version as names and texts.
#[derive(Debug, Clone)]
pub enum Fields {
    /// Named values.
    Named(BTreeMap<String, SecretString>),
    /// One text.
    Text(BTreeMap<String, SecretString>),
    /// Bytes, which have no names.
    Bytes,
}

impl Fields {
    pub(super) fn of(payload: &Payload) -> Self {
        match payload {
            Payload::Fields(json) => Self::Named(shown_fields(json)),
            Payload::Text(text) => {
                let text = SecretString::new(String::from_utf8_lossy(text.expose_secret()).into_owned());
                Self::Text(BTreeMap::from([(TEXT_NAME.to_owned(), text)]))
            }
            Payload::Bytes(_) => Self::Bytes,
        }
    }

    /// The values by name; none for bytes.
    #[must_use]
    pub fn values(&self) -> Option<&BTreeMap<String, SecretString>> {
        match self {
            Self::Named(values) | Self::Text(values) => Some(values),
            Self::Bytes => None,
        }
    }
}

type RawFields<'a> = BTreeMap<std::borrow::Cow<'a, str>, &'a RawValue>;

fn raw_fields(json: &SecretBytes) -> RawFields<'_> {
    // A payload of fields is a JSON object; one that is not, by an accident, shows nothing.
    serde_json::from_slice(json.expose_secret()).unwrap_or_default()
}

fn shown_fields(json: &SecretBytes) -> BTreeMap<String, SecretString> {
    let shown = raw_fields(json).into_iter().filter(|(name, _)| is_shown(name));
    shown.map(|(name, raw)| (name.into_owned(), text_of(raw.get()))).collect()
}

/// A value as text: a text as it is, anything else as its JSON.
pub(super) fn text_of(json: &str) -> SecretString {
    let text = if json.starts_with('"') { serde_json::from_str(json).ok() } else { None };
    text.unwrap_or_else(|| SecretString::from(json))
}

/// The payload with some of its fields set or taken away; the others stay as they are spelled. `None` takes away.
pub(super) fn edited(before: Option<&Payload>, changes: &BTreeMap<String, Option<SecretString>>) -> Payload {
    let empty = SecretBytes::new(b"{}".to_vec());
    let json = match before {
        Some(Payload::Fields(json)) => json,
        // One text that stays one text remains a text.
        Some(Payload::Text(_)) if changes.keys().all(|name| name == TEXT_NAME) => match changes.get(TEXT_NAME) {
            Some(Some(text)) => return Payload::Text(SecretBytes::new(text.expose_secret().as_bytes().to_vec())),
            _ => &empty,
        },
        _ => &empty,
    };
    let text = match before {
        Some(Payload::Text(text)) if !changes.contains_key(TEXT_NAME) => Some(text),
        _ => None,
    };
    let kept = raw_fields(json);
    let added = changes.iter().map(|(name, value)| name.len() + value.as_ref().map_or(0, |value| value.len() * 6) + 8);
    // Room for all: the buffer must not grow and leave a copy behind. Escaping makes at most six bytes of one.
    let room = json.len() + added.sum::<usize>() + text.map_or(0, |text| text.len() * 6 + 16) + 2;
    let names: BTreeSet<&str> = kept.keys().map(AsRef::as_ref).chain(changes.keys().map(String::as_str)).collect();
    let escaped: usize = names.iter().map(|name| name.len() * 6 + 4).sum();
    let mut out = SecretBytes::new(Vec::with_capacity(room + escaped));
    let buffer = out.expose_secret_mut();
    let mut separator = b'{';
    let mut field = |name: &str, buffer: &mut Vec<u8>| {
        buffer.push(std::mem::replace(&mut separator, b','));
        // Writing text to memory cannot fail.
        _ = serde_json::to_writer(&mut *buffer, name);
        buffer.push(b':');
    };
    if let Some(text) = text {
        field(TEXT_NAME, buffer);
        _ = serde_json::to_writer(&mut *buffer, &*String::from_utf8_lossy(text.expose_secret()));
    }
    for name in names {
        match (changes.get(name), kept.get(name)) {
            (Some(None), _) | (None, None) => {}
            (Some(Some(value)), _) => {
                field(name, buffer);
                _ = serde_json::to_writer(&mut *buffer, value.expose_secret());
            }
            (None, Some(raw)) => {
                field(name, buffer);
                buffer.extend_from_slice(raw.get().as_bytes());
            }
        }
    }
    if separator == b'{' {
        buffer.push(b'{');
    }
    buffer.push(b'}');
    Payload::Fields(out)
}

/// Another config's secret that a value refers to. `None`: the config that is read, or the project of the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) project: Option<Box<str>>,
    pub(super) config: Option<Box<str>>,
    pub(super) name: Box<str>,
}

/// The names that a version shows, and what each refers to. It holds no value.
#[derive(Debug, Default)]
pub(super) struct Outline {
    pub(super) links: BTreeMap<String, Box<[Link]>>,
    /// Whether any of them refers to anything.
    pub(super) refers: bool,
    /// The version holds bytes.
    pub(super) bytes: bool,
    /// Where each value lies in the payload, in the order of the names; `None`: they must be worked out, because the
    /// payload is no object of fields or one of the values has something to resolve.
    pub(super) spans: Option<Box<[Span]>>,
}

/// Where a value lies in its payload. It says how long the value is, and nothing else of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) end: u32,
    /// The bytes are the value itself. Else they are its JSON.
    pub(super) plain: bool,
}

impl Outline {
    pub(super) fn of(fields: &Fields, payload: &Payload) -> Self {
        let Some(values) = fields.values() else {
            return Self { bytes: true, ..Self::default() };
        };
        let links_of = |value: &SecretString| links(value.expose_secret());
        let links: BTreeMap<_, _> = values.iter().map(|(name, value)| (name.clone(), links_of(value))).collect();
        let refers = links.values().any(|links| !links.is_empty());
        let resolves = values.values().any(|value| value.expose_secret().contains("${"));
        let spans = match payload {
            Payload::Fields(json) if !resolves => spans(json).filter(|spans| spans.len() == links.len()),
            _ => None,
        };
        Self { links, refers, bytes: false, spans }
    }
}

/// Where the values of all names that are shown lie, in the order of the names.
fn spans(json: &SecretBytes) -> Option<Box<[Span]>> {
    let begin = json.expose_secret().as_ptr() as usize;
    let span = |raw: &RawValue| {
        let text = raw.get();
        let start = (text.as_ptr() as usize).checked_sub(begin)?;
        let plain = text.starts_with('"') && text.len() >= 2 && !text.contains('\\');
        let quote = usize::from(plain);
        let (start, end) = (start + quote, start + text.len() - quote);
        Some(Span { start: u32::try_from(start).ok()?, end: u32::try_from(end).ok()?, plain })
    };
    raw_fields(json).iter().filter(|(name, _)| is_shown(name)).map(|(_, raw)| span(raw)).collect()
}

/// What a value refers to.
pub(super) fn links(value: &str) -> Box<[Link]> {
    let owned = |text: &str| Box::<str>::from(text);
    let link = |reference: super::Reference<'_>| Link {
        project: reference.project.map(owned),
        config: reference.config.map(owned),
        name: owned(reference.name),
    };
    if value.contains("${") { references(value).map(link).collect() } else { Box::default() }
}

/// Outlines of versions that were read lately. A version never changes, so none goes stale.
pub(crate) struct Outlines {
    outlines: Cache<String, Arc<Outline>>,
    /// What answers were made from.
    pub(super) answers: Answers,
}

impl Outlines {
    pub(crate) fn new() -> Self {
        Self { outlines: Cache::new(REMEMBERED), answers: Answers::new() }
    }

    pub(super) fn get(&self, key: &str) -> Option<Arc<Outline>> {
        self.outlines.get(key)
    }

    pub(super) fn put(&self, key: String, outline: &Arc<Outline>) {
        let references = outline.links.values().map(|links| links.len()).sum::<usize>();
        if outline.links.len() + references <= MAX_REMEMBERED_NAMES {
            self.outlines.insert(key, Arc::clone(outline));
        }
    }
}

/// What names a version of a secret for as long as the store lives.
pub(super) fn version_key(mount: &str, name: &str, secret: &Secret, version: &Version) -> String {
    format!("{mount}/{name}\0{}\0{}\0{}", secret.arn_suffix, version.number, version.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Payload {
        Payload::Fields(SecretBytes::new(text.as_bytes().to_vec()))
    }

    fn shown(payload: &Payload) -> Vec<(String, String)> {
        let fields = Fields::of(payload);
        let values = fields.values().expect("values").iter();
        values.map(|(name, value)| (name.clone(), value.expose_secret().to_owned())).collect()
    }

    fn written(before: Option<&Payload>, changes: &[(&str, Option<&str>)]) -> String {
        let changes = changes.iter().map(|(name, value)| ((*name).to_owned(), value.map(SecretString::from))).collect();
        match edited(before, &changes) {
            Payload::Fields(json) => String::from_utf8(json.expose_secret().to_vec()).expect("text"),
            Payload::Text(text) => format!("text {}", String::from_utf8_lossy(text.expose_secret())),
            Payload::Bytes(_) => "bytes".to_owned(),
        }
    }

    #[test]
    fn fields_of_other_doors_show_as_text() {
        let payload =
            json(r#"{"B": "x\"y", "A": 1.50, "c.d": null, "E": {"f": [ 1 ]}, "bad name": "x", "": 1, "X=Y": 2}"#);
        let pairs = [("A", "1.50"), ("B", "x\"y"), ("E", "{\"f\": [ 1 ]}"), ("c.d", "null")];
        assert_eq!(shown(&payload), pairs.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let text = Payload::Text(SecretBytes::new("tëxt".into()));
        assert_eq!(shown(&text), [("VALUE".to_owned(), "tëxt".to_owned())]);
        assert!(Fields::of(&Payload::Bytes(SecretBytes::new(vec![1]))).values().is_none());
    }

    #[test]
    fn a_change_leaves_the_other_fields_as_they_are_spelled() {
        let before = json(r#"{"N": 12345678901234567890.50, "bad name": [ 1 ], "A": "old", "G": 1}"#);
        assert_eq!(
            written(Some(&before), &[("A", Some("n\"w")), ("B", Some("")), ("G", None), ("H", None)]),
            r#"{"A":"n\"w","B":"","N":12345678901234567890.50,"bad name":[ 1 ]}"#
        );
        assert_eq!(written(None, &[("A", Some("x"))]), r#"{"A":"x"}"#);
        assert_eq!(written(Some(&json(r#"{"A":1}"#)), &[("A", None)]), "{}");
    }

    #[test]
    fn a_text_stays_one_until_it_is_given_company() {
        let text = Payload::Text(SecretBytes::new(b"t".to_vec()));
        assert_eq!(written(Some(&text), &[("VALUE", Some("u"))]), "text u");
        assert_eq!(written(Some(&text), &[("VALUE", None)]), "{}");
        assert_eq!(written(Some(&text), &[("A", Some("x"))]), r#"{"VALUE":"t","A":"x"}"#);
        assert_eq!(written(Some(&text), &[("A", Some("x")), ("VALUE", Some("u"))]), r#"{"A":"x","VALUE":"u"}"#);
    }

    #[test]
    fn an_outline_has_names_and_no_values() {
        let payload = json(r#"{"A":"hunter2","B":"${A}${p.c.D}hunter2"}"#);
        let outline = Outline::of(&Fields::of(&payload), &payload);
        assert!(outline.refers && !outline.bytes);
        assert!(!format!("{outline:?}").contains("hunter2"));
        assert_eq!(outline.links["B"].len(), 2);
        assert!(outline.spans.is_none(), "there is something to resolve");
    }

    #[test]
    fn a_span_is_where_a_value_lies() {
        let payload = json(r#" {"B": "x\"y", "A": 1.50, "c.d": "plain", "bad name": "x", "E": ""} "#);
        let Payload::Fields(text) = &payload else { panic!("fields") };
        let outline = Outline::of(&Fields::of(&payload), &payload);
        let spans = outline.spans.as_deref().expect("spans").iter();
        let shown: Vec<_> =
            spans.map(|span| (&text.expose_secret()[span.start as usize..span.end as usize], span.plain)).collect();
        assert_eq!(shown, [(&b"1.50"[..], false), (b"\"x\\\"y\"", false), (b"", true), (b"plain", true)]);
        assert!(!Outline::of(&Fields::of(&json(r#"{"A":"\\${B}"}"#)), &json(r#"{"A":"\\${B}"}"#)).refers);
        assert!(Outline::of(&Fields::of(&json(r#"{"A":"\\${B}"}"#)), &json(r#"{"A":"\\${B}"}"#)).spans.is_none());
    }
}
