//! The whole URL map, engine by engine. Paths are below the engine's mount.

use std::collections::HashMap;

use keyturn_core::{mount::Engine, policy::Operation, storage::BoxFuture};
use matchit::{InsertError, Router};

use super::{Outcome, auth, call::Call, cubbyhole, database, identity, kv, sys};

/// What answers an operation on a path.
pub(super) type Handler = for<'a> fn(Call<'a>) -> BoxFuture<'a, Outcome>;

/// The variable parts of a path, by their names.
#[derive(Debug, Default)]
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// A part; empty if the route has none of that name.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.as_str())
    }
}

/// What a path leads to.
pub(super) enum Found {
    Handler(Handler, Parameters),
    OtherOperations,
    Nothing,
}

/// What may be done on a path.
#[derive(Default, Clone, Copy)]
struct Route {
    read: Option<Handler>,
    write: Option<Handler>,
    delete: Option<Handler>,
    list: Option<Handler>,
    patch: Option<Handler>,
    /// Where it stands in its table.
    index: usize,
}

impl Route {
    fn handler(&self, operation: Operation) -> Option<Handler> {
        match operation {
            Operation::Read => self.read,
            Operation::Create | Operation::Update => self.write,
            Operation::Delete => self.delete,
            Operation::List => self.list,
            Operation::Patch => self.patch,
            _ => None,
        }
    }

    fn operations(&self) -> Vec<Operation> {
        use Operation::{Delete, List, Patch, Read, Update};
        [Read, List, Update, Patch, Delete].into_iter().filter(|operation| self.handler(*operation).is_some()).collect()
    }
}

