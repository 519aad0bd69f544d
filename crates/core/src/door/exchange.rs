//! One request and its answer, for the audit log.

use std::sync::Arc;

use super::{Ask, Caller};
use crate::{
    audit::{AuditFailure, AuthRecord, IssuedAuth, RequestRecord, ResponseRecord},
    core::Core,
    mount::Mount,
    policy::Operation,
    secret::SecretBytes,
    token::{Entry, Issued},
};

/// A request under way. It must be concluded before its answer leaves, whatever the answer is.
#[must_use]
pub struct Exchange<'a> {
    core: &'a Core,
    pub(super) ask: Ask<'a>,
    pub(super) operation: Operation,
    pub(super) caller: Option<Arc<Caller>>,
    mount: Option<Arc<Mount>>,
    refused: bool,
}

/// What an answer says, as far as it is recorded.
#[derive(Debug, Clone, Copy, Default)]
pub struct Answer<'a> {
    /// The answer's data: the text of a JSON object.
    pub data: Option<&'a SecretBytes>,
    /// The token that it hands out.
    pub issued: Option<&'a Issued>,
    /// What it warns of.
    pub warnings: &'a [String],
    /// Why the request failed.
    pub error: Option<&'a str>,
}

impl<'a> Exchange<'a> {
    pub(super) fn new(core: &'a Core, ask: Ask<'a>, mount: Option<Arc<Mount>>) -> Self {
        let operation = ask.operation;
        Self { core, ask, operation, caller: None, mount, refused: false }
    }

    /// The mount that serves the path.
    #[must_use]
    pub fn mount(&self) -> Option<&Arc<Mount>> {
        self.mount.as_ref()
    }

    /// Who asks, once that is known.
    #[must_use]
    pub fn caller(&self) -> Option<&Arc<Caller>> {
        self.caller.as_ref()
    }

    pub(super) fn record_request(&mut self, refusal: Option<&str>) -> Result<(), AuditFailure> {
        self.refused = refusal.is_some();
        self.core.audit().record_request(&self.request(refusal))
    }

    /// Records the answer, and revokes a token whose last use this was. Without `Ok` the answer must not leave.
    ///
    /// # Errors
    /// When no audit device could record it.
    pub async fn conclude(self, answer: Answer<'_>) -> Result<(), AuditFailure> {
        let now = self.core.now();
        let response = ResponseRecord {
            data: answer.data.map(SecretBytes::expose_secret),
            clear_names: self.mount.as_ref().map_or(&[], |mount| &mount.config.audit_non_hmac_response_keys),
            auth: answer.issued.map(|issued| IssuedAuth {
                client_token: &issued.token,
                auth: AuthRecord { num_uses: uses(&issued.entry), ..describe(&issued.entry) },
            }),
            lease_id: None,
            warnings: answer.warnings,
            error: answer.error,
        };
        let recorded = self.core.audit().record_response(&RequestRecord { time: now, ..self.request(None) }, &response);
        if let Some(caller) = self.caller.as_ref().filter(|caller| caller.entry.uses < 0) {
            // A used-up token is refused already; its record only takes room, so a failure here can wait for its end.
            if let Err(error) = self.core.tokens().revoke_tree(&caller.id).await {
                tracing::warn!(%error, "a token that is used up could not be removed");
            }
        }
        recorded
    }

    fn request<'s>(&'s self, error: Option<&'s str>) -> RequestRecord<'s> {
        let auth = self.caller.as_ref().map(|caller| AuthRecord {
            allowed: Some(!self.refused),
            remaining_uses: uses(&caller.entry),
            ..describe(&caller.entry)
        });
        RequestRecord {
            time: self.core.now(),
            request_id: self.ask.request_id,
            operation: self.operation.as_str(),
            path: self.ask.path,
            mount_path: self.mount.as_ref().map(|mount| mount.path.as_str()),
            mount_type: self.mount.as_ref().map(|mount| mount.engine.name()),
            mount_accessor: self.mount.as_ref().map(|mount| mount.accessor.as_str()),
            remote_address: self.ask.remote,
            client_token: self.ask.token,
            auth,
            data: (!self.ask.data.is_empty()).then(|| self.ask.data.expose_secret()),
            clear_names: self.mount.as_ref().map_or(&[], |mount| &mount.config.audit_non_hmac_request_keys),
            wrap_ttl: self.ask.wrap_ttl,
            error,
        }
    }
}

fn uses(entry: &Entry) -> u64 {
    u64::try_from(entry.uses).unwrap_or(0)
}

fn describe(entry: &Entry) -> AuthRecord<'_> {
    AuthRecord {
        accessor: &entry.accessor,
        display_name: &entry.display_name,
        policies: &entry.policies,
        token_policies: &entry.policies,
        identity_policies: &[],
        no_default_policy: false,
        allowed: None,
        metadata: (!entry.meta.is_empty()).then_some(&entry.meta),
        num_uses: 0,
        remaining_uses: 0,
        entity_id: "",
        token_type: entry.kind.name(),
        token_ttl: entry.ttl,
        token_issue_time: Some(entry.created),
    }
}
