//! `rotation create`.

use serde_json::{Map, Value, json};

use super::progress;
use crate::client::Client;
use crate::failure::Failure;
use crate::output;

pub(super) const EXAMPLES: &str = "\
Examples:
  keyturn rotation create secret/prod/db --target pg --strategy alternating --owner-role app_owner \\
      --user app_a --user app_b --every 24h --overlap-min 5m --overlap-max 2h
  keyturn rotation create secret/prod/cache --target redis --strategy dual-credential --user app --owner-role app \\
      --schedule '30 3 * * 1' --time-zone Europe/Berlin
  keyturn rotation create secret/prod/session-key --strategy generated --every 7d
  keyturn rotation create secret/prod/crm --strategy hook --hook-command crm --hook-secret-id prod/crm --every 30d
  keyturn rotation create secret/prod/db --every 12h

If the secret holds no credential of the users yet, one is made at the target and written to its fields `username` and
`password`; other fields stay. On a secret that has a rotation, what is given changes and the rest stays.";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The secret: MOUNT/NAME
    path: String,
    /// alternating, dual-credential, in-place, hook or generated; needed for a new one
    #[arg(long)]
    strategy: Option<String>,
    /// The target where the credential is valid, by its name
    #[arg(long)]
    target: Option<String>,
    /// The role that principals are made members of
    #[arg(long)]
    owner_role: Option<String>,
    /// A principal, once for each: two for alternating, else one
    #[arg(long = "user", value_name = "NAME")]
    users: Vec<String>,
    /// How often: 24h, 7d
    #[arg(long, value_name = "DURATION", conflicts_with = "schedule")]
    every: Option<String>,
    /// When: five fields of cron, rate(…) or cron(…)
    #[arg(long)]
    schedule: Option<String>,
    /// The time zone of the schedule; UTC without it
    #[arg(long, value_name = "IANA NAME")]
    time_zone: Option<String>,
    /// How long after a scheduled time one may begin
    #[arg(long, value_name = "DURATION")]
    window: Option<String>,
    /// By how much a scheduled time is put off at random, at the most
    #[arg(long, value_name = "DURATION")]
    jitter: Option<String>,
    /// How long both credentials are good at least
    #[arg(long, value_name = "DURATION")]
    overlap_min: Option<String>,
    /// After how long --at-max decides
    #[arg(long, value_name = "DURATION")]
    overlap_max: Option<String>,
    /// What is done with those who then still hold the credential before: wait or revoke
    #[arg(long)]
    at_max: Option<String>,
    /// How long after its last read a consumer is taken to be gone
    #[arg(long, value_name = "DURATION")]
    look_back: Option<String>,
    /// The password policy
    #[arg(long, value_name = "NAME")]
    password_policy: Option<String>,
    /// The field for the name
    #[arg(long, value_name = "FIELD")]
    username_field: Option<String>,
    /// The field for the password, or the generated value
    #[arg(long, value_name = "FIELD")]
    password_field: Option<String>,
    /// For the strategy hook: the URL that is told of each step
    #[arg(long, value_name = "URL")]
    hook_url: Option<String>,
    /// For the strategy hook: the name of a command in the server's configuration, in place of the URL
    #[arg(long, value_name = "NAME", conflicts_with = "hook_url")]
    hook_command: Option<String>,
    /// For the strategy hook: how it knows the secret, if not by MOUNT/NAME
    #[arg(long, value_name = "ARN")]
    hook_secret_id: Option<String>,
    /// Do not wait until the first credential is there
    #[arg(long)]
    no_wait: bool,
}

impl Args {
    fn body(&self) -> Value {
        let users = (!self.users.is_empty()).then_some(&self.users);
        let texts = [
            ("strategy", &self.strategy),
            ("target", &self.target),
            ("owner_role", &self.owner_role),
            ("schedule", if self.every.is_some() { &self.every } else { &self.schedule }),
            ("time_zone", &self.time_zone),
            ("window", &self.window),
            ("jitter", &self.jitter),
            ("overlap_min", &self.overlap_min),
            ("overlap_max", &self.overlap_max),
            ("at_max", &self.at_max),
            ("look_back", &self.look_back),
            ("password_policy", &self.password_policy),
            ("username_field", &self.username_field),
            ("password_field", &self.password_field),
            ("hook_url", &self.hook_url),
            ("hook_command", &self.hook_command),
            ("hook_secret_id", &self.hook_secret_id),
        ];
        let given =
            texts.into_iter().filter_map(|(name, text)| text.as_ref().map(|text| (name.to_owned(), json!(text))));
        let mut body: Map<String, Value> = given.collect();
        if let Some(users) = users {
            body.insert("users".to_owned(), json!(users));
        }
        Value::Object(body)
    }
}

pub(super) fn run(args: &Args, client: &Client) -> Result<(), Failure> {
    let path = super::super::bare(&args.path);
    client.post(&format!("sys/rotation/{path}"), &args.body())?;
    if !args.no_wait {
        progress::follow_first(client, path)?;
    }
    Ok(output::print_line(&format!("{path} is rotated; see `keyturn rotation show {path}`"))?)
}
