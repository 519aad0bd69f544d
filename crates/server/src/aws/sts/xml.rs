//! XML, as much of it as STS's answers need.

use axum::body::Body;
use hyper::{Response, StatusCode};
use keyturn_core::secret::SecretBytes;
use keyturn_protocol::aws::STS_NAMESPACE;

use super::super::failure::respond;

/// The type of the answers.
pub(in super::super) const TYPE: &str = "text/xml";

/// Text as it stands between tags. What XML 1.0 cannot say is replaced.
pub(in super::super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\t' | '\n' => out.push(c),
            c if c < ' ' || c == '\u{fffe}' || c == '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// The answer to `action`. `result` is XML; the buffer is made once and wiped when it is sent.
pub(super) fn answer(action: &str, result: &SecretBytes, request_id: &str) -> Response<Body> {
    let parts: [&[u8]; 13] = [
        b"<",
        action.as_bytes(),
        b"Response xmlns=\"",
        STS_NAMESPACE.as_bytes(),
        b"\"><",
        action.as_bytes(),
        b"Result>",
        result.expose_secret(),
        b"</",
        action.as_bytes(),
        b"Result><ResponseMetadata><RequestId>",
        request_id.as_bytes(),
        b"</RequestId></ResponseMetadata></",
    ];
    let room = parts.iter().map(|part| part.len()).sum::<usize>() + action.len() + 16;
    let mut body = SecretBytes::new(Vec::with_capacity(room));
    let out = body.expose_secret_mut();
    parts.iter().for_each(|part| out.extend_from_slice(part));
    out.extend_from_slice(action.as_bytes());
    out.extend_from_slice(b"Response>");
    respond(StatusCode::OK, TYPE, request_id, Body::from(bytes::Bytes::from_owner(body)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_become_markup() {
        assert_eq!(escaped("<a b=\"&\">\u{1}ä"), "&lt;a b=&quot;&amp;&quot;&gt;\u{fffd}ä");
    }
}
