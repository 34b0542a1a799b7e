//! Which tenants there are: those of the configuration, and those made while the hub runs. Looked up every few seconds, so that
//! a new one is served by every process without a restart.

use std::time::Duration;

use hub_core::config::Loaded;
use hub_core::retry::Pauses;
use schemas::TenantId;
use schemas::platform::platform;
use sqlx::PgPool;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use worker_identity::tenants;

/// How often the list is looked at.
const LOOK: Duration = Duration::from_secs(2);

/// The list, and the task that keeps it until `stop`.
pub(super) struct Tenants {
    configured: Vec<(TenantId, String)>,
    list: watch::Sender<Vec<TenantId>>,
}

impl Tenants {
    /// Begins with the configuration: it is known before the database answers.
    pub(super) fn of(loaded: &Loaded) -> Self {
        let configured: Vec<(TenantId, String)> = loaded
            .config
            .tenants
            .iter()
            .map(|tenant| (tenant.id.get_ref().clone(), tenant.name.clone()))
            .collect();
        let mut all: Vec<TenantId> = configured.iter().map(|(id, _)| id.clone()).collect();
        all.push(platform());
        Self {
            configured,
            list: watch::Sender::new(all),
        }
    }

    pub(super) fn list(&self) -> watch::Receiver<Vec<TenantId>> {
        self.list.subscribe()
    }

    /// Runs until `stop`.
    pub(super) async fn keep(self, pool: PgPool, stop: CancellationToken) {
        let mut pauses = Pauses::for_backbone();
        let mut written = false;
        loop {
            match self.look(&pool, written).await {
                Ok(()) => {
                    written = true;
                    pauses.reset();
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = tokio::time::sleep(LOOK) => {}
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, "the list of tenants can't be read now");
                    if !pauses.wait(&stop).await {
                        return;
                    }
                }
            }
        }
    }

    async fn look(&self, pool: &PgPool, written: bool) -> Result<(), sqlx::Error> {
        if !written {
            tenants::ensure(pool, &self.configured).await?;
        }
        let mut all = tenants::all(pool).await?;
        for (tenant, _) in &self.configured {
            if !all.contains(tenant) {
                all.push(tenant.clone());
            }
        }
        self.list.send_if_modified(|list| {
            let changed = *list != all;
            if changed {
                list.clone_from(&all);
            }
            changed
        });
        Ok(())
    }
}
