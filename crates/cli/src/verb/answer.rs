//! How `read` and `write` print an answer whose shape they do not know.

use serde_json::{Map, Value};

use crate::client::Reply;
use crate::failure::Failure;
use crate::kv::KvError;
use crate::output::{self, Format, note};

/// Prints what the answer to `path` carries: its data, its new token, or the answer itself where there is no envelope.
pub(super) fn print(reply: &Reply<'_>, path: &str, field: Option<&str>, format: Format) -> Result<(), Failure> {
    if reply.is_empty() {
        return match field {
            None => Ok(output::print_line("done")?),
            Some(field) => Err(no_field(path, field, &[]).into()),
        };
    }
    let mut answer: Map<String, Value> = reply.json()?;
    for warning in answer.get("warnings").and_then(Value::as_array).into_iter().flatten() {
        note(&format!("warning: {}", output::cell(warning)));
    }
    if let (Format::Json, None) = (format, field) {
        return Ok(output::print_json(&Value::Object(answer))?);
    }
    let content =
        ["data", "auth", "wrap_info"].iter().find_map(|part| answer.remove(*part).filter(|part| !part.is_null()));
    let content = content.unwrap_or(Value::Object(answer));
    let Some(field) = field else { return Ok(output::print(&output::table_of(&content).render())?) };
    match content.get(field) {
        Some(Value::String(text)) => output::print(text)?,
        Some(other) => output::print(&other.to_string())?,
        None => {
            let names: Vec<&str> = content.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
            return Err(no_field(path, field, &names).into());
        }
    }
    Ok(())
}

fn no_field(path: &str, field: &str, names: &[&str]) -> KvError {
    KvError::NoField { path: path.to_owned(), field: field.to_owned(), names: names.join(", ") }
}
