//! The one guarded door: whoever wants something says who they are and what they want; the answer is a [`Permit`],
//! which every operation of core consumes. No permit, no operation, and no permit without the policy's word and an
//! entry in the audit log.
//!
//! ```text
//! Ask -> admit -> (Exchange, Ok(Permit))   -> operation(permit) -> exchange.conclude(answer) -> the answer leaves
//!                 (Exchange, Err(Refusal)) ->                      exchange.conclude(error)  -> the error leaves
//! ```

mod admit;
mod exchange;
mod handed;
mod known;
mod permit;
mod special;

use std::{
    net::SocketAddr,
    sync::{Arc, LazyLock},
};

pub use admit::Refusal;
pub use exchange::{Answer, Exchange};
pub use known::Known;
pub use permit::Permit;
pub use special::read_may_change;

use crate::{
    access_key::Proven,
    audit::HeaderRecord,
    identity::Effective,
    policy::{Acl, Operation},
    secret::{SecretBytes, SecretString},
    token::{Entry, TokenId},
};

/// What is asked, by whom, from where.
#[derive(Debug)]
pub struct Ask<'a> {
    /// A UUID that names the request in the answer and the audit log.
    pub request_id: &'a str,
    /// What is to be done. A write is `Update`; the door makes it `Create` where nothing exists yet.
    pub operation: Operation,
    /// The full path without a leading slash: `secret/data/db`.
    pub path: &'a str,
    /// What was presented to say who asks.
    pub credential: Option<Credential<'a>>,
    /// Where the request came from.
    pub remote: Option<SocketAddr>,
    /// The request's parameters: the text of a JSON object. Empty: none.
    pub data: &'a SecretBytes,
    /// Those of its headers that the audit log records ([`crate::settings::Settings::record_headers`]).
    pub headers: &'a [HeaderRecord],
    /// Seconds for which the answer is to be wrapped, if it is.
    pub wrap_ttl: Option<u64>,
}

impl<'a> Ask<'a> {
    /// Asks without a credential, parameters or recorded headers, from nowhere in particular, and for a plain answer: for
    /// tests, which add what they are about. The doors name every field, so that none forgets a new one.
    #[must_use]
    pub fn new(request_id: &'a str, operation: Operation, path: &'a str) -> Self {
        static NOTHING: LazyLock<SecretBytes> = LazyLock::new(SecretBytes::default);
        Self {
            request_id,
            operation,
            path,
            credential: None,
            remote: None,
            data: &NOTHING,
            headers: &[],
            wrap_ttl: None,
        }
    }

    /// The token that was presented, if it was one.
    pub(crate) fn token(&self) -> Option<&'a SecretString> {
        match self.credential {
            Some(Credential::Token(token)) => Some(token),
            Some(Credential::Known(known)) => Some(&known.token),
            Some(Credential::AccessKey(_)) | None => None,
        }
    }
}

/// How somebody says who they are.
#[derive(Debug, Clone, Copy)]
pub enum Credential<'a> {
    /// A token, good or not.
    Token(&'a SecretString),
    /// The proof that the request was signed with an access key.
    AccessKey(&'a Proven),
    /// A token that was looked up already.
    Known(&'a Known),
}

/// Who asks: a token that was good when the request came.
#[derive(Debug, Clone)]
pub struct Caller {
    pub(crate) id: TokenId,
    pub(crate) entry: Arc<Entry>,
    pub(crate) acl: Arc<Acl>,
    /// The entity that the token stands for, with all its policies.
    pub(crate) identity: Option<(Arc<Effective>, Arc<[String]>)>,
}

impl Caller {
    /// What is known of the token.
    #[must_use]
    pub fn entry(&self) -> &Entry {
        &self.entry
    }

    /// The entity that the token stands for.
    #[must_use]
    pub fn identity(&self) -> Option<&Effective> {
        self.identity.as_ref().map(|(effective, _)| &**effective)
    }

    /// The policies of the token and of its entity; sorted.
    #[must_use]
    pub fn policies(&self) -> &[String] {
        self.identity.as_ref().map_or(&self.entry.policies, |(_, policies)| policies)
    }

    pub(crate) fn id(&self) -> &TokenId {
        &self.id
    }

    /// The compiled rules of its policies.
    #[must_use]
    pub fn acl(&self) -> &Acl {
        &self.acl
    }
}
