//! Targets, where credentials are valid: PostgreSQL, MySQL and MariaDB, Redis.
//!
//! Implements [`keyturn_core::target::Targets`], one module an engine. They share how statements are written
//! (`template`), how an address is read (`address`), how a connection is protected (`tls`) and kept (`pool`), and what
//! of an engine's message may be told (`redact`).

mod address;
mod mysql;
mod pool;
mod postgresql;
mod redact;
mod redis;
mod template;
mod tls;

use std::sync::Arc;

use keyturn_core::target::{Access, Principal, Purpose, Statements, Target, TargetError, TargetKind, Targets};

use crate::template::{Dialect, Script};

// Neither is called: the one ends what drivers would log, the other holds a version. See the root manifest.
use idna_adapter as _;
use log as _;

/// The engines of this crate.
#[derive(Debug, Clone, Copy, Default)]
pub struct Engines;

impl Targets for Engines {
    fn open(&self, access: Access) -> Result<Arc<dyn Target>, TargetError> {
        Ok(match access.kind {
            TargetKind::Postgresql => Arc::new(postgresql::Postgresql::open(access)?),
            TargetKind::Mysql => Arc::new(mysql::Mysql::open(access)?),
            TargetKind::Redis => Arc::new(redis::Redis::open(access)?),
        })
    }

    fn check(&self, kind: TargetKind, purpose: Purpose, statements: &Statements) -> Result<(), TargetError> {
        match kind {
            TargetKind::Postgresql => Script::read(Dialect::POSTGRESQL, purpose, statements).map(drop),
            TargetKind::Mysql => Script::read(Dialect::MYSQL, purpose, statements).map(drop),
            TargetKind::Redis => redis::check(purpose, statements),
        }
    }
}

/// What no engine can take for a name or a password.
fn check_principal(principal: &Principal, longest_name: usize) -> Result<(), TargetError> {
    check_name(&principal.username, longest_name)?;
    let password = principal.password.expose_secret();
    if password.is_empty() {
        return Err(TargetError::Settings("the password is empty".to_owned()));
    }
    if password.contains('\0') {
        return Err(TargetError::Settings("the password holds a NUL character".to_owned()));
    }
    Ok(())
}

/// A name that the engine would refuse, or silently cut so that it names somebody else.
fn check_name(name: &str, longest: usize) -> Result<(), TargetError> {
    if name.is_empty() || name.contains('\0') {
        return Err(TargetError::Settings("the user name is empty or holds a NUL character".to_owned()));
    }
    if name.len() > longest {
        return Err(TargetError::Settings(format!("the user name is longer than the {longest} bytes that there are")));
    }
    Ok(())
}
