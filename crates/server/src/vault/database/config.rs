//! `database/config` and `database/reset`.

use keyturn_core::{
    database::{Connection, Plugin},
    target::TargetKind,
};
use serde_json::{Map, Value, json};

use super::super::{Outcome, auth::set, call::Call, error::Failure, fields::Fields, reply::Reply};

/// All that is read of a connection; what else is sent is ignored, and told so.
const KNOWN: &[&str] = &[
    "allowed_roles",
    "auth_type",
    "ca_cert",
    "connection_url",
    "disable_escaping",
    "host",
    "insecure_tls",
    "max_connection_lifetime",
    "max_idle_connections",
    "max_open_connections",
    "password",
    "password_authentication",
    "password_policy",
    "plugin_name",
    "plugin_version",
    "port",
    "private_key",
    "root_rotation_statements",
    "self_managed",
    "tls",
    "tls_ca",
    "tls_certificate",
    "tls_certificate_key",
    "tls_server_name",
    "tls_skip_verify",
    "username",
    "username_template",
    "verify_connection",
];

pub(in super::super) async fn list(call: Call<'_>) -> Outcome {
    Reply::keys(&call.core.database().list_connections(call.permit).await?)
}

pub(in super::super) async fn read(call: Call<'_>) -> Outcome {
    let connection = call.core.database().read_connection(call.permit).await?.ok_or_else(Failure::nothing)?;
    Reply::data(&json!({
        "plugin_name": connection.plugin.name(),
        "plugin_version": "",
        "connection_details": details(&connection),
        "allowed_roles": connection.allowed_roles,
        "root_credentials_rotate_statements": connection.root_rotation_statements,
        "password_policy": connection.password_policy,
    }))
}

pub(in super::super) async fn write(call: Call<'_>) -> Outcome {
    let fields = call.fields()?;
    let verify = fields.boolean("verify_connection")?.unwrap_or(true);
    let change = |connection: Option<Connection>| changed(connection, &fields);
    let connection = call.core.database().write_connection(call.permit, verify, change).await?;
    let mut reply = Reply::empty();
    if connection.shown_url().1 {
        reply = reply.warn(
            "Password found in connection_url, use a templated url to enable root rotation and prevent read access to \
             password information.",
        );
    }
    let unknown: Vec<_> = fields.names().filter(|name| !KNOWN.contains(name)).collect();
    if !unknown.is_empty() {
        reply = reply.warn(format!("Endpoint ignored these unrecognized parameters: [{}]", unknown.join(" ")));
    }
    Ok(reply)
}

pub(in super::super) async fn delete(call: Call<'_>) -> Outcome {
    call.core.database().delete_connection(call.permit).await?;
    Ok(Reply::empty())
}

pub(in super::super) async fn reset(call: Call<'_>) -> Outcome {
    call.core.database().reset_connection(call.permit).await?;
    Ok(Reply::empty())
}

fn changed(before: Option<Connection>, fields: &Fields<'_>) -> Result<Connection, Failure> {
    let plugin = match fields.text("plugin_name")?.filter(|name| !name.is_empty()) {
        Some(name) => Some(Plugin::named(&name).ok_or_else(|| no_plugin(&name))?),
        None => None,
    };
    let mut connection = match (before, plugin) {
        (Some(before), None) => before,
        (Some(mut before), Some(plugin)) => {
            before.plugin = plugin;
            before
        }
        (None, Some(plugin)) => Connection::new(plugin),
        (None, None) => return Err(Failure::bad_request("empty plugin name")),
    };
    refuse_unsupported(fields)?;
    set(&mut connection.url, fields.secret("connection_url")?);
    set(&mut connection.username, fields.text("username")?);
    if let Some(password) = fields.secret("password")? {
        connection.set_password(password);
    }
    set(&mut connection.host, fields.text("host")?);
    set(&mut connection.port, bounded(fields, "port")?);
    set(&mut connection.allowed_roles, fields.list("allowed_roles")?);
    set(&mut connection.root_rotation_statements, fields.statements("root_rotation_statements")?);
    set(&mut connection.username_template, fields.text("username_template")?);
    set(&mut connection.password_policy, fields.text("password_policy")?);
    if let Some(kind) = fields.text("password_authentication")? {
        connection.scram = kind == "scram-sha-256";
    }
    set(&mut connection.max_open_connections, bounded(fields, "max_open_connections")?);
    set(&mut connection.max_idle_connections, bounded(fields, "max_idle_connections")?);
    set(&mut connection.max_connection_lifetime, fields.seconds("max_connection_lifetime")?);
    protect(&mut connection, fields)?;
    Ok(connection)
}

