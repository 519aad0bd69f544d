//! Finds the rule of highest priority among those with wildcards, without allocating.
//!
//! The first thing that decides is how late the first wildcard comes, that is, how long the literal text before it
//! is: the head. So rules are grouped by head, and the heads that a path begins with are tried from the longest to
//! the shortest; within a group the rules stand in order of priority and the first that matches is the answer.
//!
//! Heads are sorted, and each knows the longest other head that it begins with. Of all heads not after a path, the
//! last one either begins the path or has every head that does among those it begins with itself: what sorts between
//! a head and a path that begins with it must begin with it too. One binary search and a short climb find them all.

use super::pattern::WildPattern;

/// Rules with wildcards, each with what it carries.
#[derive(Debug)]
pub(super) struct WildIndex<T> {
    /// Sorted by head; no two have the same.
    groups: Vec<Group<T>>,
}

#[derive(Debug)]
struct Group<T> {
    head: String,
    /// The group with the longest head that this head begins with.
    parent: Option<usize>,
    /// The highest priority first.
    rules: Vec<(WildPattern, T)>,
}

impl<T> WildIndex<T> {
    /// Takes rules with distinct patterns, in any order.
    pub(super) fn new(mut rules: Vec<(WildPattern, T)>) -> Self {
        rules.sort_by(|(one, _), (other, _)| {
            one.head().cmp(other.head()).then_with(|| one.priority().cmp(&other.priority()))
        });
        let mut groups: Vec<Group<T>> = Vec::new();
        for (pattern, value) in rules {
            match groups.last_mut() {
                Some(group) if group.head == pattern.head() => group.rules.push((pattern, value)),
                _ => {
                    let parent = beginning(&groups, groups.len().checked_sub(1), pattern.head());
                    groups.push(Group { head: pattern.head().to_owned(), parent, rules: vec![(pattern, value)] });
                }
            }
        }
        Self { groups }
    }

    /// The rule of highest priority that matches `path`, and what it carries.
    pub(super) fn find(&self, path: &str) -> Option<(&WildPattern, &T)> {
        let not_after = self.groups.partition_point(|group| group.head.as_str() <= path);
        let mut at = beginning(&self.groups, not_after.checked_sub(1), path);
        while let Some(group) = at.and_then(|index| self.groups.get(index)) {
            let rest = path.get(group.head.len()..)?;
            if let Some((pattern, value)) = group.rules.iter().find(|(pattern, _)| pattern.matches_after_head(rest)) {
                return Some((pattern, value));
            }
            at = group.parent;
        }
        None
    }

    /// Every rule.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&WildPattern, &T)> {
        self.groups.iter().flat_map(|group| group.rules.iter().map(|(pattern, value)| (pattern, value)))
    }
}

/// The first group on the climb from `at` whose head begins `text`.
fn beginning<T>(groups: &[Group<T>], mut at: Option<usize>, text: &str) -> Option<usize> {
    while let Some(group) = at.and_then(|index| groups.get(index)) {
        if text.starts_with(group.head.as_str()) {
            return at;
        }
        at = group.parent;
    }
    None
}
