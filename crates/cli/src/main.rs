//! `keyturn`: the server, and everything that is done with one, in one binary.

mod alerting;
mod bootstrap;
mod browser;
mod client;
mod config;
mod connection;
mod context;
mod exit;
mod failure;
mod fields;
mod input;
mod kv;
mod logging;
mod output;
mod sanitized;
mod serving;
mod token_file;
mod verb;
mod wrap;

use std::process::ExitCode;

use clap::Parser as _;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let exit = verb::run(verb::Cli::parse()).unwrap_or_else(|failure| {
        output::note(&format!("keyturn: {failure}"));
        failure.exit()
    });
    exit.into()
}
