//! `hub keys`: which keys sign access tokens, and a new one when one must go.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Subcommand;
use hub_core::db;
use time::format_description::well_known::Rfc3339;
use worker_identity::keys;
use worker_identity::sealing::Sealer;

use super::ConfigArgument;
use crate::compose;

/// Keys of access tokens. They are of the installation, for all its tenants.
#[derive(clap::Args, Debug)]
pub(super) struct Keys {
    #[command(flatten)]
    config: ConfigArgument,
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    /// Show the keys that verify tokens now, newest first.
    List {
        #[arg(long)]
        json: bool,
    },
    /// Make a new key, which signs at once. (Every month the hub does it by itself.)
    Rotate {
        /// One was stolen: the old ones verify no more, and everybody has to sign in again or refresh.
        #[arg(long)]
        distrust: bool,
    },
}

impl Keys {
    /// Does it.
    ///
    /// # Errors
    /// No secret in the configuration, or no database.
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let loaded = self.config.load()?;
        let Some(secret) = &loaded.config.api.token_secret else {
            bail!(
                "[api] token_secret is not set: each process has a key of its own, which ends with it"
            );
        };
        let sealer = Sealer::new(secret.resolve().map_err(anyhow::Error::msg)?.as_bytes());
        let url = loaded
            .config
            .postgres
            .url
            .resolve()
            .map_err(anyhow::Error::msg)?;
        let pool = db::pool(compose::pg_options(&url)?, 2);
        match self.what {
            What::List { json } => {
                let mut connection = pool.acquire().await.context("can't reach Postgres")?;
                let found = keys::load(&mut connection, &sealer).await?;
                for key in &found {
                    let (from, until) = (
                        key.signs_from.format(&Rfc3339)?,
                        key.verify_until.format(&Rfc3339)?,
                    );
                    if json {
                        println!(
                            "{}",
                            serde_json::json!({"kid": key.kid, "signs_from": from, "verify_until": until})
                        );
                    } else {
                        println!("{}  signs from {from}  verifies until {until}", key.kid);
                    }
                }
                if found.is_empty() {
                    eprintln!(
                        "there is none that opens under this secret; the hub makes one when it starts"
                    );
                    return Ok(ExitCode::FAILURE);
                }
            }
            What::Rotate { distrust } => {
                let kid = keys::rotate(&pool, &sealer, distrust).await?;
                println!("{kid} signs from now; running processes know it within 20 s");
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
