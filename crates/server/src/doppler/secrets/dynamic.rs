//! Dynamic secrets: credentials that are made for each reader who asks for them, under a lease of the database engine.
//!
//! ```text
//! POST   configs/config/dynamic_secrets/dynamic_secret/leases          one lease; its id is that of the server's lease
//! DELETE configs/config/dynamic_secrets/dynamic_secret/leases/lease    without the path that the role is read at
//! GET    configs/config/secrets[/download]?include_dynamic_secrets     one lease for each dynamic secret that is shown
//! ```
//!
//! Reading the config is the right that is asked for; each lease is recorded besides, at the path of its role.

use std::collections::{BTreeMap, BTreeSet};

use hyper::StatusCode;
use keyturn_core::{
    config_values::{Dynamic, Reading},
    database::{DatabaseError, DynamicLease, IssuedCredential},
    door::Answer,
    lease::{LeaseError, NotIssued},
    policy::Operation,
    project::value_names,
    secret::{SecretBytes, SecretString},
    target::TargetError,
};
use serde::Serialize;
use serde_json::json;

use super::{Attempt, failure};
use crate::doppler::{
    Outcome,
    call::{Call, Target},
    error::Failure,
    reply::Reply,
    shape,
};

/// Seconds that a lease lives if a download or a list does not say.
const DEFAULT_TTL: u64 = 1800;
/// The most seconds that can be asked for: clients have 32 bits for it. A role may give less.
const MAX_TTL: u64 = i32::MAX as u64;

/// For how long dynamic secrets are to be leased; `None`: they are not asked for.
pub(super) fn asked(call: &Call) -> Result<Option<u64>, Failure> {
    let ttl = seconds(call, "dynamic_secrets_ttl_sec")?;
    let include = call.parameters.boolean("include_dynamic_secrets")?.unwrap_or(false);
    Ok(include.then(|| ttl.unwrap_or(DEFAULT_TTL)))
}

/// Whether a read may make credentials, so that it must come to its end whatever becomes of its client.
pub(in crate::doppler) fn may_lease(call: &Call) -> bool {
    call.parameters.query("include_dynamic_secrets").is_some()
}

fn seconds(call: &Call, name: &str) -> Result<Option<u64>, Failure> {
    let wanted = "a whole number of seconds from 1 to 2147483647";
    let number = match call.parameters.query(name) {
        Some(text) => Some(text.parse().ok()),
        None => call.parameters.value::<u64>(name, wanted)?.map(Some),
    };
    match number {
        None => Ok(None),
        Some(Some(seconds)) if (1..=MAX_TTL).contains(&seconds) => Ok(Some(seconds)),
        Some(_) => Err(Failure::bad_request(format!("{name} must be {wanted}"))),
    }
}

/// The dynamic secrets that are to be leased.
pub(super) fn wanted(reading: &Reading<'_>, ttl: Option<u64>, only: Option<&BTreeSet<String>>) -> Vec<Dynamic> {
    let mut all = if ttl.is_some() { reading.dynamic() } else { Vec::new() };
    all.retain(|secret| names(std::slice::from_ref(secret), only).next().is_some());
    all
}

/// What the values of dynamic secrets are called, of those that are wanted.
pub(super) fn names<'a>(
    leases: &'a [Dynamic],
    only: Option<&'a BTreeSet<String>>,
) -> impl Iterator<Item = String> + 'a {
    let all = leases.iter().flat_map(|secret| value_names(secret.name()));
    all.filter(move |name| only.is_none_or(|only| only.contains(name)))
}

