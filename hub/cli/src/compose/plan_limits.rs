//! Tenants that have nearly as many users as their plan gives them: a line in the log once an hour, and a metric, before one more
//! user is refused. Nothing is refused here. (Requests near their limit are told of where they are counted, `hub/api/src/limits`.)

use hub_core::Tx;
use schemas::TenantId;
use sqlx::PgPool;
use worker_identity::queries;
use worker_identity::tenants::is_near;

/// Looks at every tenant.
pub(super) async fn look(pool: &PgPool, tenants: &[TenantId]) -> Result<(), sqlx::Error> {
    let mut near = 0_u32;
    for tenant in tenants {
        if let Some((used, most)) = users(pool, tenant).await?
            && is_near(used, most)
        {
            near += 1;
            let limit = "users";
            tracing::warn!(%tenant, limit, used, most, "a tenant is near a limit of its plan: four fifths are used");
        }
    }
    metrics::gauge!("hub_plan_limits_near", "limit" => "users").set(f64::from(near));
    Ok(())
}

/// How many there are, and how many there may be; `None` without a limit.
async fn users(pool: &PgPool, tenant: &TenantId) -> Result<Option<(u32, u32)>, sqlx::Error> {
    let mut tx = Tx::begin(pool, tenant).await?;
    let most = queries::tenant(tx.conn(), tenant.as_str())
        .await?
        .and_then(|row| row.limit("users"));
    let found = match most {
        Some(most) => Some((queries::counted_users(tx.conn(), None).await?, most)),
        None => None,
    };
    tx.rollback().await?;
    Ok(found)
}
