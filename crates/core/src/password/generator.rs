//! Random passwords under rules, each password that keeps them equally likely.
//!
//! A candidate is drawn character by character from all characters of the rules, and thrown away if a rule is broken:
//! nothing else gives every fitting password the same chance. A candidate that cannot be completed any more is thrown
//! away at once, which changes no chance, since it would have been thrown away at its end.

use zeroize::Zeroizing;

use crate::{
    random::{Random, RandomError},
    secret::SecretString,
};

/// The longest password, in characters.
pub const MAX_LENGTH: usize = 4096;
/// Different characters that one generator draws from at the most: what a random byte can choose among.
pub const MAX_CHARACTERS: usize = 256;
/// Rules of one generator at the most.
pub const MAX_RULES: usize = 64;

/// Candidates that are drawn before a generator gives up. What [`Generator::check`] lets through needs so many less
/// than once in the life of the universe.
const BUDGET: u32 = 1 << 24;
/// Passwords that a check makes, and the candidates that it may draw for all of them: rules that fewer than about one
/// in 30,000 candidates keeps are refused.
const TRIALS: u32 = 8;
const TRIAL_BUDGET: u32 = 1 << 18;

/// A set of characters, and how many of a password's must be from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The characters; one that stands twice counts once.
    pub charset: String,
    /// How many of the password's characters are from it at least.
    pub min_chars: usize,
}

/// A password cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GeneratorError {
    /// No length, or too much of it.
    #[error("length must be from 1 to {MAX_LENGTH}")]
    Length,
    /// Nothing to draw from.
    #[error("no charset specified")]
    NoCharacters,
    /// More than a generator draws from.
    #[error("charset is too long: limited to {MAX_CHARACTERS} characters in all rules together")]
    TooManyCharacters,
    /// More rules than anybody needs.
    #[error("too many rules: at most {MAX_RULES}")]
    TooManyRules,
    /// A character that cannot be seen, let alone typed.
    #[error("non-printable character in charset")]
    NotPrintable,
    /// The rules ask for more characters than there are.
    #[error("specified rules require at least {needed} characters but {length} is specified")]
    TooShort {
        /// What the rules ask for together.
        needed: usize,
        /// What there is.
        length: usize,
    },
    /// Hardly any password keeps the rules.
    #[error(
        "unable to construct test password from provided policy: are the rules impossible? Hardly any password of this \
         length keeps them; ask for fewer characters of the smaller charsets, or for more in all"
    )]
    Impossible,
    /// No randomness.
    #[error("the operating system's random source failed")]
    Random,
}

impl From<RandomError> for GeneratorError {
    fn from(_: RandomError) -> Self {
        Self::Random
    }
}

/// A maker of passwords.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generator {
    length: usize,
    /// All characters, sorted, each once, and a bit for each rule that it counts for.
    characters: Vec<(char, u64)>,
    /// What each rule asks for.
    minima: Vec<usize>,
}

impl Default for Generator {
    /// 20 characters with a letter of either case, a digit and a hyphen: what Vault makes where no policy is named.
    fn default() -> Self {
        let charsets = ["abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789", "-"];
        let bit = |index: usize| 1 << index;
        let mut characters: Vec<_> = charsets
            .iter()
            .enumerate()
            .flat_map(|(index, charset)| charset.chars().map(move |character| (character, bit(index))))
            .collect();
        characters.sort_unstable();
        Self { length: 20, characters, minima: vec![1; charsets.len()] }
    }
}

impl Generator {
    /// A maker of passwords of `length` characters that keep `rules`.
    ///
    /// # Errors
    /// When the numbers contradict each other or are out of bounds. Whether passwords that keep the rules can be found
    /// is another question: [`Generator::check`] answers it.
    pub fn new(length: usize, rules: &[Rule]) -> Result<Self, GeneratorError> {
        if length == 0 || length > MAX_LENGTH {
            return Err(GeneratorError::Length);
        }
        if rules.len() > MAX_RULES {
            return Err(GeneratorError::TooManyRules);
        }
        let needed = rules.iter().fold(0_usize, |sum, rule| sum.saturating_add(rule.min_chars));
        if needed > length {
            return Err(GeneratorError::TooShort { needed, length });
        }
        Ok(Self { length, characters: merge(rules)?, minima: rules.iter().map(|rule| rule.min_chars).collect() })
    }

    /// How many characters a password has.
    #[must_use]
    pub fn length(&self) -> usize {
        self.length
    }

