//! Auth methods; a file is named after its mount's usual path.

pub(super) mod token;
pub(super) mod token_role;
