//! `ListSecrets`: all secrets of the region's mount, page by page. Who may list the mount sees of each folder what a
//! listing of that folder would show, and beside the names what reading the secret's metadata would show.

use std::sync::Arc;

use keyturn_core::{
    door::{Caller, Permit},
    kv::{Browse, Order, Secret, Step},
    policy::{self, AclAsk, Decision},
};
use keyturn_protocol::aws::secretsmanager::{Described, ErrorCode, ListSecretsRequest, Listed};

use super::{
    Answer,
    asking::{Asking, Target, text_of},
    describe::{described, versions},
    error::{failure, of_kv},
    filter::Filters,
    replication,
};
use crate::aws::failure::Failure;

const MAX_RESULTS: usize = 100;

/// Secrets that one request looks at, at the most: a filter that few pass gives pages that are not full.
const MAX_LOOKS: usize = 2000;

/// `ListSecrets`.
pub(super) async fn list(asking: &Asking<'_>) -> Answer {
    let request: ListSecretsRequest = asking.read()?;
    let filters = Filters::read(request.filters)?;
    let wanted = Wanted {
        order: match request.sort_by.as_deref() {
            Some("name") => Order::Name,
            Some("last-changed-date") => Order::Changed,
            Some("last-accessed-date") => Order::Accessed,
            _ => Order::Created,
        },
        descending: request.sort_order.as_deref() == Some("desc"),
        deleted: request.include_planned_deletion.unwrap_or(false),
        limit: request.max_results.unwrap_or(MAX_RESULTS),
        filters,
        next_token: request.next_token,
    };
    let path = root(asking);
    let (exchange, permit) = asking.admit(policy::Operation::List, &path, asking.body()).await?;
    let outcome = match page(asking, permit, &wanted).await {
        Ok((found, next_token)) => text_of(&Listed {
            secret_list: Some(found.iter().map(|found| listed(asking, found)).collect()),
            next_token,
        }),
        Err(failure) => Err(failure),
    };
    asking.conclude(exchange, outcome).await
}

/// Where a listing of the whole mount is asked for.
pub(super) fn root(asking: &Asking<'_>) -> String {
    format!("{}metadata/", asking.home().1)
}

/// What is to be listed.
pub(super) struct Wanted {
    pub(super) order: Order,
    pub(super) descending: bool,
    pub(super) deleted: bool,
    pub(super) limit: usize,
    pub(super) filters: Filters,
    pub(super) next_token: Option<String>,
}

/// A secret that is listed.
pub(super) struct Found {
    pub(super) name: String,
    secret: Secret,
    /// Whether more than its name may be told.
    readable: bool,
}

/// One page, and the token of the next.
pub(super) async fn page(
    asking: &Asking<'_>,
    permit: Permit,
    wanted: &Wanted,
) -> Result<(Vec<Found>, Option<String>), Failure> {
    let kv = asking.kv();
    let scope = scope(asking, &permit, wanted)?;
    let after = match &wanted.next_token {
        None => None,
        Some(token) => Some(kv.open_position(&scope, token).ok_or_else(|| {
            failure(
                ErrorCode::InvalidNextTokenException,
                "The NextToken value is invalid: send the one of the answer before, with the same parameters.",
            )
        })?),
    };
    let sight = Sight { caller: permit.caller().cloned(), mount: permit.mount().path.clone() };
    let Wanted { order, descending, deleted, limit, .. } = *wanted;
    let browse = Browse { order, descending, after, looks: MAX_LOOKS };
    let mut found = Vec::new();
    let next = kv.browse(permit, browse, |name, secret| {
        if secret.recovery.is_some() && !deleted || !sight.lists(name) {
            return Step::On;
        }
        let readable = sight.reads(name);
        let passes = if readable {
            wanted.filters.pass(name, &secret, primary_region(asking, &secret).as_deref())
        } else {
            // What may not be told may not be asked for by a filter either.
            wanted.filters.pass(name, &Secret::new(secret.created, String::new()), None)
        };
        if !passes {
            return Step::On;
        }
        if found.len() == limit {
            return Step::StopBefore;
        }
        found.push(Found { name: name.to_owned(), secret, readable });
        Step::On
    });
    let next = next.await.map_err(|error| of_kv(error, asking.action(), ""))?;
    Ok((found, next.map(|position| kv.seal_position(&scope, &position))))
}

/// What a page token is good for: the same listing of the same mount.
fn scope(asking: &Asking<'_>, permit: &Permit, wanted: &Wanted) -> Result<Vec<u8>, Failure> {
    let mut request: serde_json::Value = asking.read()?;
    if let Some(members) = request.as_object_mut() {
        members
            .retain(|name, _| matches!(name.as_str(), "Filters" | "SortBy" | "SortOrder" | "IncludePlannedDeletion"));
    }
    let Wanted { order, descending, deleted, .. } = wanted;
    let mount = &permit.mount().uuid;
    Ok(format!("secrets {} {mount} {order:?} {descending} {deleted} {request}", asking.action()).into_bytes())
}

fn listed(asking: &Asking<'_>, found: &Found) -> Described {
    let (region, mount) = asking.home();
    let target = Target::of(&found.name, region, mount);
    if !found.readable {
        return Described {
            arn: Some(asking.arn(&target, &found.secret)),
            name: Some(found.name.clone()),
            ..Described::default()
        };
    }
    Described { secret_versions_to_stages: versions(&found.secret), ..described(asking, &target, &found.secret) }
}

fn primary_region(asking: &Asking<'_>, secret: &Secret) -> Option<String> {
    if secret.origin.is_none() && secret.replicas.is_empty() || secret.link.is_some() {
        return None;
    }
    let (region, mount) = asking.home();
    replication::primary_region(asking, &Target::of("", region, mount), secret)
}

/// What the caller's policies let it see.
struct Sight {
    caller: Option<Arc<Caller>>,
    mount: String,
}

impl Sight {
    fn lists(&self, name: &str) -> bool {
        let folder = name.rfind('/').map_or("", |slash| &name[..=slash]);
        // The listing that was admitted is of the folder of all others.
        folder.is_empty() || self.allows(policy::Operation::List, folder)
    }

    fn reads(&self, name: &str) -> bool {
        self.allows(policy::Operation::Read, name)
    }

    fn allows(&self, operation: policy::Operation, name: &str) -> bool {
        let path = format!("{}metadata/{name}", self.mount);
        let ask = AclAsk { path: &path, operation, parameters: &|| None, wrap_ttl: None };
        self.caller.as_ref().is_some_and(|caller| matches!(caller.acl().allows(&ask), Decision::Granted(_)))
    }
}
