//! Entries of the audit trail, in the transaction of the effect. What the hub does by the clock stands with the appointment.

use serde_json::Value;
use sqlx::types::Json;
use uuid::Uuid;

use crate::turn::{Stop, Turn};

pub(crate) async fn note(
    turn: &mut Turn<'_, '_>,
    action: &str,
    object: &str,
    objects: &[Uuid],
    reason: Option<&str>,
    detail: Value,
) -> Result<(), Stop> {
    let (tenant, actor, cause) = (turn.tenant(), turn.actor.clone(), turn.cause.id);
    sqlx::query(
        "insert into audit.entries (tenant_id, actor, action, object, objects, reason, causes, detail)
         values ($1, $2, $3, $4, $5, $6, array[$7], $8)",
    )
    .bind(tenant)
    .bind(actor)
    .bind(action)
    .bind(object)
    .bind(objects)
    .bind(reason)
    .bind(cause)
    .bind(Json(detail))
    .execute(turn.conn())
    .await?;
    Ok(())
}
