//! `auth/token`.

use keyturn_core::{
    secret::{SecretBytes, SecretString},
    token::{CreateToken, Entry, Which},
};
use serde_json::{Value, json};

use super::{
    super::{Outcome, call::Call, error::Failure, fields::Fields, reply::Reply},
    told_cidrs,
};

pub(in super::super) async fn create(call: Call<'_>) -> Outcome {
    issue(call, false, false).await
}

pub(in super::super) async fn create_orphan(call: Call<'_>) -> Outcome {
    issue(call, true, false).await
}

pub(in super::super) async fn create_with_role(call: Call<'_>) -> Outcome {
    issue(call, false, true).await
}

async fn issue(call: Call<'_>, orphan: bool, with_role: bool) -> Outcome {
    let fields = call.fields()?;
    let ask = CreateToken {
        id: fields.secret("id")?,
        policies: fields.list("policies")?.unwrap_or_default(),
        meta: fields.map("meta")?.or(fields.map("metadata")?).unwrap_or_default(),
        no_parent: fields.boolean("no_parent")?.unwrap_or(false),
        no_default_policy: fields.boolean("no_default_policy")?.unwrap_or(false),
        renewable: fields.boolean("renewable")?.unwrap_or(true),
        ttl: fields.seconds("ttl")?.or(fields.seconds("lease")?).unwrap_or(0),
        kind: fields.text("type")?.unwrap_or_default(),
        explicit_max_ttl: fields.seconds("explicit_max_ttl")?.unwrap_or(0),
        display_name: fields.text("display_name")?.unwrap_or_default(),
        num_uses: fields.integer("num_uses")?.unwrap_or(0),
        period: fields.seconds("period")?.unwrap_or(0),
        entity_alias: fields.text("entity_alias")?.unwrap_or_default(),
    };
    if ask.num_uses < 0 {
        return Err(Failure::bad_request("number of uses cannot be negative"));
    }
    let role = with_role.then(|| call.part("role").to_owned());
    Ok(Reply::issued(call.core.tokens().create(call.permit, ask, role.as_deref(), orphan).await?))
}

pub(in super::super) async fn lookup(call: Call<'_>) -> Outcome {
    let given = call.fields()?.secret("token")?.filter(|token| !token.is_empty());
    match given {
        Some(token) => look_up(call, token).await,
        None => lookup_self(call).await,
    }
}

pub(in super::super) async fn lookup_self(call: Call<'_>) -> Outcome {
    let now = call.core.now();
    let id = own(&call);
    // The door has just found this token good; a counted one may have had its last use.
    let caller = call.permit.caller().cloned().ok_or_else(Failure::denied)?;
    call.permit.spend();
    let inherited = caller.identity().map_or(&[][..], |identity| &identity.policies);
    tell(caller.entry(), inherited, id.expose_secret(), now)
}

async fn look_up(call: Call<'_>, token: SecretString) -> Outcome {
    let now = call.core.now();
    let entry = call.core.tokens().lookup(call.permit, Which::Token(&token)).await?;
    tell(&entry, &call.core.identity().policies_of(&entry.entity_id), token.expose_secret(), now)
}

pub(in super::super) async fn lookup_accessor(call: Call<'_>) -> Outcome {
    let accessor = call.fields()?.required_text("accessor")?;
    let now = call.core.now();
    let entry = call.core.tokens().lookup(call.permit, Which::Accessor(&accessor)).await?;
    tell(&entry, &call.core.identity().policies_of(&entry.entity_id), "", now)
}

pub(in super::super) async fn renew(call: Call<'_>) -> Outcome {
    let fields = call.fields()?;
    let token = token_of(&fields)?;
    let increment = fields.seconds("increment")?.unwrap_or(0);
    Ok(Reply::issued(call.core.tokens().renew(call.permit, Which::Token(&token), increment).await?))
}

pub(in super::super) async fn renew_self(call: Call<'_>) -> Outcome {
    let increment = call.fields()?.seconds("increment")?.unwrap_or(0);
    let token = own(&call);
    Ok(Reply::issued(call.core.tokens().renew(call.permit, Which::Token(&token), increment).await?))
}

pub(in super::super) async fn renew_accessor(call: Call<'_>) -> Outcome {
    let fields = call.fields()?;
    let accessor = fields.required_text("accessor")?;
    let increment = fields.seconds("increment")?.unwrap_or(0);
    Ok(Reply::issued(call.core.tokens().renew(call.permit, Which::Accessor(&accessor), increment).await?))
}

