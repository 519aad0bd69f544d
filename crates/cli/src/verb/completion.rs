//! `completion`: what a shell needs to complete the verbs and flags.

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::failure::Failure;
use crate::output;

const EXAMPLES: &str = "\
Examples:
  keyturn completion bash > ~/.local/share/bash-completion/completions/keyturn
  keyturn completion zsh > ~/.zfunc/_keyturn          with fpath+=~/.zfunc before compinit
  keyturn completion fish > ~/.config/fish/completions/keyturn.fish";

/// Print a completion script for a shell
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::Cli::command(), "keyturn", &mut script);
    Ok(output::print(&String::from_utf8_lossy(&script))?)
}
