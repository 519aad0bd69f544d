//! `--wrap-ttl`: the answer stays on the server, and a token that works once is printed instead.

use serde_json::Value;

use crate::client::{Client, Reply};
use crate::failure::Failure;

/// The flag of the verbs whose answer can be wrapped.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct WrapArgs {
    /// Print a token for the answer instead, good once and for this long: see `keyturn unwrap`
    #[arg(long, value_name = "DURATION")]
    pub(crate) wrap_ttl: Option<String>,
}

impl WrapArgs {
    /// Whether the answer is to be wrapped.
    pub(crate) const fn wanted(&self) -> bool {
        self.wrap_ttl.is_some()
    }

    /// The client that asks for it, if it is to be.
    pub(crate) fn apply(&self, client: Client) -> Client {
        match &self.wrap_ttl {
            Some(ttl) => client.wrapping(ttl.clone()),
            None => client,
        }
    }

    /// Refuses an answer that should have been wrapped and was not, so that it is not printed.
    pub(crate) fn check(&self, reply: &Reply<'_>) -> Result<(), Failure> {
        if !self.wanted() || reply.is_empty() || reply.json::<Value>()?.get("wrap_info").is_some_and(Value::is_object) {
            return Ok(());
        }
        Err(Failure::Usage(
            "the server did not wrap the answer, which is not shown: is the TTL more than 0?".to_owned(),
        ))
    }
}
