//! What a rotation's settings may be.

use super::{Settings, Strategy};
use crate::schedule::{MIN_INTERVAL, Schedule, ScheduleError};

/// The longest window, jitter, overlap or look-back, in seconds: a year.
const MAX_SPAN: u64 = 366 * 24 * 60 * 60;

/// The longest name of a target, principal, role, field or policy, in bytes.
const MAX_NAME: usize = 256;

/// The longest URL of a hook, in bytes.
const MAX_URL: usize = 2048;

/// Settings that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// The schedule.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// A name is missing, too long, or has characters that no name has.
    #[error("{0} must have 1 to {MAX_NAME} bytes and no control characters")]
    Name(&'static str),
    /// Not as many principals as the strategy works with.
    #[error("strategy {strategy} works with {wanted} of users, not {given}")]
    Users {
        /// The strategy's name.
        strategy: &'static str,
        /// How many it wants.
        wanted: usize,
        /// How many there are.
        given: usize,
    },
    /// The two are the same.
    #[error("users must be two different principals")]
    SameUsers,
    /// One that the strategy has no use for.
    #[error("strategy {strategy} takes no {field}")]
    Unused {
        /// The strategy's name.
        strategy: &'static str,
        /// What is too much.
        field: &'static str,
    },
    /// Longer than a year.
    #[error("{0} must be at most 366 days")]
    Span(&'static str),
    /// The least is more than the most.
    #[error("overlap_min must not be more than overlap_max")]
    Overlap,
    /// The jitter would lead out of the window.
    #[error("jitter must be less than window")]
    Jitter,
    /// The two fields are one.
    #[error("username_field and password_field must be different")]
    Fields,
    /// No hook, or none that can be asked.
    #[error(
        "strategy hook needs hook_url, an absolute http or https URL of at most {MAX_URL} bytes without a password, or \
         hook_command, the name of a command in the server's configuration"
    )]
    Hook,
    /// Two hooks.
    #[error("hook_url and hook_command are both there; set one of them to the empty text")]
    TwoHooks,
}

impl Settings {
    /// Settings of a strategy with nothing said.
    #[must_use]
    pub fn new(strategy: Strategy) -> Self {
        Self {
            strategy,
            target: String::new(),
            owner_role: String::new(),
            users: Vec::new(),
            schedule: String::new(),
            zone: String::new(),
            window: 0,
            jitter: 0,
            overlap_min: 5 * 60,
            overlap_max: 2 * 60 * 60,
            at_max: super::AtMax::Wait,
            look_back: 24 * 60 * 60,
            password_policy: String::new(),
            username_field: "username".to_owned(),
            password_field: "password".to_owned(),
            hook: None,
            statements: Vec::new(),
        }
    }

    /// Whether they can be.
    ///
    /// # Errors
    /// What is wrong first.
    pub fn check(&self) -> Result<(), SettingsError> {
        self.check_for(MIN_INTERVAL)
    }

    /// Whether they can be, with an interval of at least `shortest` seconds.
    pub(crate) fn check_for(&self, shortest: u64) -> Result<(), SettingsError> {
        if !self.schedule.is_empty() || !self.zone.is_empty() {
            let schedule = Schedule::parse(if self.schedule.is_empty() { "1d" } else { &self.schedule }, &self.zone)?;
            if schedule.interval().is_some_and(|seconds| seconds < shortest) {
                return Err(ScheduleError::Interval.into());
            }
        }
        self.check_target()?;
        self.check_spans()?;
        for (field, name) in [("username_field", &self.username_field), ("password_field", &self.password_field)] {
            check_name(field, name)?;
        }
        if self.username_field == self.password_field {
            return Err(SettingsError::Fields);
        }
        if !self.password_policy.is_empty() {
            check_name("password_policy", &self.password_policy)?;
        }
        self.check_hook()
    }

    fn check_target(&self) -> Result<(), SettingsError> {
        let strategy = self.strategy.name();
        if !self.strategy.has_target() {
            let unused = [("target", !self.target.is_empty()), ("users", !self.users.is_empty())];
            let unused = unused.into_iter().find(|(_, given)| *given);
            return unused.map_or(Ok(()), |(field, _)| Err(SettingsError::Unused { strategy, field }));
        }
        check_name("target", &self.target)?;
        if !self.owner_role.is_empty() {
            check_name("owner_role", &self.owner_role)?;
        }
        let wanted = if self.strategy == Strategy::Alternating { 2 } else { 1 };
        if self.users.len() != wanted {
            return Err(SettingsError::Users { strategy, wanted, given: self.users.len() });
        }
        for user in &self.users {
            check_name("users", user)?;
        }
        if wanted == 2 && self.users[0] == self.users[1] {
            return Err(SettingsError::SameUsers);
        }
        Ok(())
    }

