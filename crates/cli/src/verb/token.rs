//! `token`: create, look up, renew and revoke tokens.

use std::path::PathBuf;

use clap::Subcommand;
use keyturn_core::duration::format_go;
use keyturn_core::secret::SecretString;
use keyturn_protocol::vault::{Auth, Envelope, Fields, SecretJson};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::client::Client;
use crate::context::Context;
use crate::failure::Failure;
use crate::input;
use crate::kv::Exposed;
use crate::output::{self, Format, FormatArgs, MASK, Table, note};
use crate::wrap::WrapArgs;

/// Create, look up, renew and revoke tokens, and see what one may do
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Create a token, a child of your own, and print it
    #[command(after_help = "\
Examples:
  keyturn token create --policy app --ttl 1h
  keyturn token create --policy ci --num-uses 3 --meta job=42 --format json
  KEYTURN_TOKEN=$(keyturn token create --policy app --token-only) app
  keyturn token create --policy app --wrap-ttl 5m --token-only     a token for the token, see `keyturn unwrap`

A child ends with its parent unless it is created with --orphan. Durations: 90s, 30m, 12h, 7d.")]
    Create(CreateArgs),
    /// Show what is known of a token: your own unless another is named
    #[command(after_help = "\
Examples:
  keyturn token lookup
  keyturn token lookup --accessor 8FzVQ2lhd2gUVO4LEnHPqWXz
  keyturn token lookup --token-file other.token")]
    Lookup {
        #[command(flatten)]
        which: Which,
        /// Show the token itself too
        #[arg(long)]
        reveal: bool,
        #[command(flatten)]
        format: FormatArgs,
    },
    /// Extend a token's life: your own unless another is named
    #[command(after_help = "\
Examples:
  keyturn token renew
  keyturn token renew --increment 12h
  keyturn token renew --accessor 8FzVQ2lhd2gUVO4LEnHPqWXz")]
    Renew {
        #[command(flatten)]
        which: Which,
        /// How long it should live from now; the server may grant less
        #[arg(long, value_name = "DURATION")]
        increment: Option<String>,
        #[command(flatten)]
        format: FormatArgs,
    },
    /// End a token, its children and their leases
    #[command(after_help = "\
Examples:
  keyturn token revoke --accessor 8FzVQ2lhd2gUVO4LEnHPqWXz
  keyturn token revoke --token-file other.token --keep-children
  keyturn token revoke --self")]
    Revoke {
        #[command(flatten)]
        which: Which,
        /// Your own token
        #[arg(long = "self", conflicts_with_all = ["accessor", "token_file"])]
        own: bool,
        /// Its children live on, without a parent
        #[arg(long, requires = "token_file")]
        keep_children: bool,
    },
    /// Show what a token may do at paths: your own unless another is named
    #[command(after_help = "\
Examples:
  keyturn token capabilities secret/data/app/db
  keyturn token capabilities --accessor 8FzVQ2lhd2gUVO4LEnHPqWXz secret/data/app/db sys/mounts

Paths are those of the API: a secret with versions is read at MOUNT/data/NAME and listed at MOUNT/metadata/NAME.")]
    Capabilities {
        /// The API paths
        #[arg(required = true)]
        paths: Vec<String>,
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        format: FormatArgs,
    },
}

