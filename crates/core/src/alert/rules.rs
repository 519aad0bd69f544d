//! What is told of: conditions, how grave they are, and the rules that name both.

use std::{fmt, str::FromStr};

use crate::duration::parse_seconds;

/// The longest time that a rule may look ahead, in seconds: ten years.
pub const MAX_SECONDS: u64 = 10 * 366 * 86_400;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Something that somebody should see to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Condition {
    /// The version of a secret that readers get will be deleted, or the secret as a whole be gone for good.
    SecretExpiring,
    /// A credential that was handed out ends.
    LeaseExpiring,
    /// A token ends.
    TokenExpiring,
    /// A certificate is good no longer.
    CertificateExpiring,
    /// A rotation did not begin, or go on, when it was to.
    RotationOverdue,
    /// A rotation did not come about, or the credential before cannot be revoked.
    RotationFailed,
    /// Both credentials have been good for as long as they should, and somebody holds on to the one before.
    RotationStragglers,
    /// Credentials are to be revoked and are not.
    LeaseOverdue,
    /// A credential could not be revoked.
    LeaseIrrevocable,
}

impl Condition {
    /// Every condition.
    pub const ALL: [Self; 9] = [
        Self::SecretExpiring,
        Self::LeaseExpiring,
        Self::TokenExpiring,
        Self::CertificateExpiring,
        Self::RotationOverdue,
        Self::RotationFailed,
        Self::RotationStragglers,
        Self::LeaseOverdue,
        Self::LeaseIrrevocable,
    ];

    /// The name in the configuration, in messages and in labels.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::SecretExpiring => "secret-expiring",
            Self::LeaseExpiring => "lease-expiring",
            Self::TokenExpiring => "token-expiring",
            Self::CertificateExpiring => "certificate-expiring",
            Self::RotationOverdue => "rotation-overdue",
            Self::RotationFailed => "rotation-failed",
            Self::RotationStragglers => "rotation-stragglers",
            Self::LeaseOverdue => "lease-overdue",
            Self::LeaseIrrevocable => "lease-irrevocable",
        }
    }

    /// The condition of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|condition| condition.name() == name)
    }

    /// Whether a rule says how long before an end it tells of it.
    #[must_use]
    pub fn has_within(self) -> bool {
        matches!(self, Self::SecretExpiring | Self::LeaseExpiring | Self::TokenExpiring | Self::CertificateExpiring)
    }

    /// Whether a rule says after what delay it tells of it.
    #[must_use]
    pub fn has_after(self) -> bool {
        matches!(self, Self::RotationOverdue | Self::LeaseOverdue)
    }

    /// Whether what was made for a short life only is passed over. Certificates are not: nobody makes them by the minute.
    #[must_use]
    pub fn has_min_life(self) -> bool {
        self.has_within() && self != Self::CertificateExpiring
    }
}

/// How grave it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Somebody should look within the day.
    Warning,
    /// Somebody should look now.
    Critical,
}

impl Severity {
    /// Every severity, the least first.
    pub const ALL: [Self; 3] = [Self::Info, Self::Warning, Self::Critical];

    /// The name in the configuration, in messages and in labels.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }

    /// The severity of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|severity| severity.name() == name)
    }
}

/// A condition that is told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// What it is called; each once.
    pub name: String,
    /// What it is about.
    pub condition: Condition,
    /// How grave it is.
    pub severity: Severity,
    /// Seconds before an end from which on it is told of, for conditions that have an end.
    pub within: u64,
    /// Seconds for which what ends must have been made, at least: what lives shorter is replaced as a matter of course.
    /// At least `within`, so that everything told of is in the index of ends before its last `within` seconds.
    pub min_life: u64,
    /// Seconds of delay after which it is told of, for conditions that are delays.
    pub after: u64,
}

impl Rule {
    /// A rule with the usual times, called as its condition is.
    #[must_use]
    pub fn new(condition: Condition) -> Self {
        let (severity, within, after) = match condition {
            Condition::SecretExpiring => (Severity::Warning, 3 * DAY, 0),
            Condition::LeaseExpiring => (Severity::Info, HOUR, 0),
            Condition::TokenExpiring => (Severity::Warning, DAY, 0),
            Condition::CertificateExpiring => (Severity::Warning, 14 * DAY, 0),
            Condition::RotationOverdue | Condition::LeaseOverdue => (Severity::Warning, 0, 5 * MINUTE),
            Condition::RotationFailed | Condition::LeaseIrrevocable => (Severity::Critical, 0, 0),
            Condition::RotationStragglers => (Severity::Warning, 0, 0),
        };
        let rule = Self { name: condition.name().to_owned(), condition, severity, within: 0, min_life: 0, after };
        rule.within(within)
    }

    /// The same, told of `seconds` before the end, if it was made for twice as long at least.
    #[must_use]
    pub fn within(mut self, seconds: u64) -> Self {
        self.within = seconds;
        self.min_life = if self.condition.has_min_life() { seconds.saturating_mul(2) } else { 0 };
        self
    }

