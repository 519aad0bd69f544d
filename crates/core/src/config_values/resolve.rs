//! Resolving references among values that are all at hand.
//!
//! Each value is computed once, however many refer to it, without recursion: chains may be as long as they like up to
//! [`MAX_DEPTH`], and what refers to itself is found by the path that leads back.

use std::collections::HashMap;

use super::reference::{Part, Reference, parts};
use crate::secret::SecretString;

/// The longest chain of references.
pub const MAX_DEPTH: usize = 64;
/// The largest computed value, in bytes.
pub const MAX_COMPUTED: usize = 256 * 1024;
/// All computed values of one answer, in bytes.
pub const MAX_TOTAL: usize = 8 * 1024 * 1024;

/// Why a value cannot be computed. It names places, no values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unresolved {
    /// It refers to itself, directly or by way of others.
    #[error("refers to itself by way of {by}")]
    Cycle {
        /// The reference that closes the circle.
        by: String,
    },
    /// The caller may not read what it refers to.
    #[error("refers to {to}, which this token may not read")]
    Denied {
        /// The reference as it is written.
        to: String,
    },
    /// It refers to bytes, or to what is no config.
    #[error("refers to {to}, which holds bytes and no text")]
    NoText {
        /// The reference as it is written.
        to: String,
    },
    /// The chain of references is too long.
    #[error("refers to others through more than {MAX_DEPTH} steps")]
    TooDeep,
    /// It would be too large.
    #[error("grows beyond {MAX_COMPUTED} bytes, or all of them beyond {MAX_TOTAL}, when its references are resolved")]
    TooLarge,
}

/// A value with its references resolved.
#[derive(Debug, Clone)]
pub struct Computed {
    /// The text, if nothing is in the way.
    pub value: Result<SecretString, Unresolved>,
    /// It holds a restricted value, its own or that of another.
    pub restricted: bool,
    /// It holds the value of a masked secret.
    pub masked: bool,
    /// References to what is not there; they stay as they are written.
    pub missing: Vec<String>,
    depth: usize,
}

/// A value that is at hand.
#[derive(Debug, Clone, Copy)]
pub(super) struct Raw<'a, K> {
    /// Where it stands.
    pub(super) key: K,
    /// The text, with its references.
    pub(super) value: &'a SecretString,
    /// Whether only programs may read it.
    pub(super) restricted: bool,
    /// Whether it is hidden until somebody asks for it.
    pub(super) masked: bool,
}

/// What a reference leads to.
#[derive(Debug)]
pub(super) enum Found<'a, K> {
    /// A value.
    Value(Raw<'a, K>),
    /// Nothing.
    Missing,
    /// What the caller may not read.
    Denied,
    /// Bytes.
    NoText,
}

/// Where values are found.
pub(super) trait Lookup {
    /// Names a value.
    type Key: Copy + Eq + std::hash::Hash;

    /// The value that `reference` means when it stands at `from`.
    fn find(&self, from: Self::Key, reference: Reference<'_>) -> Found<'_, Self::Key>;
}

/// Values that have been computed.
pub(super) struct Resolver<'l, L: Lookup> {
    lookup: &'l L,
    done: HashMap<L::Key, Computed>,
    total: usize,
}

/// A value that waits for another.
struct Frame<'a, K> {
    raw: Raw<'a, K>,
    /// The parts that are yet to be looked at.
    todo: Vec<Part<'a>>,
    building: Computed,
}

/// Whether a frame can go on.
enum Step<'a, K> {
    Done,
    Needs(Raw<'a, K>),
}

impl<'l, L: Lookup> Resolver<'l, L> {
    /// Nothing is computed yet.
    pub(super) fn new(lookup: &'l L) -> Self {
        Self { lookup, done: HashMap::new(), total: 0 }
    }

