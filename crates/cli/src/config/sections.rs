//! The sections of `keyturn.toml`, one function each, and the rules that hold across their keys.

use std::{net::SocketAddr, ops::RangeInclusive};

use keyturn_server::{api::ApiSettings, limits::Limits};
use tracing::level_filters::LevelFilter;

use super::{
    Config, KeySource, ListenerConfig, LogConfig, LogFormat, SealConfig, StorageConfig, TlsFiles, alerts, audit, aws,
    doppler,
    reader::{At, Schema, Section},
    rotation,
};

pub(super) static TOP: Schema = Schema {
    section: "",
    keys: &["storage", "listener", "seal", "audit", "limits", "log", "aws", "doppler", "alerts", "rotation"],
};
pub(super) static STORAGE: Schema = Schema { section: "[storage]", keys: &["type", "path", "cache_size"] };
pub(super) static LISTENER: Schema = Schema {
    section: "[[listener]]",
    keys: &["address", "tls_cert_file", "tls_key_file", "tls_disable", "tls_disable_client_certs"],
};
pub(super) static SEAL: Schema =
    Schema { section: "[seal]", keys: &["type", "key_file", "key_env", "open_ceremonies"] };
pub(super) static LIMITS: Schema = Schema {
    section: "[limits]",
    keys: &[
        "max_connections",
        "handshake_timeout",
        "header_timeout",
        "idle_timeout",
        "body_timeout",
        "request_timeout",
        "drain_timeout",
        "max_body_size",
        "max_header_size",
        "json_depth",
    ],
};
pub(super) static LOG: Schema = Schema { section: "[log]", keys: &["level", "format"] };

const DEFAULT_CACHE: usize = 64 << 20;
const CACHE: RangeInclusive<usize> = (1 << 20)..=(1 << 40);
const DEFAULT_ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8200);

/// Reads the whole file. `None` only if a problem was noted.
pub(super) fn read(mut top: Section<'_, '_>) -> Option<Config> {
    let storage = match top.table("storage", &STORAGE) {
        Some(section) => storage(section),
        None => {
            if top.place("storage").is_none() {
                top.note_here("there is no [storage]; write where secrets are kept: type = \"embedded\", path = \"…\"");
            }
            None
        }
    };
    let listeners = listeners(&mut top);
    let mut open_ceremonies = true;
    let seal = match top.table("seal", &SEAL) {
        Some(section) => seal(section, &mut open_ceremonies),
        None => Some(SealConfig::Shamir),
    };
    let audit = top.table("audit", &audit::AUDIT).map(audit::read).unwrap_or_default();
    let limits = top.table("limits", &LIMITS).map(limits).unwrap_or_default();
    let log = top.table("log", &LOG).map_or_else(default_log, log);
    let aws = top.table("aws", &aws::AWS).map(aws::read).unwrap_or_default();
    let doppler = top.table("doppler", &doppler::DOPPLER).map(doppler::read).unwrap_or_default();
    let alerts = top.table("alerts", &alerts::ALERTS).map_or_else(alerts::defaults, alerts::read);
    let hooks = top.table("rotation", &rotation::ROTATION).map(rotation::read).unwrap_or_default();
    let api = ApiSettings { aws, doppler };
    Some(Config { storage: storage?, listeners, seal: seal?, open_ceremonies, audit, limits, log, api, alerts, hooks })
}

#[derive(Clone, Copy)]
enum StorageType {
    Embedded,
    Memory,
}

