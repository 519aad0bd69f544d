//! Databases in memory, one for each URL: users with passwords, and an administrator among them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use keyturn_core::{
    clock::Timestamp,
    secret::SecretString,
    target::{
        Access, Login, Outcome, Principal, Purpose, Session, Statements, Target, TargetError, TargetKind, Targets,
    },
};

/// A user of a database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct User {
    /// Its passwords, the newest first.
    pub passwords: Vec<String>,
    /// When it ends.
    pub expires: Option<Timestamp>,
    /// How often it was given another password.
    pub changes: u64,
    /// What its statements were.
    pub statements: Vec<String>,
}

#[derive(Default)]
struct State {
    /// By URL, then by name.
    users: BTreeMap<String, BTreeMap<String, User>>,
    /// Databases that do not answer.
    down: Vec<String>,
}

/// All databases there are.
#[derive(Clone, Default)]
pub struct Databases(Arc<Mutex<State>>);

/// A statement of this text fails.
pub const FAILING: &str = "FAIL";

impl Databases {
    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Adds a user, or gives it another password.
    pub fn add(&self, url: &str, name: &str, password: &str) {
        let user = User { passwords: vec![password.to_owned()], ..User::default() };
        self.with(|state| state.users.entry(url.to_owned()).or_default().insert(name.to_owned(), user));
    }

    /// The users of a database, by name.
    #[must_use]
    pub fn users(&self, url: &str) -> BTreeMap<String, User> {
        self.with(|state| state.users.get(url).cloned().unwrap_or_default())
    }

    /// Whether a login would succeed.
    #[must_use]
    pub fn lets_in(&self, url: &str, name: &str, password: &str) -> bool {
        let users = self.users(url);
        users.get(name).is_some_and(|user| user.passwords.iter().any(|known| known == password))
    }

    /// Has a database answer no more, or again.
    pub fn set_down(&self, url: &str, down: bool) {
        self.with(|state| {
            state.down.retain(|known| known != url);
            if down {
                state.down.push(url.to_owned());
            }
        });
    }
}

impl Targets for Databases {
    fn open(&self, access: Access) -> Result<Arc<dyn Target>, TargetError> {
        Ok(Arc::new(Database { all: self.clone(), url: access.url.expose_secret().to_owned(), access }))
    }

    fn check(&self, _: TargetKind, _: Purpose, statements: &Statements) -> Result<(), TargetError> {
        if statements.iter().any(|statement| statement.contains("{{other}}")) {
            return Err(TargetError::Settings("statement 1 has an unknown placeholder".to_owned()));
        }
        Ok(())
    }
}

struct Database {
    all: Databases,
    url: String,
    access: Access,
}

type Users = BTreeMap<String, User>;

fn unreachable() -> TargetError {
    TargetError::Unreachable("the connection was lost".to_owned())
}

fn missing(username: &str) -> TargetError {
    TargetError::Statement { number: 1, reason: format!("there is no user {username:?}") }
}

impl Database {
    /// One call, as the administrator.
    fn call<'a, T: Send + 'a>(
        &'a self,
        statements: &'a Statements,
        act: impl FnOnce(&mut Users) -> Result<T, TargetError> + Send + 'a,
    ) -> Outcome<'a, T> {
        Box::pin(async move {
            // A call takes its time: others come in between.
            tokio::task::yield_now().await;
            if self.all.with(|state| state.down.contains(&self.url)) {
                return Err(unreachable());
            }
            let (name, password) = (&self.access.username, self.access.password.expose_secret());
            if !self.all.lets_in(&self.url, name, password) {
                return Err(TargetError::Denied("password authentication failed".to_owned()));
            }
            if let Some(at) = statements.iter().position(|statement| statement == FAILING) {
                return Err(TargetError::Statement { number: at + 1, reason: "it fails".to_owned() });
            }
            self.all.with(|state| act(state.users.entry(self.url.clone()).or_default()))
        })
    }
}

impl Target for Database {
    fn ping(&self) -> Outcome<'_, ()> {
        self.call(&[], |_| Ok(()))
    }

    fn create<'a>(&'a self, principal: &'a Principal, statements: &'a Statements) -> Outcome<'a, ()> {
        self.call(statements, |users| {
            let user = users.entry(principal.username.clone()).or_default();
            user.passwords = vec![principal.password.expose_secret().to_owned()];
            (user.expires, user.statements) = (principal.expires, statements.to_vec());
            Ok(())
        })
    }

    fn renew<'a>(&'a self, username: &'a str, expires: Timestamp, statements: &'a Statements) -> Outcome<'a, ()> {
        self.call(statements, move |users| {
            users.get_mut(username).ok_or_else(|| missing(username))?.expires = Some(expires);
            Ok(())
        })
    }

    fn set_password<'a>(&'a self, principal: &'a Principal, statements: &'a Statements) -> Outcome<'a, ()> {
        self.call(statements, |users| {
            let user = users.get_mut(&principal.username).ok_or_else(|| missing(&principal.username))?;
            user.passwords = vec![principal.password.expose_secret().to_owned()];
            user.changes += 1;
            Ok(())
        })
    }

    fn add_password<'a>(&'a self, principal: &'a Principal) -> Outcome<'a, ()> {
        self.call(&[], |users| {
            let user = users.get_mut(&principal.username).ok_or_else(|| missing(&principal.username))?;
            user.passwords.insert(0, principal.password.expose_secret().to_owned());
            user.passwords.truncate(2);
            Ok(())
        })
    }

    fn keep_only_password<'a>(&'a self, principal: &'a Principal) -> Outcome<'a, ()> {
        self.call(&[], |users| {
            let user = users.get_mut(&principal.username).ok_or_else(|| missing(&principal.username))?;
            user.passwords = vec![principal.password.expose_secret().to_owned()];
            Ok(())
        })
    }

    fn can_keep_two_passwords(&self) -> Outcome<'_, bool> {
        self.call(&[], |_| Ok(true))
    }

    fn create_member<'a>(&'a self, principal: &'a Principal, _: &'a str) -> Outcome<'a, ()> {
        self.create(principal, &[])
    }

    fn revoke<'a>(&'a self, username: &'a str, statements: &'a Statements) -> Outcome<'a, ()> {
        self.call(statements, move |users| {
            users.remove(username);
            Ok(())
        })
    }

    fn disable<'a>(&'a self, username: &'a str) -> Outcome<'a, ()> {
        self.call(&[], move |users| {
            if let Some(user) = users.get_mut(username) {
                user.passwords.clear();
            }
            Ok(())
        })
    }

    fn log_in<'a>(&'a self, username: &'a str, password: &'a SecretString) -> Outcome<'a, Login> {
        self.call(&[], move |users| {
            let known = |user: &User| user.passwords.iter().any(|known| known == password.expose_secret());
            Ok(if users.get(username).is_some_and(known) { Login::Accepted } else { Login::Refused })
        })
    }

    fn existing<'a>(&'a self, usernames: &'a [String]) -> Outcome<'a, Vec<String>> {
        self.call(&[], |users| Ok(usernames.iter().filter(|name| users.contains_key(*name)).cloned().collect()))
    }

    fn sessions<'a>(&'a self, _: &'a [String]) -> Outcome<'a, Vec<Session>> {
        self.call(&[], |_| Ok(Vec::new()))
    }
}
