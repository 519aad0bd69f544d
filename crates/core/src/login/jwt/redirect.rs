//! Whether a browser may be sent back to an address.

/// Whether `uri` is one of `allowed`, letter by letter. On loopback the port does not matter: a command line listens
/// on one that is free (RFC 8252, section 7.3).
pub(super) fn is_allowed(uri: &str, allowed: &[String]) -> bool {
    match without_loopback_port(uri) {
        Some(uri) => allowed.iter().any(|allowed| without_loopback_port(allowed).is_some_and(|known| known == uri)),
        None => allowed.iter().any(|allowed| allowed == uri),
    }
}

/// Scheme, host and the rest of an address on loopback; `None` for any other, and for one with a user in it.
fn without_loopback_port(uri: &str) -> Option<(&str, &str, &str)> {
    let (scheme, rest) = uri.split_once("://")?;
    let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    let (host, port) = match authority.strip_prefix('[') {
        Some(_) => {
            let close = authority.find(']')?;
            (&authority[..=close], &authority[close + 1..])
        }
        None => authority.find(':').map_or((authority, ""), |colon| authority.split_at(colon)),
    };
    let is_port = port.is_empty()
        || port.strip_prefix(':').is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    (is_port && ["localhost", "127.0.0.1", "[::1]"].contains(&host)).then_some((scheme, host, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_allowed_letter_by_letter_but_for_a_port_on_loopback() {
        let allowed = [
            "http://localhost:8250/oidc/callback".to_owned(),
            "https://vault.example/ui/callback".to_owned(),
            "http://[::1]/cb".to_owned(),
        ];
        for (uri, good) in [
            ("http://localhost:8250/oidc/callback", true),
            ("http://localhost:40000/oidc/callback", true),
            ("http://localhost/oidc/callback", true),
            ("http://[::1]:9/cb", true),
            ("https://vault.example/ui/callback", true),
            ("https://localhost:8250/oidc/callback", false),
            ("http://127.0.0.1:8250/oidc/callback", false),
            ("http://localhost:8250/oidc/callback?x=1", false),
            ("http://localhost:8250/oidc/callback/", false),
            ("http://localhost:8250@evil.example/oidc/callback", false),
            ("http://evil@localhost:8250/oidc/callback", false),
            ("http://localhost.evil.example/oidc/callback", false),
            ("http://localhost\\.evil.example/oidc/callback", false),
            ("https://vault.example:443/ui/callback", false),
            ("https://vault.example/ui/callback#x", false),
            ("https://VAULT.example/ui/callback", false),
            ("javascript:alert(1)", false),
            ("", false),
        ] {
            assert_eq!(is_allowed(uri, &allowed), good, "{uri}");
        }
        assert!(!is_allowed("", &[]));
    }
}
