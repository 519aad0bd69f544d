//! References in a value: `${NAME}`, `${config.NAME}`, `${project.config.NAME}`.
//!
//! A backslash before a reference takes its meaning away and goes: `\${NAME}` reads `${NAME}`. Anything else between
//! braces is text as it stands.

/// The longest name of a secret, in bytes.
pub const MAX_SECRET_NAME: usize = 200;

/// What a value refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference<'a> {
    /// The project; `None`: the one in which the value stands.
    pub project: Option<&'a str>,
    /// The config; `None`: the one that is read.
    pub config: Option<&'a str>,
    /// The secret.
    pub name: &'a str,
}

/// A part of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part<'a> {
    /// Text as it stands.
    Text(&'a str),
    /// A reference, and how it is written.
    Reference(Reference<'a>, &'a str),
}

/// The parts of a value, in order.
pub fn parts(value: &str) -> impl Iterator<Item = Part<'_>> {
    Parts { rest: value, next: None }
}

/// The references of a value.
pub fn references(value: &str) -> impl Iterator<Item = Reference<'_>> {
    parts(value).filter_map(|part| match part {
        Part::Reference(reference, _) => Some(reference),
        Part::Text(_) => None,
    })
}

/// Whether a name may be that of a secret: `[A-Z_][A-Z0-9_]*`, up to [`MAX_SECRET_NAME`] bytes.
#[must_use]
pub fn is_secret_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    name.len() <= MAX_SECRET_NAME
        && bytes.next().is_some_and(|first| first.is_ascii_uppercase() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}

struct Parts<'a> {
    rest: &'a str,
    /// A reference behind text that has been handed out.
    next: Option<(Part<'a>, &'a str)>,
}

impl<'a> Iterator for Parts<'a> {
    type Item = Part<'a>;

    fn next(&mut self) -> Option<Part<'a>> {
        if let Some((part, rest)) = self.next.take() {
            self.rest = rest;
            return Some(part);
        }
        if self.rest.is_empty() {
            return None;
        }
        let mut from = 0;
        while let Some(at) = self.rest[from..].find("${").map(|at| at + from) {
            let Some((reference, length)) = reference_at(&self.rest[at..]) else {
                from = at + 2;
                continue;
            };
            let written = &self.rest[at..at + length];
            let escaped = self.rest[..at].ends_with('\\');
            let part = if escaped { Part::Text(written) } else { Part::Reference(reference, written) };
            let (text, rest) = (&self.rest[..at - usize::from(escaped)], &self.rest[at + length..]);
            if text.is_empty() {
                self.rest = rest;
                return Some(part);
            }
            self.next = Some((part, rest));
            return Some(Part::Text(text));
        }
        Some(Part::Text(std::mem::take(&mut self.rest)))
    }
}

/// The reference that begins the text, and how long it is.
fn reference_at(text: &str) -> Option<(Reference<'_>, usize)> {
    let inner = text.strip_prefix("${")?;
    // A reference is three names at the most; what is longer needs no look at its end.
    let bound = inner.len().min(MAX_SECRET_NAME + 2 * MAX_SLUG + 3);
    let end = inner.as_bytes()[..bound].iter().position(|byte| *byte == b'}')?;
    let mut segments = inner[..end].rsplit('.');
    let (name, config, project) = (segments.next()?, segments.next(), segments.next());
    let fits =
        segments.next().is_none() && is_referable(name) && config.is_none_or(is_slug) && project.is_none_or(is_slug);
    fits.then_some((Reference { project, config, name }, end + 3))
}

/// The longest name of a project or config in a reference.
const MAX_SLUG: usize = 100;

fn is_slug(text: &str) -> bool {
    (1..=MAX_SLUG).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_'))
}

fn is_referable(name: &str) -> bool {
    is_secret_name(name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(value: &str) -> Vec<String> {
        parts(value)
            .map(|part| match part {
                Part::Text(text) => format!("'{text}'"),
                Part::Reference(Reference { project, config, name }, _) => {
                    format!("{}/{}/{name}", project.unwrap_or("-"), config.unwrap_or("-"))
                }
            })
            .collect()
    }

    #[test]
    fn three_forms_refer_and_all_else_is_text() {
        assert_eq!(
            written("${A}:${dev.B_1}@${my-project.dev_x._C}/x"),
            ["-/-/A", "':'", "-/dev/B_1", "'@'", "my-project/dev_x/_C", "'/x'"]
        );
        for text in [
            "",
            "plain",
            "$A",
            "${",
            "${}",
            "${a}",
            "${A",
            "${A B}",
            "${.A}",
            "${a..B}",
            "${w.p.c.A}",
            "${1A}",
            "$ {A}",
            "${ü.A}",
            "${A.b}",
        ] {
            assert_eq!(references(text).count(), 0, "{text}");
            assert_eq!(
                parts(text)
                    .map(|part| match part {
                        Part::Text(text) | Part::Reference(_, text) => text,
                    })
                    .collect::<String>(),
                text
            );
        }
        assert_eq!(written("${${A}}"), ["'${'", "-/-/A", "'}'"]);
        assert_eq!(references(&format!("${{{}}}", "A".repeat(201))).count(), 0);
    }

    #[test]
    fn a_backslash_makes_a_reference_text() {
        assert_eq!(written(r"\${A}"), ["'${A}'"]);
        assert_eq!(written(r"x\${A}${A}"), ["'x'", "'${A}'", "-/-/A"]);
        assert_eq!(written(r"\\${A}"), [r"'\'", "'${A}'"]);
        assert_eq!(written(r"\${a}\n"), [r"'\${a}\n'"]);
    }

    proptest! {
        #[test]
        fn what_is_written_is_what_was_there(value in "(?s)([$]\\{|[A-Za-z.}${\\\\ ü]){0,40}") {
            let joined: String = parts(&value).map(|part| match part {
                Part::Text(text) | Part::Reference(_, text) => text,
            }).collect();
            prop_assert_eq!(joined.replace('\\', ""), value.replace('\\', ""));
        }
    }
}
