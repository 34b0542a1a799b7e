//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use hub_core::config::Loaded;
use hub_core::telemetry::LogFormat;

use crate::compose::{self, Roles};

mod audit;
mod check;
mod codes;
mod dead;
mod demo;
mod dev;
mod doctor;
mod keys;
mod load;
mod operator;
mod packs;
mod rehearse;
mod replay;
mod run;
mod send;
mod signal;
mod simulate;
mod tenant;

/// Sangam: a message-driven integration hub for hospitals.
#[derive(Parser)]
#[command(name = "hub", version, about, max_term_width = 110)]
pub(crate) struct Line {
    /// Write the log as JSON, one object a line.
    #[arg(long, global = true)]
    log_json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run against the NATS and Postgres that a configuration file names (production).
    Run {
        #[command(flatten)]
        config: ConfigArgument,
        /// Parts to run: adapters, workers, api; several with commas. Default: all.
        #[arg(long)]
        only: Option<String>,
    },
    /// Start our own nats-server and Postgres below $HUB_HOME (default .hub) and run on them.
    Dev,
    /// Like dev, and play the fixtures through real sockets and show what became of them.
    Demo {
        /// Check that every fixture had its effect, print a JSON summary and end: 0 when all is there.
        #[arg(long)]
        once: bool,
    },
    /// Check a configuration and its mapping tables; say what is wrong with file and line.
    Check {
        #[command(flatten)]
        config: ConfigArgument,
        #[arg(long)]
        json: bool,
    },
    /// List the instrument packs and what proves each; with a name, show one.
    Packs(packs::List),
    /// Show what a captured file would become, without a server and without sending anything.
    Try(rehearse::Try),
    /// Play an instrument: send its results, ask for its orders, or misbehave.
    Simulate(simulate::Simulate),
    /// Bring the database up to date (connects as the owner of the tables).
    Migrate {
        #[command(flatten)]
        config: ConfigArgument,
    },
    /// Send files with HL7 v2 messages over MLLP and print the answers.
    Send(send::Send),
    /// Process received messages once more, from RAW: shows the effects first.
    Replay(replay::Replay),
    /// List, show, replay, resend or discard dead letters.
    Dead(dead::Dead),
    /// Look at everything the hub stands on and say what is wrong and what to do.
    Doctor {
        #[command(flatten)]
        config: ConfigArgument,
        #[arg(long)]
        json: bool,
    },
    /// Show or renew the keys that sign access tokens, and those that what is stored is encrypted with.
    Keys(keys::Keys),
    /// Verify the audit trail; print its signed roots.
    Audit(audit::Audit),
    /// Make, list, suspend, export customers of the installation.
    Tenant(tenant::Tenant),
    /// Import and list releases of ICD-10, ICD-10-CM and LOINC.
    Codes(codes::Codes),
    /// Measure messages a second and latencies, of the acknowledgement and of "visible by REST".
    Load(load::Load),
}

/// Which configuration.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct ConfigArgument {
    /// Configuration file. Default: $HUB_CONFIG, then hub.toml of $HUB_HOME (default .hub).
    #[arg(long, env = "HUB_CONFIG")]
    config: Option<PathBuf>,
}

impl ConfigArgument {
    /// The file that is meant.
    pub(crate) fn file(&self) -> anyhow::Result<PathBuf> {
        match &self.config {
            Some(file) => Ok(file.clone()),
            None => Ok(crate::home::home_folder()?.join("hub.toml")),
        }
    }

    /// Reads it.
    pub(crate) fn load(&self) -> anyhow::Result<Loaded> {
        let file = self.file()?;
        if self.config.is_none() && !file.exists() {
            anyhow::bail!(
                "no configuration: give --config <file>, or start `hub dev` first, which writes {}",
                file.display()
            );
        }
        Loaded::from_file(&file).map_err(compose::problems)
    }
}

/// Which mappings folder.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct MappingsArgument {
    /// Configuration file whose mappings folder is meant.
    #[arg(long, env = "HUB_CONFIG")]
    config: Option<PathBuf>,
    /// Mappings folder. Default: that of --config, then `mappings` of the current folder or of the project.
    #[arg(long, env = "HUB_MAPPINGS")]
    mappings: Option<PathBuf>,
}

impl MappingsArgument {
    /// The configuration, where one is named.
    pub(crate) fn loaded(&self) -> anyhow::Result<Option<Loaded>> {
        let Some(file) = &self.config else {
            return Ok(None);
        };
        Loaded::from_file(file).map(Some).map_err(compose::problems)
    }

    /// The folder that is meant.
    pub(crate) fn folder(&self) -> anyhow::Result<PathBuf> {
        if let Some(folder) = &self.mappings {
            return Ok(folder.clone());
        }
        match self.loaded()? {
            Some(loaded) => Ok(loaded.mappings_folder()),
            None => crate::home::project_folder("mappings", "HUB_MAPPINGS"),
        }
    }
}

impl Line {
    /// How the log is written.
    pub(crate) fn log_format(&self) -> LogFormat {
        if self.log_json {
            LogFormat::Json
        } else {
            LogFormat::Text
        }
    }

    /// Does what was asked.
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Run { config, only } => {
                let roles = only.as_deref().map_or(Ok(Roles::ALL), Roles::parse)?;
                run::run(config.load()?, roles).await
            }
            Command::Dev => dev::run().await,
            Command::Demo { once } => demo::run(once).await,
            Command::Check { config, json } => check::run(&config.file()?, json),
            Command::Migrate { config } => {
                let loaded = config.load()?;
                let url = loaded.config.postgres.owner_url.as_ref().context(
                    "[postgres] owner_url is missing: migrations run as the owner of the tables",
                )?;
                let applied =
                    crate::home::migrate(&url.resolve().map_err(anyhow::Error::msg)?).await?;
                if applied.is_empty() {
                    println!("the database is up to date");
                } else {
                    println!("applied migrations {applied:?}");
                }
                Ok(ExitCode::SUCCESS)
            }
            Command::Packs(list) => list.run(),
            Command::Try(rehearsal) => rehearsal.run(),
            Command::Simulate(simulate) => simulate.run().await,
            Command::Send(send) => send.run().await,
            Command::Replay(replay) => replay.run().await,
            Command::Dead(dead) => dead.run().await,
            Command::Doctor { config, json } => doctor::run(&config, json).await,
            Command::Keys(keys) => keys.run().await,
            Command::Audit(audit) => audit.run().await,
            Command::Tenant(tenant) => tenant.run().await,
            Command::Codes(codes) => codes.run().await,
            Command::Load(load) => load.run().await,
        }
    }
}