    /// A password.
    ///
    /// # Errors
    /// When there is no randomness, or none was found that keeps the rules.
    pub fn generate(&self, random: &Random) -> Result<SecretString, GeneratorError> {
        let mut budget = BUDGET;
        self.draw(&mut Draws::new(random, self.characters.len()), &mut budget)
    }

    /// Makes a few passwords, to find out whether the rules can be kept without trying for ever.
    ///
    /// # Errors
    /// [`GeneratorError::Impossible`] when they cannot.
    pub fn check(&self, random: &Random) -> Result<(), GeneratorError> {
        let (mut draws, mut budget) = (Draws::new(random, self.characters.len()), TRIAL_BUDGET);
        for _ in 0..TRIALS {
            self.draw(&mut draws, &mut budget)?;
        }
        Ok(())
    }

    fn draw(&self, draws: &mut Draws<'_>, budget: &mut u32) -> Result<SecretString, GeneratorError> {
        // Four bytes a character: the buffer must not grow, or a copy of the password stays behind.
        let mut password = Zeroizing::new(String::with_capacity(self.length * 4));
        let mut missing = self.minima.clone();
        while *budget > 0 {
            *budget -= 1;
            if self.try_one(draws, &mut password, &mut missing)? {
                return Ok(SecretString::new(std::mem::take(&mut *password)));
            }
            password.clear();
            missing.copy_from_slice(&self.minima);
        }
        Err(GeneratorError::Impossible)
    }

