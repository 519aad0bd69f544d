//! The path of a policy stanza: `*` at the end matches any rest, a segment `+` matches any one segment, everything
//! else is literal.
//!
//! Vault's order of priority, highest first, is the order of [`WildPattern`]s' [`WildPattern::priority`] once the
//! text before the first wildcard is compared by length (<https://developer.hashicorp.com/vault/docs/concepts/policies>):
//!
//! 1. the first `+` or `*` comes later;
//! 2. it does not end in `*`;
//! 3. it has fewer `+` segments;
//! 4. it is longer;
//! 5. it is lexicographically larger.

use std::cmp::Reverse;

use super::template::Template;

/// A parsed path of a policy stanza.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum PathPattern {
    /// Matches this one path.
    Exact(String),
    /// Matches by `*`, `+` or both.
    Wild(WildPattern),
    /// Holds a `{{…}}` that only an identity can fill in; matches nothing without one.
    Templated(Template),
}

/// A path that cannot be used in a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// `+*`: neither a segment nor a prefix.
    #[error("invalid use of wildcards ('+*' is forbidden): use '+' for one whole segment, '*' at the end for any rest")]
    PlusStar,
    /// Braces of a template that do not pair up.
    #[error("unbalanced templating characters: each '{{{{' needs one '}}}}' after it")]
    UnbalancedTemplate,
    /// A control character.
    #[error("it holds a control character, which no request path can: remove it")]
    Control,
}

impl PathPattern {
    /// Parses `path` as written in a policy; leading slashes were removed before.
    pub(super) fn parse(path: &str) -> Result<Self, PatternError> {
        if path.contains(char::is_control) {
            return Err(PatternError::Control);
        }
        if path.contains("+*") {
            return Err(PatternError::PlusStar);
        }
        match Template::parse(path)? {
            Some(template) => Ok(Self::Templated(template)),
            None => Self::parse_filled(path),
        }
    }

    /// Parses `path`, in which braces mean nothing.
    pub(super) fn parse_filled(path: &str) -> Result<Self, PatternError> {
        if path.contains("+*") {
            return Err(PatternError::PlusStar);
        }
        let (text, glob) = path.strip_suffix('*').map_or((path, false), |text| (text, true));
        let wildcards = text.split('/').filter(|segment| *segment == "+").count();
        if !glob && wildcards == 0 {
            return Ok(Self::Exact(text.to_owned()));
        }
        Ok(Self::Wild(WildPattern::new(text, wildcards, glob)))
    }
}

/// A path with at least one wildcard.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct WildPattern {
    /// The path without a trailing `*`.
    text: String,
    /// Bytes of `text` before the first wildcard; the whole text where only `*` is used.
    head: usize,
    /// The segments from the first `+` on; empty where only `*` is used.
    tail: Vec<Segment>,
    wildcards: usize,
    glob: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Segment {
    Any,
    Literal(String),
}

impl WildPattern {
    fn new(text: &str, wildcards: usize, glob: bool) -> Self {
        let mut head = 0;
        for segment in text.split('/').take_while(|segment| *segment != "+") {
            head += segment.len() + 1;
        }
        let tail = text.get(head..).filter(|_| wildcards > 0).map_or_else(Vec::new, |tail| {
            tail.split('/')
                .map(|part| if part == "+" { Segment::Any } else { Segment::Literal(part.to_owned()) })
                .collect()
        });
        Self { text: text.to_owned(), head: head.min(text.len()), tail, wildcards, glob }
    }

    /// The literal text that every matching path begins with.
    pub(super) fn head(&self) -> &str {
        self.text.get(..self.head).unwrap_or_default()
    }

    /// The text that is matched by its beginning, where that is all.
    pub(super) fn as_prefix(&self) -> Option<&str> {
        (self.glob && self.wildcards == 0).then_some(self.text.as_str())
    }

    /// Sorts patterns with heads of equal length by priority, the highest first.
    pub(super) fn priority(&self) -> impl Ord + use<'_> {
        (self.glob, self.wildcards, Reverse(self.text.len()), Reverse(self.text.as_str()))
    }

    /// Sorts any patterns by priority, the highest first.
    pub(super) fn rank(&self) -> impl Ord + use<'_> {
        (Reverse(self.head), self.priority())
    }

    /// Whether `rest`, a path without this pattern's head, matches.
    pub(super) fn matches_after_head(&self, rest: &str) -> bool {
        let Some((last, front)) = self.tail.split_last() else {
            return self.glob;
        };
        let mut rest = rest;
        for segment in front {
            let Some((part, after)) = rest.split_once('/') else {
                return false;
            };
            if !segment.matches(part) {
                return false;
            }
            rest = after;
        }
        match last {
            // "+*" is refused, so what a glob ends in is always literal.
            Segment::Literal(prefix) if self.glob => rest.starts_with(prefix.as_str()),
            last => !rest.contains('/') && last.matches(rest),
        }
    }

    /// Whether some path under `mount` (no trailing slash) matches.
    pub(super) fn reaches_below(&self, mount: &str) -> bool {
        let mut own = self.text.split('/').peekable();
        for part in mount.split('/') {
            match own.next() {
                None => return false,
                Some("+") => {}
                Some(literal) if self.glob && own.peek().is_none() => return part.starts_with(literal),
                Some(literal) if literal == part => {}
                Some(_) => return false,
            }
        }
        own.next().is_some()
    }
}

