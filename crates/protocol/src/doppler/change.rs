//! What clients send to change secrets.

use std::collections::BTreeMap;

use keyturn_core::secret::SecretString;
use serde::Deserialize;

/// The body of a change: one of the two.
#[derive(Debug, Default, Deserialize)]
pub struct ChangeShape {
    /// Values by name; null deletes.
    pub secrets: Option<BTreeMap<String, Option<SecretString>>>,
    /// Changes, each for itself.
    pub change_requests: Option<Vec<ChangeRequest>>,
}

/// A change of one secret.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChangeRequest {
    /// The name that it has afterwards.
    pub name: String,
    /// The name that it has now; none: the same.
    pub original_name: Option<String>,
    /// Its value; none: as it is.
    pub value: Option<SecretString>,
    /// What its value must be now.
    pub original_value: Option<SecretString>,
    /// Who is shown it.
    pub visibility: Option<String>,
    /// Who must be shown it now.
    pub original_visibility: Option<String>,
    /// What kind of text it is.
    pub value_type: Option<TypeShape>,
    /// What kind of text it must be now.
    pub original_value_type: Option<TypeShape>,
    /// Whether the root gets it as well.
    pub should_promote: Option<bool>,
    /// Whether it goes.
    pub should_delete: Option<bool>,
    /// Whether a branch follows what it inherits.
    pub should_converge: Option<bool>,
}

/// A kind of text.
#[derive(Debug, Clone, Deserialize)]
pub struct TypeShape {
    /// Its name.
    pub r#type: String,
}
