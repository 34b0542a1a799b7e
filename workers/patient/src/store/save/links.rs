//! Merges made and taken back. They are rare: one by one, in order.

use schemas::TenantId;
use sqlx::PgConnection;

use crate::index::{Index, Link};

pub(super) async fn save(
    conn: &mut PgConnection,
    tenant: &TenantId,
    index: &Index,
) -> Result<(), sqlx::Error> {
    for link in &index.links {
        let (survivor, retired, from, to) = match link {
            Link::Merged { body, by } => {
                sqlx::query(
                    "insert into patients.merges (tenant_id, survivor, retired, reason, actor, source_event)
                     values ($1, $2, $3, $4, $5, $6)",
                )
                .bind(tenant.as_str())
                .bind(body.survivor)
                .bind(body.retired)
                .bind(&body.reason)
                .bind(&by.actor)
                .bind(by.event)
                .execute(&mut *conn)
                .await?;
                (body.survivor, body.retired, "open", "merged")
            }
            Link::Unmerged { body, by } => {
                sqlx::query(
                    "update patients.merges set unmerged_at = clock_timestamp(), unmerged_by = $2, unmerge_reason = $3
                     where retired = $1 and unmerged_at is null",
                )
                .bind(body.restored)
                .bind(&by.actor)
                .bind(&body.reason)
                .execute(&mut *conn)
                .await?;
                (body.survivor, body.restored, "merged", "open")
            }
        };
        sqlx::query(
            "update patients.duplicate_candidates set state = $4
             where patient_id = $1 and other_id = $2 and state = $3",
        )
        .bind(survivor.min(retired))
        .bind(survivor.max(retired))
        .bind(from)
        .bind(to)
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}
