//! A target in memory, whose calls share the faults of the process that asks.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, Weak},
};

use keyturn_core::{
    clock::Timestamp,
    core::Core,
    rotation::{ConnectionError, Connections, Opened},
    secret::SecretString,
    storage::BoxFuture,
    target::{Login, Outcome, Principal, Session, Statements, Target, TargetError},
};
use keyturn_testing::crash::{Faults, Place};

/// A principal at the fake target.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct User {
    /// The newest first; two at the most, as MySQL keeps them.
    pub(crate) passwords: Vec<String>,
    pub(crate) member_of: String,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) users: BTreeMap<String, User>,
    pub(crate) sessions: Vec<Session>,
    /// Every call, by name.
    pub(crate) log: Vec<String>,
    /// Calls that fail although nothing dies, by name, with how often.
    pub(crate) failing: BTreeMap<&'static str, u32>,
    /// Calls after which the secret's current credential was refused.
    pub(crate) violations: Vec<String>,
}

/// Who looks after each call whether the application could log in.
#[derive(Clone)]
pub(crate) struct Watch {
    pub(crate) core: Weak<Core>,
    pub(crate) token: SecretString,
}

/// A target in memory.
#[derive(Clone, Default)]
pub(crate) struct Fake {
    pub(crate) state: Arc<Mutex<State>>,
    pub(crate) faults: Faults,
    pub(crate) watch: Arc<Mutex<Option<Watch>>>,
}

impl Fake {
    /// Logs in as an application would now.
    async fn look(&self, after: &'static str) {
        let watch = self.watch.lock().expect("unpoisoned").clone();
        let Some(watch) = watch.filter(|_| !self.faults.is_dead()) else { return };
        let Some(core) = watch.core.upgrade() else { return };
        if let Some((version, username, password)) = super::world::current(&core, &watch.token).await
            && !self.lets_in(&username, &password)
        {
            self.with(|state| {
                state.violations.push(format!("after {after}, version {version} as {username} is refused"))
            });
        }
    }

    pub(crate) fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock().expect("unpoisoned"))
    }

    pub(crate) fn lets_in(&self, username: &str, password: &str) -> bool {
        self.with(|state| {
            state.users.get(username).is_some_and(|user| user.passwords.iter().any(|one| one == password))
        })
    }

    /// The principals that can log in, with how many passwords.
    pub(crate) fn enabled(&self) -> Vec<(String, usize)> {
        self.with(|state| {
            let able = state.users.iter().filter(|(_, user)| !user.passwords.is_empty());
            able.map(|(name, user)| (name.clone(), user.passwords.len())).collect()
        })
    }

    fn call<T: Send + 'static>(
        &self,
        name: &'static str,
        act: impl FnOnce(&mut State) -> Result<T, TargetError> + Send + 'static,
    ) -> Outcome<'_, T> {
        let fake = self.clone();
        Box::pin(async move {
            let lost = || Err(TargetError::Unreachable("connection lost".to_owned()));
            let act = async {
                let done = fake.with(|state| {
                    state.log.push(name.to_owned());
                    if let Some(left) = state.failing.get_mut(name).filter(|left| **left > 0) {
                        *left -= 1;
                        return lost();
                    }
                    act(state)
                });
                fake.look(name).await;
                done
            };
            fake.faults.take(Place::Call, act).await.unwrap_or_else(lost)
        })
    }
}

fn no_user(name: &str) -> TargetError {
    TargetError::Statement { number: 1, reason: format!("{name} does not exist") }
}

impl Connections for Fake {
    fn open<'a>(&'a self, name: &'a str, _: &'a [String]) -> BoxFuture<'a, Result<Opened, ConnectionError>> {
        Box::pin(async move {
            let missing = || ConnectionError::Missing(name.to_owned());
            if name == "db" { Ok(Opened::new(Arc::new(self.clone()), ())) } else { Err(missing()) }
        })
    }
}

