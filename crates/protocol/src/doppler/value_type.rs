//! What kind of text a secret's value is, and whether a value is of its kind.

/// A kind of value.
#[derive(Debug, Clone, Copy)]
pub struct ValueType {
    name: &'static str,
    fits: fn(&str) -> bool,
}

/// All kinds. JSON5, YAML and XML are taken as they are.
const ALL: [ValueType; 16] = [
    kind("string", |_| true),
    kind("json", |text| serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()),
    kind("json5", |_| true),
    kind("xml", |_| true),
    kind("yaml", |_| true),
    kind("boolean", |text| matches!(text, "true" | "false")),
    kind("integer", |text| digits(text.strip_prefix(['-', '+']).unwrap_or(text))),
    kind("decimal", decimal),
    kind("email", email),
    kind("url", url),
    kind("uuidv4", uuid_v4),
    kind("cuid2", |text| {
        (2..=32).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.bytes().all(lower_alphanumeric)
    }),
    kind("ulid", |text| {
        text.len() == 26 && text.starts_with(|c| matches!(c, '0'..='7')) && text.bytes().all(crockford)
    }),
    kind("datetime8601", date_time),
    kind("date8601", date),
    kind("directReference", direct_reference),
];

const fn kind(name: &'static str, fits: fn(&str) -> bool) -> ValueType {
    ValueType { name, fits }
}

impl ValueType {
    /// The kind of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        ALL.into_iter().find(|kind| kind.name == name)
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.name
    }

    /// Whether a value is of this kind.
    #[must_use]
    pub fn fits(self, value: &str) -> bool {
        (self.fits)(value)
    }

    /// Whether it is the value with its references resolved that must fit, not the value as it is written.
    #[must_use]
    pub fn is_of_computed(self) -> bool {
        self.name != "directReference"
    }
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn decimal(text: &str) -> bool {
    let text = text.strip_prefix(['-', '+']).unwrap_or(text);
    match text.split_once('.') {
        None => digits(text),
        Some((whole, part)) => (whole.is_empty() || digits(whole)) && digits(part),
    }
}

fn email(text: &str) -> bool {
    let blank = |char: char| char.is_whitespace() || char.is_control();
    text.rsplit_once('@').is_some_and(|(user, domain)| {
        !user.is_empty()
            && !text.contains(blank)
            && !user.contains('@')
            && domain.split('.').count() > 1
            && domain.split('.').all(|label| !label.is_empty())
    })
}

fn url(text: &str) -> bool {
    let scheme = |char: char| char.is_ascii_alphanumeric() || matches!(char, '+' | '-' | '.');
    text.split_once("://").is_some_and(|(name, rest)| {
        name.starts_with(|char: char| char.is_ascii_alphabetic())
            && name.chars().all(scheme)
            && !rest.is_empty()
            && !text.contains(|char: char| char.is_whitespace() || char.is_control())
    })
}

fn uuid_v4(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            14 => byte == b'4',
            19 => matches!(byte, b'8' | b'9' | b'a' | b'b' | b'A' | b'B'),
            _ => byte.is_ascii_hexdigit(),
        })
}

fn lower_alphanumeric(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

fn crockford(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() && !matches!(byte.to_ascii_uppercase(), b'I' | b'L' | b'O' | b'U')
}

/// `2024-02-29`.
fn date(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let [year, month, day] = parts[..] else { return false };
    if (year.len(), month.len(), day.len()) != (4, 2, 2) || ![year, month, day].into_iter().all(digits) {
        return false;
    }
    let number = |text: &str| text.parse::<u32>().unwrap_or(0);
    let (year, month, day) = (number(year), number(month), number(day));
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let last = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    };
    (1..=last).contains(&day)
}

