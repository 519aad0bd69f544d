//! `token_…`: what roles and users of the auth methods say about their tokens.

use keyturn_core::login::{LoginTokenType, TokenSettings};
use serde_json::{Map, Value, json};

use super::{
    super::{error::Failure, fields::Fields},
    token_role::set,
    told_cidrs,
};

/// An older name of a field, and its name now. Where both are given, the new one rules; where the older one was
/// given, it is told as well.
pub(super) type Older = (&'static str, &'static str);

/// Applies what `fields` say; what they do not name stays. Answers what there is to say about it.
pub(super) fn apply(
    settings: &mut TokenSettings,
    fields: &Fields<'_>,
    older: &[Older],
) -> Result<Option<String>, Failure> {
    let name = |new: &'static str| match older.iter().find(|(_, current)| *current == new) {
        Some((old, _)) if fields.raw(new).is_none() => old,
        _ => new,
    };
    set(&mut settings.policies, fields.list(name("token_policies"))?);
    set(&mut settings.ttl, fields.seconds(name("token_ttl"))?);
    set(&mut settings.max_ttl, fields.seconds(name("token_max_ttl"))?);
    set(&mut settings.explicit_max_ttl, fields.seconds(name("token_explicit_max_ttl"))?);
    set(&mut settings.num_uses, fields.natural(name("token_num_uses"))?);
    set(&mut settings.period, fields.seconds(name("token_period"))?);
    set(&mut settings.bound_cidrs, fields.cidrs(name("token_bound_cidrs"))?);
    set(&mut settings.no_default_policy, fields.boolean(name("token_no_default_policy"))?);
    for (old, new) in older {
        if fields.raw(old).is_some() {
            settings.older_names.insert((*old).to_owned());
        } else if fields.raw(new).is_some() {
            settings.older_names.remove(*old);
        }
    }
    let Some(given) = fields.text("token_type")? else { return Ok(None) };
    settings.token_type = LoginTokenType::from_name(&given)
        .ok_or_else(|| Failure::bad_request(format!("invalid 'token_type' value {given:?}")))?;
    let adjusted = settings.token_type.name();
    Ok(given.starts_with("default-").then(|| format!("{given} has no useful meaning; adjusting to {adjusted}")))
}

/// The settings as a read shows them.
pub(super) fn told(settings: &TokenSettings, older: &[Older]) -> Map<String, Value> {
    let mut told = Map::new();
    let mut put = |name: &str, value: Value| _ = told.insert(name.to_owned(), value);
    put("token_policies", json!(settings.policies));
    put("token_ttl", json!(settings.ttl));
    put("token_max_ttl", json!(settings.max_ttl));
    put("token_explicit_max_ttl", json!(settings.explicit_max_ttl));
    put("token_num_uses", json!(settings.num_uses));
    put("token_period", json!(settings.period));
    put("token_type", json!(settings.token_type.name()));
    put("token_bound_cidrs", json!(told_cidrs(&settings.bound_cidrs)));
    put("token_no_default_policy", json!(settings.no_default_policy));
    for (old, new) in older.iter().filter(|(old, _)| settings.older_names.contains(*old)) {
        let value = told.get(*new).cloned().unwrap_or_default();
        told.insert((*old).to_owned(), value);
    }
    told
}

#[cfg(test)]
mod tests {
    use keyturn_core::secret::SecretBytes;

    use super::*;

    const OLDER: &[Older] = &[("policies", "token_policies")];

    fn apply_text(settings: &mut TokenSettings, text: &str) -> Result<Option<String>, Failure> {
        let data = SecretBytes::new(text.as_bytes().to_vec());
        apply(settings, &Fields::parse(&data).expect("an object"), OLDER)
    }

    #[test]
    fn an_older_name_is_told_again_until_the_new_one_is_given() {
        let mut settings = TokenSettings::default();
        apply_text(&mut settings, r#"{"policies":"a,b"}"#).expect("applied");
        let read = told(&settings, OLDER);
        assert_eq!((&read["policies"], &read["token_policies"]), (&json!(["a", "b"]), &json!(["a", "b"])));
        apply_text(&mut settings, r#"{"token_policies":["c"],"policies":"d"}"#).expect("applied");
        assert_eq!(told(&settings, OLDER)["policies"], json!(["c"]), "the new name rules");
        apply_text(&mut settings, r#"{"token_policies":["e"]}"#).expect("applied");
        assert!(!told(&settings, OLDER).contains_key("policies"));
        apply_text(&mut settings, r#"{"token_ttl":"1m","policies":null}"#).expect("applied");
        assert_eq!(told(&settings, OLDER)["token_policies"], json!(["e"]), "what is not named stays");
    }

    #[test]
    fn types_and_networks_are_told_as_vault_tells_them() {
        let mut settings = TokenSettings::default();
        assert_eq!(told(&settings, OLDER)["token_type"], "default");
        let text = r#"{"token_type":"default-batch","token_bound_cidrs":"127.0.0.1/32,10.0.0.0/8,::1"}"#;
        assert!(apply_text(&mut settings, text).expect("applied").is_some_and(|text| text.contains("batch")));
        let read = told(&settings, OLDER);
        assert_eq!(read["token_type"], "batch");
        assert_eq!(read["token_bound_cidrs"], json!(["127.0.0.1", "10.0.0.0/8", "::1"]));
        assert!(apply_text(&mut settings, r#"{"token_type":"strange"}"#).is_err());
    }
}
