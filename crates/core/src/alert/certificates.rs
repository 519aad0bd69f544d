//! Certificates that end: those that listeners serve with, those that `cert` auth methods trust, and those that are shown
//! to databases and that databases are known by. Each is parsed when it changes.

use std::collections::HashMap;

use rustls_pki_types::{CertificateDer, pem::PemObject};
use serde::de::DeserializeOwned;

use super::{
    config::Certificates,
    evaluate::{End, Facts},
    rules::Condition,
};
use crate::{
    clock::Timestamp,
    codec,
    database::Connection,
    keys,
    login::cert::{CertEntry, validity_of},
    mount::{Engine, Mounts},
    storage::{Key, Revision},
    store::{PAGE, Store, StoreError},
};

/// Records of one mount that are looked at.
const MOST: usize = PAGE;

/// Certificates by the records that hold them.
#[derive(Debug, Default)]
pub(super) struct Known(HashMap<Key, (Revision, Vec<End>)>);

/// Reads the ends of the certificates in a record.
type EndsIn = fn(&str, &[u8]) -> Vec<End>;

impl Known {
    /// All certificates that are known.
    pub(super) async fn look(
        &mut self,
        store: &Store,
        mounts: &Mounts,
        process: Option<&dyn Certificates>,
        facts: &mut Facts,
    ) -> Result<(), StoreError> {
        let mut known = HashMap::new();
        for mount in mounts.all() {
            let (prefix, what): (Key, EndsIn) = match mount.engine {
                Engine::Cert => (keys::cert_entries(&mount.uuid), of_entry),
                Engine::Database => (keys::database(&mount.uuid, "config", ""), of_connection),
                _ => continue,
            };
            let page = store.barrier.scan(&prefix, None, MOST).await?;
            if page.len() == MOST {
                facts.partial.insert(Condition::CertificateExpiring);
            }
            for (key, record) in page {
                let before = self.0.remove(&key).filter(|(revision, _)| *revision == record.revision);
                let (_, ends) = before.unwrap_or_else(|| {
                    let name = String::from_utf8_lossy(key.get(prefix.len()..).unwrap_or_default()).into_owned();
                    let area = if mount.engine == Engine::Cert { "certs" } else { "config" };
                    let subject = format!("{}{area}/{name}", mount.path);
                    (record.revision, what(&subject, record.plaintext.expose_secret()))
                });
                facts.ends.extend(ends.iter().cloned());
                known.insert(key, (record.revision, ends));
            }
        }
        self.0 = known;
        facts.ends.extend(process.map(Certificates::all).unwrap_or_default());
        Ok(())
    }
}

fn of_entry(subject: &str, record: &[u8]) -> Vec<End> {
    decoded::<CertEntry>(record).map(|entry| of_pem(subject, "", &entry.certificate)).unwrap_or_default()
}

fn of_connection(subject: &str, record: &[u8]) -> Vec<End> {
    let Some(connection) = decoded::<Connection>(record) else { return Vec::new() };
    let mut ends = of_pem(subject, "tls_ca: ", &connection.tls.ca);
    ends.extend(of_pem(subject, "tls_certificate: ", &connection.tls.certificate));
    ends
}

fn decoded<T: DeserializeOwned>(record: &[u8]) -> Option<T> {
    let record = crate::secret::SecretBytes::new(record.to_vec());
    codec::decode(&record).ok()
}

fn of_pem(subject: &str, detail: &str, pem: &str) -> Vec<End> {
    let all = CertificateDer::pem_slice_iter(pem.as_bytes()).filter_map(Result::ok);
    all.enumerate().filter_map(|(index, der)| end_of(&numbered(subject, detail, index), &der)).collect()
}

/// The subject of a certificate of several: each is replaced by itself.
fn numbered(subject: &str, detail: &str, index: usize) -> String {
    let which = detail.trim_end_matches(": ");
    let which = if which.is_empty() { String::new() } else { format!(" {which}") };
    if index == 0 { format!("{subject}{which}") } else { format!("{subject}{which} #{}", index + 1) }
}

/// A certificate in DER as something that ends; `None`: it is none.
#[must_use]
pub fn end_of(subject: &str, der: &[u8]) -> Option<End> {
    let (name, begins, ends) = validity_of(der)?;
    let time = |second| Timestamp::from_second(second).ok();
    Some(End {
        condition: Condition::CertificateExpiring,
        subject: subject.to_owned(),
        detail: name,
        begins: time(begins)?,
        ends: time(ends)?,
    })
}