/// Leases all of them, or none.
pub(super) async fn lease(
    call: &Call,
    secrets: &[Dynamic],
    ttl: u64,
    only: Option<&BTreeSet<String>>,
) -> Result<BTreeMap<String, SecretString>, Failure> {
    let mut issued: Vec<(&Dynamic, IssuedCredential)> = Vec::with_capacity(secrets.len());
    for secret in secrets {
        match issue_one(call, secret, ttl).await {
            Ok(credential) => issued.push((secret, credential)),
            Err(failure) => {
                for (secret, credential) in issued {
                    take_back(call, secret, &credential).await;
                }
                return Err(failure);
            }
        }
    }
    let mut values = BTreeMap::new();
    for (secret, credential) in issued {
        let both = [SecretString::from(credential.username.as_str()), credential.password];
        let named = value_names(secret.name()).into_iter().zip(both);
        values.extend(named.filter(|(name, _)| only.is_none_or(|only| only.contains(name))));
    }
    Ok(values)
}

#[derive(Serialize)]
struct Value<'a> {
    username: &'a str,
    password: &'a str,
}

#[derive(Serialize)]
struct Issued<'a> {
    id: &'a str,
    expires_at: Option<String>,
    value: Value<'a>,
    success: bool,
}

/// JSON that holds a credential, in a buffer that does not grow; escaping makes at most six bytes of one.
fn secret_json(credential: &IssuedCredential, shape: &impl Serialize) -> Result<SecretBytes, Failure> {
    let room = 256 + 6 * (credential.username.len() + credential.password.len());
    let mut text = SecretBytes::new(Vec::with_capacity(room));
    serde_json::to_writer(text.expose_secret_mut(), shape).map_err(|error| Failure::internal(&error, ""))?;
    Ok(text)
}

fn value(credential: &IssuedCredential) -> Value<'_> {
    Value { username: &credential.username, password: credential.password.expose_secret() }
}

/// One credential, recorded before it is made and before it is handed out.
async fn issue_one(call: &Call, secret: &Dynamic, ttl: u64) -> Result<IssuedCredential, Failure> {
    let told = told(&json!({ "dynamic_secret": secret.name(), "ttl_sec": ttl }));
    let ask = call.ask(Operation::Read, secret.path(), &told);
    let (exchange, admitted) = call.core.admit_to_dynamic(ask, secret).await;
    let issued = match admitted {
        Ok(permit) => {
            let issued = call.core.database().issue_dynamic(permit, secret, ttl).await;
            issued.map_err(|error| not_issued(call, secret, &error))
        }
        Err(refusal) => Err(refusal.into()),
    };
    let error = issued.as_ref().err().map(Failure::text);
    let data = issued.as_ref().ok().map(|issued| secret_json(issued, &value(issued))).transpose()?;
    let lease_id = issued.as_ref().ok().map(|issued| issued.lease.id.as_str());
    let answer = Answer { data: data.as_ref(), lease_id, error: error.as_deref(), ..Answer::default() };
    exchange.conclude(answer).await.map_err(|error| Failure::internal(&error, &call.request_id))?;
    issued
}

/// Ends a lease that is not handed out after all. What cannot be ended now ends by itself.
async fn take_back(call: &Call, secret: &Dynamic, issued: &IssuedCredential) {
    let found = call.core.database().dynamic_lease(secret, slug(&issued.lease.id)).await;
    if let Ok(Some(lease)) = found
        && let Err(failure) = end(call, secret, &lease).await
    {
        tracing::warn!(error = failure.text(), "a lease that nobody was given is not revoked yet");
    }
}

/// What follows the path of a lease's id.
fn slug(id: &str) -> &str {
    id.rsplit('/').next().unwrap_or(id)
}

async fn end(call: &Call, secret: &Dynamic, lease: &DynamicLease) -> Result<(), Failure> {
    let told = told(&json!({ "dynamic_secret": secret.name() }));
    let (exchange, admitted) =
        call.core.admit_to_end(call.ask(Operation::Delete, &lease.id, &told), secret, lease).await;
    let ended = match admitted {
        Ok(permit) => {
            let ended = call.core.database().revoke_dynamic(permit, lease).await;
            ended.map_err(|error| not_revoked(&error))
        }
        Err(refusal) => Err(refusal.into()),
    };
    call.conclude(exchange, ended.map(|()| Reply::nothing())).await.map(|_| ())
}

