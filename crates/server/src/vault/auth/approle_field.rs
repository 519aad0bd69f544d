//! `auth/approle/role/<name>/<field>`: a role's fields one by one. All are in one table.

use keyturn_core::login::approle::Role;
use serde_json::{Map, Value};

use super::{
    super::{Outcome, call::Call, error::Failure, reply::Reply},
    approle,
};

/// A path for one field of a role.
struct Field {
    endpoint: &'static str,
    /// The names that the field goes by; the first is the usual one.
    names: &'static [&'static str],
    /// Sets it back to what a new role has; `None`: it can only be read.
    reset: Option<fn(&mut Role)>,
}

const FIELDS: &[Field] = &[
    Field {
        endpoint: "policies",
        names: &["token_policies", "policies"],
        reset: Some(|role| {
            role.token.policies.clear();
            role.token.older_names.remove("policies");
        }),
    },
    Field {
        endpoint: "period",
        names: &["token_period", "period"],
        reset: Some(|role| {
            role.token.period = 0;
            role.token.older_names.remove("period");
        }),
    },
    Field { endpoint: "token-ttl", names: &["token_ttl"], reset: Some(|role| role.token.ttl = 0) },
    Field { endpoint: "token-max-ttl", names: &["token_max_ttl"], reset: Some(|role| role.token.max_ttl = 0) },
    Field { endpoint: "token-num-uses", names: &["token_num_uses"], reset: Some(|role| role.token.num_uses = 0) },
    Field {
        endpoint: "token-bound-cidrs",
        names: &["token_bound_cidrs"],
        reset: Some(|role| role.token.bound_cidrs.clear()),
    },
    Field { endpoint: "bind-secret-id", names: &["bind_secret_id"], reset: Some(|role| role.bind_secret_id = true) },
    Field {
        endpoint: "secret-id-num-uses",
        names: &["secret_id_num_uses"],
        reset: Some(|role| role.secret_id_num_uses = 0),
    },
    Field { endpoint: "secret-id-ttl", names: &["secret_id_ttl"], reset: Some(|role| role.secret_id_ttl = 0) },
    Field {
        endpoint: "secret-id-bound-cidrs",
        names: &["secret_id_bound_cidrs"],
        reset: Some(|role| role.secret_id_bound_cidrs.clear()),
    },
    // The older name of the one before.
    Field {
        endpoint: "bound-cidr-list",
        names: &["bound_cidr_list"],
        reset: Some(|role| role.secret_id_bound_cidrs.clear()),
    },
    Field { endpoint: "local-secret-ids", names: &["local_secret_ids"], reset: None },
];

pub(in super::super) async fn read(call: Call<'_>) -> Outcome {
    let field = find(&call)?;
    let role = call.core.logins().approle().read_role(call.permit).await?.ok_or_else(Failure::nothing)?;
    Reply::data(&told(field, &role))
}

pub(in super::super) async fn write(call: Call<'_>) -> Outcome {
    let field = find(&call)?;
    field.reset.ok_or_else(Failure::unsupported_operation)?;
    let fields = call.fields()?.only(field.names);
    if !field.names.iter().any(|name| fields.raw(name).is_some()) {
        return Err(Failure::bad_request(format!("missing {}", field.names[0])));
    }
    let change = |role: &mut Role| approle::apply(role, &fields).map(drop);
    let warnings = call.core.logins().approle().change_role(call.permit, change).await?;
    Ok(warnings.into_iter().fold(Reply::empty(), Reply::warn))
}

pub(in super::super) async fn delete(call: Call<'_>) -> Outcome {
    let reset = find(&call)?.reset.ok_or_else(Failure::unsupported_operation)?;
    let change = |role: &mut Role| {
        reset(role);
        Ok::<_, Failure>(())
    };
    call.core.logins().approle().change_role(call.permit, change).await?;
    Ok(Reply::empty())
}

fn find(call: &Call<'_>) -> Result<&'static Field, Failure> {
    let endpoint = call.part("field");
    let found = FIELDS.iter().find(|field| field.endpoint == endpoint);
    found.ok_or_else(|| Failure::unsupported_path(call.permit.mount().engine))
}

fn told(field: &Field, role: &Role) -> Map<String, Value> {
    let mut told = approle::told(role);
    let cidrs = told.get("secret_id_bound_cidrs").cloned().unwrap_or_default();
    told.insert("bound_cidr_list".to_owned(), cidrs);
    told.retain(|name, _| field.names.contains(&name.as_str()));
    told
}
