//! The database engine on databases in memory: what it does, and what is left when its process dies.

pub(crate) mod crash;
mod credentials;
mod dynamic;
mod static_roles;
pub(crate) mod world;
