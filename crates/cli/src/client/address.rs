//! The server's address, and how a path becomes a URL.

use std::fmt::{self, Write as _};
use std::net::IpAddr;

use ureq::http::Uri;

/// An `http` or `https` URL without credentials, query or closing slash. A path prefix is allowed, for a server behind
/// a reverse proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    base: String,
    tls: bool,
    loopback: bool,
}

/// Why text is no server's address.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AddressError {
    /// It does not parse, or has no host.
    #[error("not the URL of a server: write it like https://secrets.example.com:8200")]
    NotAUrl,
    /// Another protocol.
    #[error("the scheme must be http or https: write it like https://secrets.example.com:8200")]
    Scheme,
    /// `user:password@`; the text is not repeated, for it may hold a password.
    #[error("a server's address takes no user or password: leave out what stands before the @ and use `keyturn login`")]
    Credentials,
    /// `?…` is the request's.
    #[error("a server's address takes no query: leave out the ? and what follows")]
    Query,
}

impl Address {
    /// Reads a URL.
    pub(crate) fn parse(text: &str) -> Result<Self, AddressError> {
        let uri: Uri = text.trim().trim_end_matches('/').parse().map_err(|_| AddressError::NotAUrl)?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            Some(_) => return Err(AddressError::Scheme),
            None => return Err(AddressError::NotAUrl),
        };
        let host = uri.host().filter(|host| !host.is_empty()).ok_or(AddressError::NotAUrl)?;
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(AddressError::Credentials);
        }
        if uri.query().is_some() {
            return Err(AddressError::Query);
        }
        let loopback = is_loopback(host);
        Ok(Self { base: uri.to_string().trim_end_matches('/').to_owned(), tls, loopback })
    }

    /// Whether the connection is by TLS.
    pub(crate) const fn is_tls(&self) -> bool {
        self.tls
    }

    /// Whether the host is this machine by its literal name or address.
    pub(crate) const fn is_loopback(&self) -> bool {
        self.loopback
    }

    /// Where AWS's clients send everything: the URL, and of it the host with its port, and the path.
    pub(crate) fn root(&self) -> (String, &str, &str) {
        let rest = self.base.split_once("://").map_or(self.base.as_str(), |(_, rest)| rest);
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        (
            if path.is_empty() { format!("{}/", self.base) } else { self.base.clone() },
            host,
            if path.is_empty() { "/" } else { path },
        )
    }

    /// The URL of an API path. Whatever is not a plain letter of a URL is percent-encoded, so that a secret's name may
    /// hold `#`, `?` or spaces. A path that begins with a slash is one of another API than Vault's, version included.
    pub(crate) fn url(&self, path: &str, query: &[(&str, String)]) -> String {
        let mut url = format!("{}{}", self.base, if path.starts_with('/') { "" } else { "/v1/" });
        encode(&mut url, path, b"/");
        for (index, (name, value)) in query.iter().enumerate() {
            url.push(if index == 0 { '?' } else { '&' });
            url.push_str(name);
            url.push('=');
            encode(&mut url, value, b"");
        }
        url
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.base)
    }
}

/// Whether a host is this machine by its literal name or address.
pub(crate) fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Appends `text`, percent-encoding all but RFC 3986's unreserved characters and `kept`.
fn encode(url: &mut String, text: &str, kept: &[u8]) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || kept.contains(&byte) {
            url.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(url, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_becomes_a_url() {
        let address = Address::parse("https://vault.example.com:8200/prefix/").unwrap();
        assert!(address.is_tls() && !address.is_loopback());
        assert_eq!(
            address.url("secret/data/a b#c?é", &[("version", "3".into()), ("list", "a&b".into())]),
            "https://vault.example.com:8200/prefix/v1/secret/data/a%20b%23c%3F%C3%A9?version=3&list=a%26b"
        );
    }

    #[test]
    fn the_root_has_a_host_and_a_path() {
        let root = |text: &str| {
            let address = Address::parse(text).unwrap();
            let (url, host, path) = address.root();
            [url.as_str(), host, path].map(str::to_owned)
        };
        assert_eq!(root("https://a.example"), ["https://a.example/", "a.example", "/"]);
        assert_eq!(root("http://[::1]:8200/"), ["http://[::1]:8200/", "[::1]:8200", "/"]);
        assert_eq!(root("https://a.example/x/"), ["https://a.example/x", "a.example", "/x"]);
    }

    #[test]
    fn loopback_is_known() {
        for text in ["http://127.0.0.1:8200", "http://localhost", "http://[::1]:8200"] {
            assert!(Address::parse(text).unwrap().is_loopback(), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for (text, error) in [
            ("", AddressError::NotAUrl),
            ("vault.example.com", AddressError::NotAUrl),
            ("/v1", AddressError::NotAUrl),
            ("http://", AddressError::NotAUrl),
            ("ftp://x", AddressError::Scheme),
            ("https://u:p@x", AddressError::Credentials),
            ("https://x/?a=b", AddressError::Query),
        ] {
            assert_eq!(Address::parse(text), Err(error), "{text}");
        }
    }
}