    /// The rules where the configuration has none: one for each condition, and another for certificates that are about
    /// to end.
    #[must_use]
    pub fn defaults() -> Vec<Self> {
        let mut rules: Vec<Self> = Condition::ALL.into_iter().map(Self::new).collect();
        let soon = Self { severity: Severity::Critical, ..Self::new(Condition::CertificateExpiring) };
        rules.push(Self { name: "certificate-expiring-soon".to_owned(), ..soon.within(2 * DAY) });
        rules
    }
}

/// A list of conditions as a caller writes it is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is no condition; allowed, separated by commas: expiring=7d, or one of secret-expiring, lease-expiring, \
     token-expiring and certificate-expiring with a time (token-expiring=24h); overdue, or rotation-overdue and \
     lease-overdue, with or without a delay (overdue=10m); failed, stragglers, irrevocable; firing or firing=critical"
)]
pub struct ConditionsError {
    /// What was written, cut to 64 characters.
    text: String,
}

/// What a caller wants to be told of, beside what the rules say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Conditions {
    /// What is looked for.
    pub rules: Vec<Rule>,
    /// Whether what the configured rules tell of counts as well, if it is that grave.
    pub firing: Option<Severity>,
}

impl FromStr for Conditions {
    type Err = ConditionsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut all = Self::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            all.add(part).ok_or_else(|| ConditionsError { text: part.chars().take(64).collect() })?;
        }
        Ok(all)
    }
}

impl Conditions {
    fn add(&mut self, part: &str) -> Option<()> {
        use Condition::{LeaseIrrevocable, LeaseOverdue, RotationFailed, RotationOverdue, RotationStragglers};
        let (name, value) =
            part.split_once('=').map_or((part, None), |(name, value)| (name.trim(), Some(value.trim())));
        if name == "firing" {
            self.firing = Some(value.map_or(Some(Severity::Info), Severity::named)?);
            return Some(());
        }
        let conditions: Vec<Condition> = match name {
            "expiring" => Condition::ALL.into_iter().filter(|condition| condition.has_within()).collect(),
            "overdue" => vec![RotationOverdue, LeaseOverdue],
            "failed" => vec![RotationFailed],
            "stragglers" => vec![RotationStragglers],
            "irrevocable" => vec![LeaseIrrevocable],
            name => vec![Condition::named(name)?],
        };
        let seconds = match value {
            Some(value) => {
                Some(parse_seconds(value).ok().filter(|seconds| *seconds <= MAX_SECONDS && !value.is_empty())?)
            }
            None => None,
        };
        for condition in conditions {
            let rule = Rule { name: name.to_owned(), ..Rule::new(condition) };
            self.rules.push(match seconds {
                Some(seconds) if condition.has_within() => rule.within(seconds),
                Some(seconds) if condition.has_after() => Rule { after: seconds, ..rule },
                None if !condition.has_within() => rule,
                _ => return None,
            });
        }
        Some(())
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_condition_has_a_rule_and_each_rule_a_name_of_its_own() {
        let rules = Rule::defaults();
        for condition in Condition::ALL {
            assert_eq!(Condition::named(condition.name()), Some(condition));
            assert!(rules.iter().any(|rule| rule.condition == condition));
        }
        let names: std::collections::BTreeSet<&str> = rules.iter().map(|rule| rule.name.as_str()).collect();
        assert_eq!(names.len(), rules.len());
        for rule in rules.iter().filter(|rule| rule.condition.has_min_life()) {
            assert!(rule.min_life >= rule.within && rule.within > 0, "{rule:?}");
        }
    }

    #[test]
    fn conditions_are_read_as_they_are_written() {
        let all: Conditions =
            "expiring=7d, overdue,failed,stragglers,irrevocable,firing=critical".parse().expect("conditions");
        assert_eq!(all.rules.len(), 4 + 2 + 3);
        assert!(all.rules.iter().take(4).all(|rule| rule.within == 7 * DAY && rule.name == "expiring"));
        assert_eq!(all.firing, Some(Severity::Critical));
        let one: Conditions = "token-expiring=90m,lease-overdue=0s".parse().expect("conditions");
        assert_eq!((one.rules[0].within, one.rules[0].min_life), (90 * MINUTE, 180 * MINUTE));
        assert_eq!((one.rules[1].after, one.firing), (0, None));
        assert_eq!("".parse(), Ok(Conditions::default()));
    }

    #[test]
    fn what_is_no_condition_is_refused_by_name() {
        for text in [
            "expiring",
            "expiring=",
            "expiring=soon",
            "failed=3",
            "firing=loud",
            "late",
            "expiring=99999999999d",
            "=",
            "stragglers=1h",
        ] {
            let error = format!("overdue,{text}").parse::<Conditions>().expect_err(text).to_string();
            assert!(error.contains(&format!("{text:?}")) && error.contains("expiring=7d"), "{error}");
        }
    }
}
