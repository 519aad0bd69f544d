//! The parameters of the query protocol: `Action=…&Version=…`.

use keyturn_core::secret::SecretString;
use keyturn_protocol::aws::sigv4::decode_form;

use super::{
    super::{Call, failure::Failure},
    parameters,
};

/// Parameters at the most.
const MAX_PARAMETERS: usize = 200;

/// Parameters by their names; any value may be a secret.
pub(super) struct Form(Vec<(String, SecretString)>);

impl Form {
    /// Reads a request's parameters.
    pub(super) fn parse(call: &Call) -> Result<Self, Failure> {
        Self::parse_text(parameters(&call.parts, call.body.expose_secret())).ok_or_else(|| {
            let text = "The parameters have a broken escape, are not UTF-8, too many, or one of them is there twice.";
            Failure::client("MalformedQueryString", text)
        })
    }

    fn parse_text(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let mut form = Self(Vec::new());
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decoded = |text| String::from_utf8(decode_form(text)?).ok();
            let (name, value) = (decoded(name)?, SecretString::new(decoded(value)?));
            if form.0.len() == MAX_PARAMETERS || form.secret(&name).is_some() {
                return None;
            }
            form.0.push((name, value));
        }
        Some(form)
    }

    /// A parameter that may be a secret.
    pub(super) fn secret(&self, name: &str) -> Option<&SecretString> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// The names of all parameters.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// A parameter that is none.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.secret(name).map(SecretString::expose_secret)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_has_each_name_once() {
        let form = Form::parse_text(b"Action=Get+It&Version=a%2Bb&&c").expect("a form");
        assert_eq!(
            (form.text("Action"), form.text("Version"), form.text("c")),
            (Some("Get It"), Some("a+b"), Some(""))
        );
        for text in ["a=1&a=2", "a=%zz", "a=%ff"] {
            assert!(Form::parse_text(text.as_bytes()).is_none(), "{text}");
        }
    }
}
