//! Response wrapping: an answer is kept for whoever comes with a token that is good once and for this alone.
//!
//! The answer lies at `wrapping/<hash>` under the keyed hash of its token, with which the barrier binds it:
//!
//! ```text
//! the answer as it would have been sent | its code, two bytes, big endian
//! ```
//!
//! It is written in one commit with its token and removed in one with it. Who brings the token in a parameter takes
//! both out in the commit that decides; who brings it as their own has lost its one use at the door by then.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    barrier::Batch,
    clock::{self, Timestamp},
    door::Permit,
    keys,
    policy::builtin::RESPONSE_WRAPPING,
    secret::{SecretBytes, SecretString},
    storage::Commit,
    store::{Seen, Store, StoreError},
    token::{Entry, TokenId, TokenKind, Tokens},
};

/// The name under which older clients read the answer, as an entry of the wrapping token's cubbyhole.
pub(crate) const RESPONSE: &str = "response";

/// The longest that an answer may stay wrapped, in seconds: ten years.
pub const MAX_TTL: u64 = 315_360_000;

/// A wrapped answer could not be made or had.
#[derive(Debug, thiserror::Error)]
pub enum WrappingError {
    /// The token is none for a wrapped answer, or no longer.
    #[error("wrapping token is not valid or does not exist")]
    NotWrapping,
    /// The request did not ask for it, or was refused.
    #[error("endpoint requires response wrapping to be used")]
    NotAsked,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An answer as it is kept.
#[derive(Debug, Clone)]
pub struct Wrapped {
    /// A number that the protocol gives its meaning: the HTTP status.
    pub code: u16,
    /// What would have been sent: JSON.
    pub body: SecretBytes,
}

/// What is told of a wrapped answer instead of it.
#[derive(Debug)]
pub struct WrapInfo {
    /// The token that unwraps it, once.
    pub token: SecretString,
    /// That token's accessor.
    pub accessor: String,
    /// Seconds until it ends.
    pub ttl: u64,
    /// When it was made.
    pub created: Timestamp,
    /// The path whose answer it is.
    pub path: String,
    /// The accessor of the token or secret id in the answer.
    pub wrapped_accessor: Option<String>,
}

/// What anybody who has a wrapping token may know of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrappingView {
    /// Seconds that it was given.
    pub ttl: u64,
    /// When it was made.
    pub created: Timestamp,
    /// The path whose answer it stands for.
    pub path: String,
}

/// All wrapped answers.
pub struct Wrapping {
    store: Arc<Store>,
    tokens: Arc<Tokens>,
}

impl Wrapping {
    pub(crate) fn new(store: Arc<Store>, tokens: Arc<Tokens>) -> Self {
        Self { store, tokens }
    }

    /// Keeps the answer of `path` for `ttl` seconds. The door's exchange calls this, for a request that it admitted.
    pub(crate) async fn wrap(
        &self,
        path: &str,
        ttl: u64,
        answer: &Wrapped,
        wrapped_accessor: Option<String>,
    ) -> Result<WrapInfo, WrappingError> {
        let (mut info, batch) = self.draft(path, ttl, answer)?;
        self.store.apply(batch).await?;
        info.wrapped_accessor = wrapped_accessor;
        Ok(info)
    }

    /// The answer, for the one who asks first. `named`: the wrapping token, unless the caller's own is it.
    ///
    /// # Errors
    /// When it is no wrapping token, or none that is still good.
    pub async fn unwrap(&self, permit: Permit, named: Option<&SecretString>) -> Result<Wrapped, WrappingError> {
        let own = permit.caller().map(|caller| caller.id().clone());
        permit.spend();
        match named.map(|token| self.tokens.id_of(token)).filter(|id| Some(id) != own.as_ref()) {
            Some(id) => loop {
                let (answer, batch) = self.taking(&id).await?;
                if let Commit::Committed(_) = self.store.commit(batch).await? {
                    return Ok(answer);
                }
            },
            // The door has taken its use, which nobody else has then.
            None => read(&self.store, &own.ok_or(WrappingError::NotWrapping)?).await?.ok_or(WrappingError::NotWrapping),
        }
    }

    /// What is known of a wrapping token. It stays as good as it was.
    ///
    /// # Errors
    /// When it is no wrapping token, or none that is still good.
    pub async fn lookup(&self, permit: Permit, named: Option<&SecretString>) -> Result<WrappingView, WrappingError> {
        let own = permit.caller().map(|caller| caller.id().clone());
        permit.spend();
        let id = named.map(|token| self.tokens.id_of(token)).or(own).ok_or(WrappingError::NotWrapping)?;
        let entry = self.find(&id).await?.value;
        Ok(WrappingView { ttl: entry.ttl, created: entry.created, path: entry.path })
    }

    /// Moves an answer to a new token, in one commit; the old one is gone. It gets as long as it had at first, or
    /// `ttl` seconds if that is less.
    ///
    /// # Errors
    /// When it is no wrapping token, or none that is still good.
    pub async fn rewrap(
        &self,
        permit: Permit,
        token: &SecretString,
        ttl: Option<u64>,
    ) -> Result<WrapInfo, WrappingError> {
        permit.spend();
        let id = self.tokens.id_of(token);
        loop {
            let entry = self.find(&id).await?.value;
            let (answer, removal) = self.taking(&id).await?;
            let ttl = ttl.map_or(entry.ttl, |ttl| ttl.min(entry.ttl));
            let (info, mut batch) = self.draft(&entry.path, ttl, &answer)?;
            batch.expect.extend(removal.expect);
            batch.writes.extend(removal.writes);
            if let Commit::Committed(_) = self.store.commit(batch).await? {
                return Ok(info);
            }
        }
    }

