//! The clock of appointments: every few seconds it asks which schedules have something due and sends each a command. It
//! keeps nothing: a process that dies takes no hold, offer or reminder with it, and two that ask at once do no harm.

use std::time::Duration;

use hub_core::Tx;
use hub_core::backbone::Backbone;
use hub_core::publish::{self, NewMessage};
use schemas::TenantId;
use schemas::scheduling::TendSchedule;
use sqlx::PgPool;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// A place is given on this long after its hold is over, at most, when nobody asks for it before.
const EVERY: Duration = Duration::from_secs(5);
/// A look that takes longer is given up; the next one finds the same.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs until `stop`.
pub(super) async fn run(
    backbone: Backbone,
    pool: PgPool,
    tenants: watch::Receiver<Vec<TenantId>>,
    stop: CancellationToken,
) {
    let mut clock = tokio::time::interval(EVERY);
    clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = clock.tick() => {}
        }
        // tenants are made while the hub runs
        let now = tenants.borrow().clone();
        for tenant in &now {
            match tokio::time::timeout(PATIENCE, look(&backbone, &pool, tenant)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::debug!(%tenant, %error, "appointments can't be looked through now");
                }
                Err(_) => {
                    tracing::warn!(%tenant, "appointments could not be looked through in time");
                }
            }
        }
    }
}

async fn look(backbone: &Backbone, pool: &PgPool, tenant: &TenantId) -> anyhow::Result<()> {
    let mut tx = Tx::begin(pool, tenant).await?;
    // the clock of the database is the one by which places are given
    let at: OffsetDateTime = worker_scheduling::queries::clock(tx.conn()).await?;
    let due = worker_scheduling::queries::due(tx.conn(), at).await?;
    tx.rollback().await?;
    for schedule in due {
        let body = TendSchedule {
            schedule_id: schedule,
            at: at.format(&Rfc3339)?,
            actor: "hub".to_owned(),
        };
        let aggregate = worker_scheduling::aggregate(schedule);
        let message = NewMessage::command(tenant, "/maintenance", aggregate, &body);
        publish::publish(backbone, &message, None).await?;
    }
    Ok(())
}
