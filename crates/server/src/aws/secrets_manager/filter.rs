//! Which secrets a listing shows. Filters must all hold; of a filter's values one must. `!` before a value turns it
//! around.
//!
//! | key | a value holds if |
//! |---|---|
//! | `name`, `tag-key`, `tag-value`, `primary-region`, `owning-service` | it starts one of them, upper and lower case told apart |
//! | `description` | each of its words starts a word of the description, whatever the case |
//! | `all` | each of its words starts a word of the name, the description or a tag; words also end at a change of case or kind |

use keyturn_core::kv::Secret;
use keyturn_protocol::aws::secretsmanager::Filter;

use super::error::invalid_parameter;
use crate::aws::failure::Failure;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Description,
    Name,
    TagKey,
    TagValue,
    PrimaryRegion,
    OwningService,
    All,
}

struct Value {
    negated: bool,
    text: String,
    words: Vec<String>,
}

/// The filters of one listing.
#[derive(Default)]
pub(super) struct Filters(Vec<(By, Vec<Value>)>);

impl Filters {
    /// Reads filters.
    ///
    /// # Errors
    /// When one has no key or no values.
    pub(super) fn read(filters: Option<Vec<Filter>>) -> Result<Self, Failure> {
        filters.unwrap_or_default().into_iter().map(read).collect::<Result<_, _>>().map(Self)
    }

    /// Whether none are there.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a secret passes. `region` is that of its origin, if it is in several.
    pub(super) fn pass(&self, name: &str, secret: &Secret, region: Option<&str>) -> bool {
        let passes = |(key, values): &(By, Vec<Value>)| {
            values.iter().any(|value| holds(*key, value, name, secret, region) != value.negated)
        };
        self.0.iter().all(passes)
    }
}

fn read(filter: Filter) -> Result<(By, Vec<Value>), Failure> {
    let key = match filter.key.as_deref() {
        Some("description") => By::Description,
        Some("name") => By::Name,
        Some("tag-key") => By::TagKey,
        Some("tag-value") => By::TagValue,
        Some("primary-region") => By::PrimaryRegion,
        Some("owning-service") => By::OwningService,
        Some("all") => By::All,
        _ => return Err(invalid_parameter("Invalid filter key: a filter needs a Key.")),
    };
    let values = filter.values.filter(|values| !values.is_empty());
    let values = values.ok_or_else(|| invalid_parameter("Invalid filter values: a filter needs Values."))?;
    let value = |value: String| {
        let (negated, text) = match value.strip_prefix('!') {
            Some(text) => (true, text.to_owned()),
            None => (false, value),
        };
        let words = match key {
            By::All => split_words(&text),
            _ => text.split_whitespace().map(str::to_lowercase).collect(),
        };
        Value { negated, text, words }
    };
    Ok((key, values.into_iter().map(value).collect()))
}

fn holds(key: By, value: &Value, name: &str, secret: &Secret, region: Option<&str>) -> bool {
    let starts = |text: &str| text.starts_with(&value.text);
    match key {
        By::Name => starts(name),
        By::TagKey => secret.tags.keys().any(|key| starts(key)),
        By::TagValue => secret.tags.values().any(|value| starts(value)),
        By::PrimaryRegion => region.is_some_and(starts),
        // No service owns a secret here.
        By::OwningService => value.text.is_empty(),
        By::Description => {
            let words: Vec<String> = secret.description.split_whitespace().map(str::to_lowercase).collect();
            start_words(&value.words, &words)
        }
        By::All => {
            let tags = secret.tags.iter().flat_map(|(key, value)| [key.as_str(), value.as_str()]);
            let words: Vec<String> =
                [name, &secret.description].into_iter().chain(tags).flat_map(split_words).collect();
            start_words(&value.words, &words)
        }
    }
}

fn start_words(wanted: &[String], words: &[String]) -> bool {
    wanted.iter().all(|wanted| words.iter().any(|word| word.starts_with(wanted.as_str())))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Lower,
    Upper,
    Digit,
    Other,
}

fn kind_of(character: char) -> Kind {
    if character.is_lowercase() {
        Kind::Lower
    } else if character.is_uppercase() {
        Kind::Upper
    } else if character.is_numeric() {
        Kind::Digit
    } else if character.is_alphabetic() {
        Kind::Lower
    } else {
        Kind::Other
    }
}

/// `dbPassword-2` is `db`, `password`, `2`.
fn split_words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut before = Kind::Other;
    for character in text.chars() {
        let kind = kind_of(character);
        // A capital starts a word and what follows it goes on.
        let goes_on = kind == before || (before, kind) == (Kind::Upper, Kind::Lower);
        if kind != Kind::Other {
            if !goes_on || words.is_empty() {
                words.push(String::new());
            }
            if let Some(word) = words.last_mut() {
                word.extend(character.to_lowercase());
            }
        }
        before = kind;
    }
    words
}

#[cfg(test)]
mod tests {
    use keyturn_core::clock::Timestamp;

    use super::*;

    fn passes(key: &str, values: &[&str]) -> bool {
        let mut secret = Secret::new(Timestamp::UNIX_EPOCH, "abcdef".into());
        secret.description = "Password of the Orders database".into();
        secret.tags.insert("Team".into(), "payments".into());
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        let filter = Filter { key: Some(key.to_owned()), values: Some(values) };
        Filters::read(Some(vec![filter])).expect("a filter").pass("prod/ordersDb2", &secret, Some("eu-west-1"))
    }

    #[test]
    fn filters_hold_as_their_keys_say() {
        for (key, value) in [
            ("name", "prod/"),
            ("name", "!dev/"),
            ("tag-key", "Te"),
            ("tag-value", "pay"),
            ("description", "orders pass"),
            ("description", "!vault"),
            ("primary-region", "eu-"),
            ("owning-service", "!rds"),
            ("all", "orders"),
            ("all", "Team database"),
            ("all", "db"),
            ("all", "2"),
            ("all", "ordersDb"),
        ] {
            assert!(passes(key, &[value]), "{key} {value}");
        }
        for (key, value) in [
            ("name", "PROD/"),
            ("name", "orders"),
            ("name", "!prod"),
            ("tag-key", "te"),
            ("description", "assword"),
            ("description", "orders vault"),
            ("owning-service", "rds"),
            ("all", "base"),
        ] {
            assert!(!passes(key, &[value]), "{key} {value}");
        }
        assert!(passes("name", &["dev/", "prod/"]));
    }

    #[test]
    fn words_end_where_the_kind_changes() {
        assert_eq!(split_words("dbPassword-2x HTTP"), ["db", "password", "2", "x", "http"]);
    }
}
