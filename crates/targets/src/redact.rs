//! What of an engine's message may be told: nothing that could be part of a password.
//!
//! Engines repeat what they do not understand ("syntax error at or near …", "Error in ACL SETUSER modifier '>…'"), cut
//! and changed in case at times. A message is told only if it shares no run of a few characters with a secret.

use keyturn_core::secret::SecretString;

/// The length in characters of what a message may not share with a secret; a shorter secret counts as a whole.
const RUN: usize = 4;

/// The code, and the message if it holds no part of the secrets.
pub(crate) fn reason(code: &str, message: &str, secrets: &[&SecretString]) -> String {
    if secrets.iter().any(|secret| shares_a_run(message, secret.expose_secret())) {
        return format!("{code} (the target's message is withheld, for it may repeat a part of the statement)");
    }
    // One line, and not a page of it.
    let told: String = message.chars().map(|c| if c.is_control() { ' ' } else { c }).take(400).collect();
    if code.is_empty() { told } else { format!("{code}: {told}") }
}

fn shares_a_run(message: &str, secret: &str) -> bool {
    let (message, secret) = (message.to_lowercase(), zeroize::Zeroizing::new(secret.to_lowercase()));
    let ends: Vec<usize> = secret.char_indices().map(|(at, _)| at).chain([secret.len()]).collect();
    let width = RUN.min(ends.len() - 1);
    if width == 0 {
        return false;
    }
    ends.windows(width + 1).any(|run| match run {
        [start, .., end] => secret.get(*start..*end).is_some_and(|part| message.contains(part)),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(message: &str, secret: &str) -> bool {
        reason("42601", message, &[&SecretString::from(secret)]).contains(message)
    }

    #[test]
    fn no_part_of_a_secret_is_told() {
        assert!(told("role \"app\" does not exist", "hunter2-hunter3"));
        assert!(!told("syntax error at or near \"hunter2\"", "hunter2-hunter3"));
        assert!(!told("syntax error at or near \"ter3\"", "hunter2-hunter3"));
        assert!(!told("NEAR \"HUNTER\"", "hunter2"));
        assert!(!told("at or near \"pw\"", "pw"));
        assert!(!told("near 'äöü'", "äöü"));
        assert!(told("anything", ""));
    }

    #[test]
    fn the_code_is_told_always_and_a_message_on_one_line() {
        assert!(reason("42601", "near hunter2", &[&SecretString::from("hunter2")]).starts_with("42601 ("));
        assert_eq!(reason("42601", "two\nlines", &[]), "42601: two lines");
    }
}
