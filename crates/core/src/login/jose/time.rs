//! The times of a token: `iat`, `nbf`, `exp`.

use serde_json::Value;

use super::{Claims, TokenFault};
use crate::clock::Timestamp;

/// What stands for `exp` and `nbf` where a token lacks one of them, in seconds.
const DEFAULT_SPAN: i64 = 150;
/// How far clocks may be apart, in seconds.
const DEFAULT_SKEW: i64 = 60;

/// How much time is given, in seconds. 0: the usual; below: none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::login) struct Leeways {
    /// A token without `exp` is good for this long.
    pub(in crate::login) expiration: i64,
    /// A token without `nbf` and `iat` is good from this long before `exp`.
    pub(in crate::login) not_before: i64,
    /// How far clocks may be apart.
    pub(in crate::login) clock_skew: i64,
}

fn given(leeway: i64, usual: i64) -> i64 {
    match leeway {
        0 => usual,
        leeway => leeway.max(0),
    }
}

/// Checks that `now` is within the times of a token. At least one of them must be there.
pub(in crate::login) fn check_times(claims: &Claims, leeways: Leeways, now: Timestamp) -> Result<(), TokenFault> {
    let issued = seconds(claims, "iat")?;
    let (mut not_before, mut expires) = (seconds(claims, "nbf")?, seconds(claims, "exp")?);
    if issued == 0 && not_before == 0 && expires == 0 {
        return Err(TokenFault::Claim(
            "no issued at (iat), not before (nbf), or expiration time (exp) claims in token",
        ));
    }
    if expires == 0 {
        expires = issued.max(not_before).saturating_add(given(leeways.expiration, DEFAULT_SPAN));
    }
    if not_before == 0 {
        let earliest = expires.saturating_sub(given(leeways.not_before, DEFAULT_SPAN));
        not_before = if issued == 0 { earliest } else { issued };
    }
    let skew = given(leeways.clock_skew, DEFAULT_SKEW);
    // In whole seconds, both ways to the stricter side: a fraction past the last second is past it.
    let (floor, ceiling) = (now.as_second(), now.as_second() + i64::from(now.subsec_nanosecond() > 0));
    if floor.saturating_add(skew) < not_before {
        return Err(TokenFault::Claim("invalid not before (nbf) claim: token not yet valid"));
    }
    if ceiling.saturating_sub(skew) > expires {
        return Err(TokenFault::Expired);
    }
    if floor.saturating_add(skew) < issued {
        return Err(TokenFault::Claim("invalid issued at (iat) claim: token issued in the future"));
    }
    Ok(())
}

/// A time in seconds; 0 where there is none.
#[allow(clippy::cast_possible_truncation, reason = "a float is cut to the second, and held within i64, by `as`")]
fn seconds(claims: &Claims, name: &'static str) -> Result<i64, TokenFault> {
    match claims.get(name) {
        None | Some(Value::Null) => Ok(0),
        Some(value) => value
            .as_i64()
            .or_else(|| value.as_f64().map(|float| float as i64))
            .ok_or(TokenFault::Claim("a time of the token (iat, nbf, exp) is not a number")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_000_000;

    fn check(claims: &Value, leeways: Leeways) -> Result<(), TokenFault> {
        let claims = claims.as_object().cloned().unwrap_or_default();
        check_times(&claims, leeways, Timestamp::from_second(NOW).expect("a time"))
    }

    #[test]
    fn a_token_is_good_within_its_times_and_a_minute_around_them() {
        let usual = Leeways::default();
        for (claims, good) in [
            (json!({"exp": NOW}), true),
            (json!({"exp": NOW - 60}), true),
            (json!({"exp": NOW - 61}), false),
            (json!({"exp": NOW + 210}), true),
            (json!({"exp": NOW + 211}), false),
            (json!({"exp": NOW + 1000, "nbf": NOW + 60}), true),
            (json!({"exp": NOW + 1000, "nbf": NOW + 61}), false),
            (json!({"exp": NOW + 1000, "iat": NOW + 61}), false),
            (json!({"exp": NOW + 1000, "iat": NOW + 61, "nbf": NOW}), false),
            (json!({"iat": NOW - 210}), true),
            (json!({"iat": NOW - 211}), false),
            (json!({}), false),
            (json!({"exp": null, "iat": 0}), false),
            (json!({"exp": "tomorrow"}), false),
            (json!({"exp": 1e300, "iat": NOW}), true),
            (json!({"exp": i64::MAX, "iat": i64::MIN}), true),
        ] {
            assert_eq!(check(&claims, usual).is_ok(), good, "{claims}");
        }
    }

    #[test]
    fn leeways_can_be_set_and_taken_away() {
        let none = Leeways { expiration: -1, not_before: -1, clock_skew: -1 };
        assert!(check(&json!({"exp": NOW, "iat": NOW}), none).is_ok());
        assert!(check(&json!({"exp": NOW - 1, "iat": NOW - 5}), none).is_err());
        assert!(check(&json!({"iat": NOW - 1}), none).is_err());
        let wide = Leeways { expiration: 500, not_before: 500, clock_skew: 300 };
        assert!(check(&json!({"exp": NOW - 300, "iat": NOW - 900}), wide).is_ok());
        assert!(check(&json!({"iat": NOW - 800}), wide).is_ok());
        assert!(check(&json!({"exp": NOW + 800}), wide).is_ok());
    }

    #[test]
    fn a_fraction_past_the_last_second_is_past_it() {
        let claims = json!({"exp": NOW, "iat": NOW - 9}).as_object().cloned().unwrap_or_default();
        let none = Leeways { expiration: -1, not_before: -1, clock_skew: -1 };
        let late = Timestamp::new(NOW, 1).expect("a time");
        assert!(check_times(&claims, none, late).is_err());
    }
}
