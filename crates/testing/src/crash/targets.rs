//! The targets of a process that may die.

use std::sync::Arc;

use keyturn_core::{
    clock::Timestamp,
    secret::SecretString,
    target::{
        Access, Login, Outcome, Principal, Purpose, Session, Statements, Target, TargetError, TargetKind, Targets,
    },
};

use super::{Faults, Place};

/// Opens targets at which each call is a step.
pub struct MortalTargets {
    beyond: Arc<dyn Targets>,
    faults: Faults,
}

impl MortalTargets {
    /// The way to `beyond`, which outlives the process.
    #[must_use]
    pub fn new(beyond: Arc<dyn Targets>, faults: Faults) -> Self {
        Self { beyond, faults }
    }
}

impl Targets for MortalTargets {
    fn open(&self, access: Access) -> Result<Arc<dyn Target>, TargetError> {
        Ok(Arc::new(MortalTarget { beyond: self.beyond.open(access)?, faults: self.faults.clone() }))
    }

    fn check(&self, kind: TargetKind, purpose: Purpose, statements: &Statements) -> Result<(), TargetError> {
        self.beyond.check(kind, purpose, statements)
    }
}

struct MortalTarget {
    beyond: Arc<dyn Target>,
    faults: Faults,
}

impl MortalTarget {
    fn call<'a, T: Send + 'a>(&'a self, call: Outcome<'a, T>) -> Outcome<'a, T> {
        Box::pin(async move {
            let lost = || TargetError::Unreachable("the connection was lost".to_owned());
            self.faults.take(Place::Call, call).await.ok_or_else(lost)?
        })
    }
}

impl Target for MortalTarget {
    fn ping(&self) -> Outcome<'_, ()> {
        self.call(self.beyond.ping())
    }

    fn create<'a>(&'a self, principal: &'a Principal, statements: &'a Statements) -> Outcome<'a, ()> {
        self.call(self.beyond.create(principal, statements))
    }

    fn renew<'a>(&'a self, username: &'a str, expires: Timestamp, statements: &'a Statements) -> Outcome<'a, ()> {
        self.call(self.beyond.renew(username, expires, statements))
    }

    fn set_password<'a>(&'a self, principal: &'a Principal, statements: &'a Statements) -> Outcome<'a, ()> {
        self.call(self.beyond.set_password(principal, statements))
    }

    fn add_password<'a>(&'a self, principal: &'a Principal) -> Outcome<'a, ()> {
        self.call(self.beyond.add_password(principal))
    }

    fn keep_only_password<'a>(&'a self, principal: &'a Principal) -> Outcome<'a, ()> {
        self.call(self.beyond.keep_only_password(principal))
    }

    fn can_keep_two_passwords(&self) -> Outcome<'_, bool> {
        self.call(self.beyond.can_keep_two_passwords())
    }

    fn create_member<'a>(&'a self, principal: &'a Principal, owner_role: &'a str) -> Outcome<'a, ()> {
        self.call(self.beyond.create_member(principal, owner_role))
    }

    fn revoke<'a>(&'a self, username: &'a str, statements: &'a Statements) -> Outcome<'a, ()> {
        self.call(self.beyond.revoke(username, statements))
    }

    fn disable<'a>(&'a self, username: &'a str) -> Outcome<'a, ()> {
        self.call(self.beyond.disable(username))
    }

    fn log_in<'a>(&'a self, username: &'a str, password: &'a SecretString) -> Outcome<'a, Login> {
        self.call(self.beyond.log_in(username, password))
    }

    fn existing<'a>(&'a self, usernames: &'a [String]) -> Outcome<'a, Vec<String>> {
        self.call(self.beyond.existing(usernames))
    }

    fn sessions<'a>(&'a self, usernames: &'a [String]) -> Outcome<'a, Vec<Session>> {
        self.call(self.beyond.sessions(usernames))
    }
}
