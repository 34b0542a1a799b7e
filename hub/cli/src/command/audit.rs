//! `hub audit`: proof that the audit trail is whole, and its signed roots to be kept elsewhere.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Subcommand;
use hub_core::config::Loaded;
use hub_core::db;
use schemas::TenantId;
use sqlx::PgPool;
use time::macros::format_description;
use time::{Date, OffsetDateTime};
use worker_identity::root_key::{self, is_signed};
use worker_identity::sealing::Sealer;
use worker_identity::tenants;
use worker_integration::maintain::{self, Root, Signatures, Span};

use super::ConfigArgument;
use crate::compose::{self, identity, maintenance::RootSigner};

/// The audit trail. Needs the database, not a running hub.
#[derive(clap::Args, Debug)]
pub(super) struct Audit {
    #[command(flatten)]
    config: ConfigArgument,
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    /// Compute every digest anew, compare the signed roots, name the first row that does not fit; exit 1 when there is one.
    Verify {
        /// Tenant. Default: all.
        #[arg(long)]
        tenant: Option<TenantId>,
        /// First day (2026-01-31, UTC): begins at the root of the day before. Default: from the first entry.
        #[arg(long, value_parser = day)]
        from: Option<Date>,
        /// Last day. Default: to the end.
        #[arg(long, value_parser = day)]
        to: Option<Date>,
        /// File with roots that were kept elsewhere (`hub audit roots`): they must agree too.
        #[arg(long)]
        roots: Option<PathBuf>,
        #[arg(long)]
        json: bool,
    },
    /// Print the signed roots, one JSON object a line: keep them where who runs this database can't write.
    Roots {
        /// Tenant. Default: all.
        #[arg(long)]
        tenant: Option<TenantId>,
        #[arg(long, value_parser = day)]
        from: Option<Date>,
        #[arg(long, value_parser = day)]
        to: Option<Date>,
        /// Also a root of this moment, of the day that is not over.
        #[arg(long)]
        now: bool,
    },
    /// Print the public keys (Ed25519, hex) that roots are signed with.
    Keys,
}

fn day(text: &str) -> Result<Date, String> {
    Date::parse(text, format_description!("[year]-[month]-[day]"))
        .map_err(|_| "a day as 2026-01-31".to_owned())
}

/// Public halves of the keys that open under the secret of the configuration.
pub(super) struct Keys(HashMap<String, Vec<u8>>);

impl Keys {
    /// None without a secret: then roots are told as not checked.
    ///
    /// # Errors
    /// The database is out of reach.
    pub(super) async fn load(pool: &PgPool, sealer: Option<&Sealer>) -> Result<Self, sqlx::Error> {
        let Some(sealer) = sealer else {
            return Ok(Self(HashMap::new()));
        };
        Ok(Self(
            root_key::load(pool, sealer)
                .await?
                .into_iter()
                .map(|key| (key.kid.clone(), key.public().to_vec()))
                .collect(),
        ))
    }
}

impl Signatures for Keys {
    fn holds(&self, kid: &str, text: &[u8], signature: &[u8]) -> Option<bool> {
        self.0
            .get(kid)
            .map(|public| is_signed(public, text, signature))
    }
}

fn pool_of(loaded: &Loaded) -> anyhow::Result<PgPool> {
    let url = loaded
        .config
        .postgres
        .url
        .resolve()
        .map_err(anyhow::Error::msg)?;
    Ok(db::pool(compose::pg_options(&url)?, 2))
}

async fn meant(pool: &PgPool, tenant: Option<TenantId>) -> anyhow::Result<Vec<TenantId>> {
    match tenant {
        Some(tenant) => Ok(vec![tenant]),
        None => tenants::all(pool).await.context("can't reach Postgres"),
    }
}

impl Audit {
    /// Does it.
    ///
    /// # Errors
    /// No database, or a file of roots that can't be read.
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let loaded = self.config.load()?;
        let pool = pool_of(&loaded)?;
        let sealer = identity::sealer(&loaded)?;
        match self.what {
            What::Verify {
                tenant,
                from,
                to,
                roots,
                json,
            } => {
                let elsewhere = match roots {
                    None => Vec::new(),
                    Some(file) => read_roots(&file)?,
                };
                let keys = Keys::load(&pool, sealer.as_ref())
                    .await
                    .context("can't reach Postgres")?;
                let span = Span {
                    from,
                    to,
                    until: None,
                };
                let mut whole = true;
                for tenant in meant(&pool, tenant).await? {
                    let found = maintain::verify(&pool, &tenant, &keys, &elsewhere, span).await?;
                    whole &= found.broken.is_none();
                    if json {
                        let mut line = serde_json::to_value(&found)?;
                        line["tenant"] = serde_json::json!(tenant);
                        line["whole"] = serde_json::json!(found.broken.is_none());
                        println!("{line}");
                        continue;
                    }
                    println!("{tenant}: {}", told(&found));
                }
                Ok(if whole {
                    ExitCode::SUCCESS
                } else {
                    ExitCode::FAILURE
                })
            }
            What::Roots {
                tenant,
                from,
                to,
                now,
            } => {
                for tenant in meant(&pool, tenant).await? {
                    for root in maintain::roots(&pool, &tenant, from, to).await? {
                        println!("{}", serde_json::to_string(&root)?);
                    }
                    if now {
                        let Some(sealer) = &sealer else {
                            bail!("[api] token_secret is not set: nothing can be signed");
                        };
                        let key = RootSigner(root_key::ensure(&pool, sealer).await?);
                        let root =
                            maintain::current_root(&pool, &tenant, &key, OffsetDateTime::now_utc())
                                .await?;
                        if let Some(root) = root {
                            println!("{}", serde_json::to_string(&root)?);
                        }
                    }
                }
                Ok(ExitCode::SUCCESS)
            }
            What::Keys => {
                let keys = Keys::load(&pool, sealer.as_ref())
                    .await
                    .context("can't reach Postgres")?;
                for (kid, public) in &keys.0 {
                    let hex: String = public.iter().map(|byte| format!("{byte:02x}")).collect();
                    println!("{}", serde_json::json!({ "kid": kid, "ed25519": hex }));
                }
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

fn read_roots(file: &std::path::Path) -> anyhow::Result<Vec<Root>> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    text.lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(at, line)| {
            serde_json::from_str(line)
                .with_context(|| format!("{}:{}: no root", file.display(), at + 1))
        })
        .collect()
}

/// In words.
pub(super) fn told(found: &maintain::Verification) -> String {
    let roots = match found.roots.not_checked {
        0 => format!("{} signed roots agree", found.roots.hold),
        unknown => format!(
            "{} signed roots agree, {unknown} not checked (their key does not open here)",
            found.roots.hold
        ),
    };
    match &found.broken {
        None => format!(
            "{} entries hold, {roots}, {} not sealed yet",
            found.intact, found.unsealed
        ),
        Some(broken) => {
            let place = |name: &str, value: Option<i64>| {
                value.map_or_else(String::new, |value| format!(" {name} {value}"))
            };
            format!(
                "BROKEN, {}:{}{}{}; {} entries before it hold, {roots}",
                broken.what.as_str(),
                place("entry", broken.entry_id),
                place("position", broken.position),
                broken
                    .day
                    .as_ref()
                    .map_or_else(String::new, |day| format!(" of {day}")),
                found.intact,
            )
        }
    }
}
