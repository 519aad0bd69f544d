//! `auth/kubernetes`: the configuration, roles and logins.

use keyturn_core::login::kubernetes::{AliasSource, KubernetesConfig, KubernetesRole};
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

pub(in super::super) async fn read_config(call: Call<'_>) -> Outcome {
    let config = call.core.logins().kubernetes().read_config(call.permit).await?.ok_or_else(Failure::nothing)?;
    Reply::data(&json!({
        "kubernetes_host": config.host,
        "kubernetes_ca_cert": config.ca_cert,
        "pem_keys": config.pem_keys,
        "issuer": config.issuer,
        "disable_iss_validation": config.disable_iss_validation,
        "disable_local_ca_jwt": config.disable_local_ca_jwt,
        "token_reviewer_jwt_set": !config.token_reviewer_jwt.is_empty(),
    }))
}

pub(in super::super) async fn write_config(call: Call<'_>) -> Outcome {
    let fields = call.fields()?;
    let config = KubernetesConfig {
        host: fields.text("kubernetes_host")?.unwrap_or_default(),
        ca_cert: fields.text("kubernetes_ca_cert")?.unwrap_or_default(),
        token_reviewer_jwt: fields.secret("token_reviewer_jwt")?.unwrap_or_default(),
        pem_keys: fields.list("pem_keys")?.unwrap_or_default(),
        issuer: fields.text("issuer")?.unwrap_or_default(),
        disable_iss_validation: fields.boolean("disable_iss_validation")?.unwrap_or(true),
        disable_local_ca_jwt: fields.boolean("disable_local_ca_jwt")?.unwrap_or(false),
    };
    call.core.logins().kubernetes().write_config(call.permit, config).await?;
    Ok(Reply::empty())
}

pub(in super::super) async fn list(call: Call<'_>) -> Outcome {
    Reply::keys(&call.core.logins().kubernetes().list_roles(call.permit).await?)
}

pub(in super::super) async fn read(call: Call<'_>) -> Outcome {
    let role = call.core.logins().kubernetes().read_role(call.permit).await?.ok_or_else(Failure::nothing)?;
    Reply::data(&told(&role))
}

pub(in super::super) async fn write(call: Call<'_>) -> Outcome {
    let fields = call.fields()?;
    let mut adjusted = None;
    let change = |role: &mut KubernetesRole| {
        adjusted = apply(role, &fields)?;
        Ok::<_, Failure>(())
    };
    let warnings = call.core.logins().kubernetes().write_role(call.permit, change).await?;
    Ok(warnings.into_iter().chain(adjusted).fold(Reply::empty(), Reply::warn))
}

pub(in super::super) async fn delete(call: Call<'_>) -> Outcome {
    call.core.logins().kubernetes().delete_role(call.permit).await?;
    Ok(Reply::empty())
}

pub(in super::super) async fn login(call: Call<'_>) -> Outcome {
    let fields = call.fields()?;
    let role = fields.text("role")?.unwrap_or_default();
    let jwt = fields.secret("jwt")?.unwrap_or_default();
    Ok(Reply::issued(call.core.logins().kubernetes().login(call.permit, &role, &jwt).await?))
}

fn apply(role: &mut KubernetesRole, fields: &Fields<'_>) -> Result<Option<String>, Failure> {
    if fields.text("bound_service_account_namespace_selector")?.is_some_and(|selector| !selector.is_empty()) {
        return Err(Failure::bad_request("bound_service_account_namespace_selector is not offered by this server"));
    }
    set(&mut role.names, fields.list("bound_service_account_names")?);
    set(&mut role.namespaces, fields.list("bound_service_account_namespaces")?);
    set(&mut role.audience, fields.text("audience")?);
    if let Some(name) = fields.text("alias_name_source")? {
        role.alias_source = AliasSource::from_name(&name)
            .ok_or_else(|| Failure::bad_request(format!("invalid alias_name_source {name:?}")))?;
    }
    token_settings::apply(&mut role.token, fields, OLDER)
}

fn told(role: &KubernetesRole) -> Map<String, Value> {
    let mut told = token_settings::told(&role.token, OLDER);
    told.extend(
        [
            ("bound_service_account_names", json!(role.names)),
            ("bound_service_account_namespaces", json!(role.namespaces)),
            ("bound_service_account_namespace_selector", json!("")),
            ("alias_name_source", json!(role.alias_source.name())),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    if !role.audience.is_empty() {
        told.insert("audience".to_owned(), json!(role.audience));
    }
    told
}
