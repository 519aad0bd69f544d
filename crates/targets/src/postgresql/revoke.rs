//! The end of a principal: no more logins, then no more sessions, then no more role.

use std::time::Duration;

use keyturn_core::target::TargetError;
use tokio_postgres::{Client, types::Type};
use zeroize::Zeroizing;

use super::{
    connection::{of_statement, plain},
    identifier, is_administrator, run,
};

/// How long is waited between two looks at sessions that were told to end.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// A role that is to end.
struct Role {
    oid: u32,
    quoted: Zeroizing<String>,
    /// Whom its objects go to: the role that it acts as, or the administrator.
    heir: Zeroizing<String>,
    /// Whether the administrator has to become a member first, to end sessions and reassign objects.
    is_foreign: bool,
}

/// Ends a role, by the operator's statements if there are any.
pub(super) async fn revoke(
    client: &mut Client,
    username: &str,
    statements: &[Zeroizing<String>],
) -> Result<(), TargetError> {
    let Some(role) = find(client, username).await? else { return Ok(()) };
    // First and by itself, so that a failure below leaves it without access at least.
    execute(client, &format!("ALTER ROLE {} NOLOGIN", *role.quoted)).await?;
    end_sessions(client, &role).await?;
    if statements.is_empty() {
        let (name, heir) = (&*role.quoted, &*role.heir);
        let own = [
            format!("REASSIGN OWNED BY {name} TO {heir}"),
            // What is left is what it was granted, here and on what databases share.
            format!("DROP OWNED BY {name}"),
            format!("DROP ROLE {name}"),
        ];
        let own = own.map(Zeroizing::new);
        run(client, &own, |e, number| of_statement(e, number, &[])).await
    } else {
        run(client, statements, |e, number| of_statement(e, number, &[])).await
    }
}

/// Takes a role's password and ends its sessions.
pub(super) async fn disable(client: &mut Client, username: &str) -> Result<(), TargetError> {
    let Some(role) = find(client, username).await? else {
        return Err(TargetError::Statement { number: 1, reason: "there is no such role".to_owned() });
    };
    execute(client, &format!("ALTER ROLE {} PASSWORD NULL", *role.quoted)).await?;
    end_sessions(client, &role).await
}

async fn find(client: &Client, username: &str) -> Result<Option<Role>, TargetError> {
    let query = "SELECT r.oid, r.rolname = current_user, pg_has_role(current_user, r.oid, 'USAGE'), \
                 (SELECT h.rolname::text FROM pg_db_role_setting s, unnest(s.setconfig) AS c, pg_roles h \
                  WHERE s.setrole = r.oid AND s.setdatabase = 0 AND c = 'role=' || h.rolname) \
                 FROM pg_roles r WHERE r.rolname = $1";
    let rows = client.query_typed(query, &[(&username, Type::TEXT)]).await.map_err(|e| plain(&e))?;
    let Some(row) = rows.first() else { return Ok(None) };
    let read = || -> Result<(u32, bool, bool, Option<String>), tokio_postgres::Error> {
        Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?))
    };
    let (oid, is_self, is_member, owner) = read().map_err(|e| plain(&e))?;
    if is_self {
        return Err(is_administrator());
    }
    let heir = owner.map_or_else(|| Zeroizing::new("CURRENT_USER".to_owned()), |owner| identifier(&owner));
    Ok(Some(Role { oid, quoted: identifier(username), heir, is_foreign: !is_member }))
}

async fn execute(client: &Client, statement: &str) -> Result<(), TargetError> {
    client.batch_execute(statement).await.map_err(|e| plain(&e))
}

/// Ends all sessions of a role and waits until they are gone.
async fn end_sessions(client: &Client, role: &Role) -> Result<(), TargetError> {
    if role.is_foreign {
        execute(client, &format!("GRANT {} TO CURRENT_USER", *role.quoted)).await?;
    }
    let query = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                 WHERE usesysid = $1 AND pid <> pg_backend_pid()";
    loop {
        let rows = client.query_typed(query, &[(&role.oid, Type::OID)]).await.map_err(|e| plain(&e))?;
        match rows.first().map(|row| row.try_get::<_, i64>(0)) {
            Some(Ok(0)) => return Ok(()),
            Some(Err(error)) => return Err(plain(&error)),
            // The call's deadline ends this if a session does not end.
            Some(Ok(_)) | None => tokio::time::sleep(LOOK_AGAIN).await,
        }
    }
}
