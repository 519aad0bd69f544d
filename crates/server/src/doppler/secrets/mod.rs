//! `configs/config/secrets` and what is below it: what a config holds.
//!
//! Reading follows references: for each config that they lead to, the door is asked whether the caller may read that
//! too, and records it. A write is decided on the versions that were read and commits only if they are still there;
//! otherwise it is decided anew.

mod changes;
mod download;
mod dynamic;
mod note;
mod read;
mod watch;
mod write;

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, Ordering},
};

use keyturn_core::{
    config_values::{ConfigError, Reading, Shown, Unresolved, Visibility},
    door::Permit,
    policy::Operation,
    secret::{SecretBytes, SecretString},
};
use keyturn_protocol::doppler::secret_json::SecretShape;

pub(super) use self::{
    download::download,
    dynamic::{issue, may_lease, revoke},
    note::{set as set_note, set_of_project as set_project_note},
    read::{list, names, one},
    watch::{Streams, watch},
    write::{change, delete, upload},
};
use super::{
    Outcome,
    call::{Call, Target},
    error::Failure,
    reply::Reply,
};

/// How often something is decided anew because others changed the config meanwhile.
const ATTEMPTS: usize = 8;

/// Prefixes of the tokens of people, as the command line and the dashboard have them.
const TOKENS_OF_PEOPLE: [&str; 2] = ["dp.pt.", "dp.ct."];

/// A failure, or that the config was changed meanwhile.
enum Stumble {
    Failed(Failure),
    Changed,
}

impl From<ConfigError> for Stumble {
    fn from(error: ConfigError) -> Self {
        match error {
            ConfigError::Changed => Self::Changed,
            ConfigError::Store(error) => Self::Failed(error.into()),
            ConfigError::Kv(error) => Self::Failed(error.into()),
            ConfigError::NotFound(_) => Self::Failed(Failure::not_found(error.to_string())),
            ConfigError::NoPlace | ConfigError::Bytes(_) | ConfigError::TooMany => {
                Self::Failed(Failure::bad_request(error.to_string()))
            }
        }
    }
}