    /// Whether a token is good for a wrapped answer now.
    pub(crate) async fn is_good(&self, token: &SecretString) -> Result<bool, StoreError> {
        match self.find(&self.tokens.id_of(token)).await {
            Ok(_) => Ok(true),
            Err(WrappingError::Store(error)) => Err(error),
            Err(_) => Ok(false),
        }
    }

    async fn find(&self, id: &TokenId) -> Result<Seen<Entry>, WrappingError> {
        let now = self.store.now();
        let seen = self.tokens.find(id).await?.filter(|seen| seen.value.is_wrapping() && seen.value.is_live(now));
        seen.ok_or(WrappingError::NotWrapping)
    }

    /// The answer behind a token that is good, and what takes both away provided that nobody has used it meanwhile.
    async fn taking(&self, id: &TokenId) -> Result<(Wrapped, Batch), WrappingError> {
        let seen = self.find(id).await?;
        let answer = read(&self.store, id).await?.ok_or(WrappingError::NotWrapping)?;
        let batch = self.tokens.removal_of(Batch::new(), id, seen).await?;
        Ok((answer, batch))
    }

    fn draft(&self, path: &str, ttl: u64, answer: &Wrapped) -> Result<(WrapInfo, Batch), StoreError> {
        let (token, accessor) = (self.tokens.new_token()?, self.tokens.new_accessor()?);
        let created = self.store.now();
        let id = self.tokens.id_of(&token);
        let entry = entry(path, ttl, created, accessor);
        let batch = self.tokens.records(&id, &entry)?.put(keys::wrapping(&id.0), answer.encode());
        let Entry { accessor, path, .. } = entry;
        Ok((WrapInfo { token, accessor, ttl, created, path, wrapped_accessor: None }, batch))
    }
}

/// The answer that the token with this hash stands for.
pub(crate) async fn read(store: &Store, id: &TokenId) -> Result<Option<Wrapped>, StoreError> {
    Ok(store.barrier.get(&keys::wrapping(&id.0)).await?.and_then(|record| Wrapped::decode(record.plaintext)))
}

fn entry(path: &str, ttl: u64, created: Timestamp, accessor: String) -> Entry {
    Entry {
        accessor,
        policies: vec![RESPONSE_WRAPPING.to_owned()],
        path: path.to_owned(),
        display_name: String::new(),
        meta: BTreeMap::new(),
        created,
        ttl,
        expires: Some(clock::after(created, ttl)),
        explicit_max_ttl: ttl,
        period: 0,
        max_ttl: 0,
        uses: 1,
        parent: None,
        kind: TokenKind::Service,
        renewable: false,
        role: None,
        bound_cidrs: Vec::new(),
        last_renewal: None,
        entity_id: String::new(),
        access_key: None,
        named: None,
    }
}

impl Wrapped {
    fn encode(&self) -> SecretBytes {
        let mut record = SecretBytes::new(Vec::with_capacity(self.body.len() + 2));
        let out = record.expose_secret_mut();
        out.extend_from_slice(self.body.expose_secret());
        out.extend_from_slice(&self.code.to_be_bytes());
        record
    }

    fn decode(mut record: SecretBytes) -> Option<Self> {
        let (_, code) = record.expose_secret().split_last_chunk::<2>()?;
        let code = u16::from_be_bytes(*code);
        let length = record.len() - 2;
        record.expose_secret_mut().truncate(length);
        Some(Self { code, body: record })
    }

    /// The entry that older clients read: `{"response": "<the answer as text>"}`.
    pub(crate) fn as_entry(&self) -> SecretBytes {
        let text = String::from_utf8_lossy(self.body.expose_secret());
        // What is escaped in JSON text takes one byte more, a control character up to five: the buffer must not grow
        // and leave a copy behind.
        let escapes: usize = text.bytes().map(|byte| usize::from(matches!(byte, b'"' | b'\\'))).sum();
        let controls = text.bytes().filter(u8::is_ascii_control).count() * 5;
        let mut out = SecretBytes::new(Vec::with_capacity(text.len() + escapes + controls + 32));
        let buffer = out.expose_secret_mut();
        buffer.extend_from_slice(b"{\"response\":");
        // Writing text to memory cannot fail.
        _ = serde_json::to_writer(&mut *buffer, &text);
        buffer.push(b'}');
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_kept_with_its_code() {
        for body in [&b"{\"a\":\"\\n\"}"[..], b""] {
            let wrapped = Wrapped { code: 404, body: SecretBytes::new(body.to_vec()) };
            let read = Wrapped::decode(wrapped.encode()).expect("a record");
            assert_eq!((read.code, read.body.expose_secret()), (404, body));
        }
        assert!(Wrapped::decode(SecretBytes::new(vec![1])).is_none());
    }

    #[test]
    fn older_clients_read_the_answer_as_text() {
        let body = "{\"data\":{\"k\":\"a \\\"b\\\" \u{7f}\u{1}ü\"}}\n";
        let entry = Wrapped { code: 200, body: SecretBytes::new(body.as_bytes().to_vec()) }.as_entry();
        let read: BTreeMap<String, String> = serde_json::from_slice(entry.expose_secret()).expect("JSON");
        assert_eq!(read["response"], body);
    }
}
