//! Tests of the policy language and of the decisions made by it.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{Acl, AclAsk, Decision, DenyReason, Grant, Operation, Policy};

mod decisions;
mod language;
mod priority;
mod reference;
mod templates;

fn acl(texts: &[&str]) -> Acl {
    let policies: Vec<_> = texts.iter().map(|text| Arc::new(Policy::parse("test", text).unwrap())).collect();
    Acl::compile(&policies)
}

fn ask(acl: &Acl, operation: Operation, path: &str, parameters: Option<&Value>, wrap_ttl: Option<u64>) -> Decision {
    let parameters: Option<&Map<String, Value>> = parameters.and_then(Value::as_object);
    acl.allows(&AclAsk { path, operation, parameters: &|| parameters, wrap_ttl })
}

fn plain(acl: &Acl, operation: Operation, path: &str) -> Decision {
    ask(acl, operation, path, None, None)
}

fn granted(decision: Decision) -> bool {
    matches!(decision, Decision::Granted(_))
}

fn reason(decision: Decision) -> Option<DenyReason> {
    match decision {
        Decision::Granted(Grant { .. }) => None,
        Decision::Denied(reason) => Some(reason),
    }
}