impl From<Failure> for Stumble {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// What an attempt brings forth.
type Attempt<T = Reply> = Result<T, Stumble>;

/// Tells an attempt's outcome from one that must be made again.
fn settle(attempt: Attempt, again: &AtomicBool) -> Outcome {
    attempt.map_err(|stumble| {
        again.store(matches!(stumble, Stumble::Changed), Ordering::Relaxed);
        failure(stumble)
    })
}

/// What a client is told when there is no other attempt.
fn failure(stumble: Stumble) -> Failure {
    match stumble {
        Stumble::Failed(failure) => failure,
        Stumble::Changed => Failure::conflict("The config was changed by other requests again and again: try again"),
    }
}

/// Why a config could not be read, as a client is told.
pub(super) fn unreadable(error: ConfigError) -> Failure {
    failure(error.into())
}

/// What is read of a config.
enum Job<'a> {
    List(&'a read::Listed),
    One(&'a str),
    Names { managed: bool, dynamic: bool },
    Download(&'a download::Asked),
}

/// Reads the caller's config through the door, as often as others change it under the reader's hands.
async fn reading(call: &Call, target: &Target, job: Job<'_>) -> Outcome {
    let path = call.config_path("data", target);
    let mut attempts = 0;
    loop {
        attempts += 1;
        let again = AtomicBool::new(false);
        let outcome = call
            .through(Operation::Read, &path, |permit| async { settle(attempt(call, permit, &job).await, &again) })
            .await;
        if !again.into_inner() || attempts == ATTEMPTS {
            return outcome;
        }
    }
}

async fn attempt(call: &Call, permit: Permit, job: &Job<'_>) -> Attempt {
    if let Job::Download(asked) = job
        && let Some(reply) = download::unchanged(call, &permit, asked).await?
    {
        permit.spend();
        return Ok(reply);
    }
    // Whatever reads has a state of its own: a 304 would move it about for nothing.
    Box::pin(read(call, permit, job)).await
}

async fn read(call: &Call, permit: Permit, job: &Job<'_>) -> Attempt {
    let reading = call.core.read_config(permit).await?;
    match job {
        // What is asked for most has the smallest state, and no part of the others'.
        Job::List(listed) => Box::pin(read::listed(call, reading, listed)).await,
        Job::One(name) => Box::pin(read::found(call, reading, name)).await,
        Job::Names { managed, dynamic } => read::named(&reading, *managed, *dynamic),
        Job::Download(asked) => download::downloaded(call, reading, asked).await,
    }
}

/// Follows the references that the reading has begun to follow, through the door.
async fn follow(call: &Call, reading: &mut Reading<'_>) -> Attempt<()> {
    let told = SecretBytes::new(b"{}".to_vec());
    while let Some(name) = reading.advance()? {
        let target = Target { project: name.project.clone(), config: name.config.clone() };
        let path = call.config_path("data", &target);
        match call.admit(Operation::Read, &path, &told).await {
            Ok((exchange, permit)) => {
                call.conclude(exchange, Ok(Reply::nothing())).await?;
                reading.grant(permit).await?;
            }
            Err(failure) if failure.is_refusal() => reading.deny(name),
            Err(failure) => return Err(failure.into()),
        }
    }
    Ok(())
}

/// Whether the caller is shown restricted values: programs are, people are not.
pub(super) fn sees_restricted(call: &Call) -> bool {
    let is_of_people =
        |token: &SecretString| TOKENS_OF_PEOPLE.iter().any(|prefix| token.expose_secret().starts_with(prefix));
    call.known.as_ref().is_some_and(|known| !is_of_people(known.token()))
}

/// The names that `secrets=` asks for; `None`: all.
fn wanted(call: &Call) -> Result<Option<BTreeSet<String>>, Failure> {
    let text = call.parameters.query("secrets");
    let names =
        text.map(|text| text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect());
    Ok(names.filter(|names: &BTreeSet<String>| !names.is_empty()))
}

fn visibility_name(visibility: Visibility) -> &'static str {
    match visibility {
        Visibility::Unmasked => "unmasked",
        Visibility::Masked => "masked",
        Visibility::Restricted => "restricted",
    }
}

fn visibility_named(name: &str) -> Option<Visibility> {
    [Visibility::Unmasked, Visibility::Masked, Visibility::Restricted]
        .into_iter()
        .find(|visibility| visibility_name(*visibility) == name)
}

/// The kind of text that a secret says it is.
fn type_of<'s>(shown: &'s Shown<'_>) -> &'s str {
    shown.mark.map(|mark| mark.value_type.as_str()).filter(|name| !name.is_empty()).unwrap_or("string")
}

/// A secret as it is shown to this caller.
fn shape<'s>(shown: &'s Shown<'_>, note: &'s str, restricted: bool) -> SecretShape<'s> {
    let (raw_visibility, computed_visibility) = (shown.visibility(), shown.computed_visibility());
    let sees = |visibility| restricted || visibility != Visibility::Restricted;
    let computed = match &shown.computed {
        None => Some(shown.raw),
        Some(computed) => computed.value.as_ref().ok(),
    };
    SecretShape {
        name: shown.name,
        raw: Some(shown.raw).filter(|_| sees(raw_visibility)),
        computed: computed.filter(|_| sees(computed_visibility)),
        note,
        raw_visibility: visibility_name(raw_visibility),
        computed_visibility: visibility_name(computed_visibility),
        value_type: type_of(shown),
    }
}

/// A secret that cannot be computed, as an answer.
fn unresolved(name: &str, why: &Unresolved) -> Failure {
    let text = format!("Secret {name} {why}");
    match why {
        Unresolved::Denied { .. } => Failure::forbidden(text),
        _ => Failure::bad_request(text),
    }
}
