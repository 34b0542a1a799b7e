//! Looks at patients' data, put on record before they are shown. Written straight into the trail and not sent as a command:
//! what is shown comes from this database, so a record in it is there whenever the data are, also while NATS is away.

use schemas::TenantId;
use serde::Serialize;
use sqlx::PgPool;
use sqlx::types::Json;
use uuid::Uuid;

/// Actions of such entries begin so; `audit.entries_about` has them by patient.
pub const PREFIX: &str = "read.";

/// One look.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Look {
    pub actor: String,
    /// Begins with [`PREFIX`].
    pub action: String,
    /// What was asked for, without the words of the question.
    pub object: String,
    /// Patients whose data were shown.
    pub objects: Vec<Uuid>,
    pub detail: serde_json::Value,
}

/// Writes them, all or none; on disk when it returns.
///
/// # Errors
/// The database is out of reach or refuses.
pub async fn record_looks(
    pool: &PgPool,
    tenant: &TenantId,
    looks: &[Look],
) -> Result<(), sqlx::Error> {
    // One statement is its own transaction, and one round trip: every request that shows patients' data waits for it. The tenant
    // is set before the first row is looked at by the policy, and for this statement alone.
    sqlx::query(
        "with tenant as materialized (select set_config('hub.tenant', $1, true)),
         look as (
             insert into audit.entries (tenant_id, actor, action, object, objects, detail)
             select $1, r.actor, r.action, r.object, r.objects, r.detail
             from tenant cross join rows from (jsonb_to_recordset($2) as (actor text, action text, object text, objects uuid[], detail jsonb))
                  with ordinality as r(actor, action, object, objects, detail, n)
             order by r.n
             returning id, objects)
         insert into audit.entries_about (tenant_id, object_id, entry_id)
         select distinct $1, o.id, look.id from look cross join unnest(look.objects) as o(id)",
    )
    .bind(tenant.as_str())
    .bind(Json(looks))
    .execute(pool)
    .await?;
    Ok(())
}
