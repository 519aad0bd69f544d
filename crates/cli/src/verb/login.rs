//! `login`: get a token and keep it.

use std::path::PathBuf;

use keyturn_core::duration::format_go;
use keyturn_core::secret::SecretString;
use keyturn_protocol::vault::{Envelope, SecretJson};
use serde::Deserialize;
use serde_json::Value;

use crate::client::Client;
use crate::connection;
use crate::context::Context;
use crate::failure::Failure;
use crate::input;
use crate::kv::Exposed;
use crate::output::{self, note};

const EXAMPLES: &str = "\
Examples:
  keyturn login                                        asks for a token
  keyturn login --method userpass --username bob       asks for the password
  keyturn login --method approle --role-id ROLE --secret-file /run/secrets/secret-id
  keyturn login --secret-file -  < token.txt

The token is kept in the file that KEYTURN_TOKEN_FILE names, else in ~/.keyturn-token, with mode 0600. It is not
printed.";

/// Log in and keep the token in a file
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// How to prove who you are
    #[arg(long, value_enum, default_value = "token")]
    method: Method,
    /// Where the auth method is mounted, if not at its own name
    #[arg(long, value_name = "MOUNT")]
    path: Option<String>,
    /// The user, for userpass
    #[arg(long, required_if_eq("method", "userpass"))]
    username: Option<String>,
    /// The role's id, for approle
    #[arg(long, required_if_eq("method", "approle"))]
    role_id: Option<String>,
    /// The token, password or secret id from a file, or - for standard input, instead of a prompt
    #[arg(long, value_name = "FILE|-")]
    secret_file: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Method {
    /// A token that you have
    Token,
    /// A user's name and password
    Userpass,
    /// A role's id and secret id, for machines
    Approle,
}

/// What there is to tell about a login.
struct Session {
    token: SecretString,
    seconds: u64,
    policies: Vec<String>,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let client = context.client_without_token()?;
    let file = context.token_file()?;
    let session = match args.method {
        Method::Token => check(args, &client)?,
        Method::Userpass | Method::Approle => exchange(args, &client)?,
    };
    file.write(&session.token)?;
    let validity = if session.seconds == 0 {
        "does not expire".into()
    } else {
        format!("valid for {}", format_go(session.seconds))
    };
    output::print_line(&format!(
        "logged in; the token is kept in {} ({validity}; policies: {})",
        file.path().display(),
        output::visible(&session.policies.join(", "), false)
    ))?;
    if let Some(variable) = context.overriding_variable() {
        note(&format!("note: {variable} is set and goes before the kept token"));
    }
    Ok(())
}

/// A token proves itself by looking itself up.
fn check(args: &Args, client: &Client) -> Result<Session, Failure> {
    #[derive(Deserialize)]
    struct Own {
        #[serde(default)]
        ttl: u64,
        #[serde(default)]
        policies: Vec<String>,
    }
    let token = input::credential("the token", args.secret_file.as_deref())?;
    let token = connection::checked(token, "the input".to_owned())?;
    let own: Own = client.with_token(token.clone()).get("auth/token/lookup-self").map_err(Failure::Login)?.data()?;
    Ok(Session { token, seconds: own.ttl, policies: own.policies })
}

fn exchange(args: &Args, client: &Client) -> Result<Session, Failure> {
    let mount = |default: &str| args.path.as_deref().unwrap_or(default).trim_matches('/').to_owned();
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let (route, mut body, name, what) = match args.method {
        Method::Approle => {
            let role = [("role_id".to_owned(), SecretJson::from_text(&text(&args.role_id).into()))];
            (format!("auth/{}/login", mount("approle")), role.into(), "secret_id", "the secret id")
        }
        _ => {
            let route = format!("auth/{}/login/{}", mount("userpass"), text(&args.username));
            (route, keyturn_protocol::vault::Fields::new(), "password", "the password")
        }
    };
    let secret = input::credential(what, args.secret_file.as_deref())?;
    body.insert(name.to_owned(), SecretJson::from_text(&secret));
    let envelope: Envelope<Value> = client.post(&route, &Exposed(&body)).map_err(Failure::Login)?.json()?;
    let Some(auth) = envelope.auth else {
        return Err(Failure::Usage(format!(
            "{route} gave no token: is an auth method mounted there? see `keyturn auth list`"
        )));
    };
    Ok(Session { token: auth.client_token, seconds: auth.lease_duration, policies: auth.policies })
}
