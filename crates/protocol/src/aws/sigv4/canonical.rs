//! The canonical request: one spelling for all requests that mean the same.
//!
//! ```text
//! method LF
//! path: "." and ".." and double slashes resolved, encoded once more LF
//! query: names and values in one encoding, sorted; a presigned URL's without X-Amz-Signature LF
//! name ":" values, trimmed, runs of white space as one space, joined by "," LF     for each signed header
//! LF
//! names of the signed headers, joined by ";" LF
//! SHA-256 of the body in hex
//! ```
//!
//! It is hashed as it is written and never held as a whole.

use std::borrow::Cow;

use aws_lc_rs::digest;

use super::{ALGORITHM, in_hex};

/// Headers that can be signed at the most.
const MAX_HEADERS: usize = 128;
/// Query parameters at the most.
const MAX_PARAMETERS: usize = 1000;

/// A request that has no canonical form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// A `%` without two hex digits.
    #[error("the query has a broken escape")]
    Escape,
    /// Too many query parameters.
    #[error("the query has more than {MAX_PARAMETERS} parameters")]
    Parameters,
    /// The names of the headers, or of what is signed for, cannot be signed.
    #[error("a header, the access key, the region or the service has a name that cannot be signed")]
    Names,
}

/// Where headers are found.
pub trait Headers {
    /// Calls `visit` with each value that a header has, in the order of the request. `name` is in lower case.
    fn values(&self, name: &str, visit: &mut dyn FnMut(&[u8]));
}

impl Headers for [(String, String)] {
    fn values(&self, name: &str, visit: &mut dyn FnMut(&[u8])) {
        let of_name = self.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        of_name.for_each(|(_, value)| visit(value.as_bytes()));
    }
}

/// The names of the headers that are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignedHeaders<'a>(&'a str);

impl<'a> SignedHeaders<'a> {
    /// Takes names that are joined by `;`. `None` unless they are in lower case, sorted, and each there once.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let is_token =
            |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-!#$%&'*+.^_`|~".contains(byte);
        // Nothing is before an empty name, so that none passes.
        let (mut last, mut count) = (b"".as_slice(), 0);
        for name in text.as_bytes().split(|byte| *byte == b';') {
            count += 1;
            if name <= last || count > MAX_HEADERS || !name.iter().all(is_token) {
                return None;
            }
            last = name;
        }
        Some(Self(text))
    }

    /// Whether a header is among them.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.0.as_bytes().split(|byte| *byte == b';').any(|known| known == name.as_bytes())
    }

    fn names(&self) -> impl Iterator<Item = &'a str> {
        self.0.split(';')
    }
}

/// A request as far as it is signed.
#[derive(Debug, Clone, Copy)]
pub struct CanonicalRequest<'a, H: Headers + ?Sized> {
    /// `POST`.
    pub method: &'a str,
    /// The path as it is sent, encoded.
    pub path: &'a str,
    /// The query as it is sent, encoded; may be empty.
    pub query: &'a str,
    /// The headers.
    pub headers: &'a H,
    /// Which of them are signed.
    pub signed: SignedHeaders<'a>,
    /// SHA-256 of the body in hex.
    pub body_hash: &'a str,
}

impl<H: Headers + ?Sized> CanonicalRequest<'_, H> {
    /// Hands the canonical request out, piece by piece.
    ///
    /// # Errors
    /// When the query is broken.
    pub fn write(&self, out: &mut dyn FnMut(&[u8])) -> Result<(), Broken> {
        let query = canonical_query(self.query)?;
        out(self.method.as_bytes());
        out(b"\n");
        write_path(self.path, out);
        out(b"\n");
        out(query.as_bytes());
        out(b"\n");
        for name in self.signed.names() {
            out(name.as_bytes());
            out(b":");
            let mut first = true;
            self.headers.values(name, &mut |value| {
                if !std::mem::take(&mut first) {
                    out(b",");
                }
                write_value(value, out);
            });
            out(b"\n");
        }
        for piece in ["\n", self.signed.0, "\n", self.body_hash] {
            out(piece.as_bytes());
        }
        Ok(())
    }

    /// What is signed: the algorithm, the time, the scope without its access key, and the hash of the request.
    ///
    /// # Errors
    /// When the query is broken.
    pub fn string_to_sign(&self, time: &str, scope: &str) -> Result<String, Broken> {
        let mut hash = digest::Context::new(&digest::SHA256);
        self.write(&mut |piece| hash.update(piece))?;
        Ok([ALGORITHM, time, scope, in_hex(hash.finish()).as_str()].join("\n"))
    }
}

/// A value without white space around it, runs of it within as one space.
fn write_value(value: &[u8], out: &mut dyn FnMut(&[u8])) {
    let words = value.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    for (at, word) in words.enumerate() {
        if at > 0 {
            out(b" ");
        }
        out(word);
    }
}

/// Services but S3 resolve a path and encode it again.
fn write_path(path: &str, out: &mut dyn FnMut(&[u8])) {
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => _ = segments.pop(),
            segment => segments.push(segment),
        }
    }
    for segment in &segments {
        out(b"/");
        out(encode(segment.as_bytes()).as_bytes());
    }
    if segments.is_empty() || path.ends_with('/') || path.ends_with("/.") || path.ends_with("/..") {
        out(b"/");
    }
}

