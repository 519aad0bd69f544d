//! The map of the store: which record lies under which key.
//!
//! ```text
//! core/…                                   the seal and the keyring; owned by keyturn-storage
//! mount/<path>                             a mount (mount::Mount)
//! sweep/<uuid>                             a mount that is gone and whose records are being removed
//! rotation                                 when data keys are rotated by themselves (rotation)
//! policy/<name>                            a policy's text
//! audit/<path>                             an audit device
//! audit-chain/<path>                       how far the chain through its log has come (audit::Head)
//! password-policy/<name>                   the text of a password policy
//! quota/<name>                             a rate limit (quota::Record)
//! config/<name>                            settings of the server: audited-headers, cors, quotas, ui-headers
//! version/<version>                        when a version of the server first opened the store
//! token/id/<hash>                          a token (token::Entry); <hash> is the keyed hash, in hex
//! token/accessor/<hash>                    the accessor's token
//! token/child/<hash>/<hash>                a token's child
//! token/expiry/<seconds>/<hash>            tokens by the time they end; seconds as 16 hex digits
//! token/lease/<path>/h<hash>               tokens that end, by the path that issued them (lease)
//! token/leases-indexed                     the index above is complete
//! token/role/<name>                        a token role
//! token/named/<group>/<slug>               a token that is listed by a name (token::NamedToken)
//! cubbyhole/<hash>/<name>                  what a token keeps in its cubbyhole
//! wrapping/<hash>                          the answer that a wrapping token stands for (wrapping)
//! lease/id/<path>/<id>                     the lease of a credential (lease::LeaseRecord), by the path that issued it
//! lease/due/<target>/<seconds>/<path>/<id> when something is to be done about it; seconds as 16 hex digits
//! lease/token/<hash>/<path>/<id>           a token's leases
//! lease/owner/<hash>                       the token has had leases, so its removal leaves the note that follows
//! lease/orphaned/<hash>                    the token is gone, its leases are to end
//! lease/irrevocable/<path>/<id>            leases whose revocation failed too often
//! access-key/id/<id>                       an access key (access_key::AccessKey), without its secret
//! access-key/secret/<id>                   its secret: the characters themselves
//! kv/<uuid>/config                         a versioned mount's settings
//! kv/<uuid>/meta/<name>                    a secret (kv::Secret)
//! kv/<uuid>/data/<name> 00 <version>       a version's payload; version as 8 bytes, big endian
//! kv/<uuid>/expiry/<seconds>/<name>        a secret whose current version is deleted by then; seconds as 16 hex digits
//! kv/<uuid>/purge/<seconds>/<name>         a secret that may be removed by then; seconds as 16 hex digits
//! kv/<uuid>/flat/<name>                    an unversioned secret
//! kv/<uuid>/notes/<project>                notes on the secrets of a project's configs, by name (config_values)
//! kv/<uuid>/project/<name>                 a project with its environments and configs (project::Project)
//! kv/<uuid>/webhook/<project>/<slug>       a webhook (project::Webhook)
//! kv/<uuid>/activity/<nanoseconds>-<random>   a change of structure (project::Activity); nanoseconds as 16 hex digits
//! kv/<uuid>/rotation/<name>                the rotation of a secret (rotation::Rotation)
//! kv/<uuid>/readers/<name>                 who has read a secret that has a rotation (consumers)
//! secret-rotation/due/<seconds>/<uuid>/<name>   that something is to be done with a rotation by then; of a static role,
//!                                          `static/` stands before the uuid
//! secret-rotation/watch/<uuid>/<name>      a rotation that does not simply wait for its time (alert); likewise
//! alert/<id>                               an alert that fires (alert::Firing)
//! auth/<uuid>/role/<name>                  an AppRole role (login::approle::Role)
//! auth/<uuid>/role-id/<hash>               the name of the role that has this role id; <hash> is keyed, in hex
//! auth/<uuid>/secret-id/<series>/<hash>    a secret id (login::approle::SecretId) of the role with this series
//! auth/<uuid>/accessor/<series>/<hash>     the accessor's secret id, by its hash
//! auth/<uuid>/expiry/<seconds>/<series>/<hash>   secret ids by the time they end; seconds as 16 hex digits
//! auth/<uuid>/user/<name>                  a user of userpass (login::userpass)
//! auth/<uuid>/config                       the configuration of a JWT, Kubernetes or certificate mount
//! auth/<uuid>/role/<name>                  a role of a JWT (login::jwt::JwtRole) or Kubernetes mount
//! auth/<uuid>/cert/<name>                  a trusted certificate (login::cert::CertEntry)
//! auth/<uuid>/crl/<name>                   the serial numbers of a revocation list (login::cert)
//! service-account/<slug>                   a service account (service_account::ServiceAccount)
//! outbox/<seconds>/<uuid>                  a message to another system (outbox::Delivery); seconds as 16 hex digits
//! database/<uuid>/config/<name>            a connection of a database mount (database::Connection)
//! database/<uuid>/role/<name>              a role (database::Role)
//! database/<uuid>/static-role/<name>       a static role with its credentials (database::StaticRole)
//! database/<uuid>/rotation/<name>          its rotation (rotation::Rotation)
//! database/<uuid>/readers/<name>           who has read its credential, if its strategy overlaps (consumers)
//! identity/entity/<uuid>                   an entity with its aliases (identity::Entity)
//! identity/group/<uuid>                    a group with its alias (identity::Group)
//! identity/member/<uuid>/<uuid>            a group's member: the group, the entity
//! identity/oidc/config                     the issuer of identity tokens
//! identity/oidc/key/<name>                 a key that signs identity tokens: all about it that is public
//! identity/oidc/private/<uuid>             the private part of one generation of such a key, in PKCS #8
//! identity/oidc/role/<name>                what identity tokens say
//! ```
//!
//! Names are stored in the clear: they are what policies, audit logs and listings show. Values never are.

