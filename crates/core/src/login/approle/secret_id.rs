//! Secret ids: made, found and removed. A secret id is seen once, when it is made.

use std::collections::BTreeMap;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{AppRole, AppRoleError, MAX_ID_LEN, Place, Role, cidr::check_within};
use crate::{
    barrier::Batch,
    clock::{self, Timestamp, nanos},
    door::Permit,
    keys,
    mount::Mount,
    secret::SecretString,
    storage::{Commit, Key, Revision},
    store::{Seen, Store, StoreError},
};

/// Entries of a secret id's metadata at the most; each token that it gets carries them.
const MAX_METADATA: usize = 64;
/// The longest key of an entry, in bytes.
const MAX_METADATA_KEY: usize = 128;
/// The longest value of an entry, in bytes.
const MAX_METADATA_VALUE: usize = 512;

/// What is known of a secret id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretId {
    /// The public handle by which it can be looked up and destroyed, but not used.
    pub accessor: String,
    /// Logins it is still good for; 0: unlimited.
    pub num_uses: u64,
    /// Seconds it was given; 0: it does not end.
    pub ttl: u64,
    /// When it was made.
    #[serde(with = "nanos")]
    pub created: Timestamp,
    /// When it was last used, if it counts its uses; otherwise when it was made.
    #[serde(with = "nanos")]
    pub updated: Timestamp,
    /// When it ends.
    #[serde(with = "nanos::option")]
    pub expires: Option<Timestamp>,
    /// Goes into the metadata of its tokens.
    pub metadata: BTreeMap<String, String>,
    /// Where logins may come from; empty: as the role says.
    pub cidr_list: Vec<IpNet>,
    /// Where its tokens may be used from; empty: as the role says.
    pub token_bound_cidrs: Vec<IpNet>,
}

impl SecretId {
    pub(super) fn has_ended(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|end| end <= now)
    }
}

/// A secret id to be made. `None`: as the role says.
#[derive(Debug, Default)]
pub struct NewSecretId {
    /// Of the caller's choosing; `None`: a random UUID.
    pub secret_id: Option<SecretString>,
    /// Logins it is good for.
    pub num_uses: Option<u64>,
    /// Seconds it lives.
    pub ttl: Option<u64>,
    /// Goes into the metadata of its tokens.
    pub metadata: BTreeMap<String, String>,
    /// Where logins may come from; must lie within the role's.
    pub cidr_list: Vec<IpNet>,
    /// Where its tokens may be used from; must lie within the role's.
    pub token_bound_cidrs: Vec<IpNet>,
}

/// A secret id at the moment it is made: the only time that it is seen.
#[derive(Debug)]
pub struct IssuedSecretId {
    /// The secret id.
    pub secret_id: SecretString,
    /// What is known of it.
    pub entry: SecretId,
}

/// Where a secret id's records are.
pub(super) struct Spot {
    pub(super) mount: String,
    pub(super) series: String,
    pub(super) hash: String,
}

impl Spot {
    pub(super) fn key(&self) -> Key {
        keys::approle_secret_id(&self.mount, &self.series, &self.hash)
    }

    pub(super) fn expiry_key(&self, at: Timestamp) -> Key {
        keys::approle_expiry(&self.mount, at, &self.series, &self.hash)
    }
}

impl AppRole {
    /// Makes a secret id for the role.
    ///
    /// # Errors
    /// When the role is not there or takes none, when what is asked goes beyond what the role allows, or when the
    /// role has this secret id already.
    pub async fn generate_secret_id(&self, permit: Permit, new: NewSecretId) -> Result<IssuedSecretId, AppRoleError> {
        let place = Place::of(&permit)?;
        permit.spend();
        let secret_id = match &new.secret_id {
            Some(chosen) => check_chosen(chosen)?,
            None => SecretString::new(self.store.random.uuid()?.to_string()),
        };
        let accessor = self.store.random.uuid()?.to_string();
        loop {
            let role = self.require(&place).await?;
            let entry = self.draft(&place.mount, &role.value, &new, accessor.clone())?;
            let spot = self.spot(&place.mount, &role.value, secret_id.expose_secret().trim());
            let mut batch = Batch::new()
                // The role must still be there when its secret id is written, or the secret id would outlive it.
                .expect(place.key(), Some(role.revision))
                .expect(spot.key(), None)
                .put(spot.key(), Store::encode(&entry)?)
                .put(self.accessor_key(&spot, &entry.accessor), Store::encode(&spot.hash)?);
            if let Some(end) = entry.expires {
                batch = batch.put(spot.expiry_key(end), Store::encode(&())?);
            }
            match self.store.commit(batch).await? {
                Commit::Committed(_) => return Ok(IssuedSecretId { secret_id, entry }),
                Commit::Conflict(taken) if taken == spot.key() => return Err(AppRoleError::SecretIdTaken),
                // The role changed meanwhile: look at it again.
                Commit::Conflict(_) => {}
            }
        }
    }

