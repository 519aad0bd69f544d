//! Real targets, watched: whom they were asked to let in and with which passwords. Calls fail at will.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use keyturn_core::{
    clock::Timestamp,
    secret::SecretString,
    target::{
        Access, Login, Outcome, Principal, Purpose, Session, Statements, Target, TargetError, TargetKind, Targets,
    },
};
use keyturn_targets::Engines;

#[derive(Default)]
struct State {
    /// All passwords that a principal was ever to have, in this order.
    known: BTreeMap<String, Vec<SecretString>>,
    /// Calls that fail and are not done, by name, with how often.
    failing: BTreeMap<&'static str, u32>,
    /// The statements that are all that the next `create_member` comes to.
    half: Option<Vec<String>>,
}

/// Opens real targets.
#[derive(Clone, Default)]
pub(crate) struct Watched(Arc<Mutex<State>>);

impl Watched {
    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.0.lock().expect("unpoisoned"))
    }

    /// Has a call fail so often from now on.
    pub(crate) fn fail(&self, call: &'static str, times: u32) {
        self.with(|state| state.failing.insert(call, times));
    }

    /// Has the connection break in the next `create_member`, when these statements are done and no more.
    pub(crate) fn break_after(&self, statements: &[&str]) {
        let statements = statements.iter().map(|text| (*text).to_owned()).collect();
        self.with(|state| state.half = Some(statements));
    }

    /// Has no call fail any more.
    pub(crate) fn mend(&self) {
        self.with(|state| state.failing.clear());
    }

    /// Principals, each with all passwords that it was ever to have.
    pub(crate) fn known(&self) -> BTreeMap<String, Vec<SecretString>> {
        self.with(|state| state.known.clone())
    }

    /// Knows of a credential that somebody else made.
    pub(crate) fn note(&self, principal: &Principal) {
        let password = principal.password.clone();
        self.with(|state| state.known.entry(principal.username.clone()).or_default().push(password));
    }

    /// Who exists at a target of those that it was asked for, and every credential that is good there.
    pub(crate) async fn credentials(&self, target: &dyn Target) -> (Vec<String>, Vec<(String, String)>) {
        let known = self.known();
        let names: Vec<String> = known.keys().cloned().collect();
        let existing = target.existing(&names).await.expect("a database that answers");
        let mut good = Vec::new();
        for name in &existing {
            for password in &known[name] {
                let login = (name.clone(), password.expose_secret().to_owned());
                if !good.contains(&login) && logs_in(target, name, password).await {
                    good.push(login);
                }
            }
        }
        (existing, good)
    }
}

pub(crate) async fn logs_in(target: &dyn Target, username: &str, password: &SecretString) -> bool {
    target.log_in(username, password).await.expect("a database that answers") == Login::Accepted
}

impl Targets for Watched {
    fn open(&self, access: Access) -> Result<Arc<dyn Target>, TargetError> {
        Ok(Arc::new(WatchedTarget { beyond: Engines.open(access)?, watched: self.clone() }))
    }

    fn check(&self, kind: TargetKind, purpose: Purpose, statements: &Statements) -> Result<(), TargetError> {
        Engines.check(kind, purpose, statements)
    }
}

struct WatchedTarget {
    beyond: Arc<dyn Target>,
    watched: Watched,
}

impl WatchedTarget {
    fn call<'a, T: Send + 'a>(&'a self, name: &'static str, call: Outcome<'a, T>) -> Outcome<'a, T> {
        Box::pin(async move {
            let fails = self.watched.with(|state| match state.failing.get_mut(name) {
                Some(left) if *left > 0 => {
                    *left -= 1;
                    true
                }
                _ => false,
            });
            if fails { Err(TargetError::Unreachable("the test has it fail".to_owned())) } else { call.await }
        })
    }

    fn give<'a>(&'a self, name: &'static str, principal: &'a Principal, call: Outcome<'a, ()>) -> Outcome<'a, ()> {
        let noted = async move {
            self.watched.note(principal);
            call.await
        };
        self.call(name, Box::pin(noted))
    }
}

impl Target for WatchedTarget {
    fn ping(&self) -> Outcome<'_, ()> {
        self.call("ping", self.beyond.ping())
    }

    fn create<'a>(&'a self, principal: &'a Principal, statements: &'a Statements) -> Outcome<'a, ()> {
        self.give("create", principal, self.beyond.create(principal, statements))
    }

    fn renew<'a>(&'a self, username: &'a str, expires: Timestamp, statements: &'a Statements) -> Outcome<'a, ()> {
        self.call("renew", self.beyond.renew(username, expires, statements))
    }

    fn set_password<'a>(&'a self, principal: &'a Principal, statements: &'a Statements) -> Outcome<'a, ()> {
        self.give("set_password", principal, self.beyond.set_password(principal, statements))
    }

    fn add_password<'a>(&'a self, principal: &'a Principal) -> Outcome<'a, ()> {
        self.give("add_password", principal, self.beyond.add_password(principal))
    }

    fn keep_only_password<'a>(&'a self, principal: &'a Principal) -> Outcome<'a, ()> {
        self.give("keep_only_password", principal, self.beyond.keep_only_password(principal))
    }

    fn can_keep_two_passwords(&self) -> Outcome<'_, bool> {
        self.call("can_keep_two_passwords", self.beyond.can_keep_two_passwords())
    }

    fn create_member<'a>(&'a self, principal: &'a Principal, owner_role: &'a str) -> Outcome<'a, ()> {
        let call = async move {
            let Some(statements) = self.watched.with(|state| state.half.take()) else {
                return self.beyond.create_member(principal, owner_role).await;
            };
            self.beyond.create(principal, &statements).await?;
            Err(TargetError::Unreachable("the test breaks the connection".to_owned()))
        };
        self.give("create_member", principal, Box::pin(call))
    }

    fn revoke<'a>(&'a self, username: &'a str, statements: &'a Statements) -> Outcome<'a, ()> {
        self.call("revoke", self.beyond.revoke(username, statements))
    }

    fn disable<'a>(&'a self, username: &'a str) -> Outcome<'a, ()> {
        self.call("disable", self.beyond.disable(username))
    }

    fn log_in<'a>(&'a self, username: &'a str, password: &'a SecretString) -> Outcome<'a, Login> {
        self.call("log_in", self.beyond.log_in(username, password))
    }

    fn existing<'a>(&'a self, usernames: &'a [String]) -> Outcome<'a, Vec<String>> {
        self.call("existing", self.beyond.existing(usernames))
    }

    fn sessions<'a>(&'a self, usernames: &'a [String]) -> Outcome<'a, Vec<Session>> {
        self.call("sessions", self.beyond.sessions(usernames))
    }
}