mod alerts;

pub(crate) use alerts::{ALERTS, ROTATIONS_WATCHED, alert, kv_expiries, kv_expiry, rotation_watched};

use crate::{clock::Timestamp, storage::Key};

pub(crate) const MOUNTS: &[u8] = b"mount/";
pub(crate) const SWEEPS: &[u8] = b"sweep/";
pub(crate) const KEY_ROTATION: &[u8] = b"rotation";
pub(crate) const POLICIES: &[u8] = b"policy/";
pub(crate) const AUDIT_DEVICES: &[u8] = b"audit/";
pub(crate) const PASSWORD_POLICIES: &[u8] = b"password-policy/";
pub(crate) const QUOTAS: &[u8] = b"quota/";
pub(crate) const VERSIONS: &[u8] = b"version/";
pub(crate) const TOKENS: &[u8] = b"token/id/";
pub(crate) const TOKEN_ACCESSORS: &[u8] = b"token/accessor/";
pub(crate) const TOKEN_EXPIRY: &[u8] = b"token/expiry/";
pub(crate) const TOKEN_LEASES: &[u8] = b"token/lease/";
pub(crate) const TOKEN_LEASES_INDEXED: &[u8] = b"token/leases-indexed";
pub(crate) const TOKEN_ROLES: &[u8] = b"token/role/";
pub(crate) const LEASES: &[u8] = b"lease/id/";
pub(crate) const LEASES_DUE: &[u8] = b"lease/due/";
pub(crate) const LEASES_ORPHANED: &[u8] = b"lease/orphaned/";
pub(crate) const LEASES_IRREVOCABLE: &[u8] = b"lease/irrevocable/";
pub(crate) const ACCESS_KEYS: &[u8] = b"access-key/id/";

/// Joins the parts to a key.
pub(crate) fn join(parts: &[&[u8]]) -> Key {
    parts.concat()
}

pub(crate) fn mount(path: &str) -> Key {
    join(&[MOUNTS, path.as_bytes()])
}

pub(crate) fn sweep(uuid: &str) -> Key {
    join(&[SWEEPS, uuid.as_bytes()])
}

pub(crate) fn policy(name: &str) -> Key {
    join(&[POLICIES, name.as_bytes()])
}

pub(crate) fn audit_device(path: &str) -> Key {
    join(&[AUDIT_DEVICES, path.as_bytes()])
}

pub(crate) fn audit_chain(path: &str) -> Key {
    join(&[b"audit-chain/", path.as_bytes()])
}

pub(crate) fn password_policy(name: &str) -> Key {
    join(&[PASSWORD_POLICIES, name.as_bytes()])
}

pub(crate) fn quota(name: &str) -> Key {
    join(&[QUOTAS, name.as_bytes()])
}

pub(crate) fn config(name: &str) -> Key {
    join(&[b"config/", name.as_bytes()])
}

pub(crate) fn version(version: &str) -> Key {
    join(&[VERSIONS, version.as_bytes()])
}

