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
    about(tx, actor, action, object, causes, detail, &[]).await
}

/// The same of what was done with data of patients, by their keys: who asks what was done with those of one finds it.
pub(crate) async fn about(
    tx: &mut Tx<'_>,
    actor: &str,
    action: &str,
    object: &str,
    causes: &[Uuid],
    detail: Option<serde_json::Value>,
    subjects: &[Uuid],
) -> Result<(), sqlx::Error> {
    let mut subjects = subjects.to_vec();
    subjects.sort_unstable();
    subjects.dedup();
    let tenant = tx.tenant().clone();
    sqlx::query(
        "with entry as ( \
             insert into audit.entries (tenant_id, actor, action, object, causes, detail, objects) \
             values ($1, $2, $3, $4, $5, $6, $7) returning id) \
         insert into audit.entries_about (tenant_id, object_id, entry_id) \
         select $1, subject.key, entry.id from entry cross join unnest($7::uuid[]) as subject (key)",
    )
    .bind(tenant.as_str())
    .bind(actor)
    .bind(action)
    .bind(object)
    .bind(causes)
    .bind(detail)
    .bind(subjects)
    .execute(tx.conn())
    .await?;
    Ok(())
}
