//! `workplace/groups`: the groups of the identity engine. The role of a group is a policy that its members have, in whatever
//! project that lets them do something.

use keyturn_core::{
    identity::{Find, GroupInput, GroupView, Membership},
    policy::Operation,
};
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    Outcome,
    call::{Call, checked},
    error::Failure,
    reply::Reply,
    roles, shape,
    users::{policies_of, text},
};

const GROUPS: &str = "identity/group";
/// The one kind of members that a group has here.
const USER: &str = "workplace_user";

#[derive(Serialize)]
struct Wanted<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policies: Option<&'a [String]>,
}

#[derive(Serialize)]
struct Members<'a> {
    member_entity_ids: [&'a str; 1],
}

fn missing() -> Failure {
    Failure::not_found("Could not find requested group")
}

fn path_of(slug: &str) -> Result<String, Failure> {
    Ok(format!("{GROUPS}/id/{}", checked("group", slug.to_owned())?))
}

fn role(call: &Call) -> Result<Option<Vec<String>>, Failure> {
    Ok(call.parameters.text("default_project_role")?.map(|role| policies_of(&role)))
}

pub(super) async fn list(call: &Call) -> Outcome {
    let page = call.parameters.page()?;
    call.through(Operation::List, &format!("{GROUPS}/id"), |permit| async {
        let mut groups: Vec<_> = call.core.identity().groups(permit).into_iter().map(|(group, _)| group).collect();
        groups.sort_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
        let groups: Vec<_> = page.of(groups).iter().map(|group| summary(group)).collect();
        Ok(Reply::ok(&json!({ "groups": groups, "page": page.number, "success": true })))
    })
    .await
}

pub(super) async fn create(call: &Call) -> Outcome {
    let (name, policies) = (call.parameters.required("name")?, role(call)?.unwrap_or_default());
    let told = text(&Wanted { name: Some(&name), policies: Some(&policies) });
    call.through_with(Operation::Update, GROUPS, &told, |permit| async {
        match call.core.identity().new_group(permit, &name, &policies).await? {
            Some(group) => one(&GroupView { group, member_entity_ids: Vec::new(), member_group_ids: Vec::new() }),
            None => Err(Failure::conflict("a group of that name already exists")),
        }
    })
    .await
}

pub(super) async fn read(call: &Call, slug: &str) -> Outcome {
    let path = path_of(slug)?;
    call.through(Operation::Read, &path, |permit| async {
        one(&call.core.identity().group(permit, Find::Id(slug)).ok_or_else(missing)?)
    })
    .await
}

pub(super) async fn update(call: &Call, slug: &str) -> Outcome {
    let (path, name, policies) = (path_of(slug)?, call.parameters.text("name")?, role(call)?);
    let told = text(&Wanted { name: name.as_deref(), policies: policies.as_deref() });
    let before = call.also(Operation::Read, &path).await?;
    call.core.identity().group(before, Find::Id(slug)).ok_or_else(missing)?;
    call.through_with(Operation::Update, &path, &told, |permit| async {
        let input = GroupInput { id: Some(slug.to_owned()), name, policies, ..GroupInput::default() };
        call.core.identity().write_group(permit, input).await?;
        let after = call.also(Operation::Read, &path).await?;
        one(&call.core.identity().group(after, Find::Id(slug)).ok_or_else(missing)?)
    })
    .await
}

pub(super) async fn delete(call: &Call, slug: &str) -> Outcome {
    let path = path_of(slug)?;
    call.through(Operation::Delete, &path, |permit| async {
        call.core.identity().delete_group(permit, Find::Id(slug)).await?;
        Ok(Reply::nothing())
    })
    .await
}

pub(super) async fn add_member(call: &Call, slug: &str) -> Outcome {
    let (kind, member) = (call.parameters.required("type")?, call.parameters.required("slug")?);
    check_kind(&kind)?;
    match set_member(call, slug, &member, true).await? {
        Membership::Changed => Ok(Reply::nothing()),
        Membership::Same => Err(Failure::conflict("the workplace user is a member of the group already")),
        Membership::Unknown => Err(Failure::not_found("Could not find requested group or workplace user")),
    }
}

pub(super) async fn remove_member(call: &Call, slug: &str, kind: &str, member: &str) -> Outcome {
    check_kind(kind)?;
    match set_member(call, slug, member, false).await? {
        Membership::Changed => Ok(Reply::nothing()),
        Membership::Same | Membership::Unknown => Err(no_member()),
    }
}

/// Whether somebody is a member: nothing is said but that.
pub(super) async fn read_member(call: &Call, slug: &str, kind: &str, member: &str) -> Outcome {
    check_kind(kind)?;
    let path = path_of(slug)?;
    call.through(Operation::Read, &path, |permit| async {
        let view = call.core.identity().group(permit, Find::Id(slug)).ok_or_else(missing)?;
        let is_in = view.member_entity_ids.iter().any(|id| **id == *member);
        if is_in { Ok(Reply::nothing()) } else { Err(no_member()) }
    })
    .await
}

async fn set_member(call: &Call, slug: &str, member: &str, is_in: bool) -> Result<Membership, Failure> {
    let (path, told) = (path_of(slug)?, text(&Members { member_entity_ids: [member] }));
    let (exchange, permit) = call.admit(Operation::Update, &path, &told).await?;
    let set = call.core.identity().set_member(permit, slug, member, is_in).await.map_err(Failure::from);
    let outcome =
        set.as_ref().map(|_| Reply::nothing()).map_err(|failure| Failure::new(failure.status(), failure.text()));
    call.conclude(exchange, outcome).await?;
    set
}

fn no_member() -> Failure {
    Failure::not_found("Could not find requested member of the group")
}

fn check_kind(kind: &str) -> Result<(), Failure> {
    if kind == USER { Ok(()) } else { Err(Failure::bad_request(format!("type must be {USER}"))) }
}

fn summary(group: &keyturn_core::identity::Group) -> Value {
    json!({
        "name": group.name,
        "slug": group.id,
        "created_at": shape::time(group.created),
        "default_project_role": { "identifier": group.policies.first().map_or(roles::NO_ACCESS, String::as_str) },
    })
}

/// Which projects the group's policies reach is theirs to say: none are listed.
fn one(view: &GroupView) -> Outcome {
    let members: Vec<_> = view.member_entity_ids.iter().map(|id| json!({ "type": USER, "slug": &**id })).collect();
    let mut group = summary(&view.group);
    group["projects"] = json!([]);
    group["members"] = json!(members);
    Ok(Reply::ok(&json!({ "group": group, "success": true })))
}
