//! `doppler-token`: service tokens and personal tokens for `doppler run` and other clients of the Doppler API.

use clap::{Subcommand, ValueEnum};
use keyturn_core::{
    clock::{Clock as _, SystemClock},
    duration::parse_seconds,
    secret::SecretString,
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::client::Client;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{self, Format, FormatArgs, Table, cell, short_time};

/// Create, list and revoke tokens for clients of the Doppler API
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Create a token for one config and print it; it is never shown again
    #[command(after_help = "\
Examples:
  keyturn doppler-token create --project backend --config prd --name ci
  keyturn doppler-token create --project backend --config dev --access read-write --ttl 12h
  keyturn doppler-token create --project backend --config prd --format json > token.json

It lives until it is revoked unless --ttl says otherwise, and does not end with your token.")]
    Create(CreateArgs),
    /// List the tokens of a config
    #[command(after_help = "Examples:\n  keyturn doppler-token list --project backend --config prd")]
    List {
        #[command(flatten)]
        config: ConfigArgs,
        #[command(flatten)]
        format: FormatArgs,
    },
    /// End a token at once
    #[command(after_help = "\
Examples:
  keyturn doppler-token revoke --project backend --config prd 56c69f96-3045-11ea-978f-2e728ce88125")]
    Revoke {
        #[command(flatten)]
        config: ConfigArgs,
        /// The token's slug, as `list` shows it
        slug: String,
    },
    /// Personal tokens: they may do what you may, and end with the token you make them with
    Personal {
        #[command(subcommand)]
        action: Personal,
    },
}

#[derive(Debug, Subcommand)]
enum Personal {
    /// Create a personal token and print it; it is never shown again
    #[command(after_help = "\
Examples:
  keyturn doppler-token personal create --name laptop
  keyturn doppler-token personal create --name laptop --ttl 12h --format json > token.json

It lives 32 days at the most, and no longer than your own token.")]
    Create {
        /// A name for it, for listings
        #[arg(long)]
        name: String,
        /// How long it lives
        #[arg(long, value_name = "DURATION")]
        ttl: Option<String>,
        #[command(flatten)]
        format: FormatArgs,
    },
    /// List your personal tokens
    #[command(after_help = "Examples:\n  keyturn doppler-token personal list")]
    List {
        #[command(flatten)]
        format: FormatArgs,
    },
    /// End one of them at once
    #[command(after_help = "\
Examples:
  keyturn doppler-token personal revoke 56c69f96-3045-11ea-978f-2e728ce88125")]
    Revoke {
        /// The token's slug, as `list` shows it
        slug: String,
    },
}

#[derive(Debug, clap::Args)]
struct ConfigArgs {
    /// The project
    #[arg(long, short)]
    project: String,
    /// The config
    #[arg(long, short)]
    config: String,
}

#[derive(Debug, clap::Args)]
struct CreateArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// What it may do
    #[arg(long, value_enum, default_value_t = Access::Read)]
    access: Access,
    /// A name for it, for listings
    #[arg(long, default_value = "keyturn")]
    name: String,
    /// How long it lives
    #[arg(long, value_name = "DURATION")]
    ttl: Option<String>,
    #[command(flatten)]
    format: FormatArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Access {
    /// Read the config
    Read,
    /// Read and write it
    ReadWrite,
}

/// A new token, as the server shows it once.
#[derive(Debug, Deserialize)]
struct Made {
    token: Issued,
}

#[derive(Debug, Deserialize)]
struct Issued {
    name: String,
    slug: String,
    key: SecretString,
    access: String,
    expires_at: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Listed {
    tokens: Vec<Value>,
}

/// A new personal token.
#[derive(Debug, Deserialize)]
struct MadePersonal {
    api_token: Listing,
    api_key: SecretString,
}

/// What is told of a personal token.
#[derive(Debug, Deserialize)]
struct Listing {
    name: String,
    slug: String,
    expires_at: Option<String>,
}

#[derive(Debug, Deserialize)]
struct ListedPersonal {
    api_tokens: Vec<Value>,
}

const TOKENS: &str = "/v3/configs/config/tokens";
const PERSONAL: &str = "/v3/me/tokens";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    match &args.action {
        Action::Create(args) => create(args, &client),
        Action::List { config, format } => list(client.get_with(TOKENS, &query(config, &[]))?.json()?, format.format),
        Action::Revoke { config, slug } => {
            client.delete_with(&format!("{TOKENS}/token"), &query(config, &[("slug", slug)]))?;
            Ok(output::print_line(&format!("token {slug} revoked"))?)
        }
        Action::Personal { action } => personal(action, &client),
    }
}