    /// Computes a value.
    pub(super) fn compute(&mut self, raw: Raw<'l, L::Key>) -> &Computed {
        let mut stack = vec![Self::frame(raw)];
        let mut under_way: HashMap<L::Key, ()> = HashMap::from([(raw.key, ())]);
        if self.done.contains_key(&raw.key) {
            stack.clear();
        }
        while let Some(mut frame) = stack.pop() {
            match self.step(&mut frame, &under_way) {
                Step::Needs(target) => {
                    stack.push(frame);
                    under_way.insert(target.key, ());
                    stack.push(Self::frame(target));
                }
                Step::Done => {
                    under_way.remove(&frame.raw.key);
                    let mut computed = frame.building;
                    if let Ok(value) = &computed.value {
                        self.total += value.len();
                        if self.total > MAX_TOTAL {
                            computed.value = Err(Unresolved::TooLarge);
                        }
                    }
                    self.done.insert(frame.raw.key, computed);
                }
            }
        }
        // What was asked for is there now.
        self.done.entry(raw.key).or_insert_with(|| Self::frame(raw).building)
    }

    fn frame(raw: Raw<'l, L::Key>) -> Frame<'l, L::Key> {
        let mut todo: Vec<Part<'l>> = parts(raw.value.expose_secret()).collect();
        todo.reverse();
        let (restricted, masked) = (raw.restricted, raw.masked);
        // Most values refer to nothing, and are as long as they are.
        let value = Ok(SecretString::new(String::with_capacity(raw.value.len())));
        Frame { raw, todo, building: Computed { value, restricted, masked, missing: Vec::new(), depth: 0 } }
    }

    /// Takes in parts until one needs a value that is not computed yet.
    fn step(&self, frame: &mut Frame<'l, L::Key>, under_way: &HashMap<L::Key, ()>) -> Step<'l, L::Key> {
        while let Some(part) = frame.todo.last().copied() {
            let (reference, written) = match part {
                Part::Text(text) => {
                    frame.building.append(text);
                    frame.todo.pop();
                    continue;
                }
                Part::Reference(reference, written) => (reference, written),
            };
            match self.lookup.find(frame.raw.key, reference) {
                Found::Missing => {
                    frame.building.append(written);
                    frame.building.missing.push(written.to_owned());
                }
                Found::Denied => frame.building.fail(Unresolved::Denied { to: written.to_owned() }),
                Found::NoText => frame.building.fail(Unresolved::NoText { to: written.to_owned() }),
                Found::Value(target) => match self.done.get(&target.key) {
                    Some(computed) => frame.building.take_in(computed),
                    None if under_way.contains_key(&target.key) => {
                        frame.building.fail(Unresolved::Cycle { by: written.to_owned() });
                    }
                    None => return Step::Needs(target),
                },
            }
            frame.todo.pop();
        }
        Step::Done
    }
}

impl Computed {
    fn fail(&mut self, why: Unresolved) {
        if self.value.is_ok() {
            self.value = Err(why);
        }
    }

    fn append(&mut self, text: &str) {
        let Ok(value) = &mut self.value else { return };
        if value.len() + text.len() > MAX_COMPUTED {
            self.value = Err(Unresolved::TooLarge);
            return;
        }
        value.push_str(text);
    }

    fn take_in(&mut self, other: &Self) {
        self.restricted |= other.restricted;
        self.masked |= other.masked;
        self.depth = self.depth.max(other.depth + 1);
        match &other.value {
            Ok(text) => self.append(text.expose_secret()),
            Err(why) => self.fail(why.clone()),
        }
        if self.depth > MAX_DEPTH {
            self.fail(Unresolved::TooDeep);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// One config.
    struct Flat(BTreeMap<String, SecretString>);

    impl Flat {
        fn raw(&self, name: &str) -> Option<Raw<'_, usize>> {
            let index = self.0.keys().position(|known| known == name)?;
            Some(Raw { key: index, value: &self.0[name], restricted: name == "RESTRICTED", masked: false })
        }

        fn computed(&self, name: &str) -> Computed {
            Resolver::new(self).compute(self.raw(name).expect("there")).clone()
        }

        fn text(&self, name: &str) -> Result<String, Unresolved> {
            self.computed(name).value.map(|value| value.expose_secret().to_owned())
        }
    }

    impl Lookup for Flat {
        type Key = usize;

        fn find(&self, _: usize, reference: Reference<'_>) -> Found<'_, usize> {
            match reference.config {
                Some("denied") => Found::Denied,
                Some("bytes") => Found::NoText,
                _ => self.raw(reference.name).map_or(Found::Missing, Found::Value),
            }
        }
    }

    fn flat(pairs: &[(&str, &str)]) -> Flat {
        Flat(pairs.iter().map(|(name, value)| ((*name).to_owned(), SecretString::from(*value))).collect())
    }

    #[test]
    fn references_are_followed_and_what_is_missing_stays() {
        let config = flat(&[
            ("A", "a"),
            ("B", "<${A}|${A}>"),
            ("C", "${B}${NONE}\\${A}"),
            ("D", "x${denied.A}"),
            ("E", "${bytes.A}"),
            ("F", "${D}"),
            ("RESTRICTED", "r"),
            ("G", "${H}"),
            ("H", "${RESTRICTED}"),
        ]);
        assert_eq!(config.text("C").expect("value"), "<a|a>${NONE}${A}");
        assert_eq!(config.computed("C").missing, ["${NONE}"]);
        assert_eq!(config.text("F"), Err(Unresolved::Denied { to: "${denied.A}".to_owned() }));
        assert_eq!(config.text("E"), Err(Unresolved::NoText { to: "${bytes.A}".to_owned() }));
        assert!(config.computed("G").restricted && !config.computed("C").restricted);
    }

    #[test]
    fn circles_end_whoever_is_asked_first() {
        let config = flat(&[("A", "${B}"), ("B", "${C}"), ("C", "x${A}"), ("D", "${C}"), ("E", "${E}")]);
        let mut resolver = Resolver::new(&config);
        for name in ["D", "A", "B", "C", "E"] {
            assert!(
                matches!(resolver.compute(config.raw(name).expect("there")).value, Err(Unresolved::Cycle { .. })),
                "{name}"
            );
            assert!(matches!(config.text(name), Err(Unresolved::Cycle { .. })), "{name} alone");
        }
    }

    #[test]
    fn long_chains_cost_no_stack_and_their_ends_do_not_depend_on_who_asks() {
        let name = |index: usize| format!("N{index:05}");
        let chain = |length: usize| {
            let value =
                |index| if index + 1 == length { "end".to_owned() } else { format!("${{{}}}", name(index + 1)) };
            Flat((0..length).map(|index| (name(index), SecretString::new(value(index)))).collect())
        };
        let long = chain(10_000);
        let mut resolver = Resolver::new(&long);
        assert!(matches!(resolver.compute(long.raw(&name(0)).expect("there")).value, Err(Unresolved::TooDeep)));
        let near = long.raw(&name(10_000 - MAX_DEPTH - 1)).expect("there");
        assert_eq!(resolver.compute(near).value.as_ref().expect("near enough").expose_secret(), "end");
        let far = long.raw(&name(10_000 - MAX_DEPTH - 2)).expect("there");
        assert!(matches!(resolver.compute(far).value, Err(Unresolved::TooDeep)));
        assert_eq!(chain(2).text(&name(0)).expect("value"), "end");
    }

    #[test]
    fn references_that_multiply_are_bounded() {
        let mut pairs = vec![("L00".to_owned(), "0123456789".to_owned())];
        for level in 1..40 {
            pairs.push((format!("L{level:02}"), format!("${{L{0:02}}}", level - 1).repeat(10)));
        }
        let config = Flat(pairs.into_iter().map(|(name, value)| (name, SecretString::new(value))).collect());
        assert_eq!(config.text("L02").expect("value").len(), 1000);
        assert_eq!(config.text("L39"), Err(Unresolved::TooLarge));
    }

    #[test]
    fn all_values_together_are_bounded() {
        let mut pairs = vec![("BASE".to_owned(), "x".repeat(200 * 1024))];
        pairs.extend((0..60).map(|index| (format!("N{index:02}"), "${BASE}".to_owned())));
        let config = Flat(pairs.into_iter().map(|(name, value)| (name, SecretString::new(value))).collect());
        let mut resolver = Resolver::new(&config);
        let failed = (0..60)
            .filter(|index| resolver.compute(config.raw(&format!("N{index:02}")).expect("there")).value.is_err())
            .count();
        assert_eq!(failed, 60 - 39);
    }
}
