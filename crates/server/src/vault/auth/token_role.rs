//! `auth/token/roles`.

use keyturn_core::token::{Role, RoleTokenType, sanitize_policies};
use serde_json::json;

use super::{
    super::{Outcome, call::Call, error::Failure, fields::Fields, reply::Reply},
    told_cidrs,
};

pub(in super::super) async fn list(call: Call<'_>) -> Outcome {
    Reply::keys(&call.core.tokens().list_roles(call.permit).await?)
}

pub(in super::super) async fn read(call: Call<'_>) -> Outcome {
    let name = call.part("name").to_owned();
    let role = call.core.tokens().read_role(call.permit, &name).await?.ok_or_else(Failure::nothing)?;
    Reply::data(&json!({
        "name": role.name,
        "allowed_policies": role.allowed_policies,
        "allowed_policies_glob": role.allowed_policies_glob,
        "disallowed_policies": role.disallowed_policies,
        "disallowed_policies_glob": role.disallowed_policies_glob,
        "allowed_entity_aliases": role.allowed_entity_aliases,
        "orphan": role.orphan,
        "renewable": role.renewable,
        "path_suffix": role.path_suffix,
        "token_type": role.token_type.name(),
        "token_period": role.period,
        "period": role.period,
        "token_explicit_max_ttl": role.explicit_max_ttl,
        "explicit_max_ttl": role.explicit_max_ttl,
        "token_num_uses": role.num_uses,
        "token_bound_cidrs": told_cidrs(&role.bound_cidrs),
        "token_no_default_policy": role.no_default_policy,
    }))
}

pub(in super::super) async fn write(call: Call<'_>) -> Outcome {
    let name = call.part("name").to_owned();
    let fields = call.fields()?;
    call.core.tokens().change_role(call.permit, &name, |role| apply(role, &fields)).await?;
    Ok(Reply::empty())
}

pub(in super::super) async fn delete(call: Call<'_>) -> Outcome {
    let name = call.part("name").to_owned();
    call.core.tokens().delete_role(call.permit, &name).await?;
    Ok(Reply::empty())
}

/// Applies what `fields` say; what they do not name stays. `token_…` names win over their older forms.
fn apply(role: &mut Role, fields: &Fields<'_>) -> Result<(), Failure> {
    if let Some(names) = fields.list("allowed_policies")? {
        role.allowed_policies = sanitize_policies(&names, false);
    }
    if let Some(globs) = fields.list("allowed_policies_glob")? {
        role.allowed_policies_glob = sanitize_policies(&globs, false);
    }
    if let Some(names) = fields.list("disallowed_policies")? {
        role.disallowed_policies = names.iter().map(|name| name.to_lowercase()).collect();
    }
    if let Some(globs) = fields.list("disallowed_policies_glob")? {
        role.disallowed_policies_glob = globs.iter().map(|glob| glob.to_lowercase()).collect();
    }
    if let Some(aliases) = fields.list("allowed_entity_aliases")? {
        role.allowed_entity_aliases = aliases.iter().map(|alias| alias.to_lowercase()).collect();
    }
    set(&mut role.orphan, fields.boolean("orphan")?);
    set(&mut role.renewable, fields.boolean("renewable")?);
    set(&mut role.no_default_policy, fields.boolean("token_no_default_policy")?);
    set(&mut role.period, fields.seconds("token_period")?.or(fields.seconds("period")?));
    set(&mut role.explicit_max_ttl, fields.seconds("token_explicit_max_ttl")?.or(fields.seconds("explicit_max_ttl")?));
    set(&mut role.num_uses, fields.natural("token_num_uses")?.and_then(|uses| i64::try_from(uses).ok()));
    if let Some(cidrs) = fields.cidrs("token_bound_cidrs")?.or(fields.cidrs("bound_cidrs")?) {
        role.bound_cidrs = cidrs;
    }
    if let Some(name) = fields.text("token_type")? {
        role.token_type = RoleTokenType::from_name(&name)
            .ok_or_else(|| Failure::bad_request(
                "invalid 'token_type' value: allowed are \"default-service\", \"default-batch\", \"service\" and \"batch\"",
            ))?;
    }
    if let Some(suffix) = fields.text("path_suffix")? {
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if !suffix.chars().all(fits) || suffix.contains("..") {
            return Err(Failure::bad_request(
                "given role path suffix contains invalid characters; must match ^[a-zA-Z0-9_.-]*$, without \"..\"",
            ));
        }
        role.path_suffix = suffix;
    }
    Ok(())
}

pub(in super::super) fn set<T>(slot: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *slot = given;
    }
}
