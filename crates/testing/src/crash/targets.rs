//! Targets behind a fuse, real ones included.

use std::sync::Arc;

use keyturn_core::{
    clock::Timestamp,
    secret::SecretString,
    target::{
        Access, Login, Outcome, Principal, Purpose, Session, Statements, Target, TargetError, TargetKind, Targets,
    },
};

use super::{Crashed, Fuse};

/// Opens targets whose changing calls are two steps each.
pub struct FusedTargets {
    inner: Arc<dyn Targets>,
    fuse: Arc<Fuse>,
}

impl FusedTargets {
    /// Puts `fuse` before all targets of `inner`.
    #[must_use]
    pub fn new(inner: Arc<dyn Targets>, fuse: Arc<Fuse>) -> Self {
        Self { inner, fuse }
    }
}

impl Targets for FusedTargets {
    fn open(&self, access: Access) -> Result<Arc<dyn Target>, TargetError> {
        self.fuse.look().map_err(killed)?;
        Ok(Arc::new(Fused { inner: self.inner.open(access)?, fuse: Arc::clone(&self.fuse) }))
    }

    fn check(&self, kind: TargetKind, purpose: Purpose, statements: &Statements) -> Result<(), TargetError> {
        self.inner.check(kind, purpose, statements)
    }
}

struct Fused {
    inner: Arc<dyn Target>,
    fuse: Arc<Fuse>,
}

fn killed(_: Crashed) -> TargetError {
    TargetError::Unreachable(Crashed.to_string())
}

impl Fused {
    fn act<'a, T: Send + 'a>(&'a self, call: Outcome<'a, T>) -> Outcome<'a, T> {
        Box::pin(async move { self.fuse.act(call).await.map_err(killed)? })
    }

    fn look<'a, T: Send + 'a>(&'a self, call: Outcome<'a, T>) -> Outcome<'a, T> {
        Box::pin(async move {
            self.fuse.look().map_err(killed)?;
            let answer = call.await;
            self.fuse.look().map_err(killed)?;
            answer
        })
    }
}

impl Target for Fused {
    fn ping(&self) -> Outcome<'_, ()> {
        self.look(self.inner.ping())
    }

    fn create<'a>(&'a self, principal: &'a Principal, statements: &'a Statements) -> Outcome<'a, ()> {
        self.act(self.inner.create(principal, statements))
    }

    fn renew<'a>(&'a self, username: &'a str, expires: Timestamp, statements: &'a Statements) -> Outcome<'a, ()> {
        self.act(self.inner.renew(username, expires, statements))
    }

    fn set_password<'a>(&'a self, principal: &'a Principal, statements: &'a Statements) -> Outcome<'a, ()> {
        self.act(self.inner.set_password(principal, statements))
    }

    fn add_password<'a>(&'a self, principal: &'a Principal) -> Outcome<'a, ()> {
        self.act(self.inner.add_password(principal))
    }

    fn keep_only_password<'a>(&'a self, principal: &'a Principal) -> Outcome<'a, ()> {
        self.act(self.inner.keep_only_password(principal))
    }

    fn can_keep_two_passwords(&self) -> Outcome<'_, bool> {
        self.look(self.inner.can_keep_two_passwords())
    }

    fn create_member<'a>(&'a self, principal: &'a Principal, owner_role: &'a str) -> Outcome<'a, ()> {
        self.act(self.inner.create_member(principal, owner_role))
    }

    fn revoke<'a>(&'a self, username: &'a str, statements: &'a Statements) -> Outcome<'a, ()> {
        self.act(self.inner.revoke(username, statements))
    }

    fn disable<'a>(&'a self, username: &'a str) -> Outcome<'a, ()> {
        self.act(self.inner.disable(username))
    }

    fn log_in<'a>(&'a self, username: &'a str, password: &'a SecretString) -> Outcome<'a, Login> {
        self.look(self.inner.log_in(username, password))
    }

    fn existing<'a>(&'a self, usernames: &'a [String]) -> Outcome<'a, Vec<String>> {
        self.look(self.inner.existing(usernames))
    }

    fn sessions<'a>(&'a self, usernames: &'a [String]) -> Outcome<'a, Vec<Session>> {
        self.look(self.inner.sessions(usernames))
    }
}