pub(crate) fn token(id: &str) -> Key {
    join(&[TOKENS, id.as_bytes()])
}

pub(crate) fn token_accessor(hash: &str) -> Key {
    join(&[TOKEN_ACCESSORS, hash.as_bytes()])
}

pub(crate) fn token_children(parent: &str) -> Key {
    join(&[b"token/child/", parent.as_bytes(), b"/"])
}

pub(crate) fn token_child(parent: &str, child: &str) -> Key {
    join(&[b"token/child/", parent.as_bytes(), b"/", child.as_bytes()])
}

pub(crate) fn token_expiry(at: Timestamp, id: &str) -> Key {
    format!("token/expiry/{:016x}/{id}", at.as_second().max(0)).into_bytes()
}

/// The lease of a token that was issued at `path`.
pub(crate) fn token_lease(path: &str, id: &str) -> Key {
    join(&[TOKEN_LEASES, path.as_bytes(), b"/h", id.as_bytes()])
}

/// The record of a token that is listed by a name, or the prefix of a group's.
pub(crate) fn named_token(place: &str) -> Key {
    join(&[b"token/named/", place.as_bytes()])
}

pub(crate) fn lease(id: &str) -> Key {
    join(&[LEASES, id.as_bytes()])
}

/// The prefix of the leases at a target, by the time at which something is to be done.
pub(crate) fn leases_due(target: &str) -> Key {
    join(&[LEASES_DUE, target.as_bytes(), b"/"])
}

pub(crate) fn lease_due(target: &str, second: i64, id: &str) -> Key {
    format!("lease/due/{target}/{:016x}/{id}", second.max(0)).into_bytes()
}

/// The prefix of all leases of a token.
pub(crate) fn leases_of_token(token: &str) -> Key {
    join(&[b"lease/token/", token.as_bytes(), b"/"])
}

pub(crate) fn lease_of_token(token: &str, id: &str) -> Key {
    join(&[b"lease/token/", token.as_bytes(), b"/", id.as_bytes()])
}

pub(crate) fn lease_owner(token: &str) -> Key {
    join(&[b"lease/owner/", token.as_bytes()])
}

pub(crate) fn leases_orphaned(token: &str) -> Key {
    join(&[LEASES_ORPHANED, token.as_bytes()])
}

pub(crate) fn lease_irrevocable(id: &str) -> Key {
    join(&[LEASES_IRREVOCABLE, id.as_bytes()])
}

/// The prefix of all that a token keeps in its cubbyhole.
pub(crate) fn cubbyhole(token: &str) -> Key {
    join(&[b"cubbyhole/", token.as_bytes(), b"/"])
}

pub(crate) fn cubbyhole_entry(token: &str, name: &str) -> Key {
    join(&[b"cubbyhole/", token.as_bytes(), b"/", name.as_bytes()])
}

pub(crate) fn wrapping(token: &str) -> Key {
    join(&[b"wrapping/", token.as_bytes()])
}

pub(crate) fn token_role(name: &str) -> Key {
    join(&[TOKEN_ROLES, name.as_bytes()])
}

pub(crate) fn access_key(id: &str) -> Key {
    join(&[ACCESS_KEYS, id.as_bytes()])
}

pub(crate) fn access_key_secret(id: &str) -> Key {
    join(&[b"access-key/secret/", id.as_bytes()])
}

pub(crate) fn kv_config(mount: &str) -> Key {
    join(&[b"kv/", mount.as_bytes(), b"/config"])
}

/// The prefix of all secrets of a versioned mount.
pub(crate) fn kv_metas(mount: &str) -> Key {
    join(&[b"kv/", mount.as_bytes(), b"/meta/"])
}

pub(crate) fn kv_meta(mount: &str, name: &str) -> Key {
    join(&[b"kv/", mount.as_bytes(), b"/meta/", name.as_bytes()])
}

pub(crate) fn kv_data(mount: &str, name: &str, version: u64) -> Key {
    join(&[b"kv/", mount.as_bytes(), b"/data/", name.as_bytes(), b"\0", &version.to_be_bytes()])
}

/// The prefix of the notes of secrets to be removed.
pub(crate) fn kv_purges(mount: &str) -> Key {
    join(&[b"kv/", mount.as_bytes(), b"/purge/"])
}

pub(crate) fn kv_purge(mount: &str, at: Timestamp, name: &str) -> Key {
    format!("kv/{mount}/purge/{:016x}/{name}", at.as_second().max(0)).into_bytes()
}