#[derive(Debug, clap::Args)]
struct CreateArgs {
    /// A policy for the token, once for each; without any it gets all of yours
    #[arg(long = "policy", value_name = "NAME")]
    policies: Vec<String>,
    /// How long it lives unless it is renewed
    #[arg(long, value_name = "DURATION")]
    ttl: Option<String>,
    /// How long it lives at most, renewed or not
    #[arg(long, value_name = "DURATION")]
    explicit_max_ttl: Option<String>,
    /// Let it live forever if it is renewed this often
    #[arg(long, value_name = "DURATION")]
    period: Option<String>,
    /// For how many requests it is good; 0: any number
    #[arg(long, value_name = "N")]
    num_uses: Option<u64>,
    /// A name for it, for the audit log
    #[arg(long, value_name = "NAME")]
    display_name: Option<String>,
    /// A note that the audit log shows, once for each
    #[arg(long, value_name = "KEY=VALUE")]
    meta: Vec<String>,
    /// `service`, or `batch`: not stored, not renewable
    #[arg(long = "type", value_name = "TYPE", value_parser = ["service", "batch"])]
    kind: Option<String>,
    /// Create it by this token role
    #[arg(long, conflicts_with = "orphan")]
    role: Option<String>,
    /// Give it no parent, so that it outlives your token
    #[arg(long)]
    orphan: bool,
    /// Leave out the policy `default`
    #[arg(long)]
    no_default_policy: bool,
    /// Refuse renewal
    #[arg(long)]
    not_renewable: bool,
    /// Print the token alone, without a line end
    #[arg(long, conflicts_with = "format")]
    token_only: bool,
    #[command(flatten)]
    wrap: WrapArgs,
    #[command(flatten)]
    format: FormatArgs,
}

#[derive(Serialize)]
struct CapabilitiesBody<'a> {
    #[serde(flatten)]
    which: Exposed<'a>,
    paths: &'a [String],
}

/// Which token is meant.
#[derive(Debug, clap::Args)]
struct Which {
    /// The token with this accessor
    #[arg(long, conflicts_with = "token_file")]
    accessor: Option<String>,
    /// The token in this file, or - for standard input
    #[arg(long, value_name = "FILE|-")]
    token_file: Option<PathBuf>,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    match &args.action {
        Action::Create(args) => create(args, client),
        Action::Lookup { which, reveal, format } => lookup(which, *reveal, format.format, &client),
        Action::Renew { which, increment, format } => {
            let mut body = which.body()?;
            if let Some(increment) = increment {
                body.insert("increment".to_owned(), SecretJson::from_text(&increment.as_str().into()));
            }
            let route = which.route("auth/token/renew-self", "auth/token/renew", "auth/token/renew-accessor");
            let auth = auth_of(client.post(route, &Exposed(&body))?.json()?)?;
            print_auth(&auth, false, format.format)
        }
        Action::Revoke { which, own, keep_children } => revoke(which, *own, *keep_children, &client),
        Action::Capabilities { paths, which, format } => {
            let route = which.route("sys/capabilities-self", "sys/capabilities", "sys/capabilities-accessor");
            let body = CapabilitiesBody { which: Exposed(&which.body()?), paths };
            let mut answer: Map<String, Value> = client.post(route, &body)?.data()?;
            answer.retain(|path, _| paths.contains(path));
            Ok(output::print_data(&Value::Object(answer), format.format)?)
        }
    }
}

fn create(args: &CreateArgs, client: Client) -> Result<(), Failure> {
    let route = match &args.role {
        Some(role) => format!("auth/token/create/{role}"),
        None if args.orphan => "auth/token/create-orphan".to_owned(),
        None => "auth/token/create".to_owned(),
    };
    let client = args.wrap.apply(client);
    let reply = client.post(&route, &args.body()?)?;
    if args.wrap.wanted() {
        args.wrap.check(&reply)?;
        return super::answer::print(&reply, &route, args.token_only.then_some("token"), args.format.format);
    }
    let envelope: Envelope<Value> = reply.json()?;
    for warning in envelope.warnings.iter().flatten() {
        note(&format!("warning: {warning}"));
    }
    let auth = auth_of(envelope)?;
    if args.token_only {
        return Ok(output::print(auth.client_token.expose_secret())?);
    }
    print_auth(&auth, true, args.format.format)
}