impl Target for Fake {
    fn ping(&self) -> Outcome<'_, ()> {
        self.call("ping", |_| Ok(()))
    }

    fn create<'a>(&'a self, principal: &'a Principal, _: &'a Statements) -> Outcome<'a, ()> {
        self.create_member(principal, "")
    }

    fn renew<'a>(&'a self, _: &'a str, _: Timestamp, _: &'a Statements) -> Outcome<'a, ()> {
        self.call("renew", |_| Ok(()))
    }

    fn set_password<'a>(&'a self, principal: &'a Principal, _: &'a Statements) -> Outcome<'a, ()> {
        let Principal { username, password, .. } = principal.clone();
        self.call("set_password", move |state| {
            let user = state.users.get_mut(&username).ok_or_else(|| no_user(&username))?;
            user.passwords = vec![password.expose_secret().to_owned()];
            Ok(())
        })
    }

    fn add_password<'a>(&'a self, principal: &'a Principal) -> Outcome<'a, ()> {
        let Principal { username, password, .. } = principal.clone();
        self.call("add_password", move |state| {
            let user = state.users.get_mut(&username).ok_or_else(|| no_user(&username))?;
            user.passwords.insert(0, password.expose_secret().to_owned());
            user.passwords.truncate(2);
            Ok(())
        })
    }

    fn keep_only_password<'a>(&'a self, principal: &'a Principal) -> Outcome<'a, ()> {
        let Principal { username, password, .. } = principal.clone();
        self.call("keep_only_password", move |state| {
            let user = state.users.get_mut(&username).ok_or_else(|| no_user(&username))?;
            user.passwords = vec![password.expose_secret().to_owned()];
            Ok(())
        })
    }

    fn can_keep_two_passwords(&self) -> Outcome<'_, bool> {
        self.call("can_keep_two_passwords", |_| Ok(true))
    }

    fn create_member<'a>(&'a self, principal: &'a Principal, owner_role: &'a str) -> Outcome<'a, ()> {
        let (Principal { username, password, .. }, member_of) = (principal.clone(), owner_role.to_owned());
        self.call("create_member", move |state| {
            let user = User { passwords: vec![password.expose_secret().to_owned()], member_of };
            state.users.insert(username, user);
            Ok(())
        })
    }

    fn revoke<'a>(&'a self, username: &'a str, _: &'a Statements) -> Outcome<'a, ()> {
        let username = username.to_owned();
        self.call("revoke", move |state| {
            state.sessions.retain(|session| session.username != username);
            state.users.remove(&username);
            Ok(())
        })
    }

    fn disable<'a>(&'a self, username: &'a str) -> Outcome<'a, ()> {
        let username = username.to_owned();
        self.call("disable", move |state| {
            state.sessions.retain(|session| session.username != username);
            state.users.get_mut(&username).ok_or_else(|| no_user(&username))?.passwords.clear();
            Ok(())
        })
    }

    fn log_in<'a>(&'a self, username: &'a str, password: &'a SecretString) -> Outcome<'a, Login> {
        let (username, password) = (username.to_owned(), password.clone());
        self.call("log_in", move |state| {
            let user = state.users.get(&username);
            let good = user.is_some_and(|user| user.passwords.iter().any(|one| one == password.expose_secret()));
            Ok(if good { Login::Accepted } else { Login::Refused })
        })
    }

    fn existing<'a>(&'a self, usernames: &'a [String]) -> Outcome<'a, Vec<String>> {
        let usernames = usernames.to_vec();
        self.call("existing", move |state| {
            Ok(usernames.into_iter().filter(|name| state.users.contains_key(name)).collect())
        })
    }

    fn sessions<'a>(&'a self, usernames: &'a [String]) -> Outcome<'a, Vec<Session>> {
        let usernames = usernames.to_vec();
        self.call("sessions", move |state| {
            Ok(state.sessions.iter().filter(|session| usernames.contains(&session.username)).cloned().collect())
        })
    }
}
