//! KV v2: `<mount>/diff/<name>?from=&to=`: which fields differ between two versions, without their values. Keyturn's own.

use keyturn_core::{
    clock::Timestamp,
    kv::{Change, FieldDiff, Version},
};
use serde::Serialize;

use super::super::{Outcome, call::Call, reply::Reply};

#[derive(Serialize)]
struct Told<'a> {
    from: Compared<'a>,
    to: Compared<'a>,
    fields: Vec<Field<'a>>,
}

#[derive(Serialize)]
struct Compared<'a> {
    version: u64,
    id: &'a str,
    created_time: Timestamp,
}

#[derive(Serialize)]
struct Field<'a> {
    name: &'a str,
    change: &'static str,
    from_fingerprint: Option<String>,
    to_fingerprint: Option<String>,
}

pub(in super::super) async fn read(call: Call<'_>) -> Outcome {
    let fields = call.fields()?;
    let (from, to) = (fields.natural("from")?, fields.natural("to")?);
    let diff = call.core.kv().diff(call.permit, from, to).await?;
    Reply::data(&Told {
        from: compared(&diff.from),
        to: compared(&diff.to),
        fields: diff.fields.iter().map(field).collect(),
    })
}

fn compared(version: &Version) -> Compared<'_> {
    Compared { version: version.number, id: &version.id, created_time: version.created }
}

fn field(field: &FieldDiff) -> Field<'_> {
    let change = match field.change() {
        Change::Added => "added",
        Change::Removed => "removed",
        Change::Changed => "changed",
        Change::Unchanged => "unchanged",
    };
    let [from_fingerprint, to_fingerprint] = [field.from, field.to].map(|print| print.map(|print| print.to_string()));
    Field { name: &field.name, change, from_fingerprint, to_fingerprint }
}
