//! `auth/jwt` and `auth/oidc`: the configuration, logins, and the flow through a browser. Roles are in `jwt_role`.

use keyturn_core::login::jwt::{Callback, JwtConfig};
use serde_json::{Map, Value, json};

use super::{
    super::{Outcome, call::Call, error::Failure, fields::Fields, reply::Reply},
    token_role::set,
};

/// Words in the names of provider settings that are secrets: they are kept and not told.
const SECRET_WORDS: [&str; 5] = ["secret", "service_account", "password", "token", "key"];

pub(in super::super) async fn read_config(call: Call<'_>) -> Outcome {
    let config = call.core.logins().jwt().read_config(call.permit).await?.ok_or_else(Failure::nothing)?;
    Reply::data(&told(&config))
}

pub(in super::super) async fn write_config(call: Call<'_>) -> Outcome {
    let fields = call.fields()?;
    let unchecked = fields.boolean("skip_jwks_validation")?.unwrap_or(false);
    let warning = call.core.logins().jwt().write_config(call.permit, config_of(&fields)?, unchecked).await?;
    Ok(warning.into_iter().fold(Reply::empty(), Reply::warn))
}

pub(in super::super) async fn login(call: Call<'_>) -> Outcome {
    let fields = call.fields()?;
    let role = fields.text("role")?.unwrap_or_default();
    let jwt = fields.secret("jwt")?.unwrap_or_default();
    Ok(Reply::issued(call.core.logins().jwt().login(call.permit, &role, &jwt).await?))
}

pub(in super::super) async fn auth_url(call: Call<'_>) -> Outcome {
    let fields = call.fields()?;
    let role = fields.text("role")?.unwrap_or_default();
    let redirect_uri = fields.text("redirect_uri")?.unwrap_or_default();
    let client_nonce = fields.secret("client_nonce")?.unwrap_or_default();
    let url = call.core.logins().jwt().auth_url(call.permit, &role, &redirect_uri, client_nonce).await?;
    Reply::data(&json!({ "auth_url": url }))
}

pub(in super::super) async fn callback(call: Call<'_>) -> Outcome {
    let fields = call.fields()?;
    let callback = Callback {
        state: fields.secret("state")?.unwrap_or_default(),
        code: fields.secret("code")?.unwrap_or_default(),
        client_nonce: fields.secret("client_nonce")?.unwrap_or_default(),
        error: fields.text("error")?.unwrap_or_default(),
    };
    Ok(Reply::issued(call.core.logins().jwt().callback(call.permit, callback).await?))
}

fn config_of(fields: &Fields<'_>) -> Result<JwtConfig, Failure> {
    let mut config = JwtConfig { namespace_in_state: true, ..JwtConfig::default() };
    set(&mut config.oidc_discovery_url, fields.text("oidc_discovery_url")?);
    set(&mut config.oidc_discovery_ca_pem, fields.text("oidc_discovery_ca_pem")?);
    set(&mut config.oidc_client_id, fields.text("oidc_client_id")?);
    set(&mut config.oidc_client_secret, fields.secret("oidc_client_secret")?);
    set(&mut config.oidc_response_mode, fields.text("oidc_response_mode")?);
    set(&mut config.oidc_response_types, fields.list("oidc_response_types")?);
    set(&mut config.jwks_url, fields.text("jwks_url")?);
    set(&mut config.jwks_ca_pem, fields.text("jwks_ca_pem")?);
    set(&mut config.jwt_validation_pubkeys, fields.list("jwt_validation_pubkeys")?);
    set(&mut config.jwt_supported_algs, fields.list("jwt_supported_algs")?);
    set(&mut config.bound_issuer, fields.text("bound_issuer")?);
    set(&mut config.default_role, fields.text("default_role")?);
    set(&mut config.provider_config, fields.shaped::<Map<String, Value>>("provider_config", "an object")?);
    set(&mut config.namespace_in_state, fields.boolean("namespace_in_state")?);
    for unsupported in ["jwks_pairs", "override_allowed_server_names"] {
        if fields.raw(unsupported).is_some_and(|text| text != "[]") {
            return Err(Failure::bad_request(format!("{unsupported} is not offered by this server")));
        }
    }
    Ok(config)
}

fn told(config: &JwtConfig) -> Value {
    let is_secret = |name: &str| SECRET_WORDS.iter().any(|word| name.to_lowercase().contains(word));
    let provider: Map<String, Value> =
        config.provider_config.clone().into_iter().filter(|(name, _)| !is_secret(name)).collect();
    json!({
        "oidc_discovery_url": config.oidc_discovery_url,
        "oidc_discovery_ca_pem": config.oidc_discovery_ca_pem,
        "oidc_client_id": config.oidc_client_id,
        "oidc_response_mode": config.oidc_response_mode,
        "oidc_response_types": config.oidc_response_types,
        "default_role": config.default_role,
        "jwt_validation_pubkeys": config.jwt_validation_pubkeys,
        "jwt_supported_algs": config.jwt_supported_algs,
        "jwks_url": config.jwks_url,
        "jwks_ca_pem": config.jwks_ca_pem,
        "bound_issuer": config.bound_issuer,
        "provider_config": provider,
        "namespace_in_state": config.namespace_in_state,
    })
}
