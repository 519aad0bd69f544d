//! What these tests share.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "for tests; each of them uses a part"
)]

mod server;

use std::sync::atomic::{AtomicU32, Ordering};

use keyturn_core::{
    clock::Timestamp,
    secret::SecretString,
    target::{Login, Principal, Target},
};
use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::TestRunner,
};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};

pub use server::Server;

/// Passwords and names with everything that quotes, escapes, comments or ends something somewhere.
pub const HOSTILE: [&str; 14] = [
    "plain",
    "it's",
    "\"double\"",
    "`tick`",
    "back\\slash",
    "\\'; DROP TABLE x; --",
    "'' OR ''='",
    "$$dollar$$ $kt0$",
    "{{password}} {{name}}",
    "/* not */ -- a # comment",
    "new\nline\ttab\r",
    "ünï ☃ 💥",
    "%s %n ?1 :x @y",
    "ends with \\",
];

/// Values of what quotes, escapes and comments are made of; the same at each run.
pub fn values(pattern: &'static str) -> impl Iterator<Item = String> {
    let mut runner = TestRunner::deterministic();
    (0..150).map(move |_| pattern.new_tree(&mut runner).unwrap().current())
}

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A name that no other test uses.
pub fn unique(prefix: &str) -> String {
    format!("{prefix}{}", NUMBER.fetch_add(1, Ordering::Relaxed))
}

pub fn principal(username: &str, password: &str) -> Principal {
    Principal { username: username.to_owned(), password: password.into(), expires: None }
}

pub fn until(seconds_from_now: i64) -> Timestamp {
    #[allow(clippy::disallowed_methods, reason = "a server knows only the real time")]
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second() + seconds_from_now).unwrap()
}

pub async fn logs_in(target: &dyn Target, username: &str, password: &str) -> bool {
    target.log_in(username, &SecretString::from(password)).await.unwrap() == Login::Accepted
}

/// Certificates of an authority of a test's own.
pub struct Certificates {
    pub directory: tempfile::TempDir,
    pub ca: String,
    /// A client's, for the user `certified`, and its key.
    pub client: (String, String),
}

impl Certificates {
    /// A server's certificate for this name, with the authority's beside it in `directory`.
    pub fn for_server(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "Test Root");
        let ca = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        let directory = tempfile::tempdir().unwrap();
        let (certificate, key) = issue(&issuer, "server", Some(name));
        for (file, text) in [("ca", &ca), ("certificate", &certificate), ("key", &key)] {
            std::fs::write(directory.path().join(file), text).unwrap();
        }
        Self { directory, ca, client: issue(&issuer, "certified", None) }
    }

    /// The options with which a server takes them.
    pub fn options(&self) -> Vec<String> {
        let file = |name: &str| self.directory.path().join(name).display().to_string();
        ["ca", "certificate", "key"].iter().flat_map(|name| [format!("--{name}"), file(name)]).collect()
    }
}

fn issue(issuer: &Issuer<'_, KeyPair>, name: &str, san: Option<&str>) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.subject_alt_names = san
        .map(|san| match san.parse() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) => SanType::DnsName(san.try_into().unwrap()),
        })
        .into_iter()
        .collect();
    (params.signed_by(&key, issuer).unwrap().pem(), key.serialize_pem())
}
