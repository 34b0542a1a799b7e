//! Unwraps the keys of sealed columns when a process starts, and those that come later: a key service may be away afterwards, and
//! nobody's note waits for it. It makes no key and changes none.

use std::time::Duration;

use hub_core::Tx;
use hub_core::retry::Pauses;
use hub_core::vault::Columns;
use schemas::TenantId;
use sqlx::PgPool;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// A key that another process made is at hand within this time.
const LOOK: Duration = Duration::from_secs(300);
/// How long one look may take: a question a key that is not at hand.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs until `stop`.
pub(super) async fn keep(
    columns: Columns,
    pool: PgPool,
    mut tenants: watch::Receiver<Vec<TenantId>>,
    stop: CancellationToken,
) {
    let mut pauses = Pauses::new(Duration::from_millis(250), Duration::from_secs(10));
    loop {
        let all = tenants.borrow_and_update().clone();
        let looked = tokio::select! {
            () = stop.cancelled() => return,
            looked = tokio::time::timeout(PATIENCE, look(&columns, &pool, &all)) => looked,
        };
        if let Ok(Ok(())) = looked {
            pauses.reset();
            tokio::select! {
                () = stop.cancelled() => return,
                changed = tenants.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(LOOK) => {}
            }
        } else {
            tracing::debug!(
                ?looked,
                "the keys of columns can't all be read now; asked again"
            );
            if !pauses.wait(&stop).await {
                return;
            }
        }
    }
}

/// Each tenant's, whatever becomes of another's.
async fn look(columns: &Columns, pool: &PgPool, tenants: &[TenantId]) -> Result<(), sqlx::Error> {
    let mut looked = Ok(());
    for tenant in tenants {
        if let Err(error) = one(columns, pool, tenant).await {
            looked = Err(error);
        }
    }
    looked
}

async fn one(columns: &Columns, pool: &PgPool, tenant: &TenantId) -> Result<(), sqlx::Error> {
    let mut tx = Tx::begin(pool, tenant).await?;
    let opener = columns.opener(tenant, tx.conn(), None).await?;
    tx.rollback().await?;
    // what is lost for good is looked at as rarely as the others
    opener.waits()
}
