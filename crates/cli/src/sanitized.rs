//! What `sys/config/state/sanitized` tells of the process's configuration: nothing that is secret, no path, no name of
//! an environment variable.

use keyturn_core::node::Status;
use keyturn_server::limits::Limits;
use serde_json::{Value, json};
use tracing::level_filters::LevelFilter;

use crate::serving::Bound;

/// The configuration in the shape that Vault tells its own.
pub(crate) fn sanitized(status: &Status, bound: &[Bound], limits: &Limits) -> Value {
    let listeners: Vec<Value> = bound
        .iter()
        .map(|bound| {
            let config = json!({
                "address": bound.address.to_string(),
                "tls_disable": !bound.has_tls(),
                "max_request_size": limits.max_body_bytes,
                "max_request_duration": limits.request_timeout.as_secs(),
            });
            json!({ "type": "tcp", "config": config })
        })
        .collect();
    json!({
        "api_addr": "",
        "cluster_addr": "",
        "default_lease_ttl": 0,
        "max_lease_ttl": 0,
        "disable_cache": false,
        "enable_ui": false,
        "listeners": listeners,
        "log_level": LevelFilter::current().to_string(),
        "raw_storage_endpoint": false,
        "seals": [{ "type": status.kind.name(), "disabled": false }],
        "storage": { "type": status.storage },
    })
}
