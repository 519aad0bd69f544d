//! Which token a login gets: what a role or user says, within what its mount says.

use std::collections::BTreeSet;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::{mount::Mount, token::TokenKind};

/// Which kind of token a role or user asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum LoginTokenType {
    /// The mount's kind.
    #[default]
    Default,
    /// Stored, unless the mount issues batch tokens only.
    Service,
    /// Self-contained, unless the mount issues service tokens only.
    Batch,
}

impl LoginTokenType {
    /// The name that clients know.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Service => "service",
            Self::Batch => "batch",
        }
    }

    /// The type of that name; `default-service` and `default-batch` mean what their second half says.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "" | "default" => Some(Self::Default),
            "service" | "default-service" => Some(Self::Service),
            "batch" | "default-batch" => Some(Self::Batch),
            _ => None,
        }
    }
}

/// What a role or user says about its tokens (`token_…`). Durations in seconds; 0: the mount's, or none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenSettings {
    /// Policies, as they were given.
    pub policies: Vec<String>,
    /// How long a token lives at first.
    pub ttl: u64,
    /// The longest life that renewals can reach.
    pub max_ttl: u64,
    /// The end of its life whatever the role, user or mount says later.
    pub explicit_max_ttl: u64,
    /// Requests a token is good for; 0: unlimited.
    pub num_uses: u64,
    /// What each renewal gives; such a token has no longest life.
    pub period: u64,
    /// Service or batch.
    pub token_type: LoginTokenType,
    /// Where a token may be used from; empty: anywhere.
    pub bound_cidrs: Vec<IpNet>,
    /// Leave out the `default` policy.
    pub no_default_policy: bool,
    /// Older names of fields that were given, such as `policies`: whoever sets them expects them back.
    pub older_names: BTreeSet<String>,
}

/// Settings that contradict each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// A token would live longer at first than it ever may.
    #[error("'token_ttl' cannot be greater than 'token_max_ttl'")]
    TtlOrder,
    /// Batch tokens are not renewed.
    #[error("'token_type' cannot be 'batch' or 'default_batch' when set to generate periodic tokens")]
    PeriodicBatch,
    /// Batch tokens are not counted.
    #[error("'token_type' cannot be 'batch' or 'default_batch' when set to generate tokens with limited use count")]
    CountedBatch,
}

impl TokenSettings {
    /// Whether the settings can be kept together.
    pub(super) fn check(&self) -> Result<(), SettingsError> {
        if self.ttl > self.max_ttl && self.max_ttl > 0 {
            return Err(SettingsError::TtlOrder);
        }
        match self.token_type {
            LoginTokenType::Batch if self.period > 0 => Err(SettingsError::PeriodicBatch),
            LoginTokenType::Batch if self.num_uses > 0 => Err(SettingsError::CountedBatch),
            _ => Ok(()),
        }
    }

    /// The kind of token that a login at `mount` gets: the mount's where it insists or nothing is asked.
    pub(super) fn kind(&self, mount: &Mount) -> TokenKind {
        match (mount.config.token_type.as_deref(), self.token_type) {
            (Some("service"), _) => TokenKind::Service,
            (Some("batch"), _) | (_, LoginTokenType::Batch) => TokenKind::Batch,
            (Some("default-batch"), LoginTokenType::Default) => TokenKind::Batch,
            (_, LoginTokenType::Default | LoginTokenType::Service) => TokenKind::Service,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::login::issue::tests::mount;

    #[test]
    fn settings_must_not_contradict_each_other() {
        let check = |settings: TokenSettings| settings.check();
        let batch = || TokenSettings { token_type: LoginTokenType::Batch, ..TokenSettings::default() };
        assert_eq!(check(TokenSettings { ttl: 5, max_ttl: 0, ..TokenSettings::default() }), Ok(()));
        assert_eq!(check(TokenSettings { ttl: 5, max_ttl: 5, ..TokenSettings::default() }), Ok(()));
        assert_eq!(
            check(TokenSettings { ttl: 6, max_ttl: 5, ..TokenSettings::default() }),
            Err(SettingsError::TtlOrder)
        );
        assert_eq!(check(batch()), Ok(()));
        assert_eq!(check(TokenSettings { period: 1, ..batch() }), Err(SettingsError::PeriodicBatch));
        assert_eq!(check(TokenSettings { num_uses: 1, ..batch() }), Err(SettingsError::CountedBatch));
    }

    #[test]
    fn a_mount_that_insists_goes_before_the_role() {
        use LoginTokenType::{Batch, Default, Service};
        for (of_mount, of_role, kind) in [
            (None, Default, TokenKind::Service),
            (None, Batch, TokenKind::Batch),
            (Some("default-service"), Batch, TokenKind::Batch),
            (Some("default-batch"), Default, TokenKind::Batch),
            (Some("default-batch"), Service, TokenKind::Service),
            (Some("service"), Batch, TokenKind::Service),
            (Some("batch"), Service, TokenKind::Batch),
        ] {
            let mut mount = mount();
            mount.config.token_type = of_mount.map(str::to_owned);
            let settings = TokenSettings { token_type: of_role, ..TokenSettings::default() };
            assert_eq!(settings.kind(&mount), kind, "{of_mount:?} {of_role:?}");
        }
    }
}