    fn check_spans(&self) -> Result<(), SettingsError> {
        for (field, span) in [
            ("window", self.window),
            ("jitter", self.jitter),
            ("overlap_max", self.overlap_max),
            ("look_back", self.look_back),
        ] {
            if span > MAX_SPAN {
                return Err(SettingsError::Span(field));
            }
        }
        if self.overlap_min > self.overlap_max {
            return Err(SettingsError::Overlap);
        }
        if self.window > 0 && self.jitter >= self.window {
            return Err(SettingsError::Jitter);
        }
        Ok(())
    }

    fn check_hook(&self) -> Result<(), SettingsError> {
        match &self.hook {
            None if self.strategy == Strategy::Hook => Err(SettingsError::Hook),
            Some(_) if self.strategy != Strategy::Hook => {
                Err(SettingsError::Unused { strategy: self.strategy.name(), field: "hook_url" })
            }
            Some(hook) if !hook.command.is_empty() && !hook.url.is_empty() => Err(SettingsError::TwoHooks),
            Some(hook) if !hook.command.is_empty() => check_name("hook_command", &hook.command),
            Some(hook) => {
                let rest = hook.url.strip_prefix("https://").or_else(|| hook.url.strip_prefix("http://"));
                // A password in a URL would be shown to whoever may see the rotation.
                let host = rest.and_then(|rest| rest.split(['/', '?', '#']).next());
                let is_url = host.is_some_and(|host| !host.is_empty() && !host.contains('@'));
                let is_clean = !hook.url.chars().any(|c| c.is_control() || c.is_whitespace());
                if is_url && is_clean && hook.url.len() <= MAX_URL { Ok(()) } else { Err(SettingsError::Hook) }
            }
            None => Ok(()),
        }
    }
}

fn check_name(field: &'static str, name: &str) -> Result<(), SettingsError> {
    let fits = (1..=MAX_NAME).contains(&name.len()) && !name.chars().any(char::is_control);
    if fits { Ok(()) } else { Err(SettingsError::Name(field)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alternating() -> Settings {
        let users = vec!["a".to_owned(), "b".to_owned()];
        Settings { target: "pg".to_owned(), users, ..Settings::new(Strategy::Alternating) }
    }

    type Change = fn(&mut Settings);

    #[test]
    fn settings_that_cannot_be_are_refused() {
        assert_eq!(alternating().check(), Ok(()));
        let wrong: [(&str, Change); 13] = [
            ("one user", |s| s.users.truncate(1)),
            ("the same twice", |s| s.users[1] = "a".to_owned()),
            ("no target", |s| s.target.clear()),
            ("a control character", |s| s.users[0] = "a\nb".to_owned()),
            ("a long name", |s| s.owner_role = "r".repeat(257)),
            ("overlap", |s| s.overlap_min = s.overlap_max + 1),
            ("too long", |s| s.look_back = MAX_SPAN + 1),
            ("no schedule", |s| s.schedule = "sometimes".to_owned()),
            ("too often", |s| s.schedule = "59s".to_owned()),
            ("no zone", |s| s.zone = "Nowhere".to_owned()),
            ("jitter", |s| (s.window, s.jitter) = (60, 60)),
            ("one field", |s| s.username_field = "password".to_owned()),
            ("a hook", |s| s.hook = Some(super::super::Hook { url: "http://h".to_owned(), ..Default::default() })),
        ];
        for (what, change) in wrong {
            let mut settings = alternating();
            change(&mut settings);
            assert!(settings.check().is_err(), "{what}");
        }
    }

    #[test]
    fn a_hook_is_an_absolute_url() {
        for (url, fits) in [
            ("http://127.0.0.1:9000/2015-03-31/functions/function/invocations", true),
            ("https://h", true),
            ("", false),
            ("ftp://h", false),
            ("http:///x", false),
            ("http://user:password@h/x", false),
            ("http://h/a b", false),
        ] {
            let hook = super::super::Hook { url: url.to_owned(), ..Default::default() };
            let settings = Settings { hook: Some(hook), ..Settings::new(Strategy::Hook) };
            assert_eq!(settings.check().is_ok(), fits, "{url}");
        }
        let both = super::super::Hook { url: "http://h".to_owned(), command: "c".to_owned(), ..Default::default() };
        for (hook, outcome) in [
            (super::super::Hook { url: String::new(), ..both.clone() }, Ok(())),
            (
                super::super::Hook { url: String::new(), command: "a\nb".to_owned(), ..both.clone() },
                Err(SettingsError::Name("hook_command")),
            ),
            (both, Err(SettingsError::TwoHooks)),
        ] {
            let settings = Settings { hook: Some(hook), ..Settings::new(Strategy::Hook) };
            assert_eq!(settings.check(), outcome);
        }
        assert_eq!(Settings::new(Strategy::Hook).check(), Err(SettingsError::Hook));
        assert_eq!(Settings::new(Strategy::Generated).check(), Ok(()));
    }
}
