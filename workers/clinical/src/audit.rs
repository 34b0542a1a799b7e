//! Rows of the audit trail (append-only; the chain is laid by one sealer after the fact).

use hub_core::Tx;
use uuid::Uuid;

pub(crate) async fn entry(
    tx: &mut Tx<'_>,
    actor: &str,
    action: &str,
    object: &str,
    causes: &[Uuid],
    detail: Option<serde_json::Value>,
) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().clone();
    sqlx::query(
        "insert into audit.entries (tenant_id, actor, action, object, causes, detail) \
         values ($1, $2, $3, $4, $5, $6)",
    )
    .bind(tenant.as_str())
    .bind(actor)
    .bind(action)
    .bind(object)
    .bind(causes)
    .bind(detail)
    .execute(tx.conn())
    .await?;
    Ok(())
}