fn personal(action: &Personal, client: &Client) -> Result<(), Failure> {
    match action {
        Personal::Create { name, ttl, format } => {
            let expires = ttl.as_deref().map(expiry).transpose()?;
            let body = json!({ "name": name, "expires_at": expires });
            let made: MadePersonal = client.post(PERSONAL, &body)?.json()?;
            print_personal(&made, format.format)
        }
        Personal::List { format } => {
            let all = [("per_page", "1000".to_owned())];
            let listed: ListedPersonal = client.get_with(PERSONAL, &all)?.json()?;
            if format.format == Format::Json {
                return Ok(output::print_json(&Value::Array(listed.api_tokens))?);
            }
            let mut table = Table::new(["slug", "name", "created", "expires"]);
            for token in &listed.api_tokens {
                let [created, expires] = ["created_at", "expires_at"].map(|name| short_time(&cell(&token[name])));
                table.row([&cell(&token["slug"]), &cell(&token["name"]), &created, &expires]);
            }
            Ok(output::print(&table.render())?)
        }
        Personal::Revoke { slug } => {
            client.delete(&format!("{PERSONAL}/token/{slug}"))?;
            Ok(output::print_line(&format!("token {slug} revoked"))?)
        }
    }
}

fn print_personal(made: &MadePersonal, format: Format) -> Result<(), Failure> {
    let (token, key) = (&made.api_token, made.api_key.expose_secret());
    if format == Format::Json {
        let told = json!({ "name": token.name, "slug": token.slug, "token": key, "expire_time": token.expires_at });
        return Ok(output::print_json(&told)?);
    }
    let mut table = Table::of_fields();
    table.row(["token", key]);
    table.row(["slug", &token.slug]);
    table.row(["name", &token.name]);
    table.row(["expires", &token.expires_at.as_deref().map_or_else(|| "never".to_owned(), short_time)]);
    Ok(output::print(&table.render())?)
}

fn query<'q>(config: &ConfigArgs, more: &[(&'q str, &str)]) -> Vec<(&'q str, String)> {
    let own = [("project", config.project.clone()), ("config", config.config.clone())];
    own.into_iter().chain(more.iter().map(|(name, value)| (*name, (*value).to_owned()))).collect()
}

fn create(args: &CreateArgs, client: &Client) -> Result<(), Failure> {
    let expires = args.ttl.as_deref().map(expiry).transpose()?;
    let body = json!({
        "project": args.config.project,
        "config": args.config.config,
        "name": args.name,
        "access": if args.access == Access::Read { "read" } else { "read/write" },
        "expire_at": expires,
    });
    let made: Made = client.post(TOKENS, &body)?.json()?;
    print(&made.token, args.format.format)
}

/// Seconds since 1970 at which a token made now is to end.
fn expiry(ttl: &str) -> Result<u64, Failure> {
    let wrong = || Failure::Usage(format!("--ttl {ttl:?} is no duration: give one such as 90m or 12h"));
    let seconds = parse_seconds(ttl).ok().filter(|seconds| *seconds > 0).ok_or_else(wrong)?;
    let now = u64::try_from(SystemClock.now().as_second()).unwrap_or(0);
    Ok(now.saturating_add(seconds))
}

fn print(issued: &Issued, format: Format) -> Result<(), Failure> {
    let key = issued.key.expose_secret();
    if format == Format::Json {
        return Ok(output::print_json(&json!({
            "name": issued.name,
            "slug": issued.slug,
            "token": key,
            "access": issued.access,
            "expire_time": issued.expires_at,
        }))?);
    }
    let mut table = Table::of_fields();
    table.row(["token", key]);
    table.row(["slug", &issued.slug]);
    table.row(["name", &issued.name]);
    table.row(["access", &issued.access]);
    table.row(["expires", &issued.expires_at.as_deref().map_or_else(|| "never".to_owned(), short_time)]);
    Ok(output::print(&table.render())?)
}

fn list(listed: Listed, format: Format) -> Result<(), Failure> {
    if format == Format::Json {
        return Ok(output::print_json(&Value::Array(listed.tokens))?);
    }
    let mut table = Table::new(["slug", "name", "access", "created", "expires"]);
    for token in &listed.tokens {
        let [created, expires] = ["created_at", "expires_at"].map(|name| short_time(&cell(&token[name])));
        table.row([&cell(&token["slug"]), &cell(&token["name"]), &cell(&token["access"]), &created, &expires]);
    }
    Ok(output::print(&table.render())?)
}
