//! Evidence before a credential is revoked: nobody who read it lately has yet to read the new one, and at the target
//! nobody is logged in with it.

use super::{
    AtMax, Inner, Phase, Rotation, Run, Site, Strategy,
    keeping::Held,
    machine::{Flow, StepError},
};
use crate::{
    clock::{self, SignedDuration, Timestamp},
    consumers::Consumer,
    target::Session,
};

/// Seconds between two looks, at the least and the most.
const LOOKS: (u64, u64) = (1, 60);

/// Who still holds the credential before.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// Consumers that read an earlier version within the look-back and not the new one since.
    pub stragglers: Vec<Consumer>,
    /// Sessions that are open at the target as the principal before.
    pub sessions: Vec<Session>,
    /// Why the evidence is not complete; empty: it is.
    pub unknown: String,
}

impl Evidence {
    /// Whether nobody is shown to need the credential before, and nothing is left in doubt.
    #[must_use]
    pub fn is_clear(&self) -> bool {
        self.stragglers.is_empty() && self.sessions.is_empty() && self.unknown.is_empty()
    }

    fn summary(&self) -> String {
        let mut parts = Vec::new();
        if !self.stragglers.is_empty() {
            let names: Vec<&str> = self.stragglers.iter().take(5).map(|one| one.identity.as_str()).collect();
            let have = if names.len() == 1 { "consumer has" } else { "consumers have" };
            parts.push(format!("{} {have} yet to read the new version: {}", self.stragglers.len(), names.join(", ")));
        }
        if !self.sessions.is_empty() {
            let are = if self.sessions.len() == 1 { "session is" } else { "sessions are" };
            parts.push(format!("{} {are} open as the principal before", self.sessions.len()));
        }
        if !self.unknown.is_empty() {
            parts.push(self.unknown.clone());
        }
        parts.join("; ")
    }
}

impl Inner {
    /// One look during the overlap.
    pub(super) async fn overlap(&self, held: &mut Held) -> Result<Flow, StepError> {
        let now = self.store.now();
        let settings = &held.rotation.settings;
        let Some(run) = &held.rotation.run else { return Err(StepError::Lost) };
        let promoted = run.promoted.unwrap_or(run.began);
        let earliest = clock::after(promoted, settings.overlap_min);
        if now < earliest {
            return self.rest(held, Some(earliest)).await;
        }
        if held.rotation.paused {
            return self.rest(held, None).await;
        }
        let evidence = self.evidence(&held.site, &held.rotation, run).await?;
        let over = now >= clock::after(promoted, settings.overlap_max);
        if evidence.is_clear() || over && settings.at_max == AtMax::Revoke {
            if !evidence.is_clear() {
                tracing::warn!(
                    secret = held.site.name,
                    left = evidence.summary(),
                    "a credential is revoked all the same"
                );
            }
            return self.go(held, Phase::Revoking).await;
        }
        let summary = evidence.summary();
        if over && run.reason != summary {
            tracing::warn!(secret = held.site.name, waiting = summary, "the overlap lasts longer than it should");
        }
        let pause = clock::seconds_until(promoted, now) / 8;
        if let Some(run) = &mut held.rotation.run {
            run.reason = summary;
        }
        let look = clock::after(now, pause.clamp(LOOKS.0, LOOKS.1));
        // By the second, as what is due is looked for: a second's pause ends with the next look at it, not the one after.
        self.rest(held, Some(Timestamp::from_second(look.as_second()).unwrap_or(look))).await
    }

    pub(super) async fn evidence(&self, site: &Site, rotation: &Rotation, run: &Run) -> Result<Evidence, StepError> {
        let now = self.store.now();
        let seconds = i64::try_from(rotation.settings.look_back).unwrap_or(i64::MAX);
        let since = now.checked_sub(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MIN);
        let seen = self.consumers.of(site).await?;
        let is_behind = |one: &Consumer| one.version != run.new.version && one.at >= since;
        let stragglers = seen.consumers.into_iter().filter(is_behind).collect();
        let mut evidence = Evidence { stragglers, ..Evidence::default() };
        if seen.incomplete.is_some_and(|at| at >= since) {
            evidence.unknown = "more consumers read the secret than are remembered".to_owned();
        }
        let Some(old) = run.old.as_ref().filter(|_| rotation.settings.strategy == Strategy::Alternating) else {
            return Ok(evidence);
        };
        // A target that does not tell is no evidence that nobody is there.
        let open = async {
            let target = self.target(site, &rotation.settings).await?;
            Ok::<_, StepError>(target.sessions(std::slice::from_ref(&old.username)).await?)
        };
        match open.await {
            Ok(sessions) => evidence.sessions = sessions,
            Err(StepError::Store(error)) => return Err(error.into()),
            Err(error) => evidence.unknown = format!("the target does not say who is connected: {error}"),
        }
        Ok(evidence)
    }
}
