//! How a mount is told to clients, and what they may say of one; shared by `sys/mounts` and `sys/auth`.

use std::collections::BTreeMap;

use keyturn_core::mount::{LockoutConfig, Mount, MountConfig, Tunable};
use serde_json::{Value, json};

use super::super::{call::Call, error::Failure, fields::Fields};

/// A mount as the listings show it. TTLs are as they were set: 0 stands for the system's.
pub(super) fn told(mount: &Mount) -> Value {
    let config = &mount.config;
    let mut told_config = json!({
        "default_lease_ttl": config.default_lease_ttl,
        "max_lease_ttl": config.max_lease_ttl,
        "force_no_cache": config.force_no_cache,
    });
    put_optional(&mut told_config, mount);
    json!({
        "accessor": mount.accessor,
        "config": told_config,
        "deprecation_status": "supported",
        "description": mount.description,
        "external_entropy_access": false,
        "local": mount.local,
        "options": options(mount),
        "plugin_version": "",
        "running_plugin_version": concat!("v", env!("CARGO_PKG_VERSION"), "+builtin"),
        "running_sha256": "",
        "seal_wrap": mount.seal_wrap,
        "type": mount.engine.name(),
        "uuid": mount.uuid,
    })
}

/// A mount's settings as `tune` shows them: with the TTLs that hold.
pub(super) fn told_tune(mount: &Mount) -> Value {
    let mut told = json!({
        "default_lease_ttl": mount.default_lease_ttl(),
        "max_lease_ttl": mount.max_lease_ttl(),
        "force_no_cache": mount.config.force_no_cache,
        "description": mount.description,
    });
    put_optional(&mut told, mount);
    if !mount.options.is_empty() {
        put(&mut told, "options", options(mount));
    }
    told
}

fn options(mount: &Mount) -> Value {
    if mount.options.is_empty() { Value::Null } else { json!(mount.options) }
}

fn put(object: &mut Value, name: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(name.to_owned(), value);
    }
}

/// Settings that are told only once they are set.
fn put_optional(object: &mut Value, mount: &Mount) {
    let config = &mount.config;
    let lists = [
        ("audit_non_hmac_request_keys", &config.audit_non_hmac_request_keys),
        ("audit_non_hmac_response_keys", &config.audit_non_hmac_response_keys),
        ("passthrough_request_headers", &config.passthrough_request_headers),
        ("allowed_response_headers", &config.allowed_response_headers),
    ];
    for (name, list) in lists.iter().filter(|(_, list)| !list.is_empty()) {
        put(object, name, json!(list));
    }
    if let Some(visibility) = &config.listing_visibility {
        put(object, "listing_visibility", json!(visibility));
    }
    if mount.engine.is_auth() {
        put(object, "token_type", json!(config.token_type.as_deref().unwrap_or("default-service")));
    }
    if let Some(lockout) = &config.user_lockout {
        let told = json!({
            "lockout_threshold": lockout.threshold,
            "lockout_duration": lockout.duration,
            "lockout_counter_reset": lockout.counter_reset,
            "lockout_disable": lockout.disabled,
        });
        put(object, "user_lockout_config", told);
    }
}

/// Applies what `fields` say of a mount's settings; what they do not name stays.
pub(super) fn change(config: &mut MountConfig, fields: &Fields<'_>) -> Result<(), Failure> {
    if let Some(seconds) = ttl(fields, "default_lease_ttl")? {
        config.default_lease_ttl = seconds;
    }
    if let Some(seconds) = ttl(fields, "max_lease_ttl")? {
        config.max_lease_ttl = seconds;
    }
    if let Some(force_no_cache) = fields.boolean("force_no_cache")? {
        config.force_no_cache = force_no_cache;
    }
    if let Some(visibility) = fields.text("listing_visibility")? {
        if !matches!(visibility.as_str(), "" | "hidden" | "unauth") {
            return Err(Failure::bad_request("invalid listing_visibility: allowed are \"hidden\" and \"unauth\""));
        }
        config.listing_visibility = Some(visibility).filter(|visibility| !visibility.is_empty());
    }
    if let Some(kind) = fields.text("token_type")? {
        if !matches!(kind.as_str(), "default-service" | "default-batch" | "service" | "batch") {
            return Err(Failure::bad_request(
                "invalid token_type: allowed are \"default-service\", \"default-batch\", \"service\" and \"batch\"",
            ));
        }
        config.token_type = Some(kind);
    }
    let lists = [
        ("audit_non_hmac_request_keys", &mut config.audit_non_hmac_request_keys),
        ("audit_non_hmac_response_keys", &mut config.audit_non_hmac_response_keys),
        ("passthrough_request_headers", &mut config.passthrough_request_headers),
        ("allowed_response_headers", &mut config.allowed_response_headers),
    ];
    for (name, list) in lists {
        if let Some(given) = fields.list(name)? {
            *list = given;
        }
    }
    if let Some(lockout) = fields.object("user_lockout_config")? {
        config.user_lockout = Some(lockout_of(config.user_lockout.unwrap_or_default(), &lockout)?);
    }
    Ok(())
}

/// `system` and the empty text stand for the system's own TTL.
fn ttl(fields: &Fields<'_>, name: &str) -> Result<Option<u64>, Failure> {
    match fields.text(name)?.as_deref() {
        Some("system" | "") => Ok(Some(0)),
        _ => fields.seconds(name),
    }
}

fn lockout_of(was: LockoutConfig, fields: &Fields<'_>) -> Result<LockoutConfig, Failure> {
    let threshold = fields.natural("lockout_threshold")?.map(|count| u32::try_from(count).unwrap_or(u32::MAX));
    Ok(LockoutConfig {
        threshold: threshold.unwrap_or(was.threshold),
        duration: fields.seconds("lockout_duration")?.unwrap_or(was.duration),
        counter_reset: fields.seconds("lockout_counter_reset")?.unwrap_or(was.counter_reset),
        disabled: fields.boolean("lockout_disable")?.unwrap_or(was.disabled),
    })
}

/// Options as texts: `{"version": 2}` and `{"version": "2"}` are the same.
pub(super) fn options_of(fields: &Fields<'_>) -> Result<BTreeMap<String, String>, Failure> {
    Ok(fields.map("options")?.unwrap_or_default())
}

/// Tunes a mount by `fields`.
pub(super) async fn tune(call: Call<'_>, path: &str, fields: &Fields<'_>) -> Result<(), Failure> {
    let description = fields.text("description")?;
    let options = options_of(fields)?;
    let change = |tuned: &mut Tunable| {
        tuned.options.extend(options);
        tuned.description = description.unwrap_or(std::mem::take(&mut tuned.description));
        change(&mut tuned.config, fields)
    };
    call.core.mounts().tune(call.permit, path, change).await
}