/// `2024-02-29T12:30:00.123Z`, with `+01:00` for `Z` if one likes.
fn date_time(text: &str) -> bool {
    let Some((day, time)) = text.split_once('T') else { return false };
    let (clock, zone) = match time.find(['Z', '+', '-']) {
        Some(at) => time.split_at(at),
        None => (time, "Z"),
    };
    let zone_fits = zone == "Z" || zone.len() == 6 && hours_and_minutes(&zone[1..]);
    let (clock, part) = clock.split_once('.').unwrap_or((clock, "0"));
    let clock_fits = match clock.len() {
        5 => hours_and_minutes(clock),
        8 => {
            clock.is_ascii()
                && hours_and_minutes(&clock[..5])
                && two_digits(clock.get(5..).and_then(|s| s.strip_prefix(':')), 60)
        }
        _ => false,
    };
    date(day) && clock_fits && digits(part) && zone_fits
}

fn hours_and_minutes(text: &str) -> bool {
    text.split_once(':').is_some_and(|(hours, minutes)| two_digits(Some(hours), 23) && two_digits(Some(minutes), 59))
}

fn two_digits(text: Option<&str>, max: u32) -> bool {
    text.is_some_and(|text| text.len() == 2 && digits(text) && text.parse::<u32>().is_ok_and(|number| number <= max))
}

/// A value that is one reference and nothing else.
fn direct_reference(text: &str) -> bool {
    let inner = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    inner.is_some_and(|inner| !inner.is_empty() && !inner.contains(['{', '}', '$']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_held_to_their_kind() {
        for (name, good, bad) in [
            ("string", vec!["", "x"], vec![]),
            ("json", vec!["{\"a\": [1]}", "null", "1"], vec!["", "{a: 1}", "{\"a\":1"]),
            ("boolean", vec!["true", "false"], vec!["TRUE", "1", ""]),
            ("integer", vec!["0", "-12", "+3"], vec!["", "-", "1.0", "1e3", "0x1"]),
            ("decimal", vec!["0", "-1.5", ".5"], vec!["", ".", "1.", "1,5", "1e3"]),
            ("email", vec!["a.b@example.com"], vec!["", "a@b", "@b.c", "a b@c.d", "a@@b.c", "a@b..c"]),
            ("url", vec!["https://x/y?z", "postgres://u:p@h/d"], vec!["", "x", "://x", "https://", "a://b c"]),
            (
                "uuidv4",
                vec!["9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb6d"],
                vec!["", "9b1deb4d-3b7d-1bad-9bdd-2b0d7b3dcb6d", "9b1deb4d-3b7d-4bad-cbdd-2b0d7b3dcb6d"],
            ),
            ("cuid2", vec!["tz4a98xxat96iws9zmbrgj3a"], vec!["", "1abc", "aB"]),
            (
                "ulid",
                vec!["01ARZ3NDEKTSV4RRFFQ69G5FAV"],
                vec!["", "81ARZ3NDEKTSV4RRFFQ69G5FAV", "01ARZ3NDEKTSV4RRFFQ69G5FAU"],
            ),
            (
                "date8601",
                vec!["2024-02-29"],
                vec!["", "2023-02-29", "2024-13-01", "24-01-01", "2024-1-01", "2024-01-00"],
            ),
            (
                "datetime8601",
                vec!["2024-02-29T12:30:00.123Z", "2024-02-29T12:30", "2024-02-29T12:30:60+01:00"],
                vec!["", "2024-02-29", "2024-02-29T24:00Z", "2024-02-29T12:30:00+1:00", "2024-02-29T12:3é:00Z"],
            ),
            ("directReference", vec!["${A}", "${p.c.A}"], vec!["", "${A}x", "${}", "${A}${B}"]),
        ] {
            let kind = ValueType::named(name).expect(name);
            assert_eq!(kind.name(), name);
            for value in good {
                assert!(kind.fits(value), "{name}: {value}");
            }
            for value in bad {
                assert!(!kind.fits(value), "{name}: {value}");
            }
        }
        assert!(ValueType::named("number").is_none());
    }
}
