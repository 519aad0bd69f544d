//! `auth/cert`: trusted certificates, revocation lists, the configuration and logins.

use keyturn_core::login::cert::{CertConfig, CertEntry};
use serde_json::{Map, Value, json};

use super::{
    super::{Outcome, call::Call, error::Failure, fields::Fields, reply::Reply},
    token_role::set,
    token_settings::{self, Older},
};

const OLDER: &[Older] = &[
    ("policies", "token_policies"),
    ("bound_cidrs", "token_bound_cidrs"),
    ("ttl", "token_ttl"),
    ("max_ttl", "token_max_ttl"),
    ("period", "token_period"),
];

pub(in super::super) async fn list(call: Call<'_>) -> Outcome {
    Reply::keys(&call.core.logins().cert().list(call.permit).await?)
}

pub(in super::super) async fn read(call: Call<'_>) -> Outcome {
    let entry = call.core.logins().cert().read(call.permit).await?.ok_or_else(Failure::nothing)?;
    Reply::data(&told(&entry))
}

pub(in super::super) async fn write(call: Call<'_>) -> Outcome {
    let fields = call.fields()?;
    let mut adjusted = None;
    let change = |entry: &mut CertEntry| {
        adjusted = apply(entry, &fields)?;
        Ok::<_, Failure>(())
    };
    let warnings = call.core.logins().cert().write(call.permit, change).await?;
    Ok(warnings.into_iter().chain(adjusted).fold(Reply::empty(), Reply::warn))
}

pub(in super::super) async fn delete(call: Call<'_>) -> Outcome {
    call.core.logins().cert().delete(call.permit).await?;
    Ok(Reply::empty())
}

pub(in super::super) async fn list_crls(call: Call<'_>) -> Outcome {
    Reply::keys(&call.core.logins().cert().list_crls(call.permit).await?)
}

pub(in super::super) async fn read_crl(call: Call<'_>) -> Outcome {
    let serials = call.core.logins().cert().read_crl(call.permit).await?;
    let serials: Map<String, Value> = serials.into_iter().map(|serial| (serial, json!({}))).collect();
    Reply::data(&json!({ "serials": serials }))
}

pub(in super::super) async fn write_crl(call: Call<'_>) -> Outcome {
    let fields = call.fields()?;
    if fields.text("url")?.is_some_and(|url| !url.is_empty()) {
        return Err(Failure::bad_request("url is not offered by this server: upload the list as crl"));
    }
    let text = fields.text("crl")?.ok_or_else(|| Failure::bad_request("one of 'crl' or 'url' must be provided"))?;
    call.core.logins().cert().write_crl(call.permit, &text).await?;
    Ok(Reply::empty())
}

pub(in super::super) async fn delete_crl(call: Call<'_>) -> Outcome {
    call.core.logins().cert().delete_crl(call.permit).await?;
    Ok(Reply::empty())
}

pub(in super::super) async fn read_config(call: Call<'_>) -> Outcome {
    let config = call.core.logins().cert().read_config(call.permit).await?;
    Reply::data(&json!({
        "disable_binding": config.disable_binding,
        "enable_identity_alias_metadata": config.enable_identity_alias_metadata,
    }))
}

pub(in super::super) async fn write_config(call: Call<'_>) -> Outcome {
    let fields = call.fields()?;
    let change = |config: &mut CertConfig| {
        set(&mut config.disable_binding, fields.boolean("disable_binding")?);
        set(&mut config.enable_identity_alias_metadata, fields.boolean("enable_identity_alias_metadata")?);
        Ok::<_, Failure>(())
    };
    call.core.logins().cert().write_config(call.permit, change).await?;
    Ok(Reply::empty())
}

pub(in super::super) async fn login(call: Call<'_>) -> Outcome {
    let name = call.fields()?.text("name")?.unwrap_or_default();
    Ok(Reply::issued(call.core.logins().cert().login(call.permit, &name).await?))
}

fn apply(entry: &mut CertEntry, fields: &Fields<'_>) -> Result<Option<String>, Failure> {
    // Who relies on it to turn somebody away must not believe that it does.
    if fields.boolean("ocsp_enabled")?.unwrap_or(false) {
        return Err(Failure::bad_request(
            "ocsp_enabled is not offered by this server: upload revocation lists to crls/",
        ));
    }
    set(&mut entry.certificate, fields.text("certificate")?);
    set(&mut entry.display_name, fields.text("display_name")?);
    let lists = [
        ("allowed_names", &mut entry.allowed_names),
        ("allowed_common_names", &mut entry.allowed_common_names),
        ("allowed_dns_sans", &mut entry.allowed_dns_sans),
        ("allowed_email_sans", &mut entry.allowed_email_sans),
        ("allowed_uri_sans", &mut entry.allowed_uri_sans),
        ("allowed_organizational_units", &mut entry.allowed_organizational_units),
        ("required_extensions", &mut entry.required_extensions),
        ("allowed_metadata_extensions", &mut entry.allowed_metadata_extensions),
    ];
    for (name, list) in lists {
        set(list, fields.list(name)?);
    }
    token_settings::apply(&mut entry.token, fields, OLDER)
}

fn told(entry: &CertEntry) -> Map<String, Value> {
    let mut told = token_settings::told(&entry.token, OLDER);
    told.extend(
        [
            ("certificate", json!(entry.certificate)),
            ("display_name", json!(entry.display_name)),
            ("allowed_names", json!(entry.allowed_names)),
            ("allowed_common_names", json!(entry.allowed_common_names)),
            ("allowed_dns_sans", json!(entry.allowed_dns_sans)),
            ("allowed_email_sans", json!(entry.allowed_email_sans)),
            ("allowed_uri_sans", json!(entry.allowed_uri_sans)),
            ("allowed_organizational_units", json!(entry.allowed_organizational_units)),
            ("required_extensions", json!(entry.required_extensions)),
            ("allowed_metadata_extensions", json!(entry.allowed_metadata_extensions)),
            ("ocsp_enabled", json!(false)),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    told
}