/// Each plugin has names of its own for the same settings.
fn protect(connection: &mut Connection, fields: &Fields<'_>) -> Result<(), Failure> {
    let kind = connection.plugin.kind();
    let tls = &mut connection.tls;
    match kind {
        TargetKind::Postgresql => {
            set(&mut tls.ca, fields.text("tls_ca")?);
            set(&mut tls.certificate, fields.text("tls_certificate")?);
            set(&mut tls.key, fields.secret("private_key")?);
        }
        TargetKind::Mysql => {
            set(&mut tls.ca, fields.text("tls_ca")?);
            set(&mut tls.key, fields.secret("tls_certificate_key")?);
            set(&mut tls.server_name, fields.text("tls_server_name")?);
            set(&mut tls.skip_verify, fields.boolean("tls_skip_verify")?);
            tls.required = !tls.ca.is_empty() || !tls.key.is_empty() || tls.skip_verify;
        }
        TargetKind::Redis => {
            set(&mut tls.ca, fields.text("ca_cert")?);
            set(&mut tls.required, fields.boolean("tls")?);
            set(&mut tls.skip_verify, fields.boolean("insecure_tls")?);
        }
    }
    Ok(())
}

/// What would change who gets in, or what is known of them, must not be passed over in silence.
fn refuse_unsupported(fields: &Fields<'_>) -> Result<(), Failure> {
    let not_offered = |what: &str| Failure::bad_request(format!("{what} is not offered by this server"));
    if fields.boolean("self_managed")?.unwrap_or(false) {
        return Err(not_offered("self_managed"));
    }
    if fields.text("auth_type")?.is_some_and(|kind| !kind.is_empty()) {
        return Err(not_offered("auth_type"));
    }
    if fields.text("plugin_version")?.is_some_and(|version| !version.is_empty()) {
        return Err(not_offered("plugin_version: plugins are part of the program, and another version"));
    }
    match fields.text("password_authentication")?.as_deref() {
        None | Some("" | "password" | "scram-sha-256") => Ok(()),
        Some(other) => Err(Failure::bad_request(format!("'{other}' is not a valid password authentication type"))),
    }
}

fn bounded<T: TryFrom<u64>>(fields: &Fields<'_>, name: &str) -> Result<Option<T>, Failure> {
    let Some(number) = fields.natural(name)? else { return Ok(None) };
    T::try_from(number).map(Some).map_err(|_| Failure::bad_request(format!("{name} is too large")))
}

fn no_plugin(name: &str) -> Failure {
    let names = Plugin::ALL.map(Plugin::name).join(", ");
    Failure::bad_request(format!(
        "error creating database object: no database plugin {name:?}: this server has {names}"
    ))
}

/// What was given, without what is secret.
fn details(connection: &Connection) -> Map<String, Value> {
    let (kind, tls) = (connection.plugin.kind(), &connection.tls);
    let redis = kind == TargetKind::Redis;
    let (ca, required, any) =
        if redis { ("ca_cert", "tls", "insecure_tls") } else { ("tls_ca", "", "tls_skip_verify") };
    let text = |text: &str| (!text.is_empty()).then(|| json!(text));
    let number = |number: u64| (number > 0).then(|| json!(number));
    let truth = |truth: bool| truth.then_some(Value::Bool(true));
    [
        ("connection_url", text(&connection.shown_url().0)),
        ("host", text(&connection.host)),
        ("port", number(connection.port.into())),
        ("username", text(&connection.username)),
        ("password_authentication", connection.scram.then(|| json!("scram-sha-256"))),
        ("username_template", text(&connection.username_template)),
        ("max_open_connections", number(connection.max_open_connections.into())),
        ("max_idle_connections", number(connection.max_idle_connections.into())),
        ("max_connection_lifetime", number(connection.max_connection_lifetime)),
        (ca, text(&tls.ca)),
        ("tls_certificate", text(&tls.certificate)),
        ("tls_server_name", text(&tls.server_name)),
        (any, truth(tls.skip_verify)),
        (required, truth(tls.required && redis)),
    ]
    .into_iter()
    .filter_map(|(name, value)| value.map(|value| (name.to_owned(), value)))
    .collect()
}
