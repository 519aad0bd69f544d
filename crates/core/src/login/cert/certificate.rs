//! What is read of a certificate: names, times, uses, extensions.

use aws_lc_rs::digest;
use rustls_pki_types::{CertificateDer, pem::PemObject};
use x509_parser::{
    asn1_rs::{Any, Tag},
    certificate::X509Certificate,
    extensions::{GeneralName, ParsedExtension},
    prelude::FromDer,
};

use crate::clock::Timestamp;

/// Certificates in one text at the most.
const MAX_CERTIFICATES: usize = 64;

/// The certificates of a PEM text, in DER; `None`: it holds something that is none, or none at all.
pub(super) fn from_pem(text: &str) -> Option<Vec<CertificateDer<'static>>> {
    let parsed: Vec<_> = CertificateDer::pem_slice_iter(text.as_bytes()).collect::<Result<_, _>>().ok()?;
    let readable = parsed.iter().all(|der| Certificate::read(der).is_some());
    (readable && (1..=MAX_CERTIFICATES).contains(&parsed.len())).then_some(parsed)
}

/// The public key of a certificate in DER, of any version, as the handshake verifies signatures with it; `None`: it is no
/// certificate.
#[must_use]
pub fn public_key_of(der: &[u8]) -> Option<Vec<u8>> {
    let (_, parsed) = X509Certificate::from_der(der).ok()?;
    Some(parsed.public_key().raw.to_vec())
}

/// The common name of a certificate in DER and the seconds since 1970 at which it begins and ends to be good; `None`: it
/// is no certificate.
#[must_use]
pub fn validity_of(der: &[u8]) -> Option<(String, i64, i64)> {
    Certificate::read(der).map(|read| (read.common_name, read.not_before, read.not_after))
}

/// A certificate, read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Certificate {
    pub(super) common_name: String,
    pub(super) units: Vec<String>,
    pub(super) dns_names: Vec<String>,
    pub(super) emails: Vec<String>,
    pub(super) uris: Vec<String>,
    /// In decimal digits.
    pub(super) serial: String,
    pub(super) subject_key_id: String,
    pub(super) authority_key_id: String,
    /// Object identifiers and, where they hold text, what it is.
    pub(super) extensions: Vec<(String, String)>,
    pub(super) is_ca: bool,
    /// Whether it is for clients; a certificate that names no uses is for all.
    pub(super) is_for_clients: bool,
    /// SHA-256 of all of it, in hex.
    pub(super) fingerprint: String,
    pub(super) not_before: i64,
    pub(super) not_after: i64,
}

impl Certificate {
    /// Reads a certificate in DER, of any version; `None`: it is none.
    pub(super) fn read(der: &[u8]) -> Option<Self> {
        let (rest, parsed) = X509Certificate::from_der(der).ok()?;
        if !rest.is_empty() {
            return None;
        }
        let text =
            |attribute: &x509_parser::x509::AttributeTypeAndValue<'_>| attribute.as_str().ok().map(str::to_owned);
        let mut read = Self {
            // Of several, the last counts, as with Go's library.
            common_name: parsed.subject().iter_common_name().filter_map(text).last().unwrap_or_default(),
            units: parsed.subject().iter_organizational_unit().filter_map(text).collect(),
            serial: parsed.tbs_certificate.serial.to_string(),
            is_for_clients: true,
            fingerprint: hex::encode(digest::digest(&digest::SHA256, der)),
            not_before: parsed.validity().not_before.timestamp(),
            not_after: parsed.validity().not_after.timestamp(),
            ..Self::default()
        };
        for extension in parsed.extensions() {
            read.extensions.push((extension.oid.to_id_string(), text_of(extension.value)));
            read.take(extension.parsed_extension());
        }
        Some(read)
    }

