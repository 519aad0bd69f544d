//! `import`: copies secrets from elsewhere.

mod copy;
mod facts;
mod service;
mod state;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Subcommand;
use keyturn_core::secret::SecretString;
use keyturn_protocol::aws::secretsmanager::{Described, Listed, Operation};
use keyturn_protocol::aws::sigv4::Signer;
use serde::Deserialize;
use serde_json::{Value, json};

use self::{copy::Copier, copy::Outcome, service::Service, state::State};
use crate::client::{Address, Client, Trust};
use crate::connection::{ConnectionError, environment};
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{self, Format, FormatArgs, Table, note};

pub(crate) use service::ServiceError;

/// How long an access key for the target lives if the run is cut off, and when it is replaced in a run that lasts.
const KEY_TTL: &str = "1h";
const KEY_AGE: Duration = Duration::from_secs(30 * 60);

/// Copy secrets from another service into Keyturn
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    source: Source,
}

#[derive(Debug, Subcommand)]
enum Source {
    Aws(AwsArgs),
}

/// Copy secrets from AWS Secrets Manager, or from any endpoint that speaks like it
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Copies versions with their ids and labels, tags, descriptions, key ids, resource policies and rotation rules. Dates cannot
be kept: versions are as old at the target as the import. Secrets scheduled for deletion are listed and not copied.

Credentials of the source: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN. The target is the server of
--address, through an access key that is made with your token's policies for the run and revoked at its end.

Run again, it goes on where it was cut off, and brings over what is new. What was changed at the target since is a
conflict and stays as it is. The tag keyturn:import tells the two apart: leave it alone while you import.
Exits with 1 if a secret failed or has a conflict.

Examples:
  keyturn import aws --region eu-west-1 --dry-run          what would be copied; reads no values
  keyturn import aws --region eu-west-1 --prefix prod/
  keyturn import aws --region eu-west-1 --state import.state     reads again only values not compared before
  keyturn import aws --region us-east-1 --endpoint-url http://127.0.0.1:4566 --format json")]
struct AwsArgs {
    /// URL of the source; AWS's own for the region if it is not given
    #[arg(long, value_name = "URL")]
    endpoint_url: Option<String>,
    /// Region of the source; requests to the target are signed for it too
    #[arg(long)]
    region: String,
    /// Only secrets whose names begin so
    #[arg(long, value_name = "NAME-PREFIX")]
    prefix: Option<String>,
    /// Say what would be done; change nothing, read no values
    #[arg(long)]
    dry_run: bool,
    /// File to remember which values were compared; it holds names and digests
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    #[command(flatten)]
    format: FormatArgs,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let Source::Aws(args) = &args.source;
    let client = context.client()?;
    let endpoint = endpoint(args)?;
    let source = source(args, &endpoint)?;
    let mut state = State::open(args.state.as_ref(), &format!("{endpoint} {} {}", args.region, context.address()?))?;
    let mut target = Target { client: &client, context, region: &args.region, key: None };
    let mut outcomes = Vec::new();
    let ended = copy_all(args, &source, &mut target, &mut state, &mut outcomes);
    target.close();
    print(&outcomes, args)?;
    ended?;
    let failed = outcomes.iter().filter(|outcome| outcome.failure.is_some()).count();
    let conflicts = outcomes.iter().filter(|outcome| !outcome.conflicts.is_empty()).count();
    if failed + conflicts > 0 { Err(Failure::Import { failed, conflicts }) } else { Ok(()) }
}

fn copy_all(
    args: &AwsArgs,
    source: &Service,
    target: &mut Target<'_>,
    state: &mut State,
    outcomes: &mut Vec<Outcome>,
) -> Result<(), Failure> {
    for secret in list(source, args.prefix.as_deref().unwrap_or_default())? {
        let Some(name) = secret.name else { continue };
        if secret.deleted_date.is_some() {
            let passed_over = Some("scheduled for deletion");
            outcomes.push(Outcome { name, passed_over, ..Outcome::default() });
            continue;
        }
        let copier = Copier { source, target: target.service()?, dry_run: args.dry_run };
        outcomes.push(copier.copy(&name, state)?);
    }
    Ok(())
}

/// All secrets whose names begin with `prefix`.
fn list(source: &Service, prefix: &str) -> Result<Vec<Described>, ServiceError> {
    let (mut secrets, mut next) = (Vec::new(), None::<String>);
    loop {
        let mut fields = json!({ "IncludePlannedDeletion": true, "MaxResults": 100 });
        // A filter that begins so would turn around; what comes is looked at anyway.
        if !prefix.is_empty() && !prefix.starts_with('!') {
            fields["Filters"] = json!([{ "Key": "name", "Values": [prefix] }]);
        }
        if let Some(token) = next.take() {
            fields["NextToken"] = token.into();
        }
        let page: Listed = source.call(Operation::ListSecrets, &fields)?;
        let listed = page.secret_list.unwrap_or_default().into_iter();
        secrets.extend(listed.filter(|secret| secret.name.as_ref().is_some_and(|name| name.starts_with(prefix))));
        next = page.next_token;
        if next.is_none() {
            return Ok(secrets);
        }
    }
}

