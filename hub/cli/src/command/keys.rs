//! `hub keys`: which keys sign access tokens, and which NATS's records and Postgres's columns are encrypted with; a new one when one
//! must go.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Subcommand;
use hub_core::backbone::Backbone;
use hub_core::config::Loaded;
use hub_core::vault::{Columns, KeyFacts, Vault};
use hub_core::{Tx, db};
use schemas::TenantId;
use sqlx::PgPool;
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
    /// Show the keys that what NATS stores is encrypted with, and columns of Postgres.
    Data {
        #[arg(long)]
        json: bool,
    },
    /// Give each tenant a new key for what is stored from now on, and wrap those it has under the master key of now (of a key
    /// service: under its newest version). What was stored before goes on being read. Running processes take it within half a
    /// minute. The same with the keys of columns of Postgres.
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
        let pool = database(&loaded)?;
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

fn database(loaded: &Loaded) -> anyhow::Result<PgPool> {
    let url = loaded
        .config
        .postgres
        .url
        .resolve()
        .map_err(anyhow::Error::msg)?;
    Ok(db::pool(compose::pg_options(&url)?, 2))
}

fn columns(loaded: &Loaded, backbone: &Backbone) -> Columns {
    Columns::new(backbone.vault().clone(), loaded.config.encryption.columns)
}

/// Keys of columns, of every tenant.
async fn of_columns(loaded: &Loaded, backbone: &Backbone) -> anyhow::Result<Vec<KeyFacts>> {
    let (pool, columns) = (database(loaded)?, columns(loaded, backbone));
    let mut facts = Vec::new();
    for tenant in worker_identity::tenants::all(&pool).await? {
        let mut tx = Tx::begin(&pool, &tenant).await?;
        facts.extend(columns.facts(&mut tx).await?);
        tx.rollback().await?;
    }
    Ok(facts)
}

async fn data(loaded: &Loaded, json: bool) -> anyhow::Result<ExitCode> {
    let backbone = backbone(loaded).await?;
    let mut facts = backbone.vault().facts(&backbone).await?;
    match of_columns(loaded, &backbone).await {
        Ok(found) => facts.extend(found),
        Err(error) if loaded.config.encryption.columns => {
            return Err(error.context("can't read the keys of columns from Postgres"));
        }
        Err(error) => eprintln!("keys of columns, if there are any, can't be read: {error}"),
    }
    for fact in &facts {
        if json {
            println!("{}", serde_json::to_string(fact)?);
        } else {
            println!(
                "{}.{} of {}  made {}  wrapped by {}{}  {}",
                fact.tenant,
                fact.number,
                fact.of,
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
    let mut done = ExitCode::SUCCESS;
    let tenants = match tenant {
        Some(tenant) => BTreeSet::from([tenant]),
        None => {
            let mut facts = vault.facts(&backbone).await?;
            // a tenant may have keys in one store alone, when the other was lost
            match of_columns(loaded, &backbone).await {
                Ok(found) => facts.extend(found),
                Err(error) => {
                    eprintln!("whose columns have keys can't be seen: {error}");
                    done = ExitCode::FAILURE;
                }
            }
            facts
                .into_iter()
                .filter_map(|fact| TenantId::new(fact.tenant).ok())
                .collect()
        }
    };
    if tenants.is_empty() {
        bail!("no tenant has a key: nothing was ever encrypted here");
    }
    let (pool, columns) = (database(loaded)?, columns(loaded, &backbone));
    for tenant in tenants {
        let number = vault.rotate(&backbone, &tenant).await?;
        println!(
            "{tenant}.{number} is used from now; running processes take it within half a minute"
        );
        let rotated = async {
            let mut tx = Tx::begin(&pool, &tenant).await?;
            let number = columns.rotate(&mut tx).await?;
            tx.commit().await?;
            Ok::<_, sqlx::Error>(number)
        };
        match rotated.await {
            Ok(Some(number)) => println!("{tenant}.{number} of columns is used at once"),
            // none was ever needed
            Ok(None) => {}
            Err(error) => {
                eprintln!("{tenant}: keys of columns stay as they were: {error}");
                done = ExitCode::FAILURE;
            }
        }
    }
    Ok(done)
}
