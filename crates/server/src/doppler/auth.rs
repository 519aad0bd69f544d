//! Who asks: `Authorization: Bearer TOKEN`, or Basic with the token as the name. Any token of the store is good for it,
//! whatever it begins with.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hyper::{HeaderMap, header::AUTHORIZATION};
use keyturn_core::{core::Core, door::Known, secret::SecretString};
use zeroize::Zeroizing;

use super::error::Failure;

/// The token that a request carries. A header that is there twice, or says something else, carries none. Our own command
/// line sends the token as it does to the Vault API.
pub(super) fn token_of(headers: &HeaderMap) -> Option<SecretString> {
    if !headers.contains_key(AUTHORIZATION) {
        let mut values = headers.get_all("x-vault-token").iter();
        let (Some(value), None) = (values.next(), values.next()) else { return None };
        return Some(SecretString::from(value.to_str().ok()?)).filter(|token| !token.is_empty());
    }
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let (scheme, rest) = value.to_str().ok()?.split_once(' ')?;
    let rest = rest.trim();
    let token = if scheme.eq_ignore_ascii_case("bearer") {
        SecretString::from(rest)
    } else if scheme.eq_ignore_ascii_case("basic") {
        let pair = Zeroizing::new(STANDARD.decode(rest).ok()?);
        let pair = std::str::from_utf8(&pair).ok()?;
        SecretString::from(pair.split_once(':').map_or(pair, |(name, _)| name))
    } else {
        return None;
    };
    Some(token).filter(|token| !token.is_empty())
}

/// Finds out whose token it is.
pub(super) async fn know(core: &Core, token: Option<&SecretString>) -> Result<Known, Failure> {
    let token = token.ok_or_else(Failure::unauthenticated)?;
    core.know(token).await?.ok_or_else(Failure::unauthenticated)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(values: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, value.parse().expect("a header"));
        }
        token_of(&headers).map(|token| token.expose_secret().to_owned())
    }

    #[test]
    fn a_token_comes_as_bearer_or_as_the_name_of_basic() {
        assert_eq!(token(&["Bearer dp.st.x"]).as_deref(), Some("dp.st.x"));
        assert_eq!(token(&["bearer  hvs.x "]).as_deref(), Some("hvs.x"));
        for pair in ["dp.st.x:", "dp.st.x:ignored", "dp.st.x"] {
            assert_eq!(token(&[&format!("Basic {}", STANDARD.encode(pair))]).as_deref(), Some("dp.st.x"), "{pair}");
        }
        for values in [&[][..], &["Bearer "], &["dp.st.x"], &["Digest x"], &["Basic %"], &["Bearer a", "Bearer b"]] {
            assert_eq!(token(values), None, "{values:?}");
        }
    }
}