fn told(what: &serde_json::Value) -> SecretBytes {
    SecretBytes::new(what.to_string().into_bytes())
}

/// `POST configs/config/dynamic_secrets/dynamic_secret/leases`.
pub(in crate::doppler) async fn issue(call: &Call) -> Outcome {
    let target = call.target()?;
    let name = call.parameters.required("dynamic_secret")?;
    let ttl = seconds(call, "ttl_sec")?.unwrap_or(DEFAULT_TTL);
    with_secret(call, &target, &name, async |secret| {
        let issued = issue_one(call, &secret, ttl).await?;
        let (id, expires_at) = (slug(&issued.lease.id), issued.lease.expires.map(shape::time));
        let text = secret_json(&issued, &Issued { id, expires_at, value: value(&issued), success: true })?;
        Ok(Reply::secret_json(StatusCode::OK, text))
    })
    .await
}

/// `DELETE configs/config/dynamic_secrets/dynamic_secret/leases/lease`: of whoever has the token that got it, and of
/// those who may revoke the config's tokens.
pub(in crate::doppler) async fn revoke(call: &Call) -> Outcome {
    let target = call.target()?;
    let name = call.parameters.required("dynamic_secret")?;
    let slug = call.parameters.required("slug")?;
    with_secret(call, &target, &name, async |secret| {
        let lease = call.core.database().dynamic_lease(&secret, &slug).await?;
        let Some(lease) = lease else {
            let shown: String = slug.chars().take(80).collect();
            return Err(Failure::not_found(format!("Could not find requested lease '{}'", shown.escape_debug())));
        };
        if !lease.own {
            call.permitted(Operation::Update, &call.config_path("metadata", &target)).await?;
        }
        end(call, &secret, &lease).await?;
        Ok(Reply::ok(&json!({ "success": true })))
    })
    .await
}

/// Does something with a dynamic secret of a config that the caller may read.
async fn with_secret(call: &Call, target: &Target, name: &str, work: impl AsyncFnOnce(Dynamic) -> Outcome) -> Outcome {
    call.through(Operation::Read, &call.config_path("data", target), |permit| async {
        let secret = found(call.core.read_config(permit).await, name).map_err(failure)?;
        work(secret).await
    })
    .await
}

fn found(reading: Result<Reading<'_>, keyturn_core::config_values::ConfigError>, name: &str) -> Attempt<Dynamic> {
    let found = reading?.dynamic().into_iter().find(|secret| secret.name() == name);
    found.ok_or_else(|| {
        let shown: String = name.chars().take(200).collect();
        Failure::not_found(format!("Could not find requested dynamic secret '{}'", shown.escape_debug())).into()
    })
}

fn not_issued(call: &Call, secret: &Dynamic, error: &DatabaseError) -> Failure {
    let text = format!("Dynamic secret {} cannot be issued: {error}", secret.name());
    match error {
        DatabaseError::Store(error) | DatabaseError::Lease(NotIssued::Store(error)) => {
            Failure::internal(error, &call.request_id)
        }
        DatabaseError::Lease(NotIssued::Denied) => Failure::unauthenticated(),
        // Nothing is wrong with the request: whoever kept values for bad times may use them.
        DatabaseError::Target(TargetError::Unreachable(_) | TargetError::TimedOut(_) | TargetError::Denied(_)) => {
            Failure::new(StatusCode::SERVICE_UNAVAILABLE, text)
        }
        _ => Failure::bad_request(text),
    }
}

fn not_revoked(error: &LeaseError) -> Failure {
    match error {
        LeaseError::Store(error) => Failure::internal(error, ""),
        LeaseError::NotRevoked { .. } => {
            let text =
                "The lease is written down to be revoked, but its database did not do it yet: that is tried again";
            Failure::new(StatusCode::SERVICE_UNAVAILABLE, text)
        }
        error => Failure::bad_request(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leases_slug_is_what_follows_its_path() {
        assert_eq!(slug("database/creds/app/Xy1"), "Xy1");
        assert_eq!(slug("Xy1"), "Xy1");
    }
}
