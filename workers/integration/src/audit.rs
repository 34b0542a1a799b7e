//! Entries of the audit trail, written together at the end of a batch.

use hub_core::{Envelope, Refusal, Tx, WorkerError};
use schemas::commands::RecordAccess;
use serde_json::{Value, json};
use sqlx::types::Json;
use uuid::Uuid;

#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) actor: String,
    pub(crate) action: String,
    /// What it was done to: kind and opaque id.
    pub(crate) object: String,
    pub(crate) reason: Option<String>,
    pub(crate) cause: Uuid,
    pub(crate) detail: Value,
}

#[derive(Debug, Default)]
pub(crate) struct Trail(Vec<Entry>);

impl Trail {
    pub(crate) fn add(&mut self, entry: Entry) {
        self.0.push(entry);
    }

    pub(crate) async fn save(self, tx: &mut Tx<'_>) -> Result<(), WorkerError> {
        if self.0.is_empty() {
            return Ok(());
        }
        let (mut actors, mut actions, mut objects) = (Vec::new(), Vec::new(), Vec::new());
        let (mut reasons, mut causes, mut details) = (Vec::new(), Vec::new(), Vec::new());
        for entry in self.0 {
            actors.push(entry.actor);
            actions.push(entry.action);
            objects.push(entry.object);
            reasons.push(entry.reason);
            causes.push(entry.cause);
            details.push(Json(entry.detail));
        }
        let tenant = tx.tenant().clone();
        sqlx::query(
            "insert into audit.entries (tenant_id, actor, action, object, reason, causes, detail)
             select $1, r.actor, r.action, r.object, r.reason, array[r.cause], r.detail
             from unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::uuid[], $7::jsonb[])
                  with ordinality as r(actor, action, object, reason, cause, detail, n)
             order by r.n",
        )
        .bind(tenant.as_str())
        .bind(actors)
        .bind(actions)
        .bind(objects)
        .bind(reasons)
        .bind(causes)
        .bind(details)
        .execute(tx.conn())
        .await?;
        Ok(())
    }
}

/// A person read a body or signed in.
pub(crate) fn access(envelope: &Envelope, trail: &mut Trail) -> Result<(), Refusal> {
    let access: RecordAccess = envelope.decode()?;
    trail.add(Entry {
        actor: access.actor,
        action: access.action,
        object: access.object,
        reason: access.reason,
        cause: envelope.id,
        detail: json!({}),
    });
    Ok(())
}
