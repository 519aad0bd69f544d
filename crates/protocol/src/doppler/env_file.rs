//! Reading what people upload: a file of `NAME=value` lines, or a JSON object.
//!
//! ```text
//! # a comment
//! NAME=value without quotes   # and a comment behind it
//! export NAME='as it stands'
//! NAME="with \"escapes\", \n and
//! line breaks"
//! ```

use std::collections::BTreeMap;

use keyturn_core::secret::SecretString;
use serde_json::value::RawValue;

/// A file could not be read. It quotes nothing of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct Unreadable {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong.
    pub reason: &'static str,
}

/// Names and values, in the order in which they stand.
pub type Pairs = Vec<(String, SecretString)>;

/// Reads a file that is a JSON object or lines.
///
/// # Errors
/// When it is neither; YAML is neither.
pub fn parse_any(text: &str) -> Result<Pairs, Unreadable> {
    if text.trim_start().starts_with('{') { parse_json(text) } else { parse(text) }
}

/// Reads a flat JSON object. A value that is no text is taken as its JSON.
fn parse_json(text: &str) -> Result<Pairs, Unreadable> {
    let unreadable = |error: serde_json::Error| Unreadable { line: error.line().max(1), reason: "this is not JSON" };
    let object: BTreeMap<String, &RawValue> = serde_json::from_str(text).map_err(unreadable)?;
    let mut pairs = Vec::with_capacity(object.len());
    for (name, raw) in object {
        let value = match raw.get() {
            text if text.starts_with('"') => serde_json::from_str(text).map_err(unreadable)?,
            other => SecretString::from(other),
        };
        pairs.push((name, value));
    }
    Ok(pairs)
}

/// Reads lines.
///
/// # Errors
/// When a line is neither empty nor a comment nor has a name, or a quote is not closed.
pub fn parse(text: &str) -> Result<Pairs, Unreadable> {
    let mut reader = Reader { rest: text.strip_prefix('\u{feff}').unwrap_or(text), line: 1 };
    let mut pairs = Vec::new();
    while let Some(pair) = reader.next_pair()? {
        pairs.push(pair);
    }
    Ok(pairs)
}

struct Reader<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Reader<'a> {
    fn next_pair(&mut self) -> Result<Option<(String, SecretString)>, Unreadable> {
        loop {
            self.skip(|char| char.is_whitespace());
            if self.rest.is_empty() {
                return Ok(None);
            }
            if !self.rest.starts_with('#') {
                break;
            }
            self.skip(|char| char != '\n');
        }
        let end = self.rest.find(['=', '\n']).filter(|end| self.rest[*end..].starts_with('='));
        let end = end.ok_or_else(|| self.wrong("a line must read NAME=value"))?;
        let name = self.rest[..end].trim();
        let name = name.strip_prefix("export ").map_or(name, str::trim_start).to_owned();
        self.rest = &self.rest[end + 1..];
        self.skip(|char| matches!(char, ' ' | '\t'));
        let value = match self.rest.chars().next() {
            Some(quote @ ('"' | '\'' | '`')) => self.quoted(quote)?,
            _ => self.bare(),
        };
        Ok(Some((name, value)))
    }

    fn bare(&mut self) -> SecretString {
        let line = self.rest.split('\n').next().unwrap_or_default();
        let comment = line.match_indices('#').find(|(at, _)| line[..*at].ends_with([' ', '\t']) || *at == 0);
        let value = line[..comment.map_or(line.len(), |(at, _)| at)].trim();
        let value = SecretString::from(value);
        self.rest = &self.rest[line.len()..];
        value
    }

    fn quoted(&mut self, quote: char) -> Result<SecretString, Unreadable> {
        let opened = self.line;
        let unclosed = Unreadable { line: opened, reason: "the quote that is opened here is not closed" };
        let inner = &self.rest[1..];
        let end = closing(inner, quote).ok_or(unclosed)?;
        let value = if quote == '"' { unescape(&inner[..end]) } else { SecretString::from(&inner[..end]) };
        self.line += inner[..end].matches('\n').count();
        self.rest = &inner[end + 1..];
        let behind = self.rest.split('\n').next().unwrap_or_default().trim();
        if !behind.is_empty() && !behind.starts_with('#') {
            return Err(self.wrong("nothing but a comment may stand behind a quoted value"));
        }
        self.skip(|char| char != '\n');
        Ok(value)
    }

    fn skip(&mut self, which: impl Fn(char) -> bool) {
        let rest = self.rest.trim_start_matches(which);
        self.line += self.rest[..self.rest.len() - rest.len()].matches('\n').count();
        self.rest = rest;
    }

    fn wrong(&self, reason: &'static str) -> Unreadable {
        Unreadable { line: self.line, reason }
    }
}

/// Where the quote closes; within double quotes a backslash hides what follows.
fn closing(text: &str, quote: char) -> Option<usize> {
    let mut hidden = false;
    for (at, char) in text.char_indices() {
        match char {
            _ if hidden => hidden = false,
            '\\' if quote == '"' => hidden = true,
            char if char == quote => return Some(at),
            _ => {}
        }
    }
    None
}

fn unescape(text: &str) -> SecretString {
    let mut value = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        if char != '\\' {
            value.push(char);
            continue;
        }
        match chars.next() {
            Some('n') => value.push('\n'),
            Some('r') => value.push('\r'),
            Some('t') => value.push('\t'),
            Some(char @ ('\\' | '"' | '$')) => value.push(char),
            Some(other) => value.extend(['\\', other]),
            None => value.push('\\'),
        }
    }
    SecretString::new(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(String, String)> {
        let pairs = parse_any(text).expect("readable");
        pairs.into_iter().map(|(name, value)| (name, value.expose_secret().to_owned())).collect()
    }

    fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn lines_read_as_shells_and_libraries_read_them() {
        let text = "\u{feff}# first\n\nA=1\r\nexport B = two words # said\nC='as \\n it $stands'\nD=\"x\\n\\\"y\\\"\nz\" # end\n\
                    E=\nF=#none\nG=a#b\nH=`tick`\nI=a=b";
        assert_eq!(
            read(text),
            owned(&[
                ("A", "1"),
                ("B", "two words"),
                ("C", "as \\n it $stands"),
                ("D", "x\n\"y\"\nz"),
                ("E", ""),
                ("F", ""),
                ("G", "a#b"),
                ("H", "tick"),
                ("I", "a=b")
            ])
        );
        assert_eq!(read(" \n# nothing"), []);
    }

    #[test]
    fn json_is_taken_by_its_fields() {
        assert_eq!(
            read(r#" {"B": "x\ny", "A": 1.50, "C": {"d": [true]}, "D": null} "#),
            owned(&[("A", "1.50"), ("B", "x\ny"), ("C", "{\"d\": [true]}"), ("D", "null")])
        );
    }

    #[test]
    fn what_is_wrong_is_told_by_its_line_alone() {
        for (text, line) in [
            ("A=1\nB", 2),
            ("A=\"x\ny\nz", 1),
            ("A=\"x\ny\" z", 2),
            ("A: x\nB: y", 1),
            ("{\"A\":\n hunter2}", 2),
            ("{\"A\": \"\\ud800\"}", 1),
        ] {
            let error = parse_any(text).expect_err(text);
            assert_eq!(error.line, line, "{text}");
            assert!(!error.to_string().contains("hunter2"));
        }
    }
}
