//! Entries of the audit trail, in the transaction of the effect.

use hub_core::{Envelope, Tx};
use serde_json::Value;
use sqlx::types::Json;
use uuid::Uuid;

pub(crate) struct Entry<'a> {
    pub(crate) actor: &'a str,
    pub(crate) action: &'a str,
    /// What it was done to: kind and opaque id.
    pub(crate) object: String,
    pub(crate) objects: Vec<Uuid>,
    pub(crate) reason: Option<&'a str>,
    pub(crate) detail: Value,
}

pub(crate) async fn note(
    tx: &mut Tx<'_>,
    cause: &Envelope,
    entry: Entry<'_>,
) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().clone();
    sqlx::query(
        "insert into audit.entries (tenant_id, actor, action, object, objects, reason, causes, detail)
         values ($1, $2, $3, $4, $5, $6, array[$7], $8)",
    )
    .bind(tenant.as_str())
    .bind(entry.actor)
    .bind(entry.action)
    .bind(entry.object)
    .bind(entry.objects)
    .bind(entry.reason)
    .bind(cause.id)
    .bind(Json(entry.detail))
    .execute(tx.conn())
    .await?;
    Ok(())
}
