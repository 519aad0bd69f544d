//! `sys/internal/ui/resultant-acl` and `sys/internal/ui/namespaces`: what user interfaces ask to know what to show.

use keyturn_core::policy::{Constraints, ResultantRule};
use serde_json::{Map, Value, json};

use super::super::{Outcome, call::Call, error::Failure, reply::Reply};

/// All that the caller's token grants.
pub(in super::super) async fn read(call: Call<'_>) -> Outcome {
    let caller = call.permit.caller().cloned();
    call.permit.spend();
    let resultant = caller.ok_or_else(Failure::denied)?.acl().resultant();
    if resultant.root {
        return Reply::data(&json!({ "root": true }));
    }
    Reply::data(&json!({
        "root": false,
        "exact_paths": rules(&resultant.exact),
        "glob_paths": rules(&resultant.prefixes),
    }))
}

fn rules(rules: &[ResultantRule]) -> Map<String, Value> {
    rules.iter().map(|rule| (rule.path.clone(), Value::Object(told(rule)))).collect()
}

fn told(rule: &ResultantRule) -> Map<String, Value> {
    let Constraints { allowed, denied, required, min_wrapping_ttl, max_wrapping_ttl } = &rule.constraints;
    let mut told = Map::from_iter([("capabilities".to_owned(), json!(rule.capabilities))]);
    let mut put = |name: &str, value: Option<Value>| _ = value.map(|value| told.insert(name.to_owned(), value));
    put("min_wrapping_ttl", min_wrapping_ttl.map(Value::from));
    put("max_wrapping_ttl", max_wrapping_ttl.map(Value::from));
    put("allowed_parameters", (!allowed.is_empty()).then(|| json!(allowed)));
    put("denied_parameters", (!denied.is_empty()).then(|| json!(denied)));
    put("required_parameters", (!required.is_empty()).then(|| json!(required)));
    told
}

/// The namespaces that the caller may see: the root, for every good token.
pub(in super::super) async fn namespaces(call: Call<'_>) -> Outcome {
    let known = call.permit.caller().is_some();
    call.permit.spend();
    if known { Reply::data(&json!({ "keys": [""] })) } else { Err(Failure::denied()) }
}