    /// Draws one candidate; whether it keeps the rules.
    fn try_one(
        &self,
        draws: &mut Draws<'_>,
        password: &mut String,
        missing: &mut [usize],
    ) -> Result<bool, GeneratorError> {
        for left in (0..self.length).rev() {
            let (character, rules) = self.characters[draws.next()?];
            password.push(character);
            for (index, missing) in missing.iter_mut().enumerate() {
                *missing = missing.saturating_sub(usize::from(rules >> index & 1 == 1));
            }
            if missing.iter().any(|missing| *missing > left) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// All characters of the rules.
fn merge(rules: &[Rule]) -> Result<Vec<(char, u64)>, GeneratorError> {
    let mut characters: Vec<(char, u64)> = Vec::new();
    for (index, rule) in rules.iter().enumerate() {
        for character in rule.charset.chars() {
            if !is_printable(character) {
                return Err(GeneratorError::NotPrintable);
            }
            match characters.binary_search_by_key(&character, |known| known.0) {
                Ok(at) => characters[at].1 |= 1 << index,
                Err(_) if characters.len() == MAX_CHARACTERS => return Err(GeneratorError::TooManyCharacters),
                Err(at) => characters.insert(at, (character, 1 << index)),
            }
        }
    }
    if characters.is_empty() { Err(GeneratorError::NoCharacters) } else { Ok(characters) }
}

/// Whether a character shows: the standard library escapes those that do not, and a few that do.
fn is_printable(character: char) -> bool {
    matches!(character, '"' | '\'' | '\\') || character.escape_debug().len() == 1
}

/// Numbers below a bound, each equally likely.
struct Draws<'r> {
    random: &'r Random,
    bound: usize,
    /// The largest multiple of the bound in a byte: rejecting what is above keeps the draw uniform.
    limit: usize,
    bytes: Zeroizing<[u8; 512]>,
    used: usize,
}

impl<'r> Draws<'r> {
    /// `bound` is from 1 to 256.
    fn new(random: &'r Random, bound: usize) -> Self {
        let bytes = Zeroizing::new([0; 512]);
        Self { random, bound, limit: 256 / bound * bound, used: bytes.len(), bytes }
    }

    fn next(&mut self) -> Result<usize, RandomError> {
        loop {
            if self.used == self.bytes.len() {
                self.random.fill(self.bytes.as_mut_slice())?;
                self.used = 0;
            }
            let drawn = usize::from(self.bytes[self.used]);
            self.used += 1;
            if drawn < self.limit {
                return Ok(drawn % self.bound);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn rule(charset: &str, min_chars: usize) -> Rule {
        Rule { charset: charset.to_owned(), min_chars }
    }

    fn passwords(generator: &Generator, count: usize) -> Vec<String> {
        let make = || generator.generate(&Random::default()).expect("generated").expose_secret().to_owned();
        std::iter::repeat_with(make).take(count).collect()
    }

    #[test]
    fn the_default_is_vaults() {
        let rules = [
            rule("abcdefghijklmnopqrstuvwxyz", 1),
            rule("ABCDEFGHIJKLMNOPQRSTUVWXYZ", 1),
            rule("0123456789", 1),
            rule("-", 1),
        ];
        assert_eq!(Generator::new(20, &rules), Ok(Generator::default()));
        assert_eq!(Generator::default().check(&Random::default()), Ok(()));
    }

    #[test]
    fn every_fitting_password_is_equally_likely() {
        // Of "aab…" with at least one b in three characters, 7 of 8 fit; a generator that placed the b first and
        // filled up would prefer those with one b.
        let generator = Generator::new(3, &[rule("ab", 0), rule("b", 1)]).expect("rules");
        let mut counts: BTreeMap<String, u32> = BTreeMap::new();
        for password in passwords(&generator, 14_000) {
            *counts.entry(password).or_default() += 1;
        }
        assert_eq!(counts.len(), 7);
        // 2000 each; 10 standard deviations are 414.
        assert!(counts.values().all(|count| (1586..2414).contains(count)), "{counts:?}");
    }

    #[test]
    fn all_of_256_characters_are_drawn() {
        let charset: String = ('\u{4e00}'..).take(MAX_CHARACTERS).collect();
        let generator = Generator::new(MAX_LENGTH, &[rule(&charset, 0)]).expect("rules");
        let drawn: std::collections::BTreeSet<char> =
            passwords(&generator, 4).iter().flat_map(|password| password.chars()).collect();
        assert_eq!(drawn.len(), MAX_CHARACTERS);
    }

    #[test]
    fn impossible_rules_are_told() {
        let refused = |length, rules: &[Rule]| Generator::new(length, rules).err();
        assert_eq!(refused(0, &[rule("a", 0)]), Some(GeneratorError::Length));
        assert_eq!(refused(MAX_LENGTH + 1, &[rule("a", 0)]), Some(GeneratorError::Length));
        assert_eq!(refused(4, &[]), Some(GeneratorError::NoCharacters));
        assert_eq!(refused(4, &[rule("", 0)]), Some(GeneratorError::NoCharacters));
        assert_eq!(refused(4, &[rule("a\n", 0)]), Some(GeneratorError::NotPrintable));
        assert_eq!(refused(4, &[rule("a\u{200b}", 0)]), Some(GeneratorError::NotPrintable));
        assert_eq!(refused(4, &[rule("\"'\\ é\u{1F511}", 0)]), None);
        assert_eq!(refused(4, &vec![rule("a", 0); MAX_RULES + 1]), Some(GeneratorError::TooManyRules));
        let bomb: String = ('\u{4e00}'..).take(100_000).collect();
        assert_eq!(refused(4, &[rule(&bomb, 0)]), Some(GeneratorError::TooManyCharacters));
        assert_eq!(
            refused(4, &[rule("a", usize::MAX), rule("b", 3)]),
            Some(GeneratorError::TooShort { needed: usize::MAX, length: 4 })
        );
        // Thirty of one character among two hundred: sooner than that is found, the sun goes out.
        let wide: String = ('\u{4e00}'..).take(200).collect();
        let hopeless = Generator::new(100, &[rule(&wide, 0), rule("a", 60)]).expect("numbers");
        assert_eq!(hopeless.check(&Random::default()), Err(GeneratorError::Impossible));
        // None at all: a rule without characters that asks for one.
        let none = Generator::new(4, &[rule("ab", 0), rule("", 1)]).expect("numbers");
        assert_eq!(none.check(&Random::default()), Err(GeneratorError::Impossible));
    }

    proptest! {
        /// Whatever the rules, a password has the length, only their characters, and enough of each.
        #[test]
        fn a_password_keeps_its_rules(
            length in 4_usize..40,
            sets in prop::collection::vec(("[a-z]{1,8}", 0_usize..3), 1..4),
        ) {
            let rules: Vec<Rule> = sets.iter().map(|(charset, min)| rule(charset, *min)).collect();
            let Ok(generator) = Generator::new(length, &rules) else { return Ok(()) };
            if generator.check(&Random::default()).is_err() {
                return Ok(());
            }
            for password in passwords(&generator, 5) {
                prop_assert_eq!(password.chars().count(), length);
                prop_assert!(password.chars().all(|c| rules.iter().any(|rule| rule.charset.contains(c))));
                for rule in &rules {
                    let have = password.chars().filter(|c| rule.charset.contains(*c)).count();
                    prop_assert!(have >= rule.min_chars);
                }
            }
        }
    }
}
