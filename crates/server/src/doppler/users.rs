//! `workplace/users`: the entities of the identity engine, as clients that speak of users see them. A user's access is a
//! policy that the entity has: its identifier is the policy's name.

use keyturn_core::{
    identity::{Entity, EntityInput, Find, IdentityError},
    policy::Operation,
    secret::SecretBytes,
};
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    Outcome,
    call::{Call, checked},
    error::Failure,
    reply::Reply,
    roles, shape,
};

/// Where an entity's address for mail is, if it has one.
const EMAIL: &str = "email";

impl From<IdentityError> for Failure {
    fn from(error: IdentityError) -> Self {
        match error {
            IdentityError::Store(error) => error.into(),
            IdentityError::Disabled => Self::forbidden(error.to_string()),
            IdentityError::Invalid(_) => Self::bad_request(error.to_string()),
        }
    }
}

/// Policies, as they are told to the policies of whoever asks and to the audit log.
#[derive(Serialize)]
pub(super) struct Policies<'a> {
    pub(super) policies: &'a [String],
}

/// The text of a JSON object that holds no secret.
pub(super) fn text(shape: &impl Serialize) -> SecretBytes {
    SecretBytes::new(serde_json::to_vec(shape).unwrap_or_default())
}

/// The policies that an identifier of a role stands for.
pub(super) fn policies_of(role: &str) -> Vec<String> {
    if role == roles::NO_ACCESS { Vec::new() } else { vec![role.to_owned()] }
}

pub(super) fn missing() -> Failure {
    Failure::not_found("Could not find requested workplace user")
}

pub(super) async fn list(call: &Call) -> Outcome {
    let (page, email) = (call.parameters.page()?, call.parameters.text(EMAIL)?);
    call.through(Operation::List, "identity/entity/id", |permit| async {
        let mut entities = call.core.identity().entities(permit);
        entities.retain(|entity| email.is_none() || entity.metadata.get(EMAIL) == email.as_ref());
        entities.sort_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
        let users: Vec<_> = page.of(entities).iter().map(|entity| told(entity)).collect();
        Ok(Reply::ok(&json!({ "workplace_users": users, "page": page.number, "success": true })))
    })
    .await
}

pub(super) async fn read(call: &Call, slug: &str) -> Outcome {
    let slug = checked("workplace user", slug.to_owned())?;
    call.through(Operation::Read, &format!("identity/entity/id/{slug}"), |permit| async {
        one(&call.core.identity().entity(permit, Find::Id(&slug)).ok_or_else(missing)?.entity)
    })
    .await
}

/// Gives a user another access: another policy in the place of those that the entity had.
pub(super) async fn update(call: &Call, slug: &str) -> Outcome {
    let slug = checked("workplace user", slug.to_owned())?;
    let policies = policies_of(&call.parameters.required("access")?);
    let (path, told) = (format!("identity/entity/id/{slug}"), text(&Policies { policies: &policies }));
    let before = call.also(Operation::Read, &path).await?;
    call.core.identity().entity(before, Find::Id(&slug)).ok_or_else(missing)?;
    call.through_with(Operation::Update, &path, &told, |permit| async {
        let input = EntityInput { id: Some(slug.clone()), policies: Some(policies.clone()), ..EntityInput::default() };
        call.core.identity().write_entity(permit, input).await?;
        let after = call.also(Operation::Read, &path).await?;
        one(&call.core.identity().entity(after, Find::Id(&slug)).ok_or_else(missing)?.entity)
    })
    .await
}

fn one(entity: &Entity) -> Outcome {
    Ok(Reply::ok(&json!({ "workplace_user": told(entity), "success": true })))
}

fn told(entity: &Entity) -> Value {
    json!({
        "id": entity.id,
        "access": entity.policies.first().map_or(roles::NO_ACCESS, String::as_str),
        "created_at": shape::time(entity.created),
        "user": {
            "email": entity.metadata.get(EMAIL).map_or("", String::as_str),
            "name": entity.name,
            "username": entity.aliases.first().map_or(entity.name.as_str(), |alias| alias.name.as_str()),
            "profile_image_url": "",
        },
    })
}