    fn take(&mut self, extension: &ParsedExtension<'_>) {
        match extension {
            ParsedExtension::BasicConstraints(constraints) => self.is_ca = constraints.ca,
            ParsedExtension::ExtendedKeyUsage(uses) => self.is_for_clients = uses.any || uses.client_auth,
            ParsedExtension::SubjectKeyIdentifier(id) => self.subject_key_id = colons(id.0),
            ParsedExtension::AuthorityKeyIdentifier(id) => {
                self.authority_key_id = id.key_identifier.as_ref().map(|id| colons(id.0)).unwrap_or_default();
            }
            ParsedExtension::SubjectAlternativeName(names) => {
                for name in &names.general_names {
                    match name {
                        GeneralName::DNSName(name) => self.dns_names.push((*name).to_owned()),
                        GeneralName::RFC822Name(name) => self.emails.push((*name).to_owned()),
                        GeneralName::URI(name) => self.uris.push((*name).to_owned()),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }

    /// Whether `now` is within its times.
    pub(super) fn is_valid_at(&self, now: Timestamp) -> bool {
        (self.not_before..=self.not_after).contains(&now.as_second())
    }
}

/// The text of an extension that is nothing but a text; otherwise none.
fn text_of(value: &[u8]) -> String {
    const TEXTS: [Tag; 5] = [Tag::Utf8String, Tag::PrintableString, Tag::Ia5String, Tag::T61String, Tag::NumericString];
    match Any::from_der(value) {
        Ok(([], any)) if TEXTS.contains(&any.tag()) => String::from_utf8_lossy(any.data).into_owned(),
        _ => String::new(),
    }
}

/// `0a:1b:2c`
fn colons(id: &[u8]) -> String {
    id.iter().map(|byte| hex::encode([*byte])).collect::<Vec<_>>().join(":")
}

#[cfg(test)]
pub(super) mod tests {
    use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType};

    use super::*;

    /// A CA that signs.
    pub(in super::super) struct Authority {
        pub(in super::super) pem: String,
        pub(in super::super) der: Vec<u8>,
        issuer: Issuer<'static, KeyPair>,
    }

    /// Parameters of a certificate that is good from 2020 to 2040.
    pub(in super::super) fn params(name: &str) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        (params.not_before, params.not_after) = (rcgen::date_time_ymd(2020, 1, 1), rcgen::date_time_ymd(2040, 1, 1));
        params
    }

    impl Authority {
        pub(in super::super) fn new(name: &str, change: impl FnOnce(&mut CertificateParams)) -> Self {
            let pair = KeyPair::generate().expect("a pair");
            let mut params = params(name);
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            change(&mut params);
            let certificate = params.self_signed(&pair).expect("signed");
            Self { pem: certificate.pem(), der: certificate.der().to_vec(), issuer: Issuer::new(params, pair) }
        }

        /// A CA below this one.
        pub(in super::super) fn below(&self, name: &str) -> Self {
            let pair = KeyPair::generate().expect("a pair");
            let mut params = params(name);
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let certificate = params.signed_by(&pair, &self.issuer).expect("signed");
            Self { pem: certificate.pem(), der: certificate.der().to_vec(), issuer: Issuer::new(params, pair) }
        }

        /// A client's certificate, in DER.
        pub(in super::super) fn issue(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
            let pair = KeyPair::generate().expect("a pair");
            let mut params = params(name);
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            change(&mut params);
            params.signed_by(&pair, &self.issuer).expect("signed").der().to_vec()
        }
    }

    #[test]
    fn names_uses_and_extensions_are_read() {
        let authority = Authority::new("Root", |_| ());
        let der = authority.issue("app", |params| {
            params.distinguished_name.push(DnType::OrganizationalUnitName, "eng");
            params.subject_alt_names = vec![
                SanType::DnsName("app.example".try_into().expect("a name")),
                SanType::Rfc822Name("app@example".try_into().expect("a name")),
                SanType::URI("spiffe://example/app".try_into().expect("a name")),
            ];
            params.serial_number = Some(4711_u64.into());
            // A UTF8String: tag 12, length 5.
            let value = b"\x0c\x05hello".to_vec();
            params.custom_extensions.push(rcgen::CustomExtension::from_oid_content(&[1, 2, 3, 4], value));
        });
        let read = Certificate::read(&der).expect("a certificate");
        assert_eq!((read.common_name.as_str(), read.serial.as_str()), ("app", "4711"));
        assert_eq!((read.units.len(), read.units[0].as_str()), (1, "eng"));
        assert_eq!(read.dns_names, ["app.example"]);
        assert_eq!(read.emails, ["app@example"]);
        assert_eq!(read.uris, ["spiffe://example/app"]);
        assert!(read.extensions.contains(&("1.2.3.4".to_owned(), "hello".to_owned())));
        assert!(read.is_for_clients && !read.is_ca && read.fingerprint.len() == 64);
        assert!(Certificate::read(&authority.der).expect("a certificate").is_ca);
        assert!(Certificate::read(&der[..der.len() - 1]).is_none() && Certificate::read(b"junk").is_none());
    }

    #[test]
    fn a_text_of_certificates_is_read_whole_or_not_at_all() {
        let authority = Authority::new("Root", |_| ());
        let two = format!("{0}{0}", authority.pem);
        assert_eq!(from_pem(&two).map(|certificates| certificates.len()), Some(2));
        assert!(from_pem("").is_none() && from_pem("junk").is_none());
    }
}
