//! A request's parameters: clients put them in the query or in a JSON body as it suits them, on the same paths.

use std::{borrow::Cow, collections::BTreeMap};

use keyturn_core::secret::{SecretBytes, SecretString};
use keyturn_protocol::{aws::sigv4::decode_form, doppler::Page};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::error::Failure;
use crate::vault::json_check::problem_of;

/// Parameters of a query at the most.
const MAX_PARAMETERS: usize = 100;

/// What a request says beside its path.
#[derive(Debug)]
pub(crate) struct Parameters {
    query: Vec<(String, String)>,
    body: SecretBytes,
    /// The text of the JSON object that the audit log records and that policies look at.
    told: SecretBytes,
}

impl Parameters {
    pub(super) fn read(query: &str, body: SecretBytes, depth: usize) -> Result<Self, Failure> {
        let query = parse_query(query).ok_or_else(|| {
            Failure::bad_request("the query has a broken escape, is not UTF-8, or one of its parameters is there twice")
        })?;
        // One client sends `null` along where it has nothing to send.
        let says_nothing = matches!(body.expose_secret().trim_ascii(), b"" | b"null");
        let body = if says_nothing { SecretBytes::default() } else { body };
        if let Some(problem) = (!body.is_empty()).then(|| problem_of(body.expose_secret(), depth)).flatten() {
            return Err(Failure::bad_request(format!("the body cannot be read as JSON: {problem}")));
        }
        let told = if body.is_empty() && !query.is_empty() {
            let object: BTreeMap<&str, &str> = query.iter().map(|(name, value)| (&**name, &**value)).collect();
            SecretBytes::new(serde_json::to_vec(&object).unwrap_or_default())
        } else {
            body.clone()
        };
        let parameters = Self { query, body, told };
        parameters.fields()?;
        Ok(parameters)
    }

    /// A body that is no JSON, for the one path that takes another kind.
    pub(super) fn opaque(body: SecretBytes) -> Self {
        Self { query: Vec::new(), body, told: SecretBytes::new(b"{}".to_vec()) }
    }

    /// The body as it came.
    pub(super) fn raw(&self) -> &SecretBytes {
        &self.body
    }

    /// What is told of the request.
    pub(crate) fn told(&self) -> &SecretBytes {
        &self.told
    }

