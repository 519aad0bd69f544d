//! The functions of templates.

use std::fmt::Write as _;

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::tz::TimeZone;

use super::{MAX_VALUE, Naming, UsernameError, evaluate::Value};

/// How many characters of a hash `truncate_sha256` leaves at the end.
const HASH_TAIL: usize = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    Base64,
    Lowercase,
    Printf,
    Random,
    Replace,
    Sha256,
    Timestamp,
    Truncate,
    TruncateSha256,
    UnixTime,
    UnixTimeMillis,
    Uppercase,
    Uuid,
}

impl Function {
    const ALL: [(&'static str, Self, usize); 13] = [
        ("base64", Self::Base64, 1),
        ("lowercase", Self::Lowercase, 1),
        ("printf", Self::Printf, 1),
        ("random", Self::Random, 1),
        ("replace", Self::Replace, 3),
        ("sha256", Self::Sha256, 1),
        ("timestamp", Self::Timestamp, 1),
        ("truncate", Self::Truncate, 2),
        ("truncate_sha256", Self::TruncateSha256, 2),
        ("unix_time", Self::UnixTime, 0),
        ("unix_time_millis", Self::UnixTimeMillis, 0),
        ("uppercase", Self::Uppercase, 1),
        ("uuid", Self::Uuid, 0),
    ];

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|known| known.0 == name).map(|known| known.1)
    }

    pub(super) fn name(self) -> &'static str {
        Self::ALL.iter().find(|known| known.1 == self).map_or("", |known| known.0)
    }

    /// All names, for saying which there are.
    pub(super) fn names() -> String {
        Self::ALL.map(|known| known.0).join(", ")
    }

    /// Whether it can be called with so many arguments, the value before it among them.
    pub(super) fn takes(self, count: usize) -> bool {
        let wanted = Self::ALL.iter().find(|known| known.1 == self).map_or(0, |known| known.2);
        if self == Self::Printf { count >= wanted } else { count == wanted }
    }

    pub(super) fn call(self, arguments: &[Value], naming: &Naming<'_>) -> Result<Value, UsernameError> {
        let wrong = || UsernameError::Apply(format!("wrong type of argument for {}", self.name()));
        let text = match (self, arguments) {
            (Self::Base64, [Value::Text(text)]) => STANDARD.encode(text),
            (Self::Lowercase, [Value::Text(text)]) => text.to_lowercase(),
            (Self::Uppercase, [Value::Text(text)]) => text.to_uppercase(),
            (Self::Printf, [Value::Text(format), values @ ..]) => print(format, values)?,
            (Self::Random, [Value::Number(length)]) => {
                let length = length_of(*length, 1)?;
                naming.random.base62(length)?.expose_secret().to_owned()
            }
            (Self::Replace, [Value::Text(from), Value::Text(to), Value::Text(text)]) => text.replace(from, to),
            (Self::Sha256, [Value::Text(text)]) => sha256(text),
            (Self::Timestamp, [Value::Text(layout)]) => timestamp(layout, naming),
            (Self::Truncate, [Value::Number(length), Value::Text(text)]) => {
                cut(text, length_of(*length, 1)?).to_owned()
            }
            (Self::TruncateSha256, [Value::Number(length), Value::Text(text)]) => {
                truncate_sha256(text, length_of(*length, HASH_TAIL + 1)?)
            }
            (Self::UnixTime, []) => naming.now.as_second().to_string(),
            (Self::UnixTimeMillis, []) => naming.now.as_millisecond().to_string(),
            (Self::Uuid, []) => naming.random.uuid()?.to_string(),
            _ => return Err(wrong()),
        };
        if text.len() > MAX_VALUE {
            return Err(UsernameError::Apply(format!("a value is longer than {MAX_VALUE} bytes")));
        }
        Ok(Value::Text(text))
    }
}

fn length_of(length: i64, least: usize) -> Result<usize, UsernameError> {
    let fits = usize::try_from(length).ok().filter(|length| (least..=MAX_VALUE).contains(length));
    fits.ok_or_else(|| UsernameError::Apply(format!("a length must be from {least} to {MAX_VALUE} but was {length}")))
}

/// The first `length` bytes, less the part of a character that would be cut in two.
fn cut(text: &str, length: usize) -> &str {
    let end = (0..=length.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
}

fn truncate_sha256(text: &str, length: usize) -> String {
    if text.len() <= length {
        return text.to_owned();
    }
    let kept = cut(text, length - HASH_TAIL);
    format!("{kept}{}", &sha256(&text[kept.len()..])[..HASH_TAIL])
}

fn sha256(text: &str) -> String {
    hex::encode(digest::digest(&digest::SHA256, text.as_bytes()))
}

/// Go's `printf`, of texts and whole numbers: `%s`, `%v`, `%d` and `%%`.
fn print(format: &str, values: &[Value]) -> Result<String, UsernameError> {
    let wrong = |what: &str| Err(UsernameError::Apply(format!("printf: {what}")));
    let (mut text, mut values, mut rest) = (String::new(), values.iter(), format.chars());
    while let Some(character) = rest.next() {
        if character != '%' {
            text.push(character);
            continue;
        }
        let verb = rest.next();
        if verb == Some('%') {
            text.push('%');
            continue;
        }
        match (verb, values.next()) {
            (Some('s' | 'v'), Some(Value::Text(value))) => text.push_str(value),
            // Writing to a string cannot fail.
            (Some('d' | 'v'), Some(Value::Number(value))) => _ = write!(text, "{value}"),
            (Some('s' | 'd'), Some(_)) => return wrong("a verb does not fit its value"),
            (Some('s' | 'v' | 'd'), None) => return wrong("there are more verbs than values"),
            _ => return wrong("only the verbs %s, %v, %d and %% are offered"),
        }
    }
    if values.next().is_some() { wrong("there are more values than verbs") } else { Ok(text) }
}

/// Go's layouts say how the second of January 2006, 15:04:05, would be written. Always in UTC.
fn timestamp(layout: &str, naming: &Naming<'_>) -> String {
    // Longer ones before those that they begin with.
    const ELEMENTS: [(&str, &str); 18] = [
        ("January", "%B"),
        ("Monday", "%A"),
        ("-07:00", "+00:00"),
        ("Z07:00", "Z"),
        ("-0700", "+0000"),
        ("2006", "%Y"),
        ("Jan", "%b"),
        ("Mon", "%a"),
        ("MST", "UTC"),
        ("01", "%m"),
        ("02", "%d"),
        ("03", "%I"),
        ("04", "%M"),
        ("05", "%S"),
        ("06", "%y"),
        ("15", "%H"),
        ("PM", "%p"),
        ("%", "%%"),
    ];
    let (mut format, mut rest) = (String::new(), layout);
    while let Some(next) = rest.chars().next() {
        match ELEMENTS.iter().find(|(element, _)| rest.starts_with(element)) {
            Some((element, directive)) => {
                format.push_str(directive);
                rest = &rest[element.len()..];
            }
            None => {
                format.push(next);
                rest = &rest[next.len_utf8()..];
            }
        }
    }
    naming.now.to_zoned_datetime(TimeZone::UTC).strftime(&format).to_string()
}
