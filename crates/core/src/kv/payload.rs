//! What a version holds: fields, text or bytes.
//!
//! ```text
//! stored payload = content ‖ kind      kind: 'F' JSON object text, 'T' UTF-8 text, 'B' bytes
//! ```
//!
//! The kind stands last, so that opening a payload costs no copy.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::json;
use crate::secret::SecretBytes;

/// The content of one version.
#[derive(Debug, Clone)]
pub enum Payload {
    /// Named JSON values: the text of a JSON object.
    Fields(SecretBytes),
    /// Text, valid UTF-8.
    Text(SecretBytes),
    /// Bytes.
    Bytes(SecretBytes),
}

impl Payload {
    /// Text as a client has it: fields, if it is a JSON object that everybody reads alike. It stays as it is spelled.
    #[must_use]
    pub fn from_text(text: SecretBytes) -> Self {
        let is_object = text.expose_secret().trim_ascii_start().starts_with(b"{");
        if is_object && json::check(text.expose_secret()).is_ok() { Self::Fields(text) } else { Self::Text(text) }
    }

    /// The payload as Vault's clients read it: the text of a JSON object.
    #[must_use]
    pub fn into_json_object(self) -> SecretBytes {
        match self {
            Self::Fields(json) => json,
            Self::Text(text) => single_value(&String::from_utf8_lossy(text.expose_secret())),
            Self::Bytes(bytes) => {
                let mut encoded = STANDARD.encode(bytes.expose_secret());
                let json = single_value(&encoded);
                zeroize::Zeroize::zeroize(&mut encoded);
                json
            }
        }
    }

    pub(super) fn into_stored(self) -> SecretBytes {
        let (mut content, kind) = match self {
            Self::Fields(content) => (content, b'F'),
            Self::Text(content) => (content, b'T'),
            Self::Bytes(content) => (content, b'B'),
        };
        content.expose_secret_mut().push(kind);
        content
    }

    /// `None`: the record is none of ours.
    pub(super) fn from_stored(mut stored: SecretBytes) -> Option<Self> {
        match stored.expose_secret_mut().pop()? {
            b'F' => Some(Self::Fields(stored)),
            b'T' => Some(Self::Text(stored)),
            b'B' => Some(Self::Bytes(stored)),
            _ => None,
        }
    }
}

/// `{"value": text}`, without an unwiped copy on the way.
fn single_value(text: &str) -> SecretBytes {
    // Escaping makes at most six bytes of one.
    let mut json = SecretBytes::new(Vec::with_capacity(text.len() * 6 + 16));
    let buffer = json.expose_secret_mut();
    buffer.extend_from_slice(b"{\"value\":");
    // Writing text to memory cannot fail.
    _ = serde_json::to_writer(&mut *buffer, text);
    buffer.push(b'}');
    json
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_bytes_read_as_one_field() {
        let text = Payload::Text(SecretBytes::new(b"a\"b".to_vec())).into_json_object();
        assert_eq!(text.expose_secret(), br#"{"value":"a\"b"}"#);
        let bytes = Payload::Bytes(SecretBytes::new(vec![0, 255])).into_json_object();
        assert_eq!(bytes.expose_secret(), br#"{"value":"AP8="}"#);
    }

    #[test]
    fn text_that_is_an_object_is_fields_as_it_is_spelled() {
        let of = |text: &str| Payload::from_text(SecretBytes::new(text.as_bytes().to_vec()));
        let spelled = " {\"b\": 1.50, \"a\":\"x\"} ";
        assert!(matches!(of(spelled), Payload::Fields(text) if text.expose_secret() == spelled.as_bytes()));
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(500), "]".repeat(500));
        for text in ["plain", "[1]", "{\"a\":1", "{\"a\":\"\\ud800\"}", "{\"a\":1e999}", &deep] {
            assert!(matches!(of(text), Payload::Text(_)), "{}", &text[..7]);
        }
    }

    #[test]
    fn what_is_stored_comes_back_as_the_same_kind() {
        let stored = Payload::Text(SecretBytes::new(b"x".to_vec())).into_stored();
        assert!(matches!(Payload::from_stored(stored), Some(Payload::Text(text)) if text.expose_secret() == b"x"));
        assert!(Payload::from_stored(SecretBytes::new(b"x?".to_vec())).is_none());
        assert!(Payload::from_stored(SecretBytes::default()).is_none());
    }
}
