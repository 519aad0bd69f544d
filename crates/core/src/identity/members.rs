//! Groups as those handle them who put in and take out one member at a time, and make a group only once.

use std::sync::Arc;

use super::{
    Group, GroupKind, Identity, IdentityError,
    change::Change,
    record::{check_name, clean_policies},
};
use crate::door::Permit;

/// What a request for one member found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Membership {
    /// It is as it was asked to be now.
    Changed,
    /// It was so already.
    Same,
    /// There is no such group, or no such entity.
    Unknown,
}

impl Identity {
    /// Makes a group that administrators fill. `None`: there is one of that name.
    ///
    /// # Errors
    /// When a name cannot be.
    pub async fn new_group(
        &self,
        permit: Permit,
        name: &str,
        policies: &[String],
    ) -> Result<Option<Arc<Group>>, IdentityError> {
        permit.spend();
        check_name(name)?;
        let policies = clean_policies(policies)?;
        let _alone = self.gate.write().await;
        if self.index().group_named(name).is_some() {
            return Ok(None);
        }
        let mut group = Group::new(self.new_id()?, name.to_owned(), GroupKind::Internal, self.store.now());
        group.policies = policies;
        let id = group.id.clone();
        self.apply(Change::default().put_group(group, None)?).await?;
        Ok(self.index().group(&id).cloned())
    }

    /// Puts an entity into a group, or takes it out.
    ///
    /// # Errors
    /// When an auth method says who is in the group.
    pub async fn set_member(
        &self,
        permit: Permit,
        group: &str,
        entity: &str,
        is_in: bool,
    ) -> Result<Membership, IdentityError> {
        permit.spend();
        let _alone = self.gate.write().await;
        let change = {
            let index = self.index();
            let Some(found) = index.group(group).filter(|_| index.entity(entity).is_some()) else {
                return Ok(Membership::Unknown);
            };
            if found.kind == GroupKind::External {
                return Err(IdentityError::invalid("an auth method says who is in this group"));
            }
            match (index.is_member(group, entity), is_in) {
                (false, true) => Change::default().join(group, entity)?,
                (true, false) => Change::default().leave(group, entity),
                _ => return Ok(Membership::Same),
            }
        };
        self.apply(change).await?;
        Ok(Membership::Changed)
    }
}
