//! Paths with `{{…}}` in them, which only an identity can fill in.
//!
//! What is filled in is data, never syntax: a value with a `*`, a `+` or a `/` would reach further than the policy's
//! author meant, and so would an empty one (`secret/{{…}}*`). A stanza with such a value is left out, as is one without
//! a value. If it denies, it must not be left out because of what somebody wrote into an identity: the unfit value then
//! stands for any segment, so that more is denied, not less.

use std::borrow::Cow;

use super::pattern::{PathPattern, PatternError};

/// What an identity says about itself.
pub trait Values {
    /// The value that `directive` (`identity.entity.name`, without braces and white space around it) stands for.
    fn value(&self, directive: &str) -> Option<Cow<'_, str>>;
}

/// A path with directives in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Template(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Piece {
    Literal(String),
    Directive(String),
}

/// Stands for an unfit value until its segment is replaced. No path holds a control character.
const UNFIT: &str = "\0";

impl Template {
    /// The template that `path` is; `None`: it holds no directive.
    ///
    /// # Errors
    /// When the braces do not pair up.
    pub(super) fn parse(path: &str) -> Result<Option<Self>, PatternError> {
        let mut parts = path.split("{{");
        let first = parts.next().unwrap_or_default();
        if first.contains("}}") {
            return Err(PatternError::UnbalancedTemplate);
        }
        let mut pieces = vec![Piece::Literal(first.to_owned())];
        for part in parts {
            let (directive, literal) = part.split_once("}}").ok_or(PatternError::UnbalancedTemplate)?;
            if literal.contains("}}") {
                return Err(PatternError::UnbalancedTemplate);
            }
            pieces.push(Piece::Directive(directive.trim().to_owned()));
            pieces.push(Piece::Literal(literal.to_owned()));
        }
        Ok((pieces.len() > 1).then_some(Self(pieces)))
    }

    /// The pattern with the values in it; `None`: the stanza does not hold for this identity.
    pub(super) fn fill(&self, values: &dyn Values, denies: bool) -> Option<PathPattern> {
        let mut path = String::new();
        let mut unfit = false;
        for piece in &self.0 {
            match piece {
                Piece::Literal(text) => path.push_str(text),
                Piece::Directive(directive) => match values.value(directive)? {
                    value if fits(&value) => path.push_str(&value),
                    _ if denies => {
                        unfit = true;
                        path.push_str(UNFIT);
                    }
                    _ => return None,
                },
            }
        }
        let path = if unfit { widen(&path) } else { path };
        PathPattern::parse_filled(&path).ok()
    }
}

fn fits(value: &str) -> bool {
    !value.is_empty() && !value.contains(|c: char| matches!(c, '*' | '+' | '/') || c.is_control())
}

/// Makes segments with an unfit value match any: `+`, or where the last one ends in a glob, all below.
fn widen(path: &str) -> String {
    let mut segments: Vec<&str> = path.split('/').collect();
    let last = segments.len() - 1;
    for (at, segment) in segments.iter_mut().enumerate() {
        if segment.contains(UNFIT) {
            *segment = if at == last && segment.ends_with('*') { "*" } else { "+" };
        }
    }
    segments.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    struct One<'a>(&'a str);

    impl Values for One<'_> {
        fn value(&self, directive: &str) -> Option<Cow<'_, str>> {
            (directive == "v").then_some(Cow::Borrowed(self.0))
        }
    }

    fn fill(path: &str, value: &str, denies: bool) -> Option<PathPattern> {
        Template::parse(path).expect("braces").expect("a template").fill(&One(value), denies)
    }

    fn plain(path: &str) -> Option<PathPattern> {
        Some(PathPattern::parse(path).expect("a path"))
    }

    #[test]
    fn a_fit_value_is_filled_in_as_it_is() {
        assert_eq!(fill("a/{{v}}/*", "b", false), plain("a/b/*"));
        assert_eq!(fill("a/{{ v }}-{{v}}", "b c", false), plain("a/b c-b c"));
        assert_eq!(fill("{{v}}", "ü", false), plain("ü"));
        assert_eq!(fill("a/{{v}}", "{{v}}", false), Some(PathPattern::Exact("a/{{v}}".into())), "filled in once");
    }

    #[test]
    fn an_unfit_or_missing_value_takes_the_stanza_away() {
        for value in ["", "*", "a*", "+", "b+", "/", "a/b", "a\0b", "a\nb"] {
            assert_eq!(fill("a/{{v}}*", value, false), None, "{value:?}");
        }
        assert_eq!(fill("a/{{w}}", "b", false), None);
        assert_eq!(fill("a/{{w}}", "b", true), None);
    }

    #[test]
    fn a_denial_with_an_unfit_value_denies_more() {
        assert_eq!(fill("a/{{v}}/c", "x*", true), plain("a/+/c"));
        assert_eq!(fill("a/b-{{v}}/{{v}}", "/", true), plain("a/+/+"));
        assert_eq!(fill("a/{{v}}/*", "", true), plain("a/+/*"));
        assert_eq!(fill("a/b{{v}}*", "+", true), plain("a/*"));
    }
}