fn endpoint(args: &AwsArgs) -> Result<Address, Failure> {
    let region = &args.region;
    if region.is_empty()
        || !region.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    {
        return Err(Failure::Usage("--region: write it like eu-west-1".to_owned()));
    }
    let end = if region.starts_with("cn-") { ".cn" } else { "" };
    let own = format!("https://secretsmanager.{region}.amazonaws.com{end}");
    let text = args.endpoint_url.as_deref().unwrap_or(&own);
    Address::parse(text).map_err(|error| Failure::Usage(format!("--endpoint-url: {error}")))
}

fn source(args: &AwsArgs, endpoint: &Address) -> Result<Service, Failure> {
    let variable = |name: &str| {
        environment(name).ok_or_else(|| Failure::Usage(format!("{name} is not set: the source asks for an access key")))
    };
    let preferred = environment("AWS_CA_BUNDLE").or_else(|| environment("SSL_CERT_FILE")).map(PathBuf::from);
    let client = Client::new(endpoint.clone(), &Trust::System { preferred }, None, None);
    let client = client.map_err(ConnectionError::from)?;
    if client.is_in_the_clear() && !args.dry_run {
        note("warning: every secret travels from the source in clear text: use an https:// endpoint");
    }
    let signer = Signer {
        access_key_id: variable("AWS_ACCESS_KEY_ID")?,
        secret_access_key: variable("AWS_SECRET_ACCESS_KEY")?.into(),
        session_token: environment("AWS_SESSION_TOKEN").map(SecretString::from),
        region: args.region.clone(),
        service: "secretsmanager".to_owned(),
    };
    Ok(Service { role: "source", client, signer })
}

/// The server that is copied to, and the access key that stands for the user's token there.
struct Target<'a> {
    client: &'a Client,
    context: &'a Context,
    region: &'a str,
    key: Option<(Service, Instant)>,
}

#[derive(Deserialize)]
struct Myself {
    policies: Vec<String>,
}

#[derive(Deserialize)]
struct Issued {
    access_key_id: String,
    secret_access_key: SecretString,
}

impl Target<'_> {
    /// The server's API for clients of AWS, with a key that is still good for a while.
    fn service(&mut self) -> Result<&Service, Failure> {
        if self.key.as_ref().is_some_and(|(_, made)| made.elapsed() > KEY_AGE) {
            self.close();
        }
        let (service, _) = match self.key.take() {
            Some(key) => self.key.insert(key),
            None => {
                let service = self.open()?;
                self.key.insert((service, Instant::now()))
            }
        };
        Ok(service)
    }

    fn open(&self) -> Result<Service, Failure> {
        let myself: Myself = self.client.get("auth/token/lookup-self")?.data()?;
        let body = json!({
            "name": "keyturn-import",
            "policies": myself.policies,
            "no_default_policy": true,
            "ttl": KEY_TTL,
        });
        let issued: Issued = self.client.post("sys/aws-keys", &body)?.data()?;
        let signer = Signer {
            access_key_id: issued.access_key_id,
            secret_access_key: issued.secret_access_key,
            session_token: None,
            region: self.region.to_owned(),
            service: "secretsmanager".to_owned(),
        };
        Ok(Service { role: "target", client: self.context.client_without_token()?, signer })
    }

    /// Revokes the key; if that fails it ends by itself.
    fn close(&mut self) {
        let Some((service, _)) = self.key.take() else { return };
        let id = &service.signer.access_key_id;
        if let Err(error) = self.client.delete(&format!("sys/aws-keys/{id}")) {
            note(&format!("warning: access key {id} could not be revoked and lives up to {KEY_TTL}: {error}"));
        }
    }
}

fn print(outcomes: &[Outcome], args: &AwsArgs) -> Result<(), Failure> {
    if args.format.format == Format::Json {
        let secrets: Vec<Value> = outcomes.iter().map(shape).collect();
        return Ok(output::print_json(&json!({ "dry_run": args.dry_run, "secrets": secrets }))?);
    }
    let copied = if args.dry_run { "to copy" } else { "copied" };
    let mut table = Table::new(["secret", copied, "skipped", "conflicts", "note"]);
    for outcome in outcomes {
        let [copied, skipped, conflicts] =
            [outcome.copied, outcome.skipped, outcome.conflicts.len()].map(|count| count.to_string());
        let notes = outcome.conflicts.iter().map(String::as_str).chain(outcome.failure.as_deref());
        let notes: Vec<&str> = notes.chain(outcome.passed_over).collect();
        table.row([&outcome.name, &copied, &skipped, &conflicts, &notes.join("; ")]);
    }
    Ok(output::print(&table.render())?)
}

fn shape(outcome: &Outcome) -> Value {
    json!({
        "name": outcome.name,
        "copied": outcome.copied,
        "skipped": outcome.skipped,
        "conflicts": outcome.conflicts,
        "failure": outcome.failure,
        "passed_over": outcome.passed_over,
    })
}