    /// The body, as a type of its own. For members that may be secrets, of types that keep them.
    pub(crate) fn body<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        let body = if self.body.is_empty() { b"{}" } else { self.body.expose_secret() };
        // The parser's own words may quote a value.
        serde_json::from_slice(body).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            Failure::bad_request(format!(
                "a member of the body is missing, of another type than it should be, or there twice (line {line}, column {column})"
            ))
        })
    }

    /// The members of the body, as they are spelled.
    fn fields(&self) -> Result<BTreeMap<Cow<'_, str>, &RawValue>, Failure> {
        if self.body.is_empty() {
            return Ok(BTreeMap::new());
        }
        serde_json::from_slice(self.body.expose_secret())
            .map_err(|_| Failure::bad_request("the body must be a JSON object"))
    }

    /// A parameter of the query alone, if it says anything.
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.query_text(name).filter(|text| !text.is_empty())
    }

    fn query_text(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn member<T: DeserializeOwned>(&self, name: &str, wanted: &str) -> Result<Option<T>, Failure> {
        let fields = self.fields()?;
        let Some(raw) = fields.get(name) else { return Ok(None) };
        serde_json::from_str(raw.get()).map_err(|_| Failure::bad_request(format!("{name} must be {wanted}")))
    }

    /// A text that is no secret; an empty one is none.
    pub(crate) fn text(&self, name: &str) -> Result<Option<String>, Failure> {
        let text = match self.query_text(name).filter(|text| !text.is_empty()) {
            Some(text) => Some(text.to_owned()),
            None => self.member::<Option<String>>(name, "a text")?.flatten(),
        };
        Ok(text.filter(|text| !text.is_empty()))
    }

    /// A text that must be there.
    pub(crate) fn required(&self, name: &str) -> Result<String, Failure> {
        self.text(name)?.ok_or_else(|| Failure::bad_request(format!("{name} is missing")))
    }

    /// A text of the body that may be a secret.
    pub(crate) fn secret(&self, name: &str) -> Result<Option<SecretString>, Failure> {
        let text = self.member::<Option<SecretString>>(name, "a text")?.flatten();
        Ok(text.filter(|text| !text.is_empty()))
    }

    /// Yes or no.
    pub(crate) fn boolean(&self, name: &str) -> Result<Option<bool>, Failure> {
        match self.query_text(name).filter(|text| !text.is_empty()).map(str::to_ascii_lowercase).as_deref() {
            Some("true" | "1") => Ok(Some(true)),
            Some("false" | "0") => Ok(Some(false)),
            Some(_) => Err(Failure::bad_request(format!("{name} must be true or false"))),
            None => Ok(self.member::<Option<bool>>(name, "true or false")?.flatten()),
        }
    }

    /// A member of the body, of a type that holds no secret.
    pub(crate) fn value<T: DeserializeOwned>(&self, name: &str, wanted: &str) -> Result<Option<T>, Failure> {
        Ok(self.member::<Option<T>>(name, wanted)?.flatten())
    }

    /// Which page is asked for.
    pub(crate) fn page(&self) -> Result<Page, Failure> {
        let number = |name: &str, default| match self.query_text(name).filter(|text| !text.is_empty()) {
            None => Ok(default),
            Some(text) => match text.parse::<usize>() {
                Ok(number) if number > 0 => Ok(number),
                _ => Err(Failure::bad_request(format!("{name} must be a number from 1"))),
            },
        };
        let size = number("per_page", Page::DEFAULT_SIZE)?.min(Page::MAX_SIZE);
        Ok(Page { number: number("page", 1)?, size })
    }
}

fn parse_query(text: &str) -> Option<Vec<(String, String)>> {
    let mut query: Vec<(String, String)> = Vec::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let decoded = |text| String::from_utf8(decode_form(text)?).ok();
        let (name, value) = (decoded(name)?, decoded(value)?);
        if query.len() == MAX_PARAMETERS || query.iter().any(|(known, _)| *known == name) {
            return None;
        }
        query.push((name, value));
    }
    Some(query)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str, body: &str) -> Result<Parameters, Failure> {
        Parameters::read(query, SecretBytes::new(body.as_bytes().to_vec()), 16)
    }

    #[test]
    fn a_parameter_comes_from_the_query_or_the_body() {
        let parameters =
            read("project=a&config=&x=%C3%BC+1", r#"{"config": "dev", "n": null, "b": true}"#).expect("read");
        let text = |name| parameters.text(name).expect("a text");
        assert_eq!([text("project"), text("config"), text("x")].map(Option::unwrap_or_default), ["a", "dev", "ü 1"]);
        assert_eq!((text("n"), text("none")), (None, None));
        assert_eq!(parameters.boolean("b").expect("a boolean"), Some(true));
        assert!(parameters.text("b").is_err(), "another type");
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for (query, body) in [("a=1&a=2", ""), ("a=%zz", ""), ("a=%ff", ""), ("", "[1]"), ("", "{"), ("", "\"x\"")] {
            assert!(read(query, body).is_err(), "{query} {body}");
        }
    }

    #[test]
    fn pages_begin_at_one() {
        let page = |query: &str| read(query, "").expect("read").page().ok().map(|page| (page.number, page.size));
        assert_eq!(page(""), Some((1, 20)));
        assert_eq!(page("page=3&per_page=100"), Some((3, 100)));
        assert_eq!(page("per_page=100000"), Some((1, 1000)));
        assert_eq!((page("page=0"), page("page=x"), page("per_page=-1")), (None, None, None));
    }
}
