//! The settings that secret mounts and auth mounts have in common.

use serde_json::{Map, Value, json};

use crate::failure::Failure;

/// Flags of `enable` and `tune`, for `mount` and `auth` alike.
#[derive(Debug, clap::Args)]
pub(super) struct Settings {
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// How long its tokens and leases live if nobody says otherwise, like 12h
    #[arg(long, value_name = "DURATION")]
    default_lease_ttl: Option<String>,
    /// How long they live at most
    #[arg(long, value_name = "DURATION")]
    max_lease_ttl: Option<String>,
    /// Whether those without a token see it in a listing
    #[arg(long, value_name = "WHO", value_parser = ["hidden", "unauth"])]
    listing_visibility: Option<String>,
}

impl Settings {
    /// What `tune` sends: the settings beside the description.
    pub(super) fn tuning(&self) -> Map<String, Value> {
        let mut body = self.config();
        body.extend(self.description.iter().map(|text| ("description".to_owned(), json!(text))));
        body
    }

    /// What `enable` sends: the settings below `config`.
    pub(super) fn enabling(&self, kind: &str) -> Map<String, Value> {
        let mut body = Map::from_iter([("type".to_owned(), json!(kind)), ("config".to_owned(), json!(self.config()))]);
        body.extend(self.description.iter().map(|text| ("description".to_owned(), json!(text))));
        body
    }

    fn config(&self) -> Map<String, Value> {
        let settings = [
            ("default_lease_ttl", &self.default_lease_ttl),
            ("max_lease_ttl", &self.max_lease_ttl),
            ("listing_visibility", &self.listing_visibility),
        ];
        settings.iter().filter_map(|(name, value)| Some(((*name).to_owned(), json!(value.as_ref()?)))).collect()
    }
}

/// `KEY=VALUE` arguments of `flag` as a JSON object of strings.
pub(super) fn pairs(flag: &str, arguments: &[String]) -> Result<Value, Failure> {
    let pair = |argument: &String| match argument.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), json!(value))),
        _ => Err(Failure::Usage(format!("{flag} takes KEY=VALUE"))),
    };
    arguments.iter().map(pair).collect::<Result<Map<_, _>, _>>().map(Value::Object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_given_is_sent() {
        let settings = Settings {
            description: Some("d".to_owned()),
            default_lease_ttl: None,
            max_lease_ttl: Some("1h".to_owned()),
            listing_visibility: None,
        };
        assert_eq!(Value::Object(settings.tuning()), json!({"description": "d", "max_lease_ttl": "1h"}));
        assert_eq!(
            Value::Object(settings.enabling("kv")),
            json!({"type": "kv", "description": "d", "config": {"max_lease_ttl": "1h"}})
        );
    }

    #[test]
    fn a_pair_has_a_name_and_a_value() {
        let given = |argument: &str| pairs("--option", &[argument.to_owned()]);
        assert_eq!(given("a=b=c").unwrap(), json!({"a": "b=c"}));
        assert_eq!(given("a=").unwrap(), json!({"a": ""}));
        assert!(given("a").is_err() && given("=b").is_err());
    }
}
