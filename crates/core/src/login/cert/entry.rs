//! Entries: a certificate that is trusted, which names it is good for, and which token they are worth.

use serde::{Deserialize, Serialize};

use super::{Cert, CertError, certificate, certificate::Certificate, mount_of, place};
use crate::{
    door::Permit,
    keys,
    login::{TokenSettings, glob, record},
    mount::Mount,
};

/// An entry. Names are globs; where there are none, all names are good.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertEntry {
    /// Certificates in PEM: of authorities, or of a client.
    pub certificate: String,
    /// Follows the mount's name in the display name of tokens; empty: the entry's name.
    pub display_name: String,
    /// Good common names, DNS names and e-mail addresses.
    pub allowed_names: Vec<String>,
    /// Good common names.
    pub allowed_common_names: Vec<String>,
    /// Good DNS names; one of the certificate's must fit.
    pub allowed_dns_sans: Vec<String>,
    /// Good e-mail addresses; one of the certificate's must fit.
    pub allowed_email_sans: Vec<String>,
    /// Good URIs; one of the certificate's must fit.
    pub allowed_uri_sans: Vec<String>,
    /// Good organizational units; one of the certificate's must fit.
    pub allowed_organizational_units: Vec<String>,
    /// Extensions that must be there, with a text: `<oid>:<glob>`. All must fit.
    pub required_extensions: Vec<String>,
    /// Extensions whose text becomes metadata of tokens, under the object identifier with `-` for `.`.
    pub allowed_metadata_extensions: Vec<String>,
    /// Its tokens.
    pub token: TokenSettings,
}

impl CertEntry {
    fn check(&self) -> Result<(), CertError> {
        let certificates = certificate::from_pem(&self.certificate);
        let certificates = certificates.ok_or_else(|| CertError::invalid("failed to parse certificate"))?;
        let first = certificates.first().and_then(|der| Certificate::read(der)).unwrap_or_default();
        if !first.is_ca && !first.is_for_clients {
            return Err(CertError::invalid(
                "nonCA certificates should have TLS client authentication set as an extended key usage",
            ));
        }
        if self.required_extensions.iter().any(|required| !required.contains(':')) {
            return Err(CertError::invalid("required_extensions must be <oid>:<value>"));
        }
        if self.token.max_ttl > 0 && self.token.ttl > self.token.max_ttl {
            return Err(CertError::invalid("ttl should be shorter than max_ttl"));
        }
        Ok(self.token.check()?)
    }

    /// Whether the names of a certificate are good.
    pub(super) fn fits(&self, certificate: &Certificate) -> bool {
        let names = [&certificate.common_name].into_iter().chain(&certificate.dns_names).chain(&certificate.emails);
        any_fits(&self.allowed_names, names)
            && any_fits(&self.allowed_common_names, [&certificate.common_name])
            && any_fits(&self.allowed_dns_sans, &certificate.dns_names)
            && any_fits(&self.allowed_email_sans, &certificate.emails)
            && any_fits(&self.allowed_uri_sans, &certificate.uris)
            && any_fits(&self.allowed_organizational_units, &certificate.units)
            && self.required_extensions.iter().all(|required| has(certificate, required))
    }
}

fn any_fits<'a>(globs: &[String], names: impl IntoIterator<Item = &'a String>) -> bool {
    globs.is_empty() || names.into_iter().any(|name| glob::any_matches(globs, name))
}

fn has(certificate: &Certificate, required: &str) -> bool {
    let Some((oid, pattern)) = required.split_once(':') else { return false };
    // Of one that is there twice, as a certificate must not have it, each has to fit.
    let mut values = certificate.extensions.iter().filter(|(known, _)| known == oid).peekable();
    values.peek().is_some() && values.all(|(_, value)| glob::matches(pattern, value))
}

