//! Schedules, and the slots of them. Nothing here tells of a patient, so they are for whoever may see schedules.

use hub_fhir::{Meta, Resource, Schedule, Slot};
use uuid::Uuid;
use worker_scheduling::queries::{self, ScheduleFilter, ScheduleRow, SlotFilter, SlotRow};

use super::appointments::{place, place_of};
use super::{Found, Ground, Hints, Stretch};
use crate::page::Cursor;
use crate::problem::Problem;

/// In the order in which they were made.
pub(super) async fn schedules(
    ground: &mut Ground<'_, '_>,
    hints: &Hints,
    after: Option<&str>,
    limit: u16,
) -> Result<Stretch, Problem> {
    let filter = ScheduleFilter {
        service: hints.service.clone(),
        after: after
            .map(|text| text.parse().map_err(|_| Cursor::refused()))
            .transpose()?,
        limit: i64::from(limit),
        ..ScheduleFilter::default()
    };
    let rows = queries::schedules(ground.tx.conn(), &filter).await?;
    let full = rows.len() >= usize::from(limit);
    Ok(Stretch::of(
        rows.into_iter().map(of_schedule).collect(),
        full,
    ))
}

pub(super) async fn schedule(
    ground: &mut Ground<'_, '_>,
    id: &str,
) -> Result<Option<Found>, Problem> {
    let Ok(id) = id.parse::<Uuid>() else {
        return Ok(None);
    };
    let row = queries::schedule(ground.tx.conn(), id).await?;
    Ok(row.map(of_schedule))
}

fn of_schedule(row: ScheduleRow) -> Found {
    let schedule = Schedule {
        id: row.id,
        meta: Meta::new(row.version, row.updated_at),
        active: row.state == "active",
        name: row.name,
        practitioner: row.practitioner,
        practitioner_name: row.practitioner_name,
        room: row.room,
        service: row.service,
        facility: row.facility,
        department: row.department,
        until: row.generated_until,
    };
    found(schedule.resource(), row.id.to_string())
}

/// By their time.
pub(super) async fn slots(
    ground: &mut Ground<'_, '_>,
    hints: &Hints,
    after: Option<&str>,
    limit: u16,
) -> Result<Stretch, Problem> {
    let filter = SlotFilter {
        schedule: hints.schedule,
        service: hints.service.clone(),
        from: hints.from,
        to: hints.to,
        free: hints.free,
        after: after.map(place).transpose()?,
        limit: i64::from(limit),
        ..SlotFilter::default()
    };
    let rows = queries::slots(ground.tx.conn(), &filter).await?;
    let full = rows.len() >= usize::from(limit);
    Ok(Stretch::of(rows.into_iter().map(of_slot).collect(), full))
}

/// Also one that was withdrawn: an appointment may name it.
pub(super) async fn slot(ground: &mut Ground<'_, '_>, id: &str) -> Result<Option<Found>, Problem> {
    let Ok(id) = id.parse::<Uuid>() else {
        return Ok(None);
    };
    let row = queries::slot(ground.tx.conn(), id).await?;
    Ok(row.map(of_slot))
}

fn of_slot(row: SlotRow) -> Found {
    let place = place_of(row.starts_at, row.id);
    let slot = Slot {
        id: row.id,
        // the table counts no versions: the digest of what is told tells them apart
        meta: Meta::new(1, row.defined_at),
        schedule: row.schedule_id,
        service: row.service,
        state: row.state,
        free: row.free,
        capacity: row.capacity,
        start: row.starts_at,
        end: row.ends_at,
    };
    found(slot.resource(), place)
}

fn found(resource: Resource, place: String) -> Found {
    Found {
        resource,
        permission: "schedules:read",
        patient: None,
        of_chart: false,
        clinic: None,
        made: None,
        place,
    }
}
