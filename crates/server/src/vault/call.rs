//! What a handler is given.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use keyturn_core::{core::Core, door::Permit, node::Node, secret::SecretBytes};

use super::{Vault, error::Failure, fields::Fields, request::Parsed, routes::Parameters};

/// One admitted request.
pub(super) struct Call<'a> {
    /// The API itself, for what it knows of its requests and routes.
    pub(super) vault: &'a Vault,
    pub(super) node: &'a Node,
    pub(super) core: &'a Arc<Core>,
    pub(super) parsed: &'a Parsed,
    pub(super) permit: Permit,
    pub(super) parameters: Parameters,
    /// The mounts that were moved lately: id, from, to.
    pub(super) moves: &'a Mutex<VecDeque<[String; 3]>>,
}

impl<'a> Call<'a> {
    /// The parameters of the request's body or query.
    pub(super) fn fields(&self) -> Result<Fields<'a>, Failure> {
        Fields::parse(&self.parsed.data)
    }

    /// The request's data as it came: the text of a JSON object, or nothing.
    pub(super) fn data(&self) -> &'a SecretBytes {
        &self.parsed.data
    }

    /// A part of the URL, by its name in the route.
    pub(super) fn part(&self, name: &str) -> &str {
        self.parameters.get(name)
    }
}