fn storage(mut section: Section<'_, '_>) -> Option<StorageConfig> {
    let types = [("embedded", StorageType::Embedded), ("memory", StorageType::Memory)];
    let kind = required(&mut section, "type", "\"embedded\" or \"memory\"", |section| section.choice("type", &types));
    let path = section.path("path");
    let mut cache_bytes = DEFAULT_CACHE;
    section.size("cache_size", &CACHE, &mut cache_bytes);
    match kind? {
        StorageType::Embedded => {
            let given = section.place("path").is_some();
            if !given {
                section.note_here("storage.path is missing; write the file in which the store is kept");
            }
            Some(StorageConfig::Embedded { path: path?.value, cache_bytes })
        }
        StorageType::Memory => {
            section.forbid("path", "is not used by type = \"memory\": nothing is kept on disk; remove one of the two");
            section.forbid("cache_size", "is not used by type = \"memory\"; remove it");
            Some(StorageConfig::Memory)
        }
    }
}

/// Reads a key that must be there.
pub(super) fn required<'i, T>(
    section: &mut Section<'_, 'i>,
    key: &'static str,
    allowed: &str,
    read: impl FnOnce(&mut Section<'_, 'i>) -> Option<At<T>>,
) -> Option<T> {
    if section.place(key).is_none() {
        let message = format!("{} is missing; allowed: {allowed}", section.name(key));
        section.note_here(message);
    }
    read(section).map(|At { value, .. }| value)
}

fn listeners(top: &mut Section<'_, '_>) -> Vec<ListenerConfig> {
    let mut seen: Vec<SocketAddr> = Vec::new();
    let mut listeners = top.tables("listener", &LISTENER, |section| listener(section, &mut seen));
    if listeners.is_empty() {
        listeners.push(ListenerConfig { address: DEFAULT_ADDRESS, tls: None });
    }
    listeners
}

fn listener(mut section: Section<'_, '_>, seen: &mut Vec<SocketAddr>) -> Option<ListenerConfig> {
    let address = match section.place("address") {
        Some(_) => section.address("address"),
        None => {
            section.note_here("listener.address is missing; write an IP address and a port: \"127.0.0.1:8200\"");
            None
        }
    };
    let tls = tls_files(&mut section);
    let disabled = section.flag("tls_disable").filter(|at| at.value);
    let ignored = section.flag("tls_disable_client_certs");
    if ignored.is_some() && section.place("tls_cert_file").is_none() {
        section
            .forbid("tls_disable_client_certs", "is not used without tls_cert_file: there is no handshake; remove it");
    }
    let At { value: address, span } = address?;
    if address.port() != 0 && seen.contains(&address) {
        section.note(span.clone(), format!("listener.address {address} is there twice"));
    }
    seen.push(address);
    let tls = tls?.map(|files| TlsFiles { ignore_clients: ignored.is_some_and(|at| at.value), ..files });
    match (&tls, disabled) {
        (Some(_), Some(At { span, .. })) => section
            .note(span, "listener.tls_disable contradicts tls_cert_file and tls_key_file; remove one or the other"),
        (None, None) if !address.ip().is_loopback() => section.note(
            span,
            format!(
                "listener.address {address} can be reached from other machines, and secrets and tokens would travel \
                 unencrypted; set tls_cert_file and tls_key_file, or tls_disable = true if a proxy in front speaks TLS"
            ),
        ),
        _ => {}
    }
    Some(ListenerConfig { address, tls })
}

/// Both files or neither; `None` if a problem was noted.
fn tls_files(section: &mut Section<'_, '_>) -> Option<Option<TlsFiles>> {
    let (certificate, key) = (section.place("tls_cert_file"), section.place("tls_key_file"));
    match (section.path("tls_cert_file"), section.path("tls_key_file")) {
        (Some(certificate), Some(key)) => {
            Some(Some(TlsFiles { certificate: certificate.value, key: key.value, ignore_clients: false }))
        }
        _ => match (certificate, key) {
            (None, None) => Some(None),
            (Some(span), None) => {
                section.note(span, "listener.tls_cert_file needs tls_key_file beside it");
                None
            }
            (None, Some(span)) => {
                section.note(span, "listener.tls_key_file needs tls_cert_file beside it");
                None
            }
            (Some(_), Some(_)) => None,
        },
    }
}

