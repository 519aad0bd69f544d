//! Resource policies: `GetResourcePolicy`, `PutResourcePolicy`, `DeleteResourcePolicy`, `ListResourcePolicies`,
//! `ValidateResourcePolicy`.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use keyturn_core::{
    kv::{KvError, Secret, SecretError, Verdict},
    policy,
};
use keyturn_protocol::aws::secretsmanager::{
    ErrorCode, ListResourcePoliciesRequest, ListedPolicies, NamedPolicyRequest, PolicySummary,
    PutResourcePolicyRequest, SecretAnswer, ValidateResourcePolicyRequest, Validated, ValidationError,
};

use super::{
    Answer,
    asking::{Asking, Target, text_of},
    error::{failure, invalid_parameter},
    resource_policy::{Effect, Malformed, Policy},
};
use crate::aws::failure::Failure;

/// The one policy of a secret.
const NAME: &str = "default";

/// Policies that are kept as they were read.
const KEPT: usize = 256;

/// Resource policies that were read lately, by their text.
#[derive(Default)]
pub(crate) struct PolicyCache(Mutex<HashMap<String, Arc<Policy>>>);

impl PolicyCache {
    /// The policy of that text; `None`: it is none.
    pub(super) fn read(&self, text: &str) -> Option<Arc<Policy>> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(policy) = known.get(text) {
            return Some(Arc::clone(policy));
        }
        let policy = Arc::new(Policy::read(text).ok()?);
        if known.len() >= KEPT {
            known.clear();
        }
        known.insert(text.to_owned(), Arc::clone(&policy));
        Some(policy)
    }
}

fn check_name(name: Option<&str>) -> Result<(), Failure> {
    match name {
        None | Some(NAME) => Ok(()),
        Some(_) => Err(invalid_parameter("A secret has one resource policy here: PolicyName can be default only.")),
    }
}

/// `GetResourcePolicy`.
pub(super) async fn get(asking: &Asking<'_>) -> Answer {
    let request: NamedPolicyRequest = asking.read()?;
    check_name(request.policy_name.as_deref())?;
    read(asking, &request.secret_id, |target, secret| {
        let there = !secret.access_policy.is_empty();
        text_of(&SecretAnswer {
            resource_policy: there.then(|| secret.access_policy.clone()),
            policy_name: request.policy_name.clone().filter(|_| there),
            ..named(asking, target, secret)
        })
    })
    .await
}

/// `ListResourcePolicies`.
pub(super) async fn list(asking: &Asking<'_>) -> Answer {
    let request: ListResourcePoliciesRequest = asking.read()?;
    if request.next_token.is_some() {
        return Err(failure(ErrorCode::InvalidNextTokenException, "The NextToken value is invalid."));
    }
    read(asking, &request.secret_id, |_, secret| {
        let policies = if secret.access_policy.is_empty() {
            Vec::new()
        } else {
            vec![PolicySummary { policy_name: Some(NAME.to_owned()) }]
        };
        text_of(&ListedPolicies { resource_policies: Some(policies) })
    })
    .await
}

async fn read(asking: &Asking<'_>, id: &str, told: impl FnOnce(&Target, &Secret) -> Answer) -> Answer {
    let target = asking.target(id)?;
    let path = target.path("metadata");
    let (exchange, permit) = asking.admit(policy::Operation::Read, &path, asking.body()).await?;
    let outcome = match asking.kv().describe(permit, &asking.restriction(&target)).await {
        Ok(secret) if secret.recovery.is_some() => Err(asking.failed(&target, SecretError::Scheduled)),
        Ok(secret) => told(&target, &secret),
        Err(error) => Err(asking.failed(&target, error)),
    };
    asking.conclude(exchange, outcome).await
}