    /// The accessors of the role's secret ids.
    ///
    /// # Errors
    /// When the role is not there or the store fails.
    pub async fn list_accessors(&self, permit: Permit) -> Result<Vec<String>, AppRoleError> {
        let place = Place::of(&permit)?;
        permit.spend();
        let role = self.require(&place).await?.value;
        let all = self.store.read_all::<SecretId>(&keys::approle_secret_ids(&place.mount.uuid, &role.series)).await?;
        let now = self.store.now();
        Ok(all.into_iter().filter(|(_, entry)| !entry.has_ended(now)).map(|(_, entry)| entry.accessor).collect())
    }

    /// What is known of a secret id of the role.
    ///
    /// # Errors
    /// When the role is not there or the store fails.
    pub async fn lookup_secret_id(
        &self,
        permit: Permit,
        secret_id: &SecretString,
    ) -> Result<Option<SecretId>, AppRoleError> {
        let (place, role) = self.role_for(permit).await?;
        let spot = self.spot(&place.mount, &role, secret_id.expose_secret().trim());
        Ok(self.live(&spot).await?.map(|seen| seen.value))
    }

    /// What is known of the role's secret id with this accessor.
    ///
    /// # Errors
    /// When the role is not there or the store fails.
    pub async fn lookup_accessor(&self, permit: Permit, accessor: &str) -> Result<Option<SecretId>, AppRoleError> {
        let (place, role) = self.role_for(permit).await?;
        let Some(spot) = self.spot_of_accessor(&place.mount, &role, accessor).await? else { return Ok(None) };
        Ok(self.live(&spot).await?.map(|seen| seen.value))
    }

    /// Destroys a secret id of the role. One that is not there is no error.
    ///
    /// # Errors
    /// When the role is not there or the store fails.
    pub async fn destroy_secret_id(&self, permit: Permit, secret_id: &SecretString) -> Result<(), AppRoleError> {
        let (place, role) = self.role_for(permit).await?;
        let spot = self.spot(&place.mount, &role, secret_id.expose_secret().trim());
        self.destroy(&spot).await?;
        Ok(())
    }

    /// Destroys the role's secret id with this accessor.
    ///
    /// # Errors
    /// [`AppRoleError::NoAccessor`] when there is none; also when the role is not there or the store fails.
    pub async fn destroy_accessor(&self, permit: Permit, accessor: &str) -> Result<(), AppRoleError> {
        let (place, role) = self.role_for(permit).await?;
        let unknown = || AppRoleError::NoAccessor(accessor.to_owned());
        let spot = self.spot_of_accessor(&place.mount, &role, accessor).await?.ok_or_else(unknown)?;
        if self.destroy(&spot).await? { Ok(()) } else { Err(unknown()) }
    }

    async fn role_for(&self, permit: Permit) -> Result<(Place, Role), AppRoleError> {
        let place = Place::of(&permit)?;
        permit.spend();
        let role = self.require(&place).await?.value;
        Ok((place, role))
    }

    pub(super) fn spot(&self, mount: &Mount, role: &Role, secret_id: &str) -> Spot {
        let hash = self.hash(&mount.uuid, "secret-id", &role.series, secret_id);
        Spot { mount: mount.uuid.clone(), series: role.series.clone(), hash }
    }

    async fn spot_of_accessor(&self, mount: &Mount, role: &Role, accessor: &str) -> Result<Option<Spot>, StoreError> {
        let mut spot = Spot { mount: mount.uuid.clone(), series: role.series.clone(), hash: String::new() };
        let found = self.store.read::<String>(&self.accessor_key(&spot, accessor)).await?;
        Ok(found.map(|seen| {
            spot.hash = seen.value;
            spot
        }))
    }

    fn accessor_key(&self, spot: &Spot, accessor: &str) -> Key {
        keys::approle_accessor(&spot.mount, &spot.series, &self.hash(&spot.mount, "accessor", &spot.series, accessor))
    }

    async fn live(&self, spot: &Spot) -> Result<Option<Seen<SecretId>>, StoreError> {
        let now = self.store.now();
        let found = self.store.read::<SecretId>(&spot.key()).await?;
        Ok(found.filter(|seen| !seen.value.has_ended(now)))
    }

    /// Destroys a secret id, and says whether there was one.
    async fn destroy(&self, spot: &Spot) -> Result<bool, StoreError> {
        let _lock = self.store.lock(&spot.key()).await;
        loop {
            let Some(seen) = self.store.read::<SecretId>(&spot.key()).await? else { return Ok(false) };
            if let Commit::Committed(_) = self.store.commit(self.removal(spot, &seen.value, seen.revision)).await? {
                return Ok(true);
            }
        }
    }

    /// The batch that removes a secret id with all that leads to it, if it is as it was seen.
    pub(super) fn removal(&self, spot: &Spot, entry: &SecretId, revision: Revision) -> Batch {
        let batch = Batch::new()
            .expect(spot.key(), Some(revision))
            .delete(spot.key())
            .delete(self.accessor_key(spot, &entry.accessor));
        entry.expires.into_iter().fold(batch, |batch, end| batch.delete(spot.expiry_key(end)))
    }

