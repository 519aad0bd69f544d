//! One request under way: who asks, for which region, and how it gets through the door.

use keyturn_core::{
    door::{self, Ask, Exchange, Permit, Refusal},
    kv::{Kv, Secret, SecretError, Verdict},
    policy,
    secret::SecretBytes,
};
use keyturn_protocol::aws::secretsmanager::{ErrorCode, Operation};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    Answer,
    error::{failure, of_secret},
    name::{self, SecretId},
    resource_policy::{Asked, Effect},
};
use crate::aws::{Call, failure::Failure, identity::Verified, settings::AwsSettings};

/// A mount that cannot be: its paths have no route, so that the door refuses.
const NO_MOUNT: &str = "\0/";

/// One request.
pub(super) struct Asking<'a> {
    pub(super) call: &'a Call,
    verified: &'a Verified,
    operation: Operation,
}

/// The secret that an operation is about.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) name: String,
    suffix: Option<String>,
    pub(super) region: String,
    pub(super) mount: String,
}

impl Target {
    /// The secret of that name in a region.
    pub(super) fn of(name: &str, region: &str, mount: &str) -> Self {
        Self { name: name.to_owned(), suffix: None, region: region.to_owned(), mount: mount.to_owned() }
    }

    /// Whether its ARN is the one that ends so, if the client gave a whole one.
    pub(super) fn suffix(&self) -> Option<&str> {
        self.suffix.as_deref()
    }

    /// Its path in an area of its mount.
    pub(super) fn path(&self, area: &str) -> String {
        format!("{}{area}/{}", self.mount, self.name)
    }
}

impl<'a> Asking<'a> {
    pub(super) fn new(call: &'a Call, verified: &'a Verified, operation: Operation) -> Self {
        Self { call, verified, operation }
    }

