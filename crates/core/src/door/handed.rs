//! Rights that were handed on: whoever may read a config gets the credentials that its dynamic secrets stand for, since
//! whoever made those could. The policy was asked about the config, within the same request; what is done by it is
//! recorded as a request of its own.

use std::sync::Arc;

use super::{Ask, Exchange, Permit, Refusal};
use crate::{
    config_values::Dynamic,
    core::Core,
    database::DynamicLease,
    policy::{Grant, Operation},
};

impl Core {
    /// Admits the reader of a dynamic secret to its credentials. The exchange must be concluded as any other.
    pub async fn admit_to_dynamic<'a>(
        &'a self,
        ask: Ask<'a>,
        secret: &'a Dynamic,
    ) -> (Exchange<'a>, Result<Permit, Refusal>) {
        self.admit_handed(Ask { operation: Operation::Read, path: secret.path(), ..ask }, secret).await
    }

    /// Admits the reader of a dynamic secret to the end of one of its leases.
    pub async fn admit_to_end<'a>(
        &'a self,
        ask: Ask<'a>,
        secret: &'a Dynamic,
        lease: &'a DynamicLease,
    ) -> (Exchange<'a>, Result<Permit, Refusal>) {
        self.admit_handed(Ask { operation: Operation::Delete, path: &lease.id, ..ask }, secret).await
    }

    async fn admit_handed<'a>(&'a self, ask: Ask<'a>, secret: &'a Dynamic) -> (Exchange<'a>, Result<Permit, Refusal>) {
        let routed = self.mounts().route(ask.path);
        let mut exchange = Exchange::new(self, ask, routed.as_ref().map(|routed| Arc::clone(&routed.mount)));
        exchange.caller = Some(Arc::clone(secret.caller()));
        let decided = match &routed {
            Some(routed) => {
                let caller = Some(Arc::clone(secret.caller()));
                Ok(super::admit::permit(&exchange, routed, caller, Grant::default(), true))
            }
            None => Err(Refusal::NoRoute(exchange.ask.path.to_owned())),
        };
        let refusal = decided.as_ref().err().map(ToString::to_string);
        if exchange.decided(refusal).await.is_err() {
            return (exchange, Err(Refusal::NotAudited));
        }
        (exchange, decided)
    }
}