fn canonical_query(query: &str) -> Result<String, Broken> {
    if query.is_empty() {
        return Ok(String::new());
    }
    if query.split('&').count() > MAX_PARAMETERS {
        return Err(Broken::Parameters);
    }
    let mut pairs = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((respelled(name)?, respelled(value)?))
        })
        .filter(|pair| pair.as_ref().map_or(true, |(name, _)| name != "X-Amz-Signature"))
        .collect::<Result<Vec<_>, _>>()?;
    pairs.sort_unstable();
    let pairs: Vec<String> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    Ok(pairs.join("&"))
}

fn respelled(text: &str) -> Result<String, Broken> {
    decode(text).map(|bytes| encode(&bytes)).ok_or(Broken::Escape)
}

/// The bytes behind the escapes of RFC 3986, section 2.1; `+` is a plus. `None`: a broken escape.
#[must_use]
pub fn decode(text: &str) -> Option<Cow<'_, [u8]>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text.as_bytes()));
    }
    decode_bytes(text, b'+').map(Cow::Owned)
}

/// The same for a form, where `+` is a space.
#[must_use]
pub fn decode_form(text: &str) -> Option<Vec<u8>> {
    decode_bytes(text, b' ')
}

fn decode_bytes(text: &str, plus: u8) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => digit(bytes.next()?)? << 4 | digit(bytes.next()?)?,
            b'+' => plus,
            byte => byte,
        });
    }
    Some(decoded)
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// Everything but letters, digits and `-._~` as `%XX`, in upper case.
fn encode(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut text = String::with_capacity(bytes.len() + 8);
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push('%');
            text.push(char::from(DIGITS[usize::from(byte >> 4)]));
            text.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn path(path: &str) -> String {
        let mut out = Vec::new();
        write_path(path, &mut |piece| out.extend_from_slice(piece));
        String::from_utf8(out).expect("UTF-8")
    }

    fn value(value: &str) -> String {
        let mut out = Vec::new();
        write_value(value.as_bytes(), &mut |piece| out.extend_from_slice(piece));
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn a_path_has_one_spelling() {
        for (sent, canonical) in [
            ("", "/"),
            ("/", "/"),
            ("//", "/"),
            ("/a/./b/", "/a/b/"),
            ("/a/../../b", "/b"),
            ("/a/..", "/"),
            ("/a%20b", "/a%2520b"),
            ("/a b", "/a%20b"),
        ] {
            assert_eq!(path(sent), canonical, "{sent}");
        }
    }

    #[test]
    fn a_query_has_one_spelling() {
        for (sent, canonical) in [
            ("b=2&a=1", "a=1&b=2"),
            ("a=2&a=1&A=3", "A=3&a=1&a=2"),
            ("a", "a="),
            ("a=b=c", "a=b%3Dc"),
            ("%61=%2f&b=x+y", "a=%2F&b=x%2By"),
            ("a=1&&X-Amz-Signature=x", "a=1"),
        ] {
            assert_eq!(canonical_query(sent).as_deref(), Ok(canonical), "{sent}");
        }
        for broken in ["a=%", "a=%2", "%zz=1", "a=%+1"] {
            assert_eq!(canonical_query(broken), Err(Broken::Escape), "{broken}");
        }
        assert_eq!(canonical_query(&"&".repeat(MAX_PARAMETERS)), Err(Broken::Parameters));
    }

    #[test]
    fn a_value_is_trimmed_outside_and_inside() {
        assert_eq!(value("  a   b\t c "), "a b c");
        assert_eq!(value("   "), "");
    }

    #[test]
    fn the_names_of_signed_headers_are_lower_case_sorted_and_each_there_once() {
        assert!(SignedHeaders::parse("host;x-amz-date").is_some_and(|signed| signed.contains("host")));
        for text in ["", "host;", "Host", "x-amz-date;host", "host;host", "host; x-amz-date", "h\u{f6}st"] {
            assert_eq!(SignedHeaders::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn nothing_that_is_sent_makes_it_panic(sent_path in ".*", query in ".*", names in ".*", header in ".*") {
            let headers = [("host".to_owned(), header)];
            let signed = SignedHeaders::parse(&names).unwrap_or(SignedHeaders("host"));
            let request = CanonicalRequest {
                method: "POST", path: &sent_path, query: &query, headers: &headers[..], signed, body_hash: "",
            };
            let _ = request.string_to_sign("", "");
        }

        #[test]
        fn what_is_canonical_stays_as_it_is(query in "[a-c%=&+ /~0-9]{0,40}") {
            if let Ok(canonical) = canonical_query(&query) {
                prop_assert_eq!(canonical_query(&canonical), Ok(canonical.clone()));
            }
        }

        #[test]
        fn decoding_undoes_encoding(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            prop_assert_eq!(decode(&encode(&bytes)).map(Cow::into_owned), Some(bytes));
        }
    }
}
