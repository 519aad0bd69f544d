//! `[alerts]`: what is told of, how often that is looked at, and who is told.

use std::{net::IpAddr, ops::RangeInclusive, time::Duration};

use keyturn_core::alert::{Condition, DEFAULT_INTERVAL, MAX_SECONDS, MIN_SECRET, Rule, Severity};

use super::{
    AlertWebhookConfig, AlertsConfig, KeySource,
    reader::{At, Schema, Section},
    sections::required,
};

pub(super) static ALERTS: Schema =
    Schema { section: "[alerts]", keys: &["enabled", "interval", "metrics_subjects", "rule", "webhook"] };
pub(super) static RULE: Schema = Schema {
    section: "[[alerts.rule]]",
    keys: &["condition", "name", "severity", "within", "min_life", "after", "enabled"],
};
pub(super) static WEBHOOK: Schema = Schema {
    section: "[[alerts.webhook]]",
    keys: &["url", "name", "secret_file", "secret_env", "ca_file", "severity", "conditions", "resolved"],
};

const INTERVAL: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3600);
const TIME: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(MAX_SECONDS);
const SUBJECTS: RangeInclusive<usize> = 0..=1000;
const NAME: &str = "1 to 64 letters, digits, - and _; each once";
const URL: &str = "an https address of at most 2000 characters, without a user; http only to loopback";
const MAX_RULES: usize = 100;
const MAX_WEBHOOKS: usize = 16;

pub(super) fn defaults() -> AlertsConfig {
    AlertsConfig {
        rules: Rule::defaults(),
        interval: Duration::from_secs(DEFAULT_INTERVAL),
        metrics_subjects: 0,
        webhooks: Vec::new(),
    }
}

pub(super) fn read(mut section: Section<'_, '_>) -> AlertsConfig {
    let mut config = defaults();
    let enabled = section.flag("enabled").is_none_or(|at| at.value);
    section.duration("interval", &INTERVAL, &mut config.interval);
    section.number("metrics_subjects", &SUBJECTS, &mut config.metrics_subjects);
    let mut names = Vec::new();
    let rules = section.tables("rule", &RULE, |section| rule(section, &mut names));
    // Whoever writes rules for a condition has thought about it: the usual ones for it are gone.
    config.rules.retain(|usual| rules.iter().all(|(rule, _)| rule.condition != usual.condition));
    config.rules.extend(rules.into_iter().filter(|(_, enabled)| *enabled).map(|(rule, _)| rule));
    let mut names = Vec::new();
    config.webhooks = section.tables("webhook", &WEBHOOK, |section| webhook(section, &mut names));
    for (key, count, most) in
        [("rule", config.rules.len(), MAX_RULES), ("webhook", config.webhooks.len(), MAX_WEBHOOKS)]
    {
        if count > most {
            section.note_here(format!("there are {count} [[alerts.{key}]]; allowed: at most {most}"));
        }
    }
    if !enabled {
        config.rules.clear();
    }
    config
}

/// A rule, and whether it is in force.
fn rule(mut section: Section<'_, '_>, names: &mut Vec<String>) -> Option<(Rule, bool)> {
    let conditions = conditions();
    let allowed = joined(&conditions);
    let condition = required(&mut section, "condition", &allowed, |section| section.choice("condition", &conditions));
    let given = section.text("name", NAME);
    let severity = section.choice("severity", &severities()).map(|at| at.value);
    let (mut within, mut min_life, mut after) = (None, None, None);
    for (key, target) in [("within", &mut within), ("min_life", &mut min_life), ("after", &mut after)] {
        let mut read = Duration::MAX;
        section.duration(key, &TIME, &mut read);
        *target = (read != Duration::MAX).then_some(read.as_secs());
    }
    let enabled = section.flag("enabled").is_none_or(|at| at.value);
    let condition = condition?;
    let name = name(&mut section, given, condition.name().to_owned(), names);
    if !condition.has_within() {
        section.forbid("within", "is only used by conditions that have an end; remove it");
    }
    if !condition.has_min_life() {
        section.forbid("min_life", "is only used by secret-, lease- and token-expiring; remove it");
    }
    if !condition.has_after() {
        section.forbid("after", "is only used by rotation-overdue and lease-overdue; remove it");
    }
    let usual = Rule::new(condition);
    let mut rule = match within {
        Some(seconds) if condition.has_within() => usual.within(seconds),
        _ => usual,
    };
    rule = Rule { name, severity: severity.unwrap_or(rule.severity), after: after.unwrap_or(rule.after), ..rule };
    if let Some(seconds) = min_life.filter(|_| condition.has_min_life()) {
        if seconds < rule.within {
            let span = section.place("min_life").unwrap_or_default();
            section.note(
                span,
                format!(
                    "alerts.rule.min_life ({seconds}s) is shorter than within ({}s): what lives for less than that would \
                     be told of from its first second; allowed: at least within",
                    rule.within
                ),
            );
        }
        rule.min_life = seconds;
    }
    Some((rule, enabled))
}