impl Segment {
    fn matches(&self, part: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Literal(literal) => literal == part,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, path: &str) -> bool {
        match PathPattern::parse(pattern).unwrap() {
            PathPattern::Exact(text) => text == path,
            PathPattern::Wild(wild) => path.strip_prefix(wild.head()).is_some_and(|rest| wild.matches_after_head(rest)),
            PathPattern::Templated(_) => false,
        }
    }

    #[test]
    fn globs_match_any_rest_even_an_empty_one() {
        for (pattern, path, expected) in [
            ("*", "", true),
            ("*", "a/b", true),
            ("", "", true),
            ("", "a", false),
            ("secret/*", "secret/", true),
            ("secret/*", "secret", false),
            ("secret/zip-*", "secret/zip-zap/zong", true),
            ("secret/zip-*", "secret/zip/zap", false),
            ("secret/", "secret/", true),
            ("secret/", "secret", false),
            // Only the last character is a glob.
            ("secret/*/foo", "secret/a/foo", false),
            ("secret/*/foo", "secret/*/foo", true),
            ("a**", "a*b", true),
            ("a**", "ab", false),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern:?} on {path:?}");
        }
    }

    #[test]
    fn plus_matches_exactly_one_segment() {
        for (pattern, path, expected) in [
            ("+", "a", true),
            ("+", "", true),
            ("+", "a/b", false),
            ("+/b", "a/b", true),
            ("secret/+/teamb", "secret/x/teamb", true),
            ("secret/+/teamb", "secret/x/y/teamb", false),
            ("secret/+/teamb", "secret/x/teamb/", false),
            ("secret/+/+/teamb", "secret/x/y/teamb", true),
            ("secret/+", "secret/", true),
            ("secret/+", "secret", false),
            ("secret/+/*", "secret/a", false),
            ("secret/+/*", "secret/a/", true),
            ("secret/+/*", "secret/a/b/c", true),
            ("secret/+/b*", "secret/a/bc/d", true),
            ("secret/+/b*", "secret/a/c", false),
            // A plus beside other characters is literal.
            ("secret/a+/x", "secret/ab/x", false),
            ("secret/a+/x", "secret/a+/x", true),
            ("secret/+a", "secret/+a", true),
            ("secret/+a*", "secret/+ab", true),
            ("a+/+/c", "a+/b/c", true),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern:?} on {path:?}");
        }
    }

    #[test]
    fn templates_are_recognised_and_their_braces_checked() {
        for path in ["a/{{identity.entity.id}}/*", "{{ identity.entity.name }}", "{{a}}/{{b}}/+"] {
            assert!(matches!(PathPattern::parse(path), Ok(PathPattern::Templated(_))), "{path}");
        }
        for path in ["a/{{b", "a/b}}", "{{a}}b}}", "{{a{{b}}"] {
            assert_eq!(PathPattern::parse(path), Err(PatternError::UnbalancedTemplate), "{path}");
        }
        assert!(matches("a/{b}", "a/{b}"));
    }

    #[test]
    fn plus_star_and_control_characters_are_refused() {
        for path in ["foo/+*", "+*", "foo+*"] {
            assert_eq!(PathPattern::parse(path), Err(PatternError::PlusStar), "{path}");
        }
        assert_eq!(PathPattern::parse("a\0b"), Err(PatternError::Control));
    }

    #[test]
    fn reach_below_a_mount() {
        for (pattern, mount, expected) in [
            ("+/*", "foo", true),
            ("+", "foo", false),
            ("foo/+", "foo", true),
            ("foo/+/+/*", "foo/bar/bar/baz", true),
            ("foo/+/+/baz", "foo/bar/bar/baz", false),
            ("foo/bar/+/b*", "foo/bar/bar/baz", true),
            ("foo/bar/+/c*", "foo/bar/bar/baz", false),
            ("foo*", "foo", true),
            ("fo*", "foo", true),
            ("foo/*", "foo", true),
            ("foo/bar*", "foo", true),
            ("bar/*", "foo", false),
            ("foo/+", "foo/bar/baz", false),
        ] {
            let PathPattern::Wild(wild) = PathPattern::parse(pattern).unwrap() else { panic!("{pattern}") };
            assert_eq!(wild.reaches_below(mount), expected, "{pattern:?} below {mount:?}");
        }
    }
}
