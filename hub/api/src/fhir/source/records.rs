//! The audit trail.

use hub_fhir::AuditEvent;
use worker_integration::queries::{self, AuditEntry, AuditSearch};

use super::{Found, Ground, Hints, Stretch};
use crate::page::Cursor;
use crate::problem::Problem;

/// Newest first.
pub(super) async fn events(
    ground: &mut Ground<'_, '_>,
    hints: &Hints,
    after: Option<&str>,
    limit: u16,
) -> Result<Stretch, Problem> {
    let before = after
        .map(|text| text.parse().map_err(|_| Cursor::refused()))
        .transpose()?;
    let search = AuditSearch {
        action: hints.action.clone(),
        actor: hints.actor.clone(),
        patients: hints.records.clone(),
        subjects: hints.subjects.clone(),
        ids: hints.entries.clone(),
        recorded_from: hints.from,
        recorded_to: hints.to,
        before,
        limit: i64::from(limit),
        ..AuditSearch::default()
    };
    let rows = queries::audit(ground.tx.conn(), &search).await?;
    let full = rows.len() >= usize::from(limit);
    let tenant = ground.tenant().to_string();
    let found = rows.into_iter().map(|row| of(row, &tenant)).collect();
    Ok(Stretch::of(found, full))
}

pub(super) async fn event(ground: &mut Ground<'_, '_>, id: &str) -> Result<Option<Found>, Problem> {
    let Ok(wanted) = id.parse::<i64>() else {
        return Ok(None);
    };
    let search = AuditSearch {
        before: wanted.checked_add(1),
        limit: 1,
        ..AuditSearch::default()
    };
    let tenant = ground.tenant().to_string();
    Ok(queries::audit(ground.tx.conn(), &search)
        .await?
        .pop()
        // `+7` and `007` are not its id
        .filter(|row| row.id == wanted && row.id.to_string() == id)
        .map(|row| of(row, &tenant)))
}

fn of(row: AuditEntry, tenant: &str) -> Found {
    let event = AuditEvent {
        id: row.id,
        recorded: row.recorded_at,
        actor: row.actor,
        action: row.action,
        object: row.object,
        objects: row.objects,
        reason: row.reason,
        causes: row.causes,
        tenant: tenant.to_owned(),
    };
    Found {
        resource: event.resource(),
        permission: "audit:read",
        patient: None,
        of_chart: false,
        clinic: None,
        made: None,
        place: row.id.to_string(),
    }
}