    pub(super) fn kv(&self) -> &'a Kv {
        self.call.core.kv()
    }

    pub(super) fn settings(&self) -> &'a AwsSettings {
        &self.call.settings
    }

    /// The name of the operation, as resource policies have it.
    pub(super) fn action(&self) -> &'static str {
        self.operation.name()
    }

    /// The request's body: a JSON object.
    pub(super) fn body(&self) -> &'a SecretBytes {
        &self.call.body
    }

    /// The request, typed.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        // The parser's own words may quote a value.
        serde_json::from_slice(self.call.body.expose_secret())
            .map_err(|_| failure(ErrorCode::SerializationException, "The body holds a member twice."))
    }

    /// The region that answers, and its mount: the one that the request is signed for, if a mount stands for it. A key
    /// of another account sees that account's mount. One whose account has none any more sees nothing.
    pub(super) fn home(&self) -> (&'a str, &'a str) {
        let settings = self.settings();
        let account = self.verified.account(settings);
        if account != settings.account_id {
            return (&settings.region, settings.account_mounts.get(account).map_or(NO_MOUNT, String::as_str));
        }
        let signed = self.verified.region();
        match settings.region_mounts.get_key_value(signed) {
            Some((region, mount)) => (region, mount),
            None => (&settings.region, &settings.mount),
        }
    }

    /// The secret that a client names.
    pub(super) fn target(&self, text: &str) -> Result<Target, Failure> {
        let SecretId { name, suffix, place } = name::parse(text, self.settings())?;
        let (region, mount) = place.unwrap_or_else(|| {
            let (region, mount) = self.home();
            (region.to_owned(), mount.to_owned())
        });
        Ok(Target { name, suffix, region, mount })
    }

    /// The secret's ARN.
    pub(super) fn arn(&self, target: &Target, secret: &Secret) -> String {
        self.arn_of(target, &secret.arn_suffix)
    }

    pub(super) fn arn_of(&self, target: &Target, suffix: &str) -> String {
        name::arn(self.settings().account_of(&target.mount), &target.region, &target.name, suffix)
    }

    /// What the secret's own record says to the operation: whether it is the one that is meant, and whether its resource
    /// policy denies it.
    pub(super) fn restriction(&self, target: &Target) -> impl Fn(&Secret) -> Verdict + Send + Sync {
        self.restriction_for(target, self.action())
    }

    pub(super) fn restriction_for(
        &self,
        target: &Target,
        action: &'static str,
    ) -> impl Fn(&Secret) -> Verdict + Send + Sync {
        move |secret: &Secret| {
            if target.suffix.as_ref().is_some_and(|suffix| *suffix != secret.arn_suffix) {
                return Verdict::Another;
            }
            if secret.access_policy.is_empty() {
                return Verdict::Allowed;
            }
            let Some(policy) = self.call.policies.read(&secret.access_policy) else { return Verdict::Denied };
            match policy.decide(&self.asked(target, secret, action)) {
                Effect::Deny => Verdict::Denied,
                Effect::Allow | Effect::Nothing => Verdict::Allowed,
            }
        }
    }

    /// What is asked, as a resource policy sees it.
    pub(super) fn asked(&self, target: &Target, secret: &Secret, action: &'static str) -> Asked {
        let settings = self.settings();
        let principal = self.verified.arn(settings);
        let stage = super::body::member_text(self.body(), "VersionStage").unwrap_or_else(|| "AWSCURRENT".to_owned());
        Asked {
            action: format!("secretsmanager:{action}"),
            resource: self.arn(target, secret),
            account: self.verified.account(settings).to_owned(),
            values: [
                ("aws:principalarn", principal.clone()),
                ("aws:principalaccount", self.verified.account(settings).to_owned()),
                ("aws:username", self.verified.access_key().name().to_owned()),
                ("aws:requestedregion", target.region.clone()),
                ("aws:currenttime", self.call.core.now().to_string()),
                ("aws:epochtime", self.call.core.now().as_second().to_string()),
                // What is not TLS comes from this machine or from a proxy: the listeners take no other.
                ("aws:securetransport", "true".to_owned()),
                ("secretsmanager:secretid", self.arn(target, secret)),
                ("secretsmanager:versionstage", stage),
            ]
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .chain(self.call.remote.map(|remote| ("aws:sourceip".to_owned(), remote.ip().to_string())))
            .chain(secret.tags.iter().flat_map(|(key, value)| {
                ["aws:resourcetag/", "secretsmanager:resourcetag/"]
                    .map(|prefix| (format!("{prefix}{}", key.to_ascii_lowercase()), value.clone()))
            }))
            .collect(),
            principal,
        }
    }

    /// Through the door. Who is refused finds it in the audit log, as does everybody else: see [`Asking::conclude`].
    pub(super) async fn admit<'e>(
        &self,
        operation: policy::Operation,
        path: &'e str,
        data: &'e SecretBytes,
    ) -> Result<(Exchange<'e>, Permit), Failure>
    where
        'a: 'e,
    {
        let ask = Ask {
            request_id: &self.call.request_id,
            operation,
            path,
            credential: Some(self.verified.credential()),
            remote: self.call.remote,
            data,
            headers: &self.call.headers,
            wrap_ttl: None,
        };
        let (exchange, admitted) = self.call.core.admit(ask).await;
        match admitted {
            Ok(permit) => Ok((exchange, permit)),
            Err(refusal) => {
                let told = self.refused(refusal, operation, path);
                let text = told.text();
                let answer = door::Answer { error: Some(&text), ..door::Answer::default() };
                match exchange.conclude(answer).await {
                    Ok(()) => Err(told),
                    Err(error) => Err(Failure::internal(&error, &self.call.request_id)),
                }
            }
        }
    }

    /// Whether something may be done besides, as far as the door can tell; it is recorded as a request of its own.
    pub(super) async fn permitted(&self, operation: policy::Operation, path: &str) -> Result<(), Failure> {
        let (exchange, permit) = self.admit(operation, path, self.body()).await?;
        permit.spend();
        self.conclude(exchange, Ok(SecretBytes::new(b"{}".to_vec()))).await.map(|_| ())
    }

    fn refused(&self, refusal: Refusal, operation: policy::Operation, path: &str) -> Failure {
        match refusal {
            Refusal::Denied | Refusal::NotWrapping | Refusal::NoRoute(_) => failure(
                ErrorCode::AccessDeniedException,
                format!(
                    "User: {} is not authorized to perform: secretsmanager:{} because no policy of its access key allows \
                     {operation} on {path}",
                    self.verified.arn(self.settings()),
                    self.action(),
                ),
            ),
            Refusal::NotAudited | Refusal::Store(_) => Failure::internal(&refusal, &self.call.request_id),
        }
    }

    /// Records what came of it, before it leaves.
    pub(super) async fn conclude(&self, exchange: Exchange<'_>, outcome: Answer) -> Answer {
        let error = outcome.as_ref().err().map(Failure::text);
        let answer = door::Answer { data: outcome.as_ref().ok(), error: error.as_deref(), ..door::Answer::default() };
        match exchange.conclude(answer).await {
            Ok(()) => outcome,
            Err(error) => Err(Failure::internal(&error, &self.call.request_id)),
        }
    }

    /// What is wrong, in the service's words.
    pub(super) fn failed(&self, target: &Target, error: SecretError) -> Failure {
        of_secret(error, self.action(), &target.name)
    }
}

/// The text of an answer without secrets.
pub(super) fn text_of(answer: &impl Serialize) -> Answer {
    serde_json::to_vec(answer).map(SecretBytes::new).map_err(|error| Failure::internal(&error, ""))
}