impl CreateArgs {
    fn body(&self) -> Result<Value, Failure> {
        let mut body = Map::new();
        let texts = [
            ("ttl", &self.ttl),
            ("explicit_max_ttl", &self.explicit_max_ttl),
            ("period", &self.period),
            ("display_name", &self.display_name),
            ("type", &self.kind),
        ];
        body.extend(texts.iter().filter_map(|(name, text)| Some(((*name).to_owned(), json!(text.as_ref()?)))));
        if !self.policies.is_empty() {
            body.insert("policies".to_owned(), json!(self.policies));
        }
        if let Some(uses) = self.num_uses {
            body.insert("num_uses".to_owned(), json!(uses));
        }
        if !self.meta.is_empty() {
            body.insert("meta".to_owned(), super::settings::pairs("--meta", &self.meta)?);
        }
        if self.no_default_policy {
            body.insert("no_default_policy".to_owned(), json!(true));
        }
        if self.not_renewable {
            body.insert("renewable".to_owned(), json!(false));
        }
        Ok(Value::Object(body))
    }
}

fn lookup(which: &Which, reveal: bool, format: Format, client: &Client) -> Result<(), Failure> {
    let route = which.route("auth/token/lookup-self", "auth/token/lookup", "auth/token/lookup-accessor");
    let reply = if which.is_own() { client.get(route)? } else { client.post(route, &Exposed(&which.body()?))? };
    let mut known: Map<String, Value> = reply.data()?;
    // The answer repeats the token; what was asked is what it may do and how long.
    if let Some(Value::String(id)) = known.get_mut("id")
        && !(reveal || id.is_empty())
    {
        MASK.clone_into(id);
    }
    Ok(output::print_data(&Value::Object(known), format)?)
}

fn revoke(which: &Which, own: bool, keep_children: bool, client: &Client) -> Result<(), Failure> {
    if which.is_own() && !own {
        let which = "say which token to revoke: --accessor, --token-file, or --self for your own";
        return Err(Failure::Usage(which.to_owned()));
    }
    let by_token = if keep_children { "auth/token/revoke-orphan" } else { "auth/token/revoke" };
    let route = which.route("auth/token/revoke-self", by_token, "auth/token/revoke-accessor");
    client.post(route, &Exposed(&which.body()?))?;
    Ok(output::print_line("revoked")?)
}

impl Which {
    const fn is_own(&self) -> bool {
        self.accessor.is_none() && self.token_file.is_none()
    }

    /// The route for the caller's own token, for a token, or for an accessor.
    const fn route(&self, own: &'static str, token: &'static str, accessor: &'static str) -> &'static str {
        match self {
            Self { accessor: Some(_), .. } => accessor,
            Self { token_file: Some(_), .. } => token,
            Self { accessor: None, token_file: None } => own,
        }
    }

    fn body(&self) -> Result<Fields, Failure> {
        let field = |name: &str, text: &SecretString| [(name.to_owned(), SecretJson::from_text(text))].into();
        Ok(match self {
            Self { accessor: Some(accessor), .. } => field("accessor", &accessor.as_str().into()),
            Self { token_file: Some(path), .. } => field("token", &input::credential("the token", Some(path))?),
            Self { accessor: None, token_file: None } => Fields::new(),
        })
    }
}

fn auth_of(envelope: Envelope<Value>) -> Result<Auth, Failure> {
    envelope
        .auth
        .ok_or_else(|| Failure::Usage("the server gave no token: is the address a Keyturn server's?".to_owned()))
}

/// Prints a token's particulars, and the token itself only where it is new.
fn print_auth(auth: &Auth, reveal: bool, format: Format) -> Result<(), Failure> {
    let token = if reveal { auth.client_token.expose_secret() } else { MASK };
    if format == Format::Json {
        return Ok(output::print_json(&json!({
            "client_token": token,
            "accessor": auth.accessor,
            "policies": auth.policies,
            "metadata": auth.metadata,
            "lease_duration": auth.lease_duration,
            "renewable": auth.renewable,
            "token_type": auth.token_type,
            "orphan": auth.orphan,
        }))?);
    }
    let ttl = if auth.lease_duration == 0 { "does not expire".to_owned() } else { format_go(auth.lease_duration) };
    let mut table = Table::of_fields();
    table.row(["token", token]);
    table.row(["accessor", &auth.accessor]);
    table.row(["ttl", &ttl]);
    table.row(["renewable", if auth.renewable { "yes" } else { "no" }]);
    table.row(["policies", &auth.policies.join(", ")]);
    Ok(output::print(&table.render())?)
}
