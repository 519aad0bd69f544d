//! From a client's certificate to one that is trusted.

use std::time::Duration;

use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use super::certificate::Certificate;
use crate::clock::Timestamp;

/// Certificates besides its own that a client may send along.
pub(super) const MAX_INTERMEDIATES: usize = 10;

/// The serial numbers of a chain from `shown` (the client's own first) to one of `trusted`; `None`: there is none.
///
/// A certificate that is registered itself is its own chain. Others must lead to a CA among `trusted`: a registered
/// client's certificate signs nothing.
pub(super) fn find(shown: &[Vec<u8>], trusted: &[CertificateDer<'static>], now: Timestamp) -> Option<Vec<String>> {
    let (own, others) = shown.split_first()?;
    if trusted.iter().any(|registered| registered.as_ref() == own.as_slice()) {
        return Some(vec![Certificate::read(own)?.serial]);
    }
    let authority =
        |der: &&CertificateDer<'static>| Certificate::read(der).is_some_and(|read| read.is_ca && read.is_valid_at(now));
    let authorities: Vec<_> = trusted.iter().filter(authority).collect();
    let anchors: Vec<TrustAnchor<'_>> =
        authorities.iter().filter_map(|der| anchor_from_trusted_cert(der).ok()).collect();
    let intermediates: Vec<_> =
        others.iter().take(MAX_INTERMEDIATES).map(|der| CertificateDer::from(der.as_slice())).collect();
    let own = CertificateDer::from(own.as_slice());
    let end = EndEntityCert::try_from(&own).ok()?;
    let time = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(now.as_second()).unwrap_or(0)));
    let usage = KeyUsage::client_auth();
    let path = end.verify_for_usage(ALL_VERIFICATION_ALGS, &anchors, &intermediates, time, usage, None, None).ok()?;
    let root = authorities.into_iter().find(|der| {
        anchor_from_trusted_cert(der).is_ok_and(|anchor| {
            anchor.subject == path.anchor().subject
                && anchor.subject_public_key_info == path.anchor().subject_public_key_info
        })
    })?;
    let between = path.intermediate_certificates().map(webpki::Cert::der);
    let all = [own.clone()].into_iter().chain(between).chain([root.clone()]);
    all.map(|der| Certificate::read(&der).map(|read| read.serial)).collect()
}

#[cfg(test)]
mod tests {
    use super::{super::certificate::tests::Authority, *};

    fn der(bytes: &[u8]) -> CertificateDer<'static> {
        CertificateDer::from(bytes.to_vec())
    }

    fn in_2030() -> Timestamp {
        Timestamp::from_second(1_893_456_000).expect("a time")
    }

    fn leads(shown: &[&[u8]], trusted: &[&[u8]]) -> Option<usize> {
        let shown: Vec<_> = shown.iter().map(|der| der.to_vec()).collect();
        let trusted: Vec<_> = trusted.iter().map(|bytes| der(bytes)).collect();
        find(&shown, &trusted, in_2030()).map(|chain| chain.len())
    }

    #[test]
    fn a_chain_leads_to_a_trusted_authority() {
        let (root, other) = (Authority::new("Root", |_| ()), Authority::new("Root", |_| ()));
        let middle = root.below("Middle");
        let (direct, deep) = (root.issue("app", |_| ()), middle.issue("app", |_| ()));
        assert_eq!(leads(&[&direct], &[&other.der, &root.der]), Some(2));
        assert_eq!(leads(&[&deep, &middle.der], &[&root.der]), Some(3));
        assert_eq!(leads(&[&deep], &[&middle.der]), Some(2));
        assert_eq!(leads(&[&deep], &[&root.der]), None, "the one between is missing");
        assert_eq!(leads(&[&direct], &[&other.der]), None, "another with the same name");
        assert_eq!(leads(&[&direct], &[]), None);
        assert_eq!(leads(&[], &[&root.der]), None);
    }

    #[test]
    fn times_and_uses_count() {
        let root = Authority::new("Root", |_| ());
        let ended = root.issue("app", |params| params.not_after = rcgen::date_time_ymd(2025, 1, 1));
        let server =
            root.issue("app", |params| params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth]);
        assert_eq!(leads(&[&ended], &[&root.der]), None);
        assert_eq!(leads(&[&server], &[&root.der]), None);
        let old = Authority::new("Old", |params| params.not_after = rcgen::date_time_ymd(2025, 1, 1));
        assert_eq!(leads(&[&old.issue("app", |_| ())], &[&old.der]), None, "the authority has ended");
    }

    #[test]
    fn a_registered_client_is_trusted_itself_and_signs_nothing() {
        let client = Authority::new("client", |params| params.is_ca = rcgen::IsCa::NoCa);
        assert_eq!(leads(&[&client.der], &[&client.der]), Some(1));
        let forged = client.issue("admin", |_| ());
        assert_eq!(leads(&[&forged], &[&client.der]), None);
        assert_eq!(leads(&[&forged, &client.der], &[&client.der]), None);
        let explicit = Authority::new("client", |params| params.is_ca = rcgen::IsCa::ExplicitNoCa);
        assert_eq!(leads(&[&explicit.issue("admin", |_| ())], &[&explicit.der]), None);
    }
}