#[derive(Clone, Copy)]
enum SealType {
    Shamir,
    Static,
}

fn seal(mut section: Section<'_, '_>, open_ceremonies: &mut bool) -> Option<SealConfig> {
    if let Some(At { value, .. }) = section.flag("open_ceremonies") {
        *open_ceremonies = value;
    }
    let types = [("shamir", SealType::Shamir), ("static", SealType::Static)];
    let given = section.place("type").is_some();
    let kind = section.choice("type", &types).map(|at| at.value);
    let file = section.path("key_file");
    let variable = section.text("key_env", "the name of an environment variable");
    match kind.or((!given).then_some(SealType::Shamir))? {
        SealType::Shamir => {
            let why =
                "is not used by type = \"shamir\", where people bring the shares; set type = \"static\" or remove it";
            section.forbid("key_file", why);
            section.forbid("key_env", why);
            Some(SealConfig::Shamir)
        }
        SealType::Static => static_seal(&mut section, file, variable),
    }
}

fn static_seal(
    section: &mut Section<'_, '_>,
    file: Option<At<std::path::PathBuf>>,
    variable: Option<At<String>>,
) -> Option<SealConfig> {
    let source = match (section.place("key_file"), section.place("key_env")) {
        (Some(_), Some(span)) => {
            section.note(span, "seal.key_env and seal.key_file are both there; remove one");
            None
        }
        (None, None) => {
            section.note_here("type = \"static\" needs a key: set key_file or key_env");
            None
        }
        (Some(_), None) => file.map(|at| KeySource::File(at.value)),
        (None, Some(_)) => variable.map(|at| KeySource::Environment(at.value)),
    };
    source.map(SealConfig::Static)
}

fn limits(mut section: Section<'_, '_>) -> Limits {
    let mut limits = Limits::default();
    section.number("max_connections", &Limits::CONNECTIONS, &mut limits.max_connections);
    section.duration("handshake_timeout", &Limits::TIMEOUT, &mut limits.handshake_timeout);
    section.duration("header_timeout", &Limits::TIMEOUT, &mut limits.header_timeout);
    section.duration("idle_timeout", &Limits::TIMEOUT, &mut limits.idle_timeout);
    section.duration("body_timeout", &Limits::TIMEOUT, &mut limits.body_timeout);
    section.duration("request_timeout", &Limits::TIMEOUT, &mut limits.request_timeout);
    section.duration("drain_timeout", &Limits::TIMEOUT, &mut limits.drain_timeout);
    section.size("max_body_size", &Limits::BODY_BYTES, &mut limits.max_body_bytes);
    section.size("max_header_size", &Limits::HEADER_BYTES, &mut limits.max_header_bytes);
    section.number("json_depth", &Limits::JSON_DEPTH, &mut limits.json_depth);
    if limits.body_timeout > limits.request_timeout {
        let span = section.place("body_timeout").or(section.place("request_timeout")).unwrap_or_default();
        let message = format!(
            "limits.body_timeout ({:?}) is longer than request_timeout ({:?}), which includes it; raise the latter",
            limits.body_timeout, limits.request_timeout
        );
        section.note(span, message);
    }
    limits
}

fn log(mut section: Section<'_, '_>) -> LogConfig {
    let levels = [
        ("off", LevelFilter::OFF),
        ("error", LevelFilter::ERROR),
        ("warn", LevelFilter::WARN),
        ("info", LevelFilter::INFO),
        ("debug", LevelFilter::DEBUG),
        ("trace", LevelFilter::TRACE),
    ];
    let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    let default = default_log();
    LogConfig {
        level: section.choice("level", &levels).map_or(default.level, |at| at.value),
        format: section.choice("format", &formats).map_or(default.format, |at| at.value),
    }
}

fn default_log() -> LogConfig {
    LogConfig { level: LevelFilter::INFO, format: LogFormat::Text }
}