/// What an engine serves: for finding a handler, and for telling what there is.
struct Table {
    router: Router<Route>,
    paths: Vec<(&'static str, Vec<Operation>)>,
}

macro_rules! table {
    ($($path:literal => { $($operation:ident: $handler:path),+ $(,)? })+) => {{
        let mut router = Router::new();
        let mut paths = Vec::new();
        $(
            let mut route = Route::default();
            $(
                let handler: Handler = |call| Box::pin($handler(call));
                route.$operation = Some(handler);
            )+
            route.index = paths.len();
            paths.push(($path, route.operations()));
            router.insert($path, route)?;
        )+
        Table { router, paths }
    }};
}

fn system() -> Result<Table, InsertError> {
    Ok(table! {
        "seal"                          => { write: sys::seal::seal }
        "key-status"                    => { read: sys::rotate::key_status }
        "rotate"                        => { write: sys::rotate::rotate }
        "rotate/keyring"                => { write: sys::rotate::rotate }
        "rotate/config"                 => { read: sys::rotate::read_config, write: sys::rotate::write_config }
        "rotate/keyring/config"         => { read: sys::rotate::read_config, write: sys::rotate::write_config }
        "rotation"                      => { list: sys::rotation::list }
        "rotation/"                     => { list: sys::rotation::list }
        "rotation/{*path}"              => { read: sys::rotation::read, write: sys::rotation::write, delete: sys::rotation::delete }
        "rotation-run/{*path}"          => { write: sys::rotation::run }
        "rotation-pause/{*path}"        => { write: sys::rotation::pause }
        "rotation-resume/{*path}"       => { write: sys::rotation::resume }
        "rotation-rollback/{*path}"     => { write: sys::rotation::roll_back }
        "rotate/root/init"              => { read: sys::rekey::status, write: sys::rekey::start, delete: sys::rekey::cancel }
        "rotate/root/update"            => { write: sys::rekey::update }
        "rotate/root/verify"            => { read: sys::rekey::verify_status, write: sys::rekey::verify, delete: sys::rekey::restart_verify }
        "rotate/root/backup"            => { read: sys::rekey::read_backup, delete: sys::rekey::delete_backup }
        "rotate/recovery/{step}"        => { read: sys::rekey::recovery, write: sys::rekey::recovery, delete: sys::rekey::recovery }
        "rekey/init"                    => { read: sys::rekey::status, write: sys::rekey::start, delete: sys::rekey::cancel }
        "rekey/update"                  => { write: sys::rekey::update }
        "rekey/verify"                  => { read: sys::rekey::verify_status, write: sys::rekey::verify, delete: sys::rekey::restart_verify }
        "rekey/backup"                  => { read: sys::rekey::read_backup, delete: sys::rekey::delete_backup }
        "rekey/recovery-key-backup"     => { read: sys::rekey::read_backup, delete: sys::rekey::delete_backup }
        "rekey-recovery-key/{step}"     => { read: sys::rekey::recovery, write: sys::rekey::recovery, delete: sys::rekey::recovery }
        "generate-root/attempt"         => { read: sys::generate_root::status, write: sys::generate_root::start, delete: sys::generate_root::cancel }
        "generate-root/update"          => { write: sys::generate_root::update }
        "generate-root-token/attempt"   => { read: sys::generate_root::status, write: sys::generate_root::start, delete: sys::generate_root::cancel }
        "generate-root-token/update"    => { write: sys::generate_root::update }
        "decode-token"                  => { write: sys::generate_root::decode }
        "storage/snapshot"              => { read: sys::snapshot::take, write: sys::snapshot::restore }
        "storage/snapshot-force"        => { write: sys::snapshot::force_restore }
        "storage/raft/snapshot"         => { read: sys::snapshot::take, write: sys::snapshot::restore }
        "storage/raft/snapshot-force"   => { write: sys::snapshot::force_restore }
        "mounts"                        => { read: sys::mounts::list }
        "mounts/"                       => { read: sys::mounts::list, list: sys::mounts::list }
        "mounts/{*path}"                => { read: sys::mounts::read, write: sys::mounts::write, delete: sys::mounts::disable }
        "remount"                       => { write: sys::remount::start }
        "remount/status/{id}"           => { read: sys::remount::status }
        "auth"                          => { read: sys::auth::list }
        "auth/"                         => { read: sys::auth::list, list: sys::auth::list }
        "auth/{*path}"                  => { read: sys::auth::read, write: sys::auth::write, delete: sys::auth::disable }
        "aws-keys"                      => { write: sys::aws_keys::create, list: sys::aws_keys::list }
        "aws-keys/"                     => { list: sys::aws_keys::list }
        "aws-keys/{id}"                 => { read: sys::aws_keys::read, delete: sys::aws_keys::revoke }
        "policy"                        => { read: sys::policy::list, list: sys::policy::list }
        "policy/"                       => { read: sys::policy::list, list: sys::policy::list }
        "policy/{*name}"                => { read: sys::policy::read, write: sys::policy::write, delete: sys::policy::delete }
        "policies/acl"                  => { read: sys::policies::list, list: sys::policies::list }
        "policies/acl/"                 => { read: sys::policies::list, list: sys::policies::list }
        "policies/acl/{*name}"          => { read: sys::policies::read, write: sys::policies::write, delete: sys::policies::delete }
        "policies/password"             => { list: sys::policies_password::list }
        "policies/password/"            => { list: sys::policies_password::list }
        "policies/password/{name}"      => { read: sys::policies_password::read, write: sys::policies_password::write, delete: sys::policies_password::delete }
        "policies/password/{name}/generate" => { read: sys::policies_password::generate }
        "capabilities"                  => { write: sys::capabilities::of_token }
        "capabilities-self"             => { write: sys::capabilities::of_self }
        "capabilities-accessor"         => { write: sys::capabilities::of_accessor }
        "audit"                         => { read: sys::audit::list }
        "audit/"                        => { read: sys::audit::list, list: sys::audit::list }
        "audit/{*path}"                 => { write: sys::audit::enable, delete: sys::audit::disable }
        "audit-hash/{*path}"            => { write: sys::audit::hash }
        "audit-chain/{*path}"           => { read: sys::audit_chain::head, write: sys::audit_chain::refute }
        "internal/ui/mounts"            => { read: sys::internal_ui::mounts }
        "internal/ui/mounts/{*path}"    => { read: sys::internal_ui::mount }
        "wrapping/wrap"                 => { write: sys::wrapping::wrap }
        "wrapping/unwrap"               => { write: sys::wrapping::unwrap }
        "wrapping/lookup"               => { read: sys::wrapping::lookup, write: sys::wrapping::lookup }
        "wrapping/rewrap"               => { write: sys::wrapping::rewrap }
        "leases"                        => { read: sys::leases::irrevocable }
        "leases/count"                  => { read: sys::leases::count }
        "leases/tidy"                   => { write: sys::leases::tidy }
        "leases/lookup"                 => { write: sys::leases::lookup }
        "leases/lookup/"                => { list: sys::leases::list }
        "leases/lookup/{*prefix}"       => { list: sys::leases::list }
        "leases/renew"                  => { write: sys::leases::renew }
        "leases/renew/{*id}"            => { write: sys::leases::renew }
        "leases/revoke"                 => { write: sys::leases::revoke }
        "leases/revoke/{*id}"           => { write: sys::leases::revoke }
        "leases/revoke-prefix/{*prefix}" => { write: sys::leases::revoke_prefix }
        "leases/revoke-force/{*prefix}" => { write: sys::leases::revoke_force }
        "renew"                         => { write: sys::leases::renew }
        "renew/{*id}"                   => { write: sys::leases::renew }
        "revoke"                        => { write: sys::leases::revoke }
        "revoke/{*id}"                  => { write: sys::leases::revoke }
        "revoke-prefix/{*prefix}"       => { write: sys::leases::revoke_prefix }
        "revoke-force/{*prefix}"        => { write: sys::leases::revoke_force }
        "internal/ui/resultant-acl"     => { read: sys::resultant_acl::read }
        "internal/ui/namespaces"        => { read: sys::resultant_acl::namespaces }
        "internal/ui/namespaces/"       => { list: sys::resultant_acl::namespaces }
        "internal/specs/openapi"        => { read: sys::openapi::read }
        "internal/counters/requests"    => { read: sys::counters::requests }
        "internal/counters/tokens"      => { read: sys::counters::tokens }
        "tools/random"                  => { write: sys::tools::random }
        "tools/random/{first}"          => { write: sys::tools::random }
        "tools/random/{first}/{second}" => { write: sys::tools::random }
        "tools/hash"                    => { write: sys::tools::hash }
        "tools/hash/{algorithm}"        => { write: sys::tools::hash }
        "quotas/config"                 => { read: sys::quotas::read_config, write: sys::quotas::write_config }
        "quotas/rate-limit"             => { list: sys::quotas::list }
        "quotas/rate-limit/"            => { list: sys::quotas::list }
        "quotas/rate-limit/{name}"      => { read: sys::quotas::read, write: sys::quotas::write, delete: sys::quotas::delete }
        "alerts"                        => { read: sys::alerts::read }
        "metrics"                       => { read: sys::metrics::read }
        "host-info"                     => { read: sys::host_info::read }
        "in-flight-req"                 => { read: sys::in_flight::list }
        "locked-users"                  => { read: sys::locked_users::list, list: sys::locked_users::list }
        "locked-users/"                 => { list: sys::locked_users::list }
        "locked-users/{accessor}/unlock/{*name}" => { write: sys::locked_users::unlock }
        "config/cors"                   => { read: sys::config::read_cors, write: sys::config::write_cors, delete: sys::config::delete_cors }
        "config/auditing/request-headers" => { read: sys::auditing::list }
        "config/auditing/request-headers/{name}" => { read: sys::auditing::read, write: sys::auditing::write, delete: sys::auditing::delete }
        "config/ui/headers"             => { list: sys::config::list_headers }
        "config/ui/headers/"            => { list: sys::config::list_headers }
        "config/ui/headers/{name}"      => { read: sys::config::read_header, write: sys::config::write_header, delete: sys::config::delete_header }
        "config/state/sanitized"        => { read: sys::config::sanitized }
        "version-history"               => { list: sys::status::version_history }
        "version-history/"              => { list: sys::status::version_history }
        "replication/status"            => { read: sys::status::replication }
        "experiments"                   => { read: sys::status::experiments }
        "plugins/catalog"               => { read: sys::plugins::catalog, list: sys::plugins::catalog }
        "plugins/catalog/"              => { list: sys::plugins::catalog }
        "plugins/catalog/{type}"        => { read: sys::plugins::list, list: sys::plugins::list, write: sys::plugins::change, delete: sys::plugins::change }
        "plugins/catalog/{type}/"       => { list: sys::plugins::list }
        "plugins/catalog/{type}/{name}" => { read: sys::plugins::read, write: sys::plugins::change, delete: sys::plugins::change }
        "plugins/reload/backend"        => { write: sys::plugins::reload }
        "plugins/runtimes/catalog"      => { read: sys::plugins::runtimes, list: sys::plugins::runtimes }
        "plugins/runtimes/catalog/"     => { list: sys::plugins::runtimes }
    })
}

fn cubbyhole() -> Result<Table, InsertError> {
    Ok(table! {
        ""                              => { list: cubbyhole::list }
        "{*name}"                       => { read: cubbyhole::read, write: cubbyhole::write, delete: cubbyhole::delete, list: cubbyhole::list }
    })
}

fn kv1() -> Result<Table, InsertError> {
    Ok(table! {
        ""                              => { list: kv::v1::list }
        "{*name}"                       => { read: kv::v1::read, write: kv::v1::write, delete: kv::v1::delete, list: kv::v1::list }
    })
}

fn kv2() -> Result<Table, InsertError> {
    Ok(table! {
        "config"                        => { read: kv::config::read, write: kv::config::write }
        "data/{*name}"                  => { read: kv::data::read, write: kv::data::write, patch: kv::data::patch, delete: kv::data::delete }
        "subkeys/{*name}"               => { read: kv::data::subkeys }
        "diff/{*name}"                  => { read: kv::diff::read }
        "delete/{*name}"                => { write: kv::versions::delete }
        "undelete/{*name}"              => { write: kv::versions::undelete }
        "destroy/{*name}"               => { write: kv::versions::destroy }
        "metadata/"                     => { list: kv::metadata::list }
        "metadata/{*name}"              => { read: kv::metadata::read, write: kv::metadata::write, patch: kv::metadata::patch, delete: kv::metadata::delete, list: kv::metadata::list }
    })
}

fn token() -> Result<Table, InsertError> {
    Ok(table! {
        "create"                        => { write: auth::token::create }
        "create/{role}"                 => { write: auth::token::create_with_role }
        "create-orphan"                 => { write: auth::token::create_orphan }
        "lookup"                        => { read: auth::token::lookup, write: auth::token::lookup }
        "lookup-self"                   => { read: auth::token::lookup_self, write: auth::token::lookup_self }
        "lookup-accessor"               => { write: auth::token::lookup_accessor }
        "renew"                         => { write: auth::token::renew }
        "renew-self"                    => { write: auth::token::renew_self }
        "renew-accessor"                => { write: auth::token::renew_accessor }
        "revoke"                        => { write: auth::token::revoke }
        "revoke-self"                   => { write: auth::token::revoke_self }
        "revoke-accessor"               => { write: auth::token::revoke_accessor }
        "revoke-orphan"                 => { write: auth::token::revoke_orphan }
        "accessors"                     => { list: auth::token::accessors }
        "accessors/"                    => { list: auth::token::accessors }
        "tidy"                          => { write: auth::token::tidy }
        "roles"                         => { list: auth::token_role::list }
        "roles/"                        => { list: auth::token_role::list }
        "roles/{name}"                  => { read: auth::token_role::read, write: auth::token_role::write, delete: auth::token_role::delete }
    })
}

fn approle() -> Result<Table, InsertError> {
    Ok(table! {
        "login"                                     => { write: auth::approle::login }
        "tidy/secret-id"                            => { write: auth::approle::tidy }
        "role"                                      => { list: auth::approle::list }
        "role/"                                     => { list: auth::approle::list }
        "role/{name}"                               => { read: auth::approle::read, write: auth::approle::write, delete: auth::approle::delete }
        "role/{name}/role-id"                       => { read: auth::approle::read_role_id, write: auth::approle::write_role_id }
        "role/{name}/secret-id"                     => { write: auth::approle_secret_id::generate }
        "role/{name}/secret-id/"                    => { list: auth::approle_secret_id::list }
        "role/{name}/secret-id/lookup"              => { write: auth::approle_secret_id::lookup }
        "role/{name}/secret-id/destroy"             => { write: auth::approle_secret_id::destroy, delete: auth::approle_secret_id::destroy }
        "role/{name}/secret-id-accessor/lookup"     => { write: auth::approle_secret_id::lookup_accessor }
        "role/{name}/secret-id-accessor/destroy"    => { write: auth::approle_secret_id::destroy_accessor, delete: auth::approle_secret_id::destroy_accessor }
        "role/{name}/custom-secret-id"              => { write: auth::approle_secret_id::custom }
        "role/{name}/{field}"                       => { read: auth::approle_field::read, write: auth::approle_field::write, delete: auth::approle_field::delete }
    })
}

fn userpass() -> Result<Table, InsertError> {
    Ok(table! {
        "login/{name}"                  => { write: auth::userpass::login }
        "users"                         => { list: auth::userpass::list }
        "users/"                        => { list: auth::userpass::list }
        "users/{name}"                  => { read: auth::userpass::read, write: auth::userpass::write, delete: auth::userpass::delete }
        "users/{name}/password"         => { write: auth::userpass::write_password }
        "users/{name}/policies"         => { write: auth::userpass::write_policies }
    })
}

fn jwt() -> Result<Table, InsertError> {
    Ok(table! {
        "config"                        => { read: auth::jwt::read_config, write: auth::jwt::write_config }
        "role"                          => { list: auth::jwt_role::list }
        "role/"                         => { list: auth::jwt_role::list }
        "role/{name}"                   => { read: auth::jwt_role::read, write: auth::jwt_role::write, delete: auth::jwt_role::delete }
        "login"                         => { write: auth::jwt::login }
        "oidc/auth_url"                 => { write: auth::jwt::auth_url }
        "oidc/callback"                 => { read: auth::jwt::callback }
    })
}

fn kubernetes() -> Result<Table, InsertError> {
    Ok(table! {
        "config"                        => { read: auth::kubernetes::read_config, write: auth::kubernetes::write_config }
        "role"                          => { list: auth::kubernetes::list }
        "role/"                         => { list: auth::kubernetes::list }
        "role/{name}"                   => { read: auth::kubernetes::read, write: auth::kubernetes::write, delete: auth::kubernetes::delete }
        "login"                         => { write: auth::kubernetes::login }
    })
}

fn cert() -> Result<Table, InsertError> {
    Ok(table! {
        "config"                        => { read: auth::cert::read_config, write: auth::cert::write_config }
        "certs"                         => { list: auth::cert::list }
        "certs/"                        => { list: auth::cert::list }
        "certs/{name}"                  => { read: auth::cert::read, write: auth::cert::write, delete: auth::cert::delete }
        "crls"                          => { list: auth::cert::list_crls }
        "crls/"                         => { list: auth::cert::list_crls }
        "crls/{name}"                   => { read: auth::cert::read_crl, write: auth::cert::write_crl, delete: auth::cert::delete_crl }
        "login"                         => { write: auth::cert::login }
    })
}

fn identity() -> Result<Table, InsertError> {
    Ok(table! {
        "entity"                        => { write: identity::entity::write }
        "entity/id"                     => { list: identity::entity::list_by_id }
        "entity/id/"                    => { list: identity::entity::list_by_id }
        "entity/id/{id}"                => { read: identity::entity::read, write: identity::entity::write, delete: identity::entity::delete }
        "entity/name"                   => { list: identity::entity::list_by_name }
        "entity/name/"                  => { list: identity::entity::list_by_name }
        "entity/name/{*name}"           => { read: identity::entity::read, write: identity::entity::write, delete: identity::entity::delete }
        "entity/batch-delete"           => { write: identity::entity::delete_batch }
        "entity/merge"                  => { write: identity::entity::merge }
        "entity-alias"                  => { write: identity::entity_alias::write }
        "entity-alias/id"               => { list: identity::entity_alias::list }
        "entity-alias/id/"              => { list: identity::entity_alias::list }
        "entity-alias/id/{id}"          => { read: identity::entity_alias::read, write: identity::entity_alias::write, delete: identity::entity_alias::delete }
        "group"                         => { write: identity::group::write }
        "group/id"                      => { list: identity::group::list_by_id }
        "group/id/"                     => { list: identity::group::list_by_id }
        "group/id/{id}"                 => { read: identity::group::read, write: identity::group::write, delete: identity::group::delete }
        "group/name"                    => { list: identity::group::list_by_name }
        "group/name/"                   => { list: identity::group::list_by_name }
        "group/name/{*name}"            => { read: identity::group::read, write: identity::group::write, delete: identity::group::delete }
        "group-alias"                   => { write: identity::group_alias::write }
        "group-alias/id"                => { list: identity::group_alias::list }
        "group-alias/id/"               => { list: identity::group_alias::list }
        "group-alias/id/{id}"           => { read: identity::group_alias::read, write: identity::group_alias::write, delete: identity::group_alias::delete }
        "lookup/entity"                 => { write: identity::lookup::entity }
        "lookup/group"                  => { write: identity::lookup::group }
        "oidc/config"                   => { read: identity::oidc::read_config, write: identity::oidc::write_config }
        "oidc/key"                      => { list: identity::oidc_key::list }
        "oidc/key/"                     => { list: identity::oidc_key::list }
        "oidc/key/{name}"               => { read: identity::oidc_key::read, write: identity::oidc_key::write, delete: identity::oidc_key::delete }
        "oidc/key/{name}/rotate"        => { write: identity::oidc_key::rotate }
        "oidc/role"                     => { list: identity::oidc_role::list }
        "oidc/role/"                    => { list: identity::oidc_role::list }
        "oidc/role/{name}"              => { read: identity::oidc_role::read, write: identity::oidc_role::write, delete: identity::oidc_role::delete }
        "oidc/token/{name}"             => { read: identity::oidc::issue }
        "oidc/introspect"               => { write: identity::oidc::introspect }
        "oidc/.well-known/openid-configuration" => { read: identity::oidc::discovery }
        "oidc/.well-known/keys"         => { read: identity::oidc::public_keys }
    })
}

fn database() -> Result<Table, InsertError> {
    Ok(table! {
        "config"                        => { list: database::config::list }
        "config/"                       => { list: database::config::list }
        "config/{name}"                 => { read: database::config::read, write: database::config::write, delete: database::config::delete }
        "reset/{name}"                  => { write: database::config::reset }
        "rotate-root/{name}"            => { write: database::rotate::root }
        "roles"                         => { list: database::roles::list }
        "roles/"                        => { list: database::roles::list }
        "roles/{name}"                  => { read: database::roles::read, write: database::roles::write, delete: database::roles::delete }
        "creds/{name}"                  => { read: database::creds::issue }
        "static-roles"                  => { list: database::static_roles::list }
        "static-roles/"                 => { list: database::static_roles::list }
        "static-roles/{name}"           => { read: database::static_roles::read, write: database::static_roles::write, delete: database::static_roles::delete }
        "static-creds/{name}"           => { read: database::static_creds::read }
        "rotate-role/{name}"            => { write: database::rotate::role }
    })
}

/// The tables of all engines.
pub(super) struct Routes(HashMap<Engine, Table>);

impl Routes {
    pub(super) fn build() -> Result<Self, InsertError> {
        Ok(Self(HashMap::from([
            (Engine::System, system()?),
            (Engine::Kv1, kv1()?),
            (Engine::Kv2, kv2()?),
            (Engine::Token, token()?),
            (Engine::AppRole, approle()?),
            (Engine::UserPass, userpass()?),
            (Engine::Cubbyhole, cubbyhole()?),
            (Engine::Jwt, jwt()?),
            (Engine::Oidc, jwt()?),
            (Engine::Kubernetes, kubernetes()?),
            (Engine::Cert, cert()?),
            (Engine::Identity, identity()?),
            (Engine::Database, database()?),
        ])))
    }

    /// The paths of an engine, in the order of its table, with what may be done on each.
    pub(super) fn of(&self, engine: Engine) -> impl Iterator<Item = (&'static str, &[Operation])> {
        let paths = self.0.get(&engine).map(|table| table.paths.as_slice()).unwrap_or_default();
        paths.iter().map(|(path, operations)| (*path, operations.as_slice()))
    }

    /// The path of the table that `rest` is routed by, with what may be done on it.
    pub(super) fn route_of(&self, engine: Engine, rest: &str) -> Option<(&'static str, &[Operation])> {
        let table = self.0.get(&engine)?;
        let index = table.router.at(rest).ok()?.value.index;
        table.paths.get(index).map(|(path, operations)| (*path, operations.as_slice()))
    }

    /// What answers `operation` on the path `rest` below a mount of `engine`.
    pub(super) fn find(&self, engine: Engine, rest: &str, operation: Operation) -> Found {
        let Some(matched) = self.0.get(&engine).and_then(|table| table.router.at(rest).ok()) else {
            return Found::Nothing;
        };
        let Some(handler) = matched.value.handler(operation) else { return Found::OtherOperations };
        let parameters = matched.params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Found::Handler(handler, Parameters(parameters))
    }
}
