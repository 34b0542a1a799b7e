//! `hub keys`: which keys sign access tokens, and which NATS's records are encrypted with; a new one when one must go.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Subcommand;
use hub_core::backbone::Backbone;
use hub_core::config::Loaded;
use hub_core::db;
use hub_core::vault::Vault;
use schemas::TenantId;
use time::format_description::well_known::Rfc3339;
use worker_identity::keys;
use worker_identity::sealing::Sealer;

use super::ConfigArgument;
use crate::compose;

/// Keys of access tokens, which are of the installation, and data keys, of which each tenant has its own.
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
    /// Show the keys that what NATS stores is encrypted with.
    Data {
        #[arg(long)]
        json: bool,
    },
    /// Give each tenant a new key for what is stored from now on, and wrap those it has under the master key of now (of a key
    /// service: under its newest version). What was stored before goes on being read. Running processes take it within half a
    /// minute.
    RotateData {
        /// Tenant. Default: every one that has a key.
        #[arg(long)]
        tenant: Option<TenantId>,
    },
}

impl Keys {
    /// Does it.
    ///
    /// # Errors
    /// No secret in the configuration, or no database.
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let loaded = self.config.load()?;
        match self.what {
            What::Data { json } => return data(&loaded, json).await,
            What::RotateData { tenant } => return rotate_data(&loaded, tenant).await,
            What::List { .. } | What::Rotate { .. } => {}
        }
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
            What::Data { .. } | What::RotateData { .. } => {}
            What::Rotate { distrust } => {
                let kid = keys::rotate(&pool, &sealer, distrust).await?;
                println!("{kid} signs from now; running processes know it within 20 s");
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

async fn backbone(loaded: &Loaded) -> anyhow::Result<Backbone> {
    let vault = Vault::of(&loaded.config.encryption).map_err(anyhow::Error::msg)?;
    let backbone = Backbone::connect(&loaded.config.nats)
        .await?
        .with_vault(vault);
    if !backbone.wait_connected(Duration::from_secs(5)).await {
        bail!("NATS at {} can't be reached", loaded.config.nats.url);
    }
    Ok(backbone)
}

async fn data(loaded: &Loaded, json: bool) -> anyhow::Result<ExitCode> {
    let backbone = backbone(loaded).await?;
    let facts = backbone.vault().facts(&backbone).await?;
    for fact in &facts {
        if json {
            println!("{}", serde_json::to_string(fact)?);
        } else {
            println!(
                "{}.{}  made {}  wrapped by {}{}  {}",
                fact.tenant,
                fact.number,
                fact.made_at,
                fact.master,
                fact.version
                    .map_or_else(String::new, |version| format!(" v{version}")),
                fact.fault.as_ref().map_or_else(
                    || "opens".to_owned(),
                    |fault| format!("DOES NOT OPEN: {fault}")
                ),
            );
        }
    }
    Ok(if facts.iter().all(|fact| fact.opens) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn rotate_data(loaded: &Loaded, tenant: Option<TenantId>) -> anyhow::Result<ExitCode> {
    let backbone = backbone(loaded).await?;
    let vault = backbone.vault();
    vault.check(&backbone).await?;
    let tenants = match tenant {
        Some(tenant) => vec![tenant],
        None => {
            let mut tenants: Vec<TenantId> = vault
                .facts(&backbone)
                .await?
                .into_iter()
                .filter_map(|fact| TenantId::new(fact.tenant).ok())
                .collect();
            tenants.dedup();
            tenants
        }
    };
    if tenants.is_empty() {
        bail!("no tenant has a key: nothing was ever encrypted here");
    }
    for tenant in tenants {
        let number = vault.rotate(&backbone, &tenant).await?;
        println!(
            "{tenant}.{number} is used from now; running processes take it within half a minute"
        );
    }
    Ok(ExitCode::SUCCESS)
}
