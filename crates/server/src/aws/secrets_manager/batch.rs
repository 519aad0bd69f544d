//! `BatchGetSecretValue`: several secrets, each read through the door by itself; what cannot be read is told beside
//! what can.

use keyturn_core::{kv::Order, policy, secret::SecretBytes};
use keyturn_protocol::aws::secretsmanager::{BatchError, BatchGetSecretValueRequest, GetSecretValueRequest};

use super::{
    Answer,
    asking::{Asking, text_of},
    error::invalid_parameter,
    filter::Filters,
    list::{self, Wanted},
    text, value,
};
use crate::aws::failure::Failure;

const MAX_RESULTS: usize = 20;

pub(super) async fn get(asking: &Asking<'_>) -> Answer {
    let request: BatchGetSecretValueRequest = asking.read()?;
    match (request.secret_id_list, request.filters) {
        (Some(ids), None) => {
            if request.max_results.is_some() || request.next_token.is_some() {
                return Err(invalid_parameter("MaxResults and NextToken can be used with Filters only."));
            }
            read(asking, ids, None).await
        }
        (None, Some(filters)) => {
            let filters = Filters::read(Some(filters))?;
            let limit = request.max_results.unwrap_or(MAX_RESULTS);
            let (names, next) = find(asking, filters, limit, request.next_token).await?;
            read(asking, names, next).await
        }
        _ => Err(invalid_parameter("Either 'SecretIdList' or 'Filters' must be provided, but not both.")),
    }
}

/// The names of the secrets that pass the filters.
async fn find(
    asking: &Asking<'_>,
    filters: Filters,
    limit: usize,
    next_token: Option<String>,
) -> Result<(Vec<String>, Option<String>), Failure> {
    if filters.is_empty() {
        return Err(invalid_parameter("Either 'SecretIdList' or 'Filters' must be provided, but not both."));
    }
    let wanted = Wanted { order: Order::Created, descending: false, deleted: false, limit, filters, next_token };
    let path = list::root(asking);
    let (exchange, permit) = asking.admit(policy::Operation::List, &path, asking.body()).await?;
    let page = list::page(asking, permit, &wanted).await;
    // The log has the names, as it has those of any listing.
    let outcome = match &page {
        Ok((found, _)) => {
            let names: Vec<&str> = found.iter().map(|found| found.name.as_str()).collect();
            serde_json::to_vec(&serde_json::json!({ "keys": names }))
                .map(SecretBytes::new)
                .map_err(|error| Failure::internal(&error, ""))
        }
        Err(failure) => Err(failure.again()),
    };
    asking.conclude(exchange, outcome).await?;
    let (found, next) = page?;
    Ok((found.into_iter().map(|found| found.name).collect(), next))
}

async fn read(asking: &Asking<'_>, ids: Vec<String>, next_token: Option<String>) -> Answer {
    let (mut values, mut errors) = (Vec::new(), Vec::new());
    for id in ids {
        let request = GetSecretValueRequest { secret_id: id, version_id: None, version_stage: None };
        match value::read(asking, &request).await {
            Ok(value) => values.push(value),
            Err(failure) if failure.is_ours() => return Err(failure),
            Err(failure) => errors.push(BatchError {
                secret_id: Some(request.secret_id),
                error_code: Some(failure.code().to_owned()),
                message: Some(failure.message().to_owned()),
            }),
        }
    }
    let mut rest = String::from("\"Errors\":");
    rest.push_str(&String::from_utf8_lossy(text_of(&errors)?.expose_secret()));
    if let Some(token) = next_token {
        rest.push_str(",\"NextToken\":");
        rest.push_str(&serde_json::Value::from(token).to_string());
    }
    Ok(text::list("SecretValues", &values, &rest))
}
