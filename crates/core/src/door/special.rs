//! Paths with a rule of their own: open without a token, or only to root and sudo.

use crate::mount::Engine;

/// Whether a path below a mount is open to those without a token: logins, and what clients ask before them.
pub(super) fn is_open(engine: Engine, rest: &str) -> bool {
    match engine {
        Engine::AppRole | Engine::Kubernetes | Engine::Cert => rest == "login",
        Engine::Jwt | Engine::Oidc => matches!(rest, "login" | "oidc/auth_url" | "oidc/callback"),
        Engine::UserPass => rest.strip_prefix("login/").is_some_and(|user| !user.is_empty()),
        // At `aws/`, everybody may ask who they are, and for a session; the handler turns away who is nobody.
        Engine::System => {
            const OPEN: &[&str] = &[
                "aws/sts/caller-identity",
                "aws/sts/session-token",
                "doppler/device-login",
                "internal/specs/openapi",
                "internal/ui/mounts",
                "internal/ui/namespaces",
                "replication/status",
                "wrapping/lookup",
            ];
            OPEN.contains(&rest.trim_end_matches('/')) || rest.starts_with("internal/ui/mounts/")
        }
        Engine::Identity => rest.starts_with("oidc/.well-known/"),
        Engine::Token | Engine::Kv1 | Engine::Kv2 | Engine::Cubbyhole | Engine::Database => false,
    }
}

/// Whether a request is about a wrapping token, which is looked at before anything else: that it is good no longer is
/// told to whoever brings it.
pub(super) fn is_about_wrapping(engine: Engine, rest: &str) -> bool {
    engine == Engine::System && matches!(rest, "wrapping/lookup" | "wrapping/rewrap" | "wrapping/unwrap")
}

/// Whether a path is a step of a key ceremony under its old spelling, which Vault answers without a token: the shares
/// are what is asked for. The newer spellings (`rotate/root/…`, `generate-root-token/…`) always need a token.
pub(super) fn is_ceremony(engine: Engine, rest: &str) -> bool {
    const STEPS: &[&str] =
        &["generate-root/attempt", "generate-root/update", "rekey/init", "rekey/update", "rekey/verify"];
    engine == Engine::System && (STEPS.contains(&rest) || rest.starts_with("rekey-recovery-key/"))
}

/// Whether a path below a mount needs sudo besides the capability for the operation.
pub(super) fn needs_sudo(engine: Engine, rest: &str) -> bool {
    match engine {
        Engine::System => {
            const EXACT: &[&str] = &[
                "audit",
                "config/cors",
                "config/ui/headers",
                "host-info",
                "leases",
                "raw",
                "remount",
                "rotate",
                "rotate/keyring",
                "rotate/root",
                "seal",
                "step-down",
                "storage/raft/snapshot",
                "storage/raft/snapshot-force",
                "storage/snapshot",
                "storage/snapshot-force",
            ];
            const BELOW: &[&str] = &[
                "audit/",
                "audit-chain/",
                "auth/",
                "config/auditing/",
                "config/ui/headers/",
                "leases/lookup/",
                "leases/revoke-force/",
                "leases/revoke-prefix/",
                "plugins/catalog/",
                "raw/",
                "revoke-force/",
                "revoke-prefix/",
            ];
            EXACT.contains(&rest) || BELOW.iter().any(|prefix| rest.starts_with(prefix))
        }
        // `revoke-orphan` and parts of `create` need it too, but say so in words of their own.
        Engine::Token => matches!(rest, "accessors" | "accessors/"),
        Engine::Kv1
        | Engine::Kv2
        | Engine::AppRole
        | Engine::UserPass
        | Engine::Jwt
        | Engine::Oidc
        | Engine::Kubernetes
        | Engine::Cert
        | Engine::Cubbyhole
        | Engine::Identity
        | Engine::Database => false,
    }
}

/// Whether reading a path below a mount changes something: a browser comes back from its provider by a GET, and leaves
/// with a token; credentials of a database are made when they are read.
pub(super) fn read_changes(engine: Engine, rest: &str) -> bool {
    match engine {
        Engine::Jwt | Engine::Oidc => rest == "oidc/callback",
        Engine::Database => rest.starts_with("creds/"),
        _ => false,
    }
}

/// Whether a read of `path` may be one that changes something, whatever is mounted where: for whoever has to know
/// before the mount is found. That it says so of other paths as well does no harm.
#[must_use]
pub fn read_may_change(path: &str) -> bool {
    path.ends_with("/oidc/callback") || path.contains("/creds/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_logins_and_the_preflight_are_open() {
        assert!(is_open(Engine::UserPass, "login/ann"));
        assert!(!is_open(Engine::UserPass, "login/"));
        assert!(!is_open(Engine::AppRole, "login/x"));
        assert!(is_open(Engine::Jwt, "oidc/callback") && !is_open(Engine::Jwt, "config"));
        assert!(is_open(Engine::Cert, "login") && !is_open(Engine::Cert, "certs/login"));
        assert!(is_open(Engine::System, "internal/ui/mounts/secret/x"));
        assert!(!is_open(Engine::System, "mounts"));
        assert!(is_open(Engine::System, "wrapping/lookup") && !is_open(Engine::System, "wrapping/unwrap"));
        assert!(!is_open(Engine::Cubbyhole, "wrapping/lookup"));
        assert!(is_open(Engine::System, "internal/ui/namespaces/"));
        assert!(!is_open(Engine::System, "internal/specs/openapi/x") && !is_open(Engine::System, "replication/x"));
        assert!(is_open(Engine::Identity, "oidc/.well-known/keys"));
        assert!(!is_open(Engine::Identity, "oidc/token/r"));
    }

    #[test]
    fn what_reads_change_is_known_before_the_mount_is() {
        for (engine, rest) in
            [(Engine::Jwt, "oidc/callback"), (Engine::Oidc, "oidc/callback"), (Engine::Database, "creds/app")]
        {
            assert!(read_changes(engine, rest) && read_may_change(&format!("team/x/{rest}")), "{engine:?} {rest}");
        }
        for path in ["secret/data/app/db", "database/static-creds/app", "database/roles/creds", "sys/health"] {
            assert!(!read_may_change(path), "{path}");
        }
    }

    #[test]
    fn ceremonies_are_the_old_spellings_only() {
        assert!(is_ceremony(Engine::System, "rekey/init"));
        assert!(is_ceremony(Engine::System, "generate-root/update"));
        for rest in ["rekey/backup", "rotate/root/init", "generate-root-token/update", "rekey", "rekey/init/x"] {
            assert!(!is_ceremony(Engine::System, rest), "{rest}");
        }
        assert!(!is_ceremony(Engine::Kv2, "rekey/init"));
    }
}
