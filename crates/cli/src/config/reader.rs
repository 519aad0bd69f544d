//! Reads a parsed TOML file key by key and collects everything that is wrong with it, each with its line and column.
//!
//! This is done by hand, not by deriving `Deserialize`, because that stops at the first problem and does not say what
//! would have been allowed.

use std::{
    collections::BTreeMap,
    fmt::Display,
    net::SocketAddr,
    ops::{Range, RangeInclusive},
    path::{Path, PathBuf},
    time::Duration,
};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::units;

/// A section of the file and the keys that it may have.
#[derive(Debug)]
pub(crate) struct Schema {
    /// As the file writes it: `[storage]`, `[[listener]]`; empty for the top of the file.
    pub(crate) section: &'static str,
    /// Every key of it.
    pub(crate) keys: &'static [&'static str],
}

/// What was found wrong so far.
#[derive(Debug)]
pub(super) struct Problems<'i> {
    file: &'i Path,
    text: &'i str,
    found: Vec<(usize, String)>,
}

impl<'i> Problems<'i> {
    pub(super) fn new(file: &'i Path, text: &'i str) -> Self {
        Self { file, text, found: Vec::new() }
    }

    /// Notes a problem at the start of `span`.
    pub(super) fn note(&mut self, span: Range<usize>, message: impl Into<String>) {
        self.found.push((span.start.min(self.text.len()), message.into()));
    }

    /// All problems in the order of the file, as `keyturn.toml:12:1: …`.
    pub(super) fn finish(mut self) -> Vec<String> {
        self.found.sort_by_key(|(at, _)| *at);
        self.found
            .iter()
            .map(|(at, message)| {
                let before = self.text.get(..*at).unwrap_or_default();
                let line = before.matches('\n').count() + 1;
                let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
                format!("{}:{line}:{column}: {message}", self.file.display())
            })
            .collect()
    }
}

/// A value as read, and where it stands.
#[derive(Debug, Clone)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) span: Range<usize>,
}

/// One table of the file, being read.
pub(super) struct Section<'a, 'i> {
    schema: &'static Schema,
    table: &'a DeTable<'i>,
    span: Range<usize>,
    problems: &'a mut Problems<'i>,
}

impl<'a, 'i> Section<'a, 'i> {
    /// Notes every key that the schema does not know.
    pub(super) fn new(
        schema: &'static Schema,
        table: &'a DeTable<'i>,
        span: Range<usize>,
        problems: &'a mut Problems<'i>,
    ) -> Self {
        for key in table.keys().filter(|key| !schema.keys.contains(&key.get_ref().as_ref())) {
            let place =
                if schema.section.is_empty() { "at the top".to_owned() } else { format!("in {}", schema.section) };
            let allowed = schema.keys.join(", ");
            let name = key.get_ref();
            problems.note(key.span(), format!("unknown key `{name}` {place}; allowed: {allowed}"));
        }
        Self { schema, table, span, problems }
    }

    pub(super) fn note(&mut self, span: Range<usize>, message: impl Into<String>) {
        self.problems.note(span, message);
    }

    /// Notes a problem of the section as a whole.
    pub(super) fn note_here(&mut self, message: impl Into<String>) {
        self.problems.note(self.span.clone(), message);
    }

    /// `storage.path`, for messages.
    pub(super) fn name(&self, key: &str) -> String {
        let section = self.schema.section.trim_matches(['[', ']']);
        if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") }
    }

    fn get(&self, key: &'static str) -> Option<&'a Spanned<DeValue<'i>>> {
        debug_assert!(self.schema.keys.contains(&key), "{key} is missing from the schema of {}", self.schema.section);
        self.table.get(key)
    }

    /// Where `key` stands, if it is there.
    pub(super) fn place(&self, key: &'static str) -> Option<Range<usize>> {
        self.get(key).map(Spanned::span)
    }

    /// Notes a key that means nothing beside what another key says.
    pub(super) fn forbid(&mut self, key: &'static str, why: &str) {
        if let Some(span) = self.place(key) {
            let message = format!("{} {why}", self.name(key));
            self.problems.note(span, message);
        }
    }