/// `PutResourcePolicy`.
pub(super) async fn put(asking: &Asking<'_>) -> Answer {
    let request: PutResourcePolicyRequest = asking.read()?;
    check_name(request.policy_name.as_deref())?;
    let policy = Policy::read(&request.resource_policy).map_err(malformed)?;
    if request.block_public_policy.unwrap_or(false) && policy.is_public() {
        return Err(failure(
            ErrorCode::PublicPolicyException,
            "You can't apply a policy that allows everybody: name principals or add a condition on who they are.",
        ));
    }
    let target = asking.target(&request.secret_id)?;
    set(asking, &target, Some(&policy), request.resource_policy, request.policy_name).await
}

/// `DeleteResourcePolicy`.
pub(super) async fn delete(asking: &Asking<'_>) -> Answer {
    let request: NamedPolicyRequest = asking.read()?;
    check_name(request.policy_name.as_deref())?;
    let target = asking.target(&request.secret_id)?;
    set(asking, &target, None, String::new(), request.policy_name).await
}

async fn set(
    asking: &Asking<'_>,
    target: &Target,
    policy: Option<&Policy>,
    text: String,
    policy_name: Option<String>,
) -> Answer {
    let path = target.path("metadata");
    let (exchange, permit) = asking.admit(policy::Operation::Update, &path, asking.body()).await?;
    let outcome = async {
        // Nobody is to lock themselves out.
        let locked_out = AtomicBool::new(false);
        let now = asking.restriction(target);
        let allowed = |secret: &Secret| match now(secret) {
            Verdict::Allowed if locks_out(asking, target, secret, policy) => {
                locked_out.store(true, Ordering::Relaxed);
                Verdict::Denied
            }
            verdict => verdict,
        };
        let set = asking.kv().set_access_policy(permit, text, &allowed).await;
        let secret = set.map_err(|error| match error {
            SecretError::Kv(KvError::Denied) if locked_out.load(Ordering::Relaxed) => failure(
                ErrorCode::MalformedPolicyDocumentException,
                "The policy would keep you from changing or removing it: exclude yourself from what it denies.",
            ),
            other => asking.failed(target, other),
        })?;
        text_of(&SecretAnswer { policy_name, ..named(asking, target, &secret) })
    }
    .await;
    asking.conclude(exchange, outcome).await
}

fn locks_out(asking: &Asking<'_>, target: &Target, secret: &Secret, policy: Option<&Policy>) -> bool {
    let denies =
        |action| policy.is_some_and(|policy| policy.decide(&asking.asked(target, secret, action)) == Effect::Deny);
    denies("PutResourcePolicy") || denies("DeleteResourcePolicy")
}

/// `ValidateResourcePolicy`.
pub(super) async fn validate(asking: &Asking<'_>) -> Answer {
    let request: ValidateResourcePolicyRequest = asking.read()?;
    let checked = Policy::read(&request.resource_policy).map(|policy| {
        policy.is_public().then(|| ValidationError {
            check_name: Some("PUBLIC_POLICY".to_owned()),
            error_message: Some("The policy allows everybody.".to_owned()),
        })
    });
    let told = || {
        let errors: Vec<ValidationError> = checked.map_err(malformed)?.into_iter().collect();
        text_of(&Validated { policy_validation_passed: Some(errors.is_empty()), validation_errors: Some(errors) })
    };
    match &request.secret_id {
        Some(id) => read(asking, id, |_, _| told()).await,
        None => {
            // It is about no secret, but recorded all the same: as asking what the mount has.
            let path = super::list::root(asking);
            let (exchange, permit) = asking.admit(policy::Operation::List, &path, asking.body()).await?;
            permit.spend();
            asking.conclude(exchange, told()).await
        }
    }
}

fn malformed(Malformed(text): Malformed) -> Failure {
    failure(
        ErrorCode::MalformedPolicyDocumentException,
        format!("This resource policy contains a syntax error. {text}"),
    )
}

fn named(asking: &Asking<'_>, target: &Target, secret: &Secret) -> SecretAnswer {
    SecretAnswer { arn: Some(asking.arn(target, secret)), name: Some(target.name.clone()), ..SecretAnswer::default() }
}
