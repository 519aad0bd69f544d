//! KV v2: `<mount>/delete/<name>`, `undelete`, `destroy`.

use super::super::{Outcome, call::Call, error::Failure, reply::Reply};

pub(in super::super) async fn delete(call: Call<'_>) -> Outcome {
    let numbers = numbers_of(&call)?;
    call.core.kv().delete_versions(call.permit, &numbers).await?;
    Ok(Reply::empty())
}

pub(in super::super) async fn undelete(call: Call<'_>) -> Outcome {
    let numbers = numbers_of(&call)?;
    call.core.kv().undelete_versions(call.permit, &numbers).await?;
    Ok(Reply::empty())
}

pub(in super::super) async fn destroy(call: Call<'_>) -> Outcome {
    let numbers = numbers_of(&call)?;
    call.core.kv().destroy_versions(call.permit, &numbers).await?;
    Ok(Reply::empty())
}

fn numbers_of(call: &Call<'_>) -> Result<Vec<u64>, Failure> {
    let mut numbers = call.fields()?.naturals("versions")?.unwrap_or_default();
    numbers.sort_unstable();
    numbers.dedup();
    if numbers.is_empty() { Err(Failure::bad_request("no version number provided")) } else { Ok(numbers) }
}
