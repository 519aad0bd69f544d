//! What Doppler's clients read, version 3 (<https://docs.doppler.com/reference>). The command line asserts the types of
//! the fields that it reads and dies where one is another: what is a text here is never null unless it says so, and a
//! list is always there.

pub mod change;
pub mod env_file;
pub mod format;
pub mod secret_json;
mod shapes;
pub mod template;
pub mod transformer;
pub mod value_type;

pub use shapes::{
    ConfigRef, ConfigShape, EnvironmentShape, ErrorShape, LogShape, LoggedUser, Page, ProjectShape, TokenShape,
};
