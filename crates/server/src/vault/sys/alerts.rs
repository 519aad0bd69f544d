//! `sys/alerts`: what fires by the configured rules, and what a caller's own conditions hold for at this moment.

use keyturn_core::alert::{Condition, Conditions, Firing};
use serde_json::{Value, json};

use super::super::{Outcome, call::Call, error::Failure, reply::Reply};

/// The longest list of conditions, in bytes.
const MAX_CONDITIONS: usize = 1024;

pub(in super::super) async fn read(call: Call<'_>) -> Outcome {
    let text = call.fields()?.text("conditions")?.unwrap_or_default();
    if text.len() > MAX_CONDITIONS {
        return Err(Failure::bad_request("conditions is longer than 1024 bytes"));
    }
    let conditions: Conditions = text.parse().map_err(|error| Failure::bad_request(format!("conditions: {error}")))?;
    let view = call.core.alerts().read(call.permit, &conditions).await?;
    let firing = view.firing.iter().map(|(id, firing)| {
        let mut shown = shown(firing);
        shown["id"] = id.as_str().into();
        shown
    });
    Reply::data(&json!({
        "evaluated_time": view.evaluated.map(|at| at.to_string()),
        "firing": firing.collect::<Vec<Value>>(),
        "matched": view.matched.iter().map(shown).collect::<Vec<Value>>(),
        "incomplete": view.partial.into_iter().map(Condition::name).collect::<Vec<_>>(),
    }))
}

fn shown(firing: &Firing) -> Value {
    json!({
        "rule": firing.rule,
        "condition": firing.condition,
        "severity": firing.severity,
        "subject": firing.subject,
        "since_time": firing.since.to_string(),
        "due_time": firing.due.map(|at| at.to_string()),
        "message": firing.message,
    })
}