    /// Reads `key` by `read`, which says what is allowed when it cannot.
    fn value<T>(&mut self, key: &'static str, read: impl FnOnce(&DeValue<'i>) -> Result<T, String>) -> Option<At<T>> {
        let found = self.get(key)?;
        match read(found.get_ref()) {
            Ok(value) => Some(At { value, span: found.span() }),
            Err(allowed) => {
                let message = format!("{} is {}; allowed: {allowed}", self.name(key), shown(found.get_ref()));
                self.problems.note(found.span(), message);
                None
            }
        }
    }

    pub(super) fn text(&mut self, key: &'static str, allowed: &str) -> Option<At<String>> {
        self.value(key, |value| match value.as_str() {
            Some(text) if !text.is_empty() => Ok(text.to_owned()),
            _ => Err(allowed.to_owned()),
        })
    }

    /// A path; a relative one starts at the directory of the configuration file.
    pub(super) fn path(&mut self, key: &'static str) -> Option<At<PathBuf>> {
        let parent = self.problems.file.parent().filter(|parent| !parent.as_os_str().is_empty());
        let base = parent.unwrap_or(Path::new(".")).to_owned();
        self.text(key, "a path").map(|At { value, span }| At { value: base.join(value), span })
    }

    pub(super) fn flag(&mut self, key: &'static str) -> Option<At<bool>> {
        self.value(key, |value| value.as_bool().ok_or_else(|| "true, false".to_owned()))
    }

    /// One of the names in `choices`.
    pub(super) fn choice<T: Copy>(&mut self, key: &'static str, choices: &[(&str, T)]) -> Option<At<T>> {
        self.value(key, |value| {
            let chosen = value.as_str().and_then(|text| choices.iter().find(|(name, _)| *name == text));
            chosen
                .map(|(_, choice)| *choice)
                .ok_or_else(|| choices.iter().map(|(name, _)| format!("\"{name}\"")).collect::<Vec<_>>().join(", "))
        })
    }

    /// A list of names in `choices`.
    pub(super) fn choices<T: Copy>(&mut self, key: &'static str, choices: &[(&str, T)]) -> Option<At<Vec<T>>> {
        self.value(key, |value| {
            let one = |item: &DeValue<'_>| {
                let text = item.as_str()?;
                choices.iter().find(|(name, _)| *name == text).map(|(_, choice)| *choice)
            };
            let list = value.as_array().and_then(|items| items.iter().map(|item| one(item.get_ref())).collect());
            list.ok_or_else(|| {
                let names: Vec<String> = choices.iter().map(|(name, _)| format!("\"{name}\"")).collect();
                format!("a list of {}", names.join(", "))
            })
        })
    }

    pub(super) fn address(&mut self, key: &'static str) -> Option<At<SocketAddr>> {
        self.value(key, |value| {
            value.as_str().and_then(|text| text.parse().ok()).ok_or_else(|| {
                "an IP address and a port, such as \"127.0.0.1:8200\" or \"[::1]:8200\" (no host names)".to_owned()
            })
        })
    }

    /// Sets `target` to a whole number within `bounds`.
    pub(super) fn number(&mut self, key: &'static str, bounds: &RangeInclusive<usize>, target: &mut usize) {
        let allowed = format!("a whole number from {} to {}", bounds.start(), bounds.end());
        let number = |value: &DeValue<'_>| value.as_integer().and_then(whole);
        self.bounded(key, bounds, target, &allowed, number);
    }

    /// Sets `target` to a size in bytes within `bounds`.
    pub(super) fn size(&mut self, key: &'static str, bounds: &RangeInclusive<usize>, target: &mut usize) {
        let (least, most) = (units::show_size(*bounds.start()), units::show_size(*bounds.end()));
        let allowed =
            format!("{least} to {most}, as a number of bytes or with a unit: \"512KiB\", \"64MiB\", \"1GiB\"");
        self.bounded(key, bounds, target, &allowed, |value| match value {
            DeValue::String(text) => units::size(text),
            other => other.as_integer().and_then(whole),
        });
    }

    /// Sets `target` to a duration within `bounds`.
    pub(super) fn duration(&mut self, key: &'static str, bounds: &RangeInclusive<Duration>, target: &mut Duration) {
        let allowed = format!("{:?} to {:?}, as \"90s\", \"5m\" or a number of seconds", bounds.start(), bounds.end());
        self.bounded(key, bounds, target, &allowed, |value| match value {
            DeValue::String(text) => units::duration(text),
            other => other.as_integer().and_then(whole).map(|seconds| Duration::from_secs(seconds as u64)),
        });
    }

    fn bounded<T: PartialOrd>(
        &mut self,
        key: &'static str,
        bounds: &RangeInclusive<T>,
        target: &mut T,
        allowed: &str,
        read: impl FnOnce(&DeValue<'i>) -> Option<T>,
    ) {
        let value = self
            .value(key, |value| read(value).filter(|value| bounds.contains(value)).ok_or_else(|| allowed.to_owned()));
        if let Some(At { value, .. }) = value {
            *target = value;
        }
    }

    /// The table `[key]`, if it is there.
    pub(super) fn table(&mut self, key: &'static str, schema: &'static Schema) -> Option<Section<'_, 'i>> {
        let found = self.get(key)?;
        if let Some(table) = found.get_ref().as_table() {
            return Some(Section::new(schema, table, found.span(), self.problems));
        }
        self.problems.note(found.span(), format!("`{key}` must be a section: write {}", schema.section));
        None
    }

    /// Reads each of the tables `[key.NAME]`, whose names are the writer's own.
    pub(super) fn named_tables<T>(
        &mut self,
        key: &'static str,
        schema: &'static Schema,
        mut read: impl FnMut(&str, Section<'_, 'i>) -> Option<T>,
    ) -> BTreeMap<String, T> {
        let Some(found) = self.get(key) else { return BTreeMap::new() };
        let Some(tables) = found.get_ref().as_table() else {
            self.problems.note(found.span(), format!("`{key}` must be sections: write {}", schema.section));
            return BTreeMap::new();
        };
        let mut all = BTreeMap::new();
        for (name, item) in tables {
            let name = name.get_ref();
            match item.get_ref().as_table() {
                Some(table) => {
                    let value = read(name, Section::new(schema, table, item.span(), self.problems));
                    all.extend(value.map(|value| (name.to_string(), value)));
                }
                None => self.problems.note(item.span(), format!("`{key}` must be sections: write {}", schema.section)),
            }
        }
        all
    }

    /// Texts, each of which `fits`.
    pub(super) fn texts(
        &mut self,
        key: &'static str,
        allowed: &str,
        fits: impl Fn(usize, &str) -> bool,
    ) -> Option<At<Vec<String>>> {
        self.value(key, |value| {
            let texts = value.as_array().and_then(|array| {
                let text = |(index, item): (usize, &Spanned<DeValue<'_>>)| {
                    item.get_ref().as_str().filter(|text| fits(index, text)).map(str::to_owned)
                };
                array.iter().enumerate().map(text).collect::<Option<Vec<_>>>()
            });
            texts.ok_or_else(|| allowed.to_owned())
        })
    }

    /// Reads each of the tables `[[key]]`.
    pub(super) fn tables<T>(
        &mut self,
        key: &'static str,
        schema: &'static Schema,
        mut read: impl FnMut(Section<'_, 'i>) -> Option<T>,
    ) -> Vec<T> {
        let Some(found) = self.get(key) else { return Vec::new() };
        let Some(array) = found.get_ref().as_array() else {
            let message = format!("`{key}` may be there several times: write {}", schema.section);
            self.problems.note(found.span(), message);
            return Vec::new();
        };
        let mut all = Vec::new();
        for item in array.iter() {
            match item.get_ref().as_table() {
                Some(table) => all.extend(read(Section::new(schema, table, item.span(), self.problems))),
                None => self.problems.note(item.span(), format!("`{key}` must be sections: write {}", schema.section)),
            }
        }
        all
    }
}

fn whole(number: &toml::de::DeInteger<'_>) -> Option<usize> {
    usize::from_str_radix(number.as_str(), number.radix()).ok()
}

/// A value as it stands in a message; long text is cut.
fn shown(value: &DeValue<'_>) -> String {
    let quoted = |text: &dyn Display| text.to_string().chars().take(80).collect::<String>();
    match value {
        DeValue::String(text) => format!("{:?}", quoted(text)),
        DeValue::Integer(number) => quoted(number),
        DeValue::Boolean(flag) => flag.to_string(),
        other => format!("of type {}", other.type_str()),
    }
}
