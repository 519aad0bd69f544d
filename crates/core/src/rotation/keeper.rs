//! Where the credential is kept: in versions of a secret ([`crate::kv`]), or in the record of a static role
//! ([`crate::database`]). The machine sees both as numbered versions of which one is current and one may be pending; each
//! change is one commit with the rotation's own record, which comes as a [`Batch`].

use super::{
    ConnectionError, Inner, Opened, Settings,
    machine::StepError,
    site::{Keeper, Site},
};
use crate::{
    barrier::Batch,
    kv::{Payload, RotatingError},
    storage::Revision,
    store::StoreError,
};

impl Inner {
    /// The number of the current version; 0: there is none.
    pub(super) async fn current_version(&self, site: &Site) -> Result<u64, RotatingError> {
        match site.keeper {
            Keeper::Secret => Ok(self.kv.rotating(site).await?.current()),
            Keeper::StaticRole => self.roles.current(site).await,
        }
    }

    /// What a version holds, if it can be read.
    pub(super) async fn payload(&self, site: &Site, version: u64) -> Result<Option<Payload>, StepError> {
        let found = match site.keeper {
            Keeper::Secret => self.kv.rotating_payload(site, version).await,
            Keeper::StaticRole => self.roles.payload(site, version).await,
        };
        match found {
            Ok(payload) => Ok(Some(payload)),
            Err(RotatingError::Empty(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Keeps a pending version, or finds the one of that id.
    pub(super) async fn stage_pending(
        &self,
        site: &Site,
        id: &str,
        payload: Option<Payload>,
        base: u64,
        record: impl FnOnce(u64) -> Result<Batch, StoreError> + Send,
    ) -> Result<Revision, RotatingError> {
        match site.keeper {
            Keeper::Secret => self.kv.stage_pending(site, id, payload, base, record).await,
            Keeper::StaticRole => self.roles.stage_pending(site, id, payload, base, record).await,
        }
    }

    /// Makes the pending version current in the place of `base`.
    pub(super) async fn promote_pending(
        &self,
        site: &Site,
        number: u64,
        base: u64,
        record: Batch,
    ) -> Result<Revision, RotatingError> {
        match site.keeper {
            Keeper::Secret => self.kv.promote_pending(site, number, base, record).await,
            Keeper::StaticRole => self.roles.promote(site, number, base, record).await,
        }
    }

    /// Makes the version before current again.
    pub(super) async fn promote_earlier(
        &self,
        site: &Site,
        number: u64,
        base: u64,
        record: Batch,
    ) -> Result<Revision, RotatingError> {
        match site.keeper {
            Keeper::Secret => self.kv.promote_earlier(site, number, base, record).await,
            Keeper::StaticRole => self.roles.promote(site, number, base, record).await,
        }
    }

    /// Takes away a version that never became current.
    pub(super) async fn drop_pending(&self, site: &Site, id: &str, record: Batch) -> Result<Revision, RotatingError> {
        match site.keeper {
            Keeper::Secret => self.kv.drop_pending(site, id, record).await,
            Keeper::StaticRole => self.roles.drop_pending(site, id, record).await,
        }
    }

    /// Opens the target: by its name, or the connection of the static role's own mount.
    pub(super) async fn target(&self, site: &Site, settings: &Settings) -> Result<Opened, ConnectionError> {
        let name = settings.target.as_str();
        let connections = self.connections.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        let connections = connections.ok_or_else(|| ConnectionError::Missing(name.to_owned()))?;
        match site.keeper {
            Keeper::Secret => connections.open(name, &settings.users).await,
            Keeper::StaticRole => connections.open_for_role(&site.mount, name, &site.name).await,
        }
    }
}
