//! The domain of Keyturn: secrets, versions, stages, policies, tokens, mounts and the one guarded door to them.
//!
//! This crate knows no HTTP, no SQL, no disk and no network. What it needs from the outside it names as traits:
//! [`storage::Storage`], [`barrier::Barrier`], [`seal::Seal`], [`audit::Device`], [`clock::Clock`],
//! [`outbound::Outbound`], [`hook_command::HookCommands`], [`target::Targets`].
//!
//! Reading order: [`node`] is the server's state, sealed or not; [`core::Core`] is the open store; [`door`] is how a
//! request gets a permit; [`kv`], [`database`], [`token`], [`mount`], [`policies`], [`login`], [`identity`],
//! [`access_key`] and [`project`] are what it can do with one.

pub mod access_key;
pub mod alert;
pub mod audit;
pub mod audit_devices;
pub mod barrier;
pub mod ceremony;
pub mod clock;
pub mod codec;
pub mod config_values;
pub mod consumers;
pub mod core;
pub mod cubbyhole;
pub mod database;
pub mod device_login;
pub mod door;
pub mod duration;
pub mod hook_command;
pub mod identity;
pub mod key_rotation;
mod keys;
pub mod kv;
pub mod lease;
pub mod login;
pub mod metrics;
pub mod mount;
pub mod node;
pub mod outbound;
mod outbox;
pub mod password;
pub mod policies;
pub mod policy;
pub mod project;
pub mod quota;
pub mod random;
pub mod rotation;
pub mod schedule;
pub mod seal;
pub mod secret;
pub mod service_account;
pub mod settings;
pub mod snapshot;
pub mod storage;
mod store;
pub mod surroundings;
pub mod target;
pub mod token;
pub mod tools;
pub mod wrapping;

pub use store::StoreError;
