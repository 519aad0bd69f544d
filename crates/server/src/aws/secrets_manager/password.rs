//! `GetRandomPassword`.

use keyturn_core::{policy, random::Random, secret::SecretBytes};
use keyturn_protocol::aws::secretsmanager::GetRandomPasswordRequest;

use super::{Answer, asking::Asking, error::invalid_parameter, text};
use crate::aws::failure::Failure;

const DEFAULT_LENGTH: usize = 32;
const LOWERCASE: &[u8] = b"abcdefghijklmnopqrstuvwxyz";
const UPPERCASE: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const NUMBERS: &[u8] = b"0123456789";
const PUNCTUATION: &[u8] = b"!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";

/// Where a password is asked for, as policies see it.
const PATH: &str = "sys/tools/random";

pub(super) async fn get(asking: &Asking<'_>) -> Answer {
    let request: GetRandomPasswordRequest = asking.read()?;
    let (exchange, permit) = asking.admit(policy::Operation::Update, PATH, asking.body()).await?;
    permit.spend();
    let outcome = password(&request).map(|password| {
        let quoted = text::quoted(&password);
        let mut answer = SecretBytes::new(Vec::with_capacity(quoted.len() + 24));
        for part in [b"{\"RandomPassword\":".as_slice(), quoted.expose_secret(), b"}"] {
            answer.expose_secret_mut().extend_from_slice(part);
        }
        answer
    });
    asking.conclude(exchange, outcome).await
}

fn password(request: &GetRandomPasswordRequest) -> Result<SecretBytes, Failure> {
    let excluded = request.exclude_characters.as_deref().unwrap_or_default().as_bytes();
    let types = [
        (LOWERCASE, !request.exclude_lowercase.unwrap_or(false)),
        (UPPERCASE, !request.exclude_uppercase.unwrap_or(false)),
        (NUMBERS, !request.exclude_numbers.unwrap_or(false)),
        (PUNCTUATION, !request.exclude_punctuation.unwrap_or(false)),
        (b" ", request.include_space.unwrap_or(false)),
    ];
    let types: Vec<Vec<u8>> = types
        .iter()
        .filter(|(_, included)| *included)
        .map(|(set, _)| set.iter().copied().filter(|byte| !excluded.contains(byte)).collect())
        .collect();
    let each = request.require_each_included_type.unwrap_or(true);
    let length = request.password_length.unwrap_or(DEFAULT_LENGTH);
    if each && length < types.len() {
        return Err(invalid_parameter("Password length is too short based on the required types."));
    }
    let all = types.concat();
    if all.is_empty() || each && types.iter().any(Vec::is_empty) {
        return Err(invalid_parameter(
            "No characters are left of a required type: exclude fewer, or set RequireEachIncludedType to false.",
        ));
    }
    draw(&types, &all, length, each).map_err(|error| Failure::internal(&error, ""))
}

/// One character of each type if that is wanted, the rest from all of them, in random order.
fn draw(
    types: &[Vec<u8>],
    all: &[u8],
    length: usize,
    each: bool,
) -> Result<SecretBytes, keyturn_core::random::RandomError> {
    let mut source = Draws::default();
    let mut password = SecretBytes::new(Vec::with_capacity(length));
    let out = password.expose_secret_mut();
    if each {
        for set in types {
            out.push(set[source.below(set.len())?]);
        }
    }
    while out.len() < length {
        out.push(all[source.below(all.len())?]);
    }
    // Fisher and Yates.
    for index in (1..out.len()).rev() {
        let other = source.below(index + 1)?;
        out.swap(index, other);
    }
    Ok(password)
}

/// Random numbers below a bound, each equally likely.
#[derive(Default)]
struct Draws {
    random: Random,
    bytes: zeroize::Zeroizing<Vec<u8>>,
}

impl Draws {
    /// `bound` is from 1 to 65,536.
    fn below(&mut self, bound: usize) -> Result<usize, keyturn_core::random::RandomError> {
        // Numbers beyond the last whole multiple would favour the small ones.
        let fair = 65_536 / bound * bound;
        loop {
            if self.bytes.len() < 2 {
                self.bytes.resize(256, 0);
                self.random.fill(&mut self.bytes)?;
            }
            let drawn = usize::from(self.bytes.pop().unwrap_or(0)) << 8 | usize::from(self.bytes.pop().unwrap_or(0));
            if drawn < fair {
                return Ok(drawn % bound);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(json: &str) -> Result<String, String> {
        let request = serde_json::from_str(json).expect("a request");
        let password = password(&request).map_err(|failure| failure.text())?;
        Ok(String::from_utf8(password.expose_secret().to_vec()).expect("ASCII"))
    }

    #[test]
    fn each_type_is_there() {
        for _ in 0..200 {
            let password = of(r#"{"PasswordLength":5,"IncludeSpace":true}"#).expect("a password");
            assert_eq!(password.len(), 5);
            for set in [LOWERCASE, UPPERCASE, NUMBERS, PUNCTUATION, b" "] {
                assert!(password.bytes().any(|byte| set.contains(&byte)), "{password}");
            }
        }
        assert_eq!(of("{}").expect("a password").len(), 32);
    }

    #[test]
    fn what_is_excluded_is_not_there() {
        let json =
            r#"{"PasswordLength":4096,"ExcludePunctuation":true,"ExcludeNumbers":true,"ExcludeCharacters":"aZ"}"#;
        let password = of(json).expect("a password");
        assert!(password.bytes().all(|byte| byte.is_ascii_alphabetic() && byte != b'a' && byte != b'Z'));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        assert!(of(r#"{"PasswordLength":3}"#).expect_err("short").contains("too short"));
        for json in [
            r#"{"ExcludeCharacters":"0123456789"}"#,
            r#"{"ExcludeNumbers":true,"ExcludePunctuation":true,"ExcludeUppercase":true,"ExcludeLowercase":true}"#,
        ] {
            assert!(of(json).expect_err("nothing").contains("No characters"), "{json}");
        }
        assert!(of(r#"{"ExcludeCharacters":"0123456789","RequireEachIncludedType":false}"#).is_ok());
    }
}
