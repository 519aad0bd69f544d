//! Globs as auth methods have them: `*` stands for any number of characters, everything else for itself.

/// Whether `text` is what `pattern` describes. Takes time linear in both.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(head) else { return false };
    let (middle, tail) = rest.rsplit_once('*').unwrap_or(("", rest));
    for part in middle.split('*') {
        match text.find(part) {
            Some(at) => text = &text[at + part.len()..],
            None => return false,
        }
    }
    text.ends_with(tail)
}

/// Whether any of `patterns` describes `text`.
pub(super) fn any_matches(patterns: &[String], text: &str) -> bool {
    patterns.iter().any(|pattern| matches(pattern, text))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The rule, slow and obvious.
    fn reference(pattern: &[char], text: &[char]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some(('*', rest)) => (0..=text.len()).any(|at| reference(rest, &text[at..])),
            Some((first, rest)) => text.first() == Some(first) && reference(rest, &text[1..]),
        }
    }

    #[test]
    fn a_star_is_any_text_and_nothing_else_is_special() {
        for (pattern, text, fits) in [
            ("repo:org/*:ref:*", "repo:org/app:ref:refs/heads/main", true),
            ("repo:org/*", "repo:organisation/app", false),
            ("a?c", "abc", false),
            ("", "", true),
            ("", "x", false),
            ("*", "", true),
            ("ab*ba", "aba", false),
        ] {
            assert_eq!(matches(pattern, text), fits, "{pattern} {text}");
        }
    }

    proptest! {
        #[test]
        fn decides_as_the_reference_does(pattern in "[ab*]{0,8}", text in "[ab]{0,10}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(matches(&pattern, &text), reference(&chars(&pattern), &chars(&text)));
        }
    }
}
