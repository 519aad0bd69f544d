//! Login with the certificate that the client showed in the handshake.

use std::collections::BTreeMap;

use super::{
    Cert, CertEntry, CertError,
    certificate::{Certificate, from_pem},
    chain,
    config::config_of,
    crl::any_revoked,
    mount_of,
};
use crate::{
    clock::Timestamp,
    door::Permit,
    keys,
    login::{LoginIdentity, Terms, issue::Proven, name_of},
    mount::Mount,
    store::{Store, StoreError},
    token::{Entry, Issued, TokenError, address_allowed, sanitize_policies},
};

/// The entry of a token's metadata that names its entry here.
const CERT_NAME: &str = "cert_name";
/// The entry of a token's metadata that tells the certificate apart from all others.
const FINGERPRINT: &str = "certificate_fingerprint";

impl Cert {
    /// Logs in with the client's certificate: with the entry called `name`, or the first that fits.
    ///
    /// # Errors
    /// When no entry trusts the certificate.
    pub async fn login(&self, permit: Permit, name: &str) -> Result<Issued, CertError> {
        let mount = mount_of(&permit)?;
        let (path, from) = (permit.path().to_owned(), permit.remote());
        let shown = permit.certificates().to_vec();
        permit.spend();
        let (name, entry, certificate) = find(&self.store, &mount, name, &shown).await?;
        if !address_allowed(&entry.token.bound_cidrs, from) {
            return Err(CertError::Denied);
        }
        let config = config_of(&self.store, &mount).await?;
        let meta = metadata(&name, &entry, &certificate);
        let metadata = if config.enable_identity_alias_metadata { meta.clone() } else { BTreeMap::new() };
        // A certificate without a common name is known by itself alone.
        let alias = if certificate.common_name.is_empty() { certificate.fingerprint } else { certificate.common_name };
        let identity = LoginIdentity { alias, metadata, groups: Vec::new() };
        let bound_cidrs = entry.token.bound_cidrs.clone();
        let (mount, name) = (&*mount, entry.display_name.as_str());
        let proven = Proven { mount, path, name, meta, settings: &entry.token, bound_cidrs, identity };
        Ok(self.issuer.issue(proven).await?)
    }
}

fn metadata(name: &str, entry: &CertEntry, certificate: &Certificate) -> BTreeMap<String, String> {
    let mut meta: BTreeMap<String, String> = BTreeMap::new();
    for (oid, value) in &certificate.extensions {
        if entry.allowed_metadata_extensions.contains(oid) {
            meta.insert(oid.replace('.', "-"), value.clone());
        }
    }
    let fixed = [
        (CERT_NAME, name),
        ("common_name", &certificate.common_name),
        ("serial_number", &certificate.serial),
        ("subject_key_id", &certificate.subject_key_id),
        ("authority_key_id", &certificate.authority_key_id),
        (FINGERPRINT, &certificate.fingerprint),
    ];
    meta.extend(fixed.map(|(name, value)| (name.to_owned(), value.to_owned())));
    meta
}

/// The first entry (of that name, if one is given) that trusts what the client shows.
async fn find(
    store: &Store,
    mount: &Mount,
    name: &str,
    shown: &[Vec<u8>],
) -> Result<(String, CertEntry, Certificate), CertError> {
    let own = shown.first().ok_or_else(|| CertError::invalid("client certificate must be supplied"))?;
    let certificate = Certificate::read(own).ok_or_else(untrusted)?;
    let now = store.now();
    if !certificate.is_valid_at(now) {
        return Err(CertError::invalid("failed to verify client's certificate: it has expired or is not yet valid"));
    }
    if !certificate.is_for_clients {
        return Err(CertError::invalid(
            "failed to verify client's certificate: its extended key usage does not allow client authentication",
        ));
    }
    let mut trusted = false;
    for (name, entry) in entries(store, mount, name).await? {
        let Some(chain) = chain_of(&entry, shown, now) else { continue };
        trusted = true;
        if entry.fits(&certificate) && !any_revoked(store, mount, &chain).await? {
            return Ok((name, entry, certificate));
        }
    }
    if !trusted {
        return Err(untrusted());
    }
    Err(CertError::invalid("no chain matching all constraints could be found for this login certificate"))
}

fn untrusted() -> CertError {
    CertError::invalid("invalid certificate or no client certificate supplied")
}

fn chain_of(entry: &CertEntry, shown: &[Vec<u8>], now: Timestamp) -> Option<Vec<String>> {
    chain::find(shown, &from_pem(&entry.certificate)?, now)
}

async fn entries(store: &Store, mount: &Mount, name: &str) -> Result<Vec<(String, CertEntry)>, StoreError> {
    if name.is_empty() {
        let all = store.read_all::<CertEntry>(&keys::cert_entries(&mount.uuid)).await?;
        return Ok(all.into_iter().map(|(key, entry)| (String::from_utf8_lossy(&key).into_owned(), entry)).collect());
    }
    let Ok(name) = name_of(name) else { return Ok(Vec::new()) };
    let found = store.read::<CertEntry>(&keys::cert_entry(&mount.uuid, &name)).await?;
    Ok(found.map(|seen| (name, seen.value)).into_iter().collect())
}

/// The terms of a token that a login got. Unless the mount says otherwise, whoever renews it must show the certificate
/// that it was given to, and that must still be trusted.
pub(in crate::login) async fn terms(
    store: &Store,
    mount: &Mount,
    entry: &Entry,
    certificates: &[Vec<u8>],
) -> Result<Terms, TokenError> {
    let invalid = |text: &str| TokenError::Invalid(text.to_owned());
    let name = entry.meta.get(CERT_NAME).map_or("", String::as_str);
    let found = store.read::<CertEntry>(&keys::cert_entry(&mount.uuid, name)).await?;
    let settings =
        found.ok_or_else(|| invalid("the certificate entry does not exist any more, not renewing"))?.value.token;
    let own = |names: &[String]| {
        let mut own = sanitize_policies(names, false);
        own.retain(|name| name != "default");
        own
    };
    if own(&settings.policies) != own(&entry.policies) {
        return Err(invalid("policies have changed, not renewing"));
    }
    if !config_of(store, mount).await?.disable_binding {
        let (.., certificate) = find(store, mount, name, certificates).await.map_err(|error| match error {
            CertError::Store(error) => TokenError::Store(error),
            error => TokenError::Invalid(error.to_string()),
        })?;
        if entry.meta.get(FINGERPRINT) != Some(&certificate.fingerprint) {
            return Err(invalid("client identity during renewal not matching client identity used during login"));
        }
    }
    Ok(Terms::from(&settings))
}
