//! The domain of Keyturn: secrets, versions, stages, policies, tokens, mounts and the one guarded door to them.
//!
//! This crate knows no HTTP, no SQL, no disk and no network. What it needs from the outside it names as
//! traits: [`storage::Storage`], [`barrier::Barrier`], [`seal::Seal`], [`audit::Device`], [`clock::Clock`].

pub mod audit;
pub mod barrier;
pub mod clock;
pub mod codec;
pub mod duration;
pub mod policy;
pub mod random;
pub mod seal;
pub mod secret;
pub mod storage;
