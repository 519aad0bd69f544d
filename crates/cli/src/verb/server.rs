//! `keyturn server`: the real thing, from its configuration file.

use std::{
    io::{self, Write as _},
    path::PathBuf,
};

use keyturn_core::{alert::AlertConfig, node::NodeOptions};
use keyturn_server::hook_command::Commands;

use crate::{
    alerting,
    bootstrap::{self, Ready, StartError},
    config::Config,
    serving,
};

/// Run the server
///
/// It starts sealed, unless the configuration names a key that unseals it. SIGTERM lets requests at work finish; SIGHUP
/// reads certificates again and reopens audit files.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  keyturn server --config /etc/keyturn/keyturn.toml
  keyturn server --config keyturn.toml --check     says what is wrong, serves nothing

docs/configuration.md describes the file.")]
pub(crate) struct Server {
    /// The configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Check the configuration and the certificates that it names, and exit
    #[arg(long)]
    check: bool,
}

impl Server {
    /// Serves until a signal; or checks, and returns.
    ///
    /// # Errors
    /// [`StartError`], with everything that is wrong with the configuration.
    pub(crate) fn run(self) -> Result<(), StartError> {
        let config = Config::load(&self.config)?;
        if self.check {
            return self.report(&config);
        }
        bootstrap::prepare_process(config.log)?;
        serving::runtime()?.block_on(serve(config))
    }

    fn report(&self, config: &Config) -> Result<(), StartError> {
        for files in config.listeners.iter().filter_map(|listener| listener.tls.as_ref()) {
            serving::load_tls(files).map_err(serving::ServingError::from)?;
        }
        let line = format!("{} is good\n", self.config.display());
        alerting::alert_config(&config.alerts)?;
        // The exit code says it too.
        let _ = io::stdout().lock().write_all(line.as_bytes());
        Ok(())
    }
}

/// Addresses first: a port that is taken should not cost an unsealing.
async fn serve(config: Config) -> Result<(), StartError> {
    let alerts = alerting::alert_config(&config.alerts)?;
    let bound = serving::bind(&config.listeners).await?;
    let devices = bootstrap::open_audit(&config.audit).await?;
    let options = NodeOptions { open_ceremonies: config.open_ceremonies };
    let alerts = AlertConfig { certificates: Some(serving::certificates(&bound)), ..alerts };
    let commands = Commands::new(config.hooks);
    let node = bootstrap::start(&config.storage, &config.seal, devices.clone(), commands, options, alerts).await?;
    bootstrap::report_state(&node.status());
    Ready::new(node, devices, bound, config.limits, config.api)?.serve().await;
    Ok(())
}