/// The prefix of all projects of a mount.
pub(crate) fn projects(mount: &str) -> Key {
    join(&[b"kv/", mount.as_bytes(), b"/project/"])
}

/// Whether a record of that key may change what somebody who has a token may do.
pub(crate) fn decides_access(key: &[u8]) -> bool {
    [POLICIES, GROUPS, MOUNTS].into_iter().any(|prefix| key.starts_with(prefix))
}

pub(crate) fn secret_notes(mount: &str, project: &str) -> Key {
    join(&[b"kv/", mount.as_bytes(), b"/notes/", project.as_bytes()])
}

pub(crate) fn project(mount: &str, name: &str) -> Key {
    join(&[b"kv/", mount.as_bytes(), b"/project/", name.as_bytes()])
}

/// The prefix of all webhooks of a mount.
pub(crate) fn all_webhooks(mount: &str) -> Key {
    join(&[b"kv/", mount.as_bytes(), b"/webhook/"])
}

/// The prefix of the webhooks of a project.
pub(crate) fn webhooks(mount: &str, project: &str) -> Key {
    webhook(mount, project, "")
}

pub(crate) fn webhook(mount: &str, project: &str, slug: &str) -> Key {
    format!("kv/{mount}/webhook/{project}/{slug}").into_bytes()
}

/// The prefix of what happened to the structure of a mount.
pub(crate) fn activities(mount: &str) -> Key {
    join(&[b"kv/", mount.as_bytes(), b"/activity/"])
}

pub(crate) fn activity(mount: &str, id: &str) -> Key {
    join(&[b"kv/", mount.as_bytes(), b"/activity/", id.as_bytes()])
}

/// The prefix of all rotations of a mount's secrets.
pub(crate) fn kv_rotations(mount: &str) -> Key {
    join(&[b"kv/", mount.as_bytes(), b"/rotation/"])
}

pub(crate) fn kv_rotation(mount: &str, name: &str) -> Key {
    join(&[b"kv/", mount.as_bytes(), b"/rotation/", name.as_bytes()])
}

pub(crate) fn kv_readers(mount: &str, name: &str) -> Key {
    join(&[b"kv/", mount.as_bytes(), b"/readers/", name.as_bytes()])
}

/// The prefix of the notes of when rotations are due.
pub(crate) const ROTATIONS_DUE: &[u8] = b"secret-rotation/due/";

pub(crate) fn rotation_due(at: Timestamp, mount: &str, name: &str) -> Key {
    format!("secret-rotation/due/{:016x}/{mount}/{name}", at.as_second().max(0)).into_bytes()
}

/// The prefix of all secrets of an unversioned mount.
pub(crate) fn kv_flats(mount: &str) -> Key {
    join(&[b"kv/", mount.as_bytes(), b"/flat/"])
}

pub(crate) fn kv_flat(mount: &str, name: &str) -> Key {
    join(&[b"kv/", mount.as_bytes(), b"/flat/", name.as_bytes()])
}

fn of_auth(mount: &str, area: &str, rest: &str) -> Key {
    format!("auth/{mount}/{area}/{rest}").into_bytes()
}

/// The prefix of all roles of an `AppRole` mount.
pub(crate) fn approle_roles(mount: &str) -> Key {
    of_auth(mount, "role", "")
}

pub(crate) fn approle_role(mount: &str, name: &str) -> Key {
    of_auth(mount, "role", name)
}

pub(crate) fn approle_role_id(mount: &str, hash: &str) -> Key {
    of_auth(mount, "role-id", hash)
}

/// The prefix below which each series of secret ids is a folder.
pub(crate) fn approle_series(mount: &str) -> Key {
    of_auth(mount, "secret-id", "")
}

/// The prefix of all secret ids of a series.
pub(crate) fn approle_secret_ids(mount: &str, series: &str) -> Key {
    of_auth(mount, "secret-id", &format!("{series}/"))
}

pub(crate) fn approle_secret_id(mount: &str, series: &str, hash: &str) -> Key {
    of_auth(mount, "secret-id", &format!("{series}/{hash}"))
}

/// The prefix of all accessors of a series.
pub(crate) fn approle_accessors(mount: &str, series: &str) -> Key {
    of_auth(mount, "accessor", &format!("{series}/"))
}

pub(crate) fn approle_accessor(mount: &str, series: &str, hash: &str) -> Key {
    of_auth(mount, "accessor", &format!("{series}/{hash}"))
}

