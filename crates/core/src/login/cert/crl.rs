//! Revocation lists, as they are uploaded. A list is its serial numbers: who brings it answers for where it is from, and
//! a serial number on it revokes a certificate of any issuer, as with Vault. When it ends does not matter.

use std::collections::BTreeSet;

use rustls_pki_types::{CertificateRevocationListDer, pem::PemObject};
use serde::{Deserialize, Serialize};
use x509_parser::{prelude::FromDer, revocation_list::CertificateRevocationList};

use super::{Cert, CertError, mount_of, place};
use crate::{
    door::Permit,
    keys,
    mount::Mount,
    store::{Store, StoreError},
};

/// Serial numbers of one list at the most.
const MAX_SERIALS: usize = 50_000;

/// Serial numbers, in decimal digits.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Revoked(BTreeSet<String>);

impl Cert {
    /// The names of the mount's lists.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list_crls(&self, permit: Permit) -> Result<Vec<String>, CertError> {
        let mount = mount_of(&permit)?;
        permit.spend();
        Ok(self.store.names(&keys::cert_crls(&mount.uuid)).await?)
    }

    /// The serial numbers on a list, in decimal digits.
    ///
    /// # Errors
    /// When there is no such list.
    pub async fn read_crl(&self, permit: Permit) -> Result<Vec<String>, CertError> {
        let (mount, name) = place(&permit, "crls/")?;
        permit.spend();
        let found = self.store.read::<Revoked>(&keys::cert_crl(&mount.uuid, &name)).await?;
        found.map(|seen| seen.value.0.into_iter().collect()).ok_or_else(|| missing(&name))
    }

    /// Replaces a list by one in PEM.
    ///
    /// # Errors
    /// When it is none, or has too many serial numbers.
    pub async fn write_crl(&self, permit: Permit, text: &str) -> Result<(), CertError> {
        let (mount, name) = place(&permit, "crls/")?;
        permit.spend();
        let revoked = parse(text)?;
        let key = keys::cert_crl(&mount.uuid, &name);
        let _lock = self.store.lock(&key).await;
        Ok(self.store.write(key, &revoked).await?)
    }

    /// Removes a list.
    ///
    /// # Errors
    /// When there is no such list.
    pub async fn delete_crl(&self, permit: Permit) -> Result<(), CertError> {
        let (mount, name) = place(&permit, "crls/")?;
        permit.spend();
        let key = keys::cert_crl(&mount.uuid, &name);
        let _lock = self.store.lock(&key).await;
        if self.store.read::<Revoked>(&key).await?.is_none() {
            return Err(missing(&name));
        }
        Ok(self.store.delete(key).await?)
    }
}

/// Whether any of the mount's lists has one of `serials`.
pub(super) async fn any_revoked(store: &Store, mount: &Mount, serials: &[String]) -> Result<bool, StoreError> {
    let lists = store.read_all::<Revoked>(&keys::cert_crls(&mount.uuid)).await?;
    Ok(lists.iter().any(|(_, revoked)| serials.iter().any(|serial| revoked.0.contains(serial))))
}

fn parse(text: &str) -> Result<Revoked, CertError> {
    let unreadable = || CertError::invalid("failed to parse CRL: expected PEM (-----BEGIN X509 CRL-----)");
    let der = CertificateRevocationListDer::from_pem_slice(text.as_bytes()).map_err(|_| unreadable())?;
    let (_, list) = CertificateRevocationList::from_der(&der).map_err(|_| unreadable())?;
    let serials: BTreeSet<_> = list.iter_revoked_certificates().map(|revoked| revoked.serial().to_string()).collect();
    if serials.len() > MAX_SERIALS {
        return Err(CertError::invalid(format!("a CRL can have {MAX_SERIALS} serial numbers here; split it")));
    }
    Ok(Revoked(serials))
}

fn missing(name: &str) -> CertError {
    CertError::invalid(format!("no such CRL {name}"))
}

#[cfg(test)]
mod tests {
    use rcgen::{
        BasicConstraints, CertificateRevocationListParams, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
        RevokedCertParams,
    };

    use super::{super::certificate::tests::params, *};

    #[test]
    fn serial_numbers_are_read_in_decimal() {
        let revoked = |serial: &[u8]| RevokedCertParams {
            serial_number: serial.to_vec().into(),
            revocation_time: rcgen::date_time_ymd(2026, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: rcgen::date_time_ymd(2026, 1, 1),
            next_update: rcgen::date_time_ymd(2027, 1, 1),
            crl_number: 1_u64.into(),
            issuing_distribution_point: None,
            revoked_certs: vec![revoked(&[18, 103]), revoked(&[1, 0, 0, 0, 0, 0, 0, 0, 0])],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let mut params = params("Root");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::CrlSign];
        let issuer = Issuer::new(params, KeyPair::generate().expect("a pair"));
        let pem = list.signed_by(&issuer).expect("signed").pem().expect("PEM");
        let serials = parse(&pem).expect("a list").0;
        assert!(serials.contains("4711") && serials.contains("18446744073709551616"), "{serials:?}");
        assert!(parse("junk").is_err());
    }
}