    fn draft(&self, mount: &Mount, role: &Role, new: &NewSecretId, accessor: String) -> Result<SecretId, AppRoleError> {
        let bounds = bounds_of(mount, role, new)?;
        let now = self.store.now();
        Ok(SecretId {
            accessor,
            num_uses: bounds.num_uses,
            ttl: bounds.ttl,
            created: now,
            updated: now,
            expires: (bounds.ttl > 0).then(|| clock::after(now, bounds.ttl)),
            metadata: new.metadata.clone(),
            cidr_list: new.cidr_list.clone(),
            token_bound_cidrs: new.token_bound_cidrs.clone(),
        })
    }
}

/// How often and how long a new secret id is good.
#[derive(Debug, PartialEq, Eq)]
struct SecretIdBounds {
    num_uses: u64,
    ttl: u64,
}

/// What is asked of a new secret id, if the role allows it. A TTL is cut to the mount's maximum.
fn bounds_of(mount: &Mount, role: &Role, new: &NewSecretId) -> Result<SecretIdBounds, AppRoleError> {
    let invalid = |text: &str| Err(AppRoleError::Invalid(text.to_owned()));
    if !role.bind_secret_id {
        return invalid("bind_secret_id is not set on the role");
    }
    check_within(&new.cidr_list, &role.secret_id_bound_cidrs)?;
    check_within(&new.token_bound_cidrs, &role.token.bound_cidrs)?;
    check_metadata(&new.metadata)?;
    // 0 is "unlimited", the largest of all.
    let exceeds = |asked: u64, limit: u64| limit > 0 && (asked == 0 || asked > limit);
    let num_uses = new.num_uses.unwrap_or(role.secret_id_num_uses);
    if exceeds(num_uses, role.secret_id_num_uses) {
        return invalid("num_uses cannot be higher than the role's secret_id_num_uses");
    }
    let ttl = new.ttl.unwrap_or(role.secret_id_ttl);
    if exceeds(ttl, role.secret_id_ttl) {
        return invalid("ttl cannot be longer than the role's secret_id_ttl");
    }
    Ok(SecretIdBounds { num_uses, ttl: ttl.min(mount.max_lease_ttl()) })
}

fn check_chosen(chosen: &SecretString) -> Result<SecretString, AppRoleError> {
    let text = chosen.expose_secret().trim();
    if text.is_empty() {
        return Err(AppRoleError::MissingSecretId);
    }
    if text.len() > MAX_ID_LEN {
        return Err(AppRoleError::Invalid(format!("secret_id is longer than {MAX_ID_LEN} bytes")));
    }
    Ok(chosen.clone())
}

fn check_metadata(metadata: &BTreeMap<String, String>) -> Result<(), AppRoleError> {
    let fits = metadata.len() <= MAX_METADATA
        && metadata
            .iter()
            .all(|(key, value)| (1..=MAX_METADATA_KEY).contains(&key.len()) && value.len() <= MAX_METADATA_VALUE);
    if fits {
        return Ok(());
    }
    Err(AppRoleError::Invalid(format!(
        "failed to parse metadata: it can have {MAX_METADATA} entries with keys of 1 to {MAX_METADATA_KEY} bytes and \
         values of up to {MAX_METADATA_VALUE} bytes"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::login::issue::tests::mount;

    fn ask(role: &Role, num_uses: Option<u64>, ttl: Option<u64>) -> Result<(u64, u64), AppRoleError> {
        let new = NewSecretId { num_uses, ttl, ..NewSecretId::default() };
        bounds_of(&mount(), role, &new).map(|bounds| (bounds.num_uses, bounds.ttl))
    }

    #[test]
    fn a_secret_id_is_no_wider_than_its_role() {
        let open = Role::new("web", String::new(), "id".into());
        assert_eq!(ask(&open, None, None).expect("fits"), (0, 0));
        assert_eq!(ask(&open, Some(9), Some(90)).expect("fits"), (9, 90));
        let bound = Role { secret_id_num_uses: 3, secret_id_ttl: 60, ..open.clone() };
        assert_eq!(ask(&bound, None, None).expect("fits"), (3, 60));
        assert_eq!(ask(&bound, Some(1), Some(30)).expect("fits"), (1, 30));
        for (num_uses, ttl) in [(Some(4), None), (Some(0), None), (None, Some(61)), (None, Some(0))] {
            assert!(ask(&bound, num_uses, ttl).is_err(), "{num_uses:?} {ttl:?}");
        }
        assert!(ask(&Role { bind_secret_id: false, ..open }, None, None).is_err());
    }

    #[test]
    fn a_long_ttl_is_cut_to_the_mounts_maximum() {
        let role = Role::new("web", String::new(), "id".into());
        assert_eq!(ask(&role, None, Some(u64::MAX)).expect("fits").1, mount().max_lease_ttl());
    }

    #[test]
    fn metadata_is_bounded() {
        let entries = |count: usize| (0..count).map(|index| (format!("k{index}"), String::new())).collect();
        assert!(check_metadata(&entries(64)).is_ok());
        assert!(check_metadata(&entries(65)).is_err());
        assert!(check_metadata(&[(String::new(), String::new())].into()).is_err());
        assert!(check_metadata(&[("k".to_owned(), "x".repeat(513))].into()).is_err());
    }
}
