//! `auth/userpass`: users and logins.

use keyturn_core::{login::TokenSettings, login::userpass::UserPassError, secret::SecretString};

use super::{
    super::{Outcome, call::Call, error::Failure, fields::Fields, reply::Reply},
    token_settings::{self, Older},
};

const OLDER: &[Older] = &[
    ("policies", "token_policies"),
    ("ttl", "token_ttl"),
    ("max_ttl", "token_max_ttl"),
    ("bound_cidrs", "token_bound_cidrs"),
];

pub(in super::super) async fn list(call: Call<'_>) -> Outcome {
    Reply::keys(&call.core.logins().userpass().list_users(call.permit).await?)
}

pub(in super::super) async fn read(call: Call<'_>) -> Outcome {
    let user = call.core.logins().userpass().read_user(call.permit).await?.ok_or_else(Failure::nothing)?;
    Reply::data(&token_settings::told(&user, OLDER))
}

pub(in super::super) async fn write(call: Call<'_>) -> Outcome {
    let fields = call.fields()?;
    let password = password_of(&fields)?;
    let mut adjusted = None;
    let change = |settings: &mut TokenSettings| {
        adjusted = token_settings::apply(settings, &fields, OLDER)?;
        Ok::<_, Failure>(())
    };
    call.core.logins().userpass().write_user(call.permit, password, change).await?;
    Ok(adjusted.into_iter().fold(Reply::empty(), Reply::warn))
}

pub(in super::super) async fn delete(call: Call<'_>) -> Outcome {
    call.core.logins().userpass().delete_user(call.permit).await?;
    Ok(Reply::empty())
}

pub(in super::super) async fn write_password(call: Call<'_>) -> Outcome {
    let password = password_of(&call.fields()?)?.ok_or(UserPassError::MissingPassword)?;
    call.core.logins().userpass().set_password(call.permit, password).await?;
    Ok(Reply::empty())
}

pub(in super::super) async fn write_policies(call: Call<'_>) -> Outcome {
    let fields = call.fields()?.only(&["token_policies", "policies"]);
    let change = |settings: &mut TokenSettings| token_settings::apply(settings, &fields, OLDER).map(drop);
    call.core.logins().userpass().change_user(call.permit, change).await?;
    Ok(Reply::empty())
}

pub(in super::super) async fn login(call: Call<'_>) -> Outcome {
    let password = call.fields()?.secret("password")?.unwrap_or_default();
    Ok(Reply::issued(call.core.logins().userpass().login(call.permit, password).await?))
}

/// A hash made elsewhere is refused rather than passed over: its user could never log in.
fn password_of(fields: &Fields<'_>) -> Result<Option<SecretString>, Failure> {
    if fields.raw("password_hash").is_some() {
        return Err(Failure::bad_request("password_hash is not supported: give the password, it is hashed here"));
    }
    Ok(fields.secret("password")?.filter(|password| !password.is_empty()))
}
