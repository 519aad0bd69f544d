//! `login`: get a token and keep it.

use std::path::PathBuf;

use keyturn_core::duration::format_go;
use keyturn_core::random::Random;
use keyturn_core::secret::SecretString;
use keyturn_protocol::vault::{Envelope, Fields, SecretJson};
use serde::Deserialize;
use serde_json::Value;

use crate::browser::Landing;
use crate::client::{Client, Reply};
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
  keyturn login --method jwt --role ci --secret-file -  < job-token
  keyturn login --method oidc --role people            prints a URL to open in a browser
  keyturn login --method cert --client-cert me.pem --client-key me.key
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
    /// The role, for jwt, oidc and cert; without it, the mount's own or the first that fits
    #[arg(long)]
    role: Option<String>,
    /// The port on loopback that the browser comes back to, for oidc; 0: any
    #[arg(long, value_name = "PORT", default_value = "8250")]
    callback_port: u16,
    /// The token, password, secret id or JWT from a file, or - for standard input, instead of a prompt
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
    /// A token that an identity provider signed
    Jwt,
    /// An identity provider, in a browser
    Oidc,
    /// The client certificate of the connection
    Cert,
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
        Method::Oidc => browse(args, &client)?,
        Method::Userpass | Method::Approle | Method::Jwt | Method::Cert => exchange(args, &client)?,
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

/// Where the method is mounted.
fn mount(args: &Args, default: &str) -> String {
    args.path.as_deref().unwrap_or(default).trim_matches('/').to_owned()
}

fn exchange(args: &Args, client: &Client) -> Result<Session, Failure> {
    let mount = |default: &str| mount(args, default);
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let field = |name: &str, value: &Option<String>| (name.to_owned(), SecretJson::from_text(&text(value).into()));
    let (route, mut body, name, what) = match args.method {
        Method::Approle => {
            let role = [field("role_id", &args.role_id)];
            (format!("auth/{}/login", mount("approle")), role.into(), "secret_id", "the secret id")
        }
        Method::Jwt => {
            let role = [field("role", &args.role)];
            (format!("auth/{}/login", mount("jwt")), role.into(), "jwt", "the JWT")
        }
        Method::Cert => {
            let body: Fields = [field("name", &args.role)].into();
            let route = format!("auth/{}/login", mount("cert"));
            let envelope = client.post(&route, &Exposed(&body)).map_err(Failure::Login)?.json()?;
            return session(envelope, &route);
        }
        _ => {
            let route = format!("auth/{}/login/{}", mount("userpass"), text(&args.username));
            (route, Fields::new(), "password", "the password")
        }
    };
    let secret = input::credential(what, args.secret_file.as_deref())?;
    body.insert(name.to_owned(), SecretJson::from_text(&secret));
    let envelope = client.post(&route, &Exposed(&body)).map_err(Failure::Login)?.json()?;
    session(envelope, &route)
}

/// Sends the user's browser to the identity provider and waits for it to come back. What this client made up itself has
/// to be shown again, so that nobody else can end the login.
fn browse(args: &Args, client: &Client) -> Result<Session, Failure> {
    #[derive(Deserialize)]
    struct Begun {
        auth_url: String,
    }
    let usage = |text: String| Failure::Usage(text);
    let port = args.callback_port;
    let no_port = |error| usage(format!("cannot listen on port {port} of loopback: {error}; see --callback-port"));
    let landing = Landing::open(port).map_err(no_port)?;
    let redirect_uri = landing.redirect_uri().map_err(no_port)?;
    let nonce = Random::default().base62(20).map_err(|error| usage(error.to_string()))?;
    let role = args.role.clone().unwrap_or_default();
    let body: Fields = [
        ("role".to_owned(), SecretJson::from_text(&role.into())),
        ("redirect_uri".to_owned(), SecretJson::from_text(&redirect_uri.as_str().into())),
        ("client_nonce".to_owned(), SecretJson::from_text(&nonce)),
    ]
    .into();
    let mount = mount(args, "oidc");
    let route = format!("auth/{mount}/oidc/auth_url");
    let Begun { auth_url } = client.post(&route, &Exposed(&body)).map_err(Failure::Login)?.data()?;
    if auth_url.is_empty() {
        return Err(usage(format!("the role does not allow {redirect_uri}: add it to its allowed_redirect_uris")));
    }
    note("open this address in a browser to log in:");
    output::print_line(&auth_url)?;
    let returned = landing.wait().map_err(|error| usage(format!("the browser did not come back: {error}")))?;
    let query = [
        ("state", returned.state),
        ("code", returned.code),
        ("error", returned.error),
        ("client_nonce", nonce.expose_secret().to_owned()),
    ];
    let route = format!("auth/{mount}/oidc/callback");
    let envelope = client.get_any(&route, &query).and_then(Reply::accepted).map_err(Failure::Login)?.json()?;
    session(envelope, &route)
}

fn session(envelope: Envelope<Value>, route: &str) -> Result<Session, Failure> {
    let Some(auth) = envelope.auth else {
        return Err(Failure::Usage(format!(
            "{route} gave no token: is an auth method mounted there? see `keyturn auth list`"
        )));
    };
    Ok(Session { token: auth.client_token, seconds: auth.lease_duration, policies: auth.policies })
}
