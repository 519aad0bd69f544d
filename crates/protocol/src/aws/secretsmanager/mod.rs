//! AWS Secrets Manager, JSON 1.1: operations, the constraints on what they take, shapes of requests and answers, error
//! codes. They follow the service's own model (2017-10-17, as botocore has it); a test walks that model against a
//! running server.

mod answers;
mod check;
mod error;
mod operation;
mod requests;
mod rule;
mod shapes;

pub use answers::*;
pub use check::{Misfit, check};
pub use error::ErrorCode;
pub use operation::Operation;
pub use requests::*;
pub use rule::{Member, Pattern, Rule, Text};

/// What `X-Amz-Target` has before the operation's name.
pub const TARGET_PREFIX: &str = "secretsmanager.";

/// The type of every body.
pub const CONTENT_TYPE: &str = "application/x-amz-json-1.1";

/// The largest value of a secret, in bytes.
pub const MAX_VALUE_BYTES: usize = 65_536;
