//! The audit trail: one entry for all that machines changed in a transaction, one for each command of a person.

use schemas::TenantId;
use serde_json::{Value, json};
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use crate::effect::{Change, Effect};
use crate::index::{Index, Link};

pub(super) async fn save(
    conn: &mut PgConnection,
    tenant: &TenantId,
    index: &Index,
    effects: &[(Uuid, Effect)],
) -> Result<(), sqlx::Error> {
    for link in &index.links {
        let (by, action, object, other, reason) = match link {
            Link::Merged { body, by } => (
                by,
                "patients.merge",
                body.retired,
                body.survivor,
                &body.reason,
            ),
            Link::Unmerged { body, by } => (
                by,
                "patients.unmerge",
                body.restored,
                body.survivor,
                &body.reason,
            ),
        };
        if by.is_person {
            let entry = Entry {
                actor: &by.actor,
                action,
                object: object.to_string(),
                objects: vec![object, other],
                reason: reason.as_deref(),
                causes: vec![by.event],
                detail: json!({"survivor": other}),
            };
            entry.insert(conn, tenant).await?;
        }
    }
    for act in &index.acts {
        let entry = Entry {
            actor: &act.actor,
            action: act.action,
            object: act.patient.to_string(),
            objects: vec![act.patient],
            reason: act.reason.as_deref(),
            causes: vec![act.event],
            detail: act.detail.clone(),
        };
        entry.insert(conn, tenant).await?;
    }
    if let Some(entry) = by_machine(effects) {
        entry.insert(conn, tenant).await?;
    }
    Ok(())
}

fn by_machine(effects: &[(Uuid, Effect)]) -> Option<Entry<'static>> {
    let (mut registered, mut updated, mut merged, mut causes) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (event, effect) in effects {
        if matches!(
            effect,
            Effect::Changed {
                answer: Some(_),
                ..
            }
        ) {
            continue; // a command, which has its own entry
        }
        if !effect.changes().is_empty() {
            causes.push(*event);
        }
        for change in effect.changes() {
            match change {
                Change::Registered { patient_id, .. } => registered.push(*patient_id),
                Change::Updated(body) => updated.push(body.patient_id),
                Change::Merged(body) => merged.push(body.retired),
                Change::Unmerged(_) => {}
            }
        }
    }
    if causes.is_empty() {
        return None;
    }
    let mut objects = [&registered[..], &updated[..], &merged[..]].concat();
    objects.sort_unstable();
    objects.dedup();
    Some(Entry {
        actor: "worker/patient",
        action: "patients.apply",
        object: "patients".to_owned(),
        objects,
        reason: None,
        causes,
        detail: json!({"registered": registered.len(), "updated": updated.len(), "merged": merged}),
    })
}

struct Entry<'e> {
    actor: &'e str,
    action: &'static str,
    object: String,
    objects: Vec<Uuid>,
    reason: Option<&'e str>,
    causes: Vec<Uuid>,
    detail: Value,
}

impl Entry<'_> {
    async fn insert(self, conn: &mut PgConnection, tenant: &TenantId) -> Result<(), sqlx::Error> {
        sqlx::query(
            "insert into audit.entries (tenant_id, actor, action, object, objects, reason, causes, detail)
             values ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(tenant.as_str())
        .bind(self.actor)
        .bind(self.action)
        .bind(self.object)
        .bind(self.objects)
        .bind(self.reason)
        .bind(self.causes)
        .bind(Json(self.detail))
        .execute(conn)
        .await?;
        Ok(())
    }
}
