//! One request and its answer, for the audit log.

use std::sync::Arc;

use super::{Ask, Caller, special};
use crate::{
    audit::{AuditFailure, AuthRecord, IssuedAuth, RequestRecord, ResponseRecord},
    clock::Timestamp,
    core::Core,
    mount::Mount,
    policy::Operation,
    secret::SecretBytes,
    token::{Entry, Issued},
    wrapping::{WrapInfo, Wrapped, WrappingError},
};

/// A request under way. It must be concluded before its answer leaves, whatever the answer is.
#[must_use]
pub struct Exchange<'a> {
    core: &'a Core,
    pub(super) ask: Ask<'a>,
    pub(super) operation: Operation,
    pub(super) caller: Option<Arc<Caller>>,
    mount: Option<Arc<Mount>>,
    asked: Timestamp,
    refusal: Option<String>,
    /// The request's own entry is yet to be written: with the answer's, or when the exchange is dropped.
    pending: bool,
}

/// What an answer says, as far as it is recorded.
#[derive(Debug, Clone, Copy, Default)]
pub struct Answer<'a> {
    /// The answer's data: the text of a JSON object.
    pub data: Option<&'a SecretBytes>,
    /// The token that it hands out.
    pub issued: Option<&'a Issued>,
    /// The answer that was wrapped and is unwrapped now hands out this token: the text of an `auth` object.
    pub unwrapped_auth: Option<&'a SecretBytes>,
    /// What stands for the answer if it was wrapped; the answer itself is not recorded then.
    pub wrapped: Option<&'a WrapInfo>,
    /// The lease of the credential that it hands out or renews.
    pub lease_id: Option<&'a str>,
    /// What it warns of.
    pub warnings: &'a [String],
    /// Why the request failed.
    pub error: Option<&'a str>,
}

impl<'a> Exchange<'a> {
    pub(super) fn new(core: &'a Core, ask: Ask<'a>, mount: Option<Arc<Mount>>) -> Self {
        let (operation, asked) = (ask.operation, core.now());
        Self { core, ask, operation, caller: None, mount, asked, refusal: None, pending: true }
    }

    /// The mount that serves the path.
    #[must_use]
    pub fn mount(&self) -> Option<&Arc<Mount>> {
        self.mount.as_ref()
    }

    /// Records a request that may change something, before it is carried out. One that is refused, reads or lists waits
    /// for its answer: nothing has happened until that leaves, and one write costs half of two.
    pub(super) async fn decided(&mut self, refusal: Option<String>) -> Result<(), AuditFailure> {
        self.refusal = refusal;
        let changes_nothing = matches!(self.operation, Operation::Read | Operation::List)
            && self.ask.wrap_ttl.is_none()
            && !self.read_changes();
        if self.refusal.is_some() || changes_nothing {
            return Ok(());
        }
        self.pending = false;
        let recording = self.core.audit().record_request(&self.request(self.asked));
        self.core.audit().settle(recording).await
    }

    /// Keeps the answer for whoever unwraps it, instead of sending it. `accessor`: that of the token or secret id in it.
    ///
    /// # Errors
    /// When wrapping was not asked for, or the store fails: then nothing may be sent at all.
    pub async fn wrap(&self, answer: &Wrapped, accessor: Option<String>) -> Result<WrapInfo, WrappingError> {
        let ttl = self.ask.wrap_ttl.filter(|_| self.refusal.is_none()).ok_or(WrappingError::NotAsked)?;
        self.core.wrapping().wrap(self.ask.path, ttl, answer, accessor).await
    }

    fn read_changes(&self) -> bool {
        self.mount.as_ref().is_some_and(|mount| {
            let rest = self.ask.path.strip_prefix(mount.path.as_str()).unwrap_or("");
            special::read_changes(mount.engine, rest)
        })
    }

    /// Records the answer, and revokes a token whose last use this was. Without `Ok` the answer must not leave.
    ///
    /// # Errors
    /// When no audit device could record it.
    pub async fn conclude(mut self, answer: Answer<'_>) -> Result<(), AuditFailure> {
        let response = ResponseRecord {
            data: answer.data.map(SecretBytes::expose_secret),
            clear_names: self.mount.as_ref().map_or(&[], |mount| &mount.config.audit_non_hmac_response_keys),
            auth: answer.issued.map(|issued| IssuedAuth {
                client_token: &issued.token,
                auth: AuthRecord {
                    policies: &issued.policies,
                    identity_policies: &issued.identity_policies,
                    num_uses: uses(&issued.entry),
                    ..describe(&issued.entry)
                },
            }),
            auth_text: answer.unwrapped_auth.map(SecretBytes::expose_secret),
            wrapped: answer.wrapped,
            lease_id: answer.lease_id,
            warnings: answer.warnings,
            error: answer.error,
        };
        let request = self.request(self.core.now());
        let recorded = if self.pending {
            self.core.audit().record_exchange(self.asked, &request, &response)
        } else {
            self.core.audit().record_response(&request, &response)
        };
        self.pending = false;
        let recorded = self.core.audit().settle(recorded).await;
        if let Some(caller) = self.caller.as_ref().filter(|caller| caller.entry.uses < 0) {
            // A used-up token is refused already; its record only takes room, so a failure here can wait for its end.
            if let Err(error) = Box::pin(self.core.tokens().revoke_tree(&caller.id)).await {
                tracing::warn!(%error, "a token that is used up could not be removed");
            }
        }
        recorded
    }

    fn request(&self, time: Timestamp) -> RequestRecord<'_> {
        let auth = self.caller.as_ref().map(|caller| AuthRecord {
            policies: caller.policies(),
            identity_policies: caller.identity().map_or(&[], |identity| &identity.policies),
            allowed: Some(self.refusal.is_none()),
            remaining_uses: uses(&caller.entry),
            ..describe(&caller.entry)
        });
        RequestRecord {
            time,
            request_id: self.ask.request_id,
            operation: self.operation.as_str(),
            path: self.ask.path,
            mount_path: self.mount.as_ref().map(|mount| mount.path.as_str()),
            mount_type: self.mount.as_ref().map(|mount| mount.engine.name()),
            mount_accessor: self.mount.as_ref().map(|mount| mount.accessor.as_str()),
            remote_address: self.ask.remote,
            client_token: self.ask.token(),
            auth,
            data: (!self.ask.data.is_empty()).then(|| self.ask.data.expose_secret()),
            clear_names: self.mount.as_ref().map_or(&[], |mount| &mount.config.audit_non_hmac_request_keys),
            headers: self.ask.headers,
            wrap_ttl: self.ask.wrap_ttl,
            error: self.refusal.as_deref(),
        }
    }
}

impl Drop for Exchange<'_> {
    /// Records a request whose answer nobody waited for.
    fn drop(&mut self) {
        if !self.pending {
            return;
        }
        match self.core.audit().record_request(&self.request(self.asked)) {
            Ok(recording) if !recording.has_failed() => {}
            _ => tracing::error!("a request whose client went away could not be recorded"),
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
        entity_id: &entry.entity_id,
        token_type: entry.kind.name(),
        token_ttl: entry.ttl,
        token_issue_time: Some(entry.created),
    }
}
