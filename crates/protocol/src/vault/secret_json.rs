//! A JSON value that is a secret: kept as its text, so that nothing of it lies in a tree of plain strings.

use std::fmt::{self, Write as _};

use keyturn_core::secret::{REDACTED, SecretString};
use serde::Deserialize;
use serde_json::value::RawValue;

/// A field's value: JSON text, valid, wiped when dropped. Most are JSON strings.
#[derive(Clone)]
pub struct SecretJson(SecretString);

impl SecretJson {
    /// Quotes `text` as a JSON string (RFC 8259, section 7).
    #[must_use]
    pub fn from_text(text: &SecretString) -> Self {
        // A character takes at most six bytes (`\u0007`): with room for that, no abandoned buffer stays behind unwiped.
        let mut quoted = String::with_capacity(2 + 6 * text.len());
        quoted.push('"');
        for c in text.expose_secret().chars() {
            match c {
                '"' | '\\' => quoted.extend(['\\', c]),
                // Writing to a String cannot fail.
                '\0'..='\u{1f}' => drop(write!(quoted, "\\u{:04x}", u32::from(c))),
                _ => quoted.push(c),
            }
        }
        quoted.push('"');
        Self(quoted.into())
    }

    /// The JSON text. Each call is a decision to let it out.
    #[must_use]
    pub fn expose_secret(&self) -> &str {
        self.0.expose_secret()
    }

    /// The value as a program wants it: a JSON string without its quotes and escapes, anything else as JSON text.
    #[must_use]
    pub fn to_text(&self) -> SecretString {
        serde_json::from_str::<SecretString>(self.expose_secret()).unwrap_or_else(|_| self.0.clone())
    }
}

impl<'de> Deserialize<'de> for SecretJson {
    /// Only from JSON that lies in memory as a whole (`from_slice`, `from_str`): the text is copied once, from there.
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&RawValue>::deserialize(deserializer).map(|raw| Self(raw.get().into()))
    }
}

impl fmt::Debug for SecretJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_survives_quoting() {
        for text in ["", "plain", "two\nlines", "quote \" backslash \\ bell \u{7} snow \u{2603}"] {
            let json = SecretJson::from_text(&text.into());
            assert_eq!(json.to_text().expose_secret(), text);
        }
    }

    #[test]
    fn what_is_no_string_stays_json() {
        let json: SecretJson = serde_json::from_str(r#" {"a": [1, null]} "#).unwrap();
        assert_eq!(json.to_text().expose_secret(), r#"{"a": [1, null]}"#);
    }

    #[test]
    fn nothing_prints_itself() {
        assert_eq!(format!("{:?}", SecretJson::from_text(&"hunter2".into())), REDACTED);
    }
}
