//! The verbs, one file each, and the command line that leads to them.

mod answer;
mod audit;
mod audit_verify;
mod auth;
mod aws_key;
mod completion;
mod creds;
mod delete;
mod destroy;
mod dev;
mod diff;
mod doppler_dynamic;
mod doppler_token;
mod drill;
mod get;
mod history;
mod import;
mod lease;
mod list;
mod login;
mod logout;
mod mount;
mod operator;
mod policy;
mod put;
mod read;
mod rollback;
mod rotate;
mod rotation;
mod server;
mod settings;
mod status;
mod target;
mod token;
mod undelete;
mod unwrap;
mod write;

use clap::{Parser, Subcommand};

pub(crate) use import::ServiceError;

use crate::connection::ConnectionArgs;
use crate::context::Context;
use crate::exit::{self, Exit};
use crate::failure::Failure;

/// Keep secrets in one place, and fetch them at runtime
///
/// Keyturn serves secrets over the APIs that your applications already speak. This binary is the server (`dev`,
/// `server`) and the client of it, or of any server with Vault's HTTP API.
#[derive(Debug, Parser)]
#[command(name = "keyturn", version, after_long_help = exit::HELP)]
#[command(after_help = "Exit codes, environment variables and first steps: keyturn --help")]
pub(crate) struct Cli {
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    // The server.
    Dev(dev::Dev),
    Server(server::Server),
    // Secrets.
    Put(put::Args),
    Get(get::Args),
    List(list::Args),
    Delete(delete::Args),
    Undelete(undelete::Args),
    Destroy(destroy::Args),
    History(history::Args),
    Diff(diff::Args),
    Rollback(rollback::Args),
    Import(import::Args),
    // Credentials.
    Creds(creds::Args),
    Target(target::Args),
    Rotate(rotate::Args),
    Rotation(rotation::Args),
    Drill(drill::Args),
    // Who one is.
    Login(login::Args),
    Logout(logout::Args),
    Token(token::Args),
    Unwrap(unwrap::Args),
    Lease(lease::Args),
    AwsKey(aws_key::Args),
    DopplerToken(doppler_token::Args),
    DopplerDynamic(doppler_dynamic::Args),
    // What there is.
    Policy(policy::Args),
    Auth(auth::Args),
    Mount(mount::Args),
    Audit(audit::Args),
    Operator(operator::Args),
    Status(status::Args),
    // Everything else.
    Read(read::Args),
    Write(write::Args),
    Completion(completion::Args),
}

/// Does what the command line says.
pub(crate) fn run(cli: Cli) -> Result<Exit, Failure> {
    let context = Context::new(cli.connection);
    let done = match cli.verb {
        Verb::Dev(dev) => dev.run().map_err(Failure::from),
        Verb::Server(server) => server.run().map_err(Failure::from),
        Verb::Put(args) => put::run(&args, &context),
        Verb::Get(args) => get::run(&args, &context),
        Verb::List(args) => list::run(&args, &context),
        Verb::Delete(args) => delete::run(&args, &context),
        Verb::Undelete(args) => undelete::run(&args, &context),
        Verb::Destroy(args) => destroy::run(&args, &context),
        Verb::History(args) => history::run(&args, &context),
        Verb::Diff(args) => diff::run(&args, &context),
        Verb::Rollback(args) => rollback::run(&args, &context),
        Verb::Import(args) => import::run(&args, &context),
        Verb::Creds(args) => creds::run(&args, &context),
        Verb::Target(args) => target::run(&args, &context),
        Verb::Rotate(args) => rotate::run(&args, &context),
        Verb::Rotation(args) => rotation::run(&args, &context),
        Verb::Drill(args) => return drill::run(&args, &context),
        Verb::Login(args) => login::run(&args, &context),
        Verb::Logout(args) => logout::run(&args, &context),
        Verb::Token(args) => token::run(&args, &context),
        Verb::Unwrap(args) => unwrap::run(&args, &context),
        Verb::Lease(args) => lease::run(&args, &context),
        Verb::AwsKey(args) => aws_key::run(&args, &context),
        Verb::DopplerToken(args) => doppler_token::run(&args, &context),
        Verb::DopplerDynamic(args) => doppler_dynamic::run(&args, &context),
        Verb::Policy(args) => policy::run(&args, &context),
        Verb::Auth(args) => auth::run(&args, &context),
        Verb::Mount(args) => mount::run(&args, &context),
        Verb::Audit(args) => audit::run(&args, &context),
        Verb::Operator(args) => return operator::run(&args, &context),
        Verb::Status(args) => status::run(&args, &context),
        Verb::Read(args) => read::run(&args, &context),
        Verb::Write(args) => write::run(&args, &context),
        Verb::Completion(args) => completion::run(&args),
    };
    done.map(|()| Exit::Done)
}

/// A mount's path as the routes take it, without slashes around it.
fn bare(path: &str) -> &str {
    path.trim_matches('/')
}

/// Version numbers in a sentence.
fn joined(versions: &[u64]) -> String {
    versions.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_verb_teaches_by_example() {
        fn check(command: &clap::Command, path: &str) {
            let path = format!("{path} {}", command.get_name());
            assert!(command.get_about().is_some(), "{path} says nothing of itself");
            if command.has_subcommands() {
                command.get_subcommands().filter(|sub| sub.get_name() != "help").for_each(|sub| check(sub, &path));
            } else {
                let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
                assert!(help.contains(path.trim_start()), "{path} has no example of itself");
            }
        }
        for verb in Cli::command().get_subcommands().filter(|sub| sub.get_name() != "help") {
            check(verb, "keyturn");
        }
    }

    #[test]
    fn no_flag_takes_a_token() {
        for verb in ["login", "get", "operator", "unwrap"] {
            assert!(Cli::try_parse_from(["keyturn", verb, "x", "--token", "hvs.x"]).is_err(), "{verb}");
        }
    }
}
