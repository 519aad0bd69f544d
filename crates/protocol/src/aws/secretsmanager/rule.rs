//! The kinds of constraints that the model has.

/// A constraint on a value.
#[derive(Debug)]
pub enum Rule {
    /// A string.
    Text(Text),
    /// Base64 of so many bytes.
    Bytes {
        /// The least.
        min: usize,
        /// The most.
        max: usize,
    },
    /// A whole number.
    Integer {
        /// The least.
        min: i64,
        /// The most.
        max: i64,
    },
    /// `true` or `false`.
    Flag,
    /// A list.
    List {
        /// What each item must be.
        of: &'static Rule,
        /// The least number of items.
        min: usize,
        /// The most.
        max: usize,
    },
    /// An object.
    Structure(&'static [Member]),
}

/// A constraint on a string.
#[derive(Debug, Clone, Copy)]
pub struct Text {
    /// The least number of characters.
    pub min: usize,
    /// The most.
    pub max: usize,
    /// What it must look like.
    pub pattern: Option<Pattern>,
    /// What it must be; empty: anything.
    pub one_of: &'static [&'static str],
    /// Whether it must not be quoted.
    pub sensitive: bool,
}

/// A pattern, as the model spells it and as it is checked.
#[derive(Debug, Clone, Copy)]
pub struct Pattern {
    /// The regular expression.
    pub text: &'static str,
    /// Whether a whole value matches it.
    pub matches: fn(&str) -> bool,
}

/// A member of a structure.
#[derive(Debug)]
pub struct Member {
    /// Its name.
    pub name: &'static str,
    /// Whether it must be there.
    pub required: bool,
    /// What it must be.
    pub rule: &'static Rule,
}

/// A string of `min` to `max` characters.
pub(super) const fn text(min: usize, max: usize) -> Text {
    Text { min, max, pattern: None, one_of: &[], sensitive: false }
}

impl Text {
    pub(super) const fn like(self, pattern: Pattern) -> Self {
        Self { pattern: Some(pattern), ..self }
    }

    pub(super) const fn sensitive(self) -> Self {
        Self { sensitive: true, ..self }
    }
}

/// One of these words.
pub(super) const fn word(one_of: &'static [&'static str]) -> Text {
    Text { one_of, ..text(0, usize::MAX) }
}