impl Cert {
    /// The names of all entries of the mount.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list(&self, permit: Permit) -> Result<Vec<String>, CertError> {
        let mount = mount_of(&permit)?;
        permit.spend();
        Ok(self.store.names(&keys::cert_entries(&mount.uuid)).await?)
    }

    /// Reads the entry.
    ///
    /// # Errors
    /// When the name is unfit or the store fails.
    pub async fn read(&self, permit: Permit) -> Result<Option<CertEntry>, CertError> {
        let (mount, name) = place(&permit, "certs/")?;
        permit.spend();
        Ok(self.store.read(&keys::cert_entry(&mount.uuid, &name)).await?.map(|seen| seen.value))
    }

    /// Replaces the entry, or a new one, by what `change` makes of it; answers what there is to say about it.
    ///
    /// # Errors
    /// When there is no certificate in it, the outcome contradicts itself, or `change` fails.
    pub async fn write<E: From<CertError>>(
        &self,
        permit: Permit,
        change: impl FnOnce(&mut CertEntry) -> Result<(), E>,
    ) -> Result<Vec<String>, E> {
        let (mount, name) = place(&permit, "certs/")?;
        permit.spend();
        let key = keys::cert_entry(&mount.uuid, &name);
        let change = |entry: &mut CertEntry| {
            change(entry)?;
            if entry.display_name.is_empty() {
                entry.display_name.clone_from(&name);
            }
            Ok::<_, E>(())
        };
        let entry = record::rewrite(&self.store, key, CertEntry::default, change, CertEntry::check).await?;
        Ok(warnings(&entry, &mount))
    }

    /// Removes the entry. Tokens it issued stay, but can no longer be renewed.
    ///
    /// # Errors
    /// When the name is unfit or the store fails.
    pub async fn delete(&self, permit: Permit) -> Result<(), CertError> {
        let (mount, name) = place(&permit, "certs/")?;
        permit.spend();
        Ok(self.store.delete(keys::cert_entry(&mount.uuid, &name)).await?)
    }
}

fn warnings(entry: &CertEntry, mount: &Mount) -> Vec<String> {
    let (given, most) = (entry.token.max_ttl, mount.max_lease_ttl());
    let long =
        format!("Given max_ttl of {given} seconds is greater than current mount/system default of {most} seconds");
    (given > most).then_some(long).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::{super::certificate::tests::Authority, *};

    fn certificate() -> Certificate {
        Certificate {
            common_name: "app".into(),
            units: vec!["eng".into(), "ops".into()],
            dns_names: vec!["a.example".into()],
            extensions: vec![("1.2.3".into(), "hello".into())],
            ..Certificate::default()
        }
    }

    fn list(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn every_kind_of_name_that_is_asked_for_must_fit() {
        let plain = CertEntry::default;
        for (entry, good) in [
            (plain(), true),
            (CertEntry { allowed_common_names: list(&["x", "a*"]), ..plain() }, true),
            (CertEntry { allowed_common_names: list(&["ap"]), ..plain() }, false),
            (CertEntry { allowed_names: list(&["*.example"]), ..plain() }, true),
            (CertEntry { allowed_dns_sans: list(&["*.example"]), ..plain() }, true),
            (CertEntry { allowed_email_sans: list(&["*"]), ..plain() }, false),
            (CertEntry { allowed_uri_sans: list(&["*"]), ..plain() }, false),
            (CertEntry { allowed_organizational_units: list(&["ops"]), ..plain() }, true),
            (CertEntry { required_extensions: list(&["1.2.3:h*"]), ..plain() }, true),
            (CertEntry { required_extensions: list(&["1.2.3:h*", "1.2.4:*"]), ..plain() }, false),
            (CertEntry { allowed_common_names: list(&["app"]), allowed_dns_sans: list(&["b.*"]), ..plain() }, false),
        ] {
            assert_eq!(entry.fits(&certificate()), good, "{entry:?}");
        }
        let mut twice = certificate();
        twice.extensions.push(("1.2.3".into(), "other".into()));
        assert!(!CertEntry { required_extensions: list(&["1.2.3:hello"]), ..plain() }.fits(&twice));
    }

    #[test]
    fn an_entry_needs_a_certificate_that_can_be_used() {
        let authority = Authority::new("Root", |_| ());
        let good = CertEntry { certificate: authority.pem, ..CertEntry::default() };
        assert!(good.check().is_ok());
        assert!(CertEntry { certificate: "junk".into(), ..good.clone() }.check().is_err());
        assert!(CertEntry { required_extensions: list(&["1.2.3"]), ..good.clone() }.check().is_err());
        let server = Authority::new("server", |params| {
            params.is_ca = rcgen::IsCa::NoCa;
            params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
        });
        let error = CertEntry { certificate: server.pem, ..good }.check().expect_err("for servers").to_string();
        assert!(error.starts_with("nonCA certificates"), "{error}");
    }
}
