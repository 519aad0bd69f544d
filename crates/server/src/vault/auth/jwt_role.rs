//! `auth/jwt/role`.

use keyturn_core::login::jwt::{JwtRole, RoleType};
use serde_json::{Map, Value, json};

use super::{
    super::{Outcome, call::Call, error::Failure, fields::Fields, reply::Reply},
    token_role::set,
    token_settings::{self, Older},
};

const OLDER: &[Older] = &[
    ("policies", "token_policies"),
    ("bound_cidrs", "token_bound_cidrs"),
    ("num_uses", "token_num_uses"),
    ("ttl", "token_ttl"),
    ("max_ttl", "token_max_ttl"),
    ("period", "token_period"),
];

pub(in super::super) async fn list(call: Call<'_>) -> Outcome {
    Reply::keys(&call.core.logins().jwt().list_roles(call.permit).await?)
}

pub(in super::super) async fn read(call: Call<'_>) -> Outcome {
    let role = call.core.logins().jwt().read_role(call.permit).await?.ok_or_else(Failure::nothing)?;
    Reply::data(&told(&role))
}

pub(in super::super) async fn write(call: Call<'_>) -> Outcome {
    let fields = call.fields()?;
    let mut adjusted = None;
    let change = |role: &mut JwtRole| {
        adjusted = apply(role, &fields)?;
        Ok::<_, Failure>(())
    };
    let warnings = call.core.logins().jwt().write_role(call.permit, change).await?;
    Ok(warnings.into_iter().chain(adjusted).fold(Reply::empty(), Reply::warn))
}

pub(in super::super) async fn delete(call: Call<'_>) -> Outcome {
    call.core.logins().jwt().delete_role(call.permit).await?;
    Ok(Reply::empty())
}

fn apply(role: &mut JwtRole, fields: &Fields<'_>) -> Result<Option<String>, Failure> {
    if let Some(name) = fields.text("role_type")? {
        role.role_type =
            RoleType::from_name(&name).ok_or_else(|| Failure::bad_request(format!("invalid 'role_type': {name}")))?;
    }
    if let Some(name) = fields.text("bound_claims_type")? {
        role.glob_claims = match name.as_str() {
            "glob" => true,
            "string" => false,
            _ => return Err(Failure::bad_request(format!("invalid 'bound_claims_type': {name}"))),
        };
    }
    refuse_unsupported(fields)?;
    set(&mut role.bound_audiences, fields.list("bound_audiences")?);
    set(&mut role.bound_subject, fields.text("bound_subject")?);
    set(&mut role.bound_claims, object(fields, "bound_claims")?);
    set(&mut role.claim_mappings, fields.map("claim_mappings")?);
    set(&mut role.user_claim, fields.text("user_claim")?);
    set(&mut role.user_claim_json_pointer, fields.boolean("user_claim_json_pointer")?);
    set(&mut role.groups_claim, fields.text("groups_claim")?);
    set(&mut role.expiration_leeway, fields.signed_seconds("expiration_leeway")?);
    set(&mut role.not_before_leeway, fields.signed_seconds("not_before_leeway")?);
    set(&mut role.clock_skew_leeway, fields.signed_seconds("clock_skew_leeway")?);
    set(&mut role.max_age, fields.seconds("max_age")?);
    set(&mut role.allowed_redirect_uris, fields.list("allowed_redirect_uris")?);
    set(&mut role.oidc_scopes, fields.list("oidc_scopes")?);
    set(&mut role.verbose_oidc_logging, fields.boolean("verbose_oidc_logging")?);
    token_settings::apply(&mut role.token, fields, OLDER)
}

/// An object, or the text of one, as command lines send it.
fn object(fields: &Fields<'_>, name: &str) -> Result<Option<Map<String, Value>>, Failure> {
    let wrong = || Failure::bad_request(format!("error converting input for field {name:?}: expected an object"));
    match fields.shaped::<Value>(name, "an object")? {
        None => Ok(None),
        Some(Value::Object(object)) => Ok(Some(object)),
        Some(Value::String(text)) if text.trim().is_empty() => Ok(Some(Map::new())),
        Some(Value::String(text)) => serde_json::from_str(&text).map(Some).map_err(|_| wrong()),
        Some(_) => Err(wrong()),
    }
}

/// What would change who gets in must not be passed over in silence.
fn refuse_unsupported(fields: &Fields<'_>) -> Result<(), Failure> {
    let not_offered = |name: &str| Failure::bad_request(format!("{name} is not offered by this server"));
    if fields.boolean("token_policies_template_claims")?.unwrap_or(false) {
        return Err(not_offered("token_policies_template_claims"));
    }
    if fields.text("callback_mode")?.is_some_and(|mode| mode != "client") {
        return Err(not_offered("callback_mode other than \"client\""));
    }
    if fields.list("oauth2_metadata")?.is_some_and(|names| !names.is_empty()) {
        return Err(not_offered("oauth2_metadata"));
    }
    Ok(())
}

fn told(role: &JwtRole) -> Map<String, Value> {
    let mut told = token_settings::told(&role.token, OLDER);
    let claims = if role.bound_claims.is_empty() { Value::Null } else { json!(role.bound_claims) };
    let mappings = if role.claim_mappings.is_empty() { Value::Null } else { json!(role.claim_mappings) };
    told.extend(
        [
            ("role_type", json!(role.role_type.name())),
            ("bound_audiences", optional(&role.bound_audiences)),
            ("bound_subject", json!(role.bound_subject)),
            ("bound_claims_type", json!(if role.glob_claims { "glob" } else { "string" })),
            ("bound_claims", claims),
            ("claim_mappings", mappings),
            ("user_claim", json!(role.user_claim)),
            ("user_claim_json_pointer", json!(role.user_claim_json_pointer)),
            ("groups_claim", json!(role.groups_claim)),
            ("expiration_leeway", json!(role.expiration_leeway)),
            ("not_before_leeway", json!(role.not_before_leeway)),
            ("clock_skew_leeway", json!(role.clock_skew_leeway)),
            ("max_age", json!(role.max_age)),
            ("allowed_redirect_uris", optional(&role.allowed_redirect_uris)),
            ("oidc_scopes", optional(&role.oidc_scopes)),
            ("verbose_oidc_logging", json!(role.verbose_oidc_logging)),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    told
}

fn optional(list: &[String]) -> Value {
    if list.is_empty() { Value::Null } else { json!(list) }
}
