//! What operator's commands stand on: the streams and the database of a configuration, one tenant, a name.

use std::time::Duration;

use anyhow::{Context as _, bail};
use hub_core::backbone::Backbone;
use hub_core::config::Loaded;
use hub_core::publish::{self, NewMessage};
use hub_core::vault::Vault;
use hub_core::worker::CommandOutcome;
use hub_core::{Tx, db};
use schemas::{Body, ChannelId, TenantId};
use sqlx::PgPool;

use super::ConfigArgument;
use crate::compose;

/// Configuration and tenant.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct OperatorArguments {
    #[command(flatten)]
    pub config: ConfigArgument,
    /// Tenant. Default: the first of the configuration.
    #[arg(long)]
    tenant: Option<TenantId>,
}

/// Who is named in the audit trail for what is done here.
pub(super) fn actor() -> String {
    format!(
        "{} (command line)",
        std::env::var("USER")
            .ok()
            .filter(|user| !user.is_empty())
            .unwrap_or_else(|| "operator".into())
    )
}

/// An operator at work.
pub(super) struct Operator {
    pub loaded: Loaded,
    pub backbone: Backbone,
    pub pool: PgPool,
    pub tenant: TenantId,
    /// Who is named in the audit trail.
    pub actor: String,
}

impl Operator {
    /// Connects.
    ///
    /// # Errors
    /// The configuration is wrong or NATS can't be reached.
    pub(super) async fn connect(arguments: &OperatorArguments) -> anyhow::Result<Self> {
        let loaded = arguments.config.load()?;
        let tenant = match &arguments.tenant {
            Some(tenant) => tenant.clone(),
            None => loaded
                .config
                .tenants
                .first()
                .map(|tenant| tenant.id.get_ref().clone())
                .context("the configuration names no tenant")?,
        };
        let vault = Vault::of(&loaded.config.encryption).map_err(anyhow::Error::msg)?;
        let backbone = Backbone::connect(&loaded.config.nats)
            .await?
            .with_vault(vault);
        if !backbone.wait_connected(Duration::from_secs(5)).await {
            bail!("NATS at {} can't be reached", loaded.config.nats.url);
        }
        let url = loaded
            .config
            .postgres
            .url
            .resolve()
            .map_err(anyhow::Error::msg)?;
        let pool = db::pool(compose::pg_options(&url)?, 2);
        Ok(Self {
            loaded,
            backbone,
            pool,
            tenant,
            actor: actor(),
        })
    }

    /// A transaction that sees the tenant's rows.
    ///
    /// # Errors
    /// The database can't be reached.
    pub(super) async fn read(&self) -> anyhow::Result<Tx<'static>> {
        Tx::begin(&self.pool, &self.tenant)
            .await
            .context("can't read the database")
    }

    /// Has the worker that owns the state do it.
    ///
    /// # Errors
    /// Refused, with the worker's words; or no outcome within ten seconds.
    pub(super) async fn command<B: Body>(
        &self,
        aggregate: &str,
        body: &B,
    ) -> anyhow::Result<Option<serde_json::Value>> {
        let message = NewMessage::command(&self.tenant, "/cli", aggregate, body);
        match publish::command(&self.backbone, &message, Duration::from_secs(10)).await? {
            Some(CommandOutcome::Applied { answer }) => Ok(answer),
            Some(CommandOutcome::Refused { code, detail }) => bail!("{code}: {detail}"),
            None => bail!(
                "the command is stored (id {}), but no worker has answered within 10 s: is a hub with workers running?",
                message.id
            ),
        }
    }

    /// A channel of the configuration.
    ///
    /// # Errors
    /// There is none of that name.
    pub(super) fn channel(
        &self,
        id: &ChannelId,
    ) -> anyhow::Result<&hub_core::config::ChannelSettings> {
        self.loaded
            .config
            .channels
            .iter()
            .find(|channel| channel.id.get_ref() == id && *channel.tenant.get_ref() == self.tenant)
            .with_context(|| {
                format!(
                    "tenant {} has no channel {id} in the configuration",
                    self.tenant
                )
            })
    }
}