pub(in super::super) async fn revoke(call: Call<'_>) -> Outcome {
    let token = token_of(&call.fields()?)?;
    call.core.tokens().revoke(call.permit, Which::Token(&token)).await?;
    Ok(Reply::empty())
}

pub(in super::super) async fn revoke_self(call: Call<'_>) -> Outcome {
    let token = own(&call);
    call.core.tokens().revoke(call.permit, Which::Token(&token)).await?;
    Ok(Reply::empty())
}

pub(in super::super) async fn revoke_accessor(call: Call<'_>) -> Outcome {
    let accessor = call.fields()?.required_text("accessor")?;
    if call.core.tokens().revoke(call.permit, Which::Accessor(&accessor)).await? {
        Ok(Reply::empty())
    } else {
        Ok(Reply::empty().warn("No token found with this accessor"))
    }
}

pub(in super::super) async fn revoke_orphan(call: Call<'_>) -> Outcome {
    let token = token_of(&call.fields()?)?;
    call.core.tokens().revoke_orphan(call.permit, Which::Token(&token)).await?;
    Ok(Reply::empty())
}

pub(in super::super) async fn accessors(call: Call<'_>) -> Outcome {
    let mut accessors = call.core.tokens().accessors(call.permit).await?;
    accessors.sort();
    Reply::keys(&accessors)
}

/// Removes what has ended. The upkeep does so anyway; this answers once it is done.
pub(in super::super) async fn tidy(call: Call<'_>) -> Outcome {
    call.core.tokens().tidy(call.permit).await?;
    let warning = "Tidy operation successfully started. Any information from the operation will be printed to the \
                   server's log.";
    Ok(Reply::empty().warn(warning).with_status(hyper::StatusCode::ACCEPTED))
}

fn own(call: &Call<'_>) -> SecretString {
    call.parsed.token.clone().unwrap_or_default()
}

fn token_of(fields: &Fields<'_>) -> Result<SecretString, Failure> {
    let token = fields.secret("token")?.filter(|token| !token.is_empty());
    token.ok_or_else(|| Failure::bad_request("missing token ID"))
}

/// What is told of a token, with the token itself, which goes straight into memory that is wiped.
fn tell(entry: &Entry, inherited: &[String], id: &str, now: keyturn_core::clock::Timestamp) -> Outcome {
    let rest = serde_json::to_vec(&told(entry, inherited, now)).map_err(|error| Failure::internal(&error, ""))?;
    let mut text = SecretBytes::new(Vec::with_capacity(rest.len() + id.len() * 6 + 16));
    let out = text.expose_secret_mut();
    out.extend_from_slice(b"{\"id\":");
    // Writing text to memory cannot fail.
    _ = serde_json::to_writer(&mut *out, id);
    out.push(b',');
    out.extend_from_slice(rest.get(1..).unwrap_or_default());
    Ok(Reply::raw(text))
}

/// What is told of a token besides itself. Its parent is not: whoever could look that up would gain by it.
fn told(entry: &Entry, inherited: &[String], now: keyturn_core::clock::Timestamp) -> Value {
    let mut told = json!({
        "accessor": entry.accessor,
        "creation_time": entry.created.as_second(),
        "creation_ttl": entry.ttl,
        "display_name": entry.display_name,
        "entity_id": entry.entity_id,
        "expire_time": entry.expires,
        "explicit_max_ttl": entry.explicit_max_ttl,
        "issue_time": entry.created,
        "meta": if entry.meta.is_empty() { Value::Null } else { json!(entry.meta) },
        "num_uses": entry.uses.max(0),
        "orphan": entry.parent.is_none(),
        "path": entry.path,
        "policies": entry.policies,
        "renewable": entry.renewable,
        "ttl": entry.remaining(now),
        "type": entry.kind.name(),
    });
    let optional = [
        ("identity_policies", (!inherited.is_empty()).then(|| json!(inherited))),
        ("role", entry.role.as_ref().map(|role| json!(role))),
        ("period", (entry.period > 0).then(|| json!(entry.period))),
        ("bound_cidrs", (!entry.bound_cidrs.is_empty()).then(|| json!(told_cidrs(&entry.bound_cidrs)))),
        ("last_renewal", entry.last_renewal.map(|at| json!(at))),
        ("last_renewal_time", entry.last_renewal.map(|at| json!(at.as_second()))),
    ];
    if let Some(object) = told.as_object_mut() {
        object.extend(optional.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    }
    told
}