fn webhook(mut section: Section<'_, '_>, names: &mut Vec<String>) -> Option<AlertWebhookConfig> {
    let url = match section.place("url") {
        Some(_) => section.text("url", URL),
        None => {
            section.note_here(format!("alerts.webhook.url is missing; allowed: {URL}"));
            None
        }
    };
    if let Some(At { value, span }) = &url
        && !is_fit(value)
    {
        section
            .note(span.clone(), format!("alerts.webhook.url is no address that messages are sent to; allowed: {URL}"));
    }
    let given = section.text("name", NAME);
    let default = format!("webhook-{}", names.len() + 1);
    let name = name(&mut section, given, default, names);
    let file = section.path("secret_file");
    let variable = section.text("secret_env", "the name of an environment variable");
    let secret = match (section.place("secret_file"), section.place("secret_env")) {
        (Some(_), Some(span)) => {
            section.note(span, "alerts.webhook.secret_env and secret_file are both there; remove one");
            None
        }
        (None, None) => {
            section.note_here(format!(
                "alerts.webhook needs a key to sign with, of {MIN_SECRET} bytes or more: set secret_file or secret_env"
            ));
            None
        }
        (Some(_), None) => file.map(|at| KeySource::File(at.value)),
        (None, Some(_)) => variable.map(|at| KeySource::Environment(at.value)),
    };
    let ca_file = section.path("ca_file").map(|at| at.value);
    let severity = section.choice("severity", &severities()).map_or(Severity::Info, |at| at.value);
    let conditions = section.choices("conditions", &conditions()).map(|at| at.value).unwrap_or_default();
    let resolved = section.flag("resolved").is_none_or(|at| at.value);
    Some(AlertWebhookConfig { name, url: url?.value, secret: secret?, ca_file, severity, conditions, resolved })
}

fn name(section: &mut Section<'_, '_>, given: Option<At<String>>, default: String, names: &mut Vec<String>) -> String {
    let At { value, span } = given.unwrap_or(At { value: default, span: 0..0 });
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    let key = section.name("name");
    let mut refuse =
        |message: String| if span == (0..0) { section.note_here(message) } else { section.note(span.clone(), message) };
    if value.len() > 64 || !value.chars().all(fits) {
        refuse(format!("{key} is {value:?}; allowed: {NAME}"));
    } else if names.contains(&value) {
        refuse(format!("{key} {value:?} is there twice; allowed: {NAME}"));
    }
    names.push(value.clone());
    value
}

/// Messages go by TLS, or stay on this machine.
fn is_fit(url: &str) -> bool {
    let (rest, is_plain) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
        (Some(rest), _) => (rest, false),
        (None, Some(rest)) => (rest, true),
        (None, None) => return false,
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    let is_loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    let is_text = url.len() <= 2000 && !url.chars().any(|c| c.is_control() || c.is_whitespace());
    is_text && !host.is_empty() && !authority.contains('@') && (!is_plain || is_loopback)
}

fn conditions() -> [(&'static str, Condition); Condition::ALL.len()] {
    Condition::ALL.map(|condition| (condition.name(), condition))
}

fn severities() -> [(&'static str, Severity); Severity::ALL.len()] {
    Severity::ALL.map(|severity| (severity.name(), severity))
}

fn joined<T>(choices: &[(&str, T)]) -> String {
    choices.iter().map(|(name, _)| format!("\"{name}\"")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_go_by_tls_or_stay_on_this_machine() {
        for url in [
            "https://a.example/x?y",
            "https://10.0.0.1:8443/",
            "http://127.0.0.1:1/x",
            "http://[::1]:80",
            "http://localhost/",
        ] {
            assert!(is_fit(url), "{url}");
        }
        for url in [
            "http://a.example/",
            "http://10.0.0.1/",
            "https://",
            "https://u:p@a/",
            "http://127.0.0.1@a/",
            "ftp://a",
            "a",
            "https://a b/",
            "http://127.0.0.1.evil.example/",
            "http://localhost.example/",
        ] {
            assert!(!is_fit(url), "{url}");
        }
    }
}