/// The prefix of the index of secret ids by their end.
pub(crate) fn approle_expiries(mount: &str) -> Key {
    of_auth(mount, "expiry", "")
}

pub(crate) fn approle_expiry(mount: &str, at: Timestamp, series: &str, hash: &str) -> Key {
    of_auth(mount, "expiry", &format!("{:016x}/{series}/{hash}", at.as_second().max(0)))
}

/// The prefix of all users of a userpass mount.
pub(crate) fn userpass_users(mount: &str) -> Key {
    of_auth(mount, "user", "")
}

pub(crate) fn userpass_user(mount: &str, name: &str) -> Key {
    of_auth(mount, "user", name)
}

/// The configuration of a mount that has one.
pub(crate) fn login_config(mount: &str) -> Key {
    join(&[b"auth/", mount.as_bytes(), b"/config"])
}

/// The prefix of all roles of a JWT or Kubernetes mount.
pub(crate) fn login_roles(mount: &str) -> Key {
    of_auth(mount, "role", "")
}

pub(crate) fn login_role(mount: &str, name: &str) -> Key {
    of_auth(mount, "role", name)
}

/// The prefix of all trusted certificates of a mount.
pub(crate) fn cert_entries(mount: &str) -> Key {
    of_auth(mount, "cert", "")
}

pub(crate) fn cert_entry(mount: &str, name: &str) -> Key {
    of_auth(mount, "cert", name)
}

/// The prefix of all revocation lists of a mount.
pub(crate) fn cert_crls(mount: &str) -> Key {
    of_auth(mount, "crl", "")
}

pub(crate) fn cert_crl(mount: &str, name: &str) -> Key {
    of_auth(mount, "crl", name)
}

/// The prefix of all service accounts.
pub(crate) const SERVICE_ACCOUNTS: &[u8] = b"service-account/";

pub(crate) fn service_account(slug: &str) -> Key {
    join(&[SERVICE_ACCOUNTS, slug.as_bytes()])
}

/// The prefix of all messages to other systems.
pub(crate) const OUTBOX: &[u8] = b"outbox/";

pub(crate) fn outbox(due: Timestamp, id: &str) -> Key {
    format!("outbox/{:016x}/{id}", due.as_second().max(0)).into_bytes()
}

/// A record of a database mount; without a name, the prefix of all of them.
pub(crate) fn database(mount: &str, folder: &str, name: &str) -> Key {
    format!("database/{mount}/{folder}/{name}").into_bytes()
}

/// The prefix of all entities.
pub(crate) const ENTITIES: &[u8] = b"identity/entity/";
/// The prefix of all groups.
pub(crate) const GROUPS: &[u8] = b"identity/group/";
/// The prefix of all members of all groups.
pub(crate) const MEMBERS: &[u8] = b"identity/member/";
/// The issuer of identity tokens.
pub(crate) const OIDC_CONFIG: &[u8] = b"identity/oidc/config";
/// The prefix of all keys that sign identity tokens.
pub(crate) const OIDC_KEYS: &[u8] = b"identity/oidc/key/";
/// The prefix of their private parts.
pub(crate) const OIDC_PRIVATE: &[u8] = b"identity/oidc/private/";
/// The prefix of all roles of identity tokens.
pub(crate) const OIDC_ROLES: &[u8] = b"identity/oidc/role/";

pub(crate) fn entity(id: &str) -> Key {
    join(&[ENTITIES, id.as_bytes()])
}

pub(crate) fn group(id: &str) -> Key {
    join(&[GROUPS, id.as_bytes()])
}

/// The prefix of all members of a group.
pub(crate) fn members(group: &str) -> Key {
    join(&[MEMBERS, group.as_bytes(), b"/"])
}

pub(crate) fn member(group: &str, entity: &str) -> Key {
    join(&[MEMBERS, group.as_bytes(), b"/", entity.as_bytes()])
}

pub(crate) fn oidc_key(name: &str) -> Key {
    join(&[OIDC_KEYS, name.as_bytes()])
}

pub(crate) fn oidc_private(id: &str) -> Key {
    join(&[OIDC_PRIVATE, id.as_bytes()])
}

pub(crate) fn oidc_role(name: &str) -> Key {
    join(&[OIDC_ROLES, name.as_bytes()])
}

/// The prefixes under which a mount keeps everything it has.
pub(crate) fn of_mount(uuid: &str) -> [Key; 3] {
    ["kv", "auth", "database"].map(|area| format!("{area}/{uuid}/").into_bytes())
}
