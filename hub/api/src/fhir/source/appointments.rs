//! Appointments.

use hub_fhir::{Appointment, Kind, Meta, Participant};
use time::OffsetDateTime;
use uuid::Uuid;
use worker_scheduling::queries::{self, AppointmentFilter, AppointmentRow};

use super::{Clinic, Found, Ground, Hints, Scope, Stretch};
use crate::page::Cursor;
use crate::problem::Problem;
use crate::reads::care::patients_of;

/// By their time.
pub(super) async fn walk(
    ground: &mut Ground<'_, '_>,
    scope: &Scope,
    hints: &Hints,
    after: Option<&str>,
    limit: u16,
) -> Result<Stretch, Problem> {
    if !matches!(scope, Scope::People(_)) {
        return Ok(Stretch::default());
    }
    let filter = AppointmentFilter {
        subjects: Some(scope.keys().into_keys().collect()),
        from: hints.from,
        to: hints.to,
        after: after.map(place).transpose()?,
        limit: i64::from(limit),
        ..AppointmentFilter::default()
    };
    let rows = queries::appointments(ground.tx.conn(), &filter).await?;
    let full = rows.len() >= usize::from(limit);
    Ok(Stretch::of(of_all(ground, rows).await?, full))
}

/// Microseconds, which is what the database keeps of a time, and the id.
pub(super) fn place(text: &str) -> Result<(OffsetDateTime, Uuid), Problem> {
    let (micros, id) = text.split_once('.').ok_or_else(Cursor::refused)?;
    let micros: i64 = micros.parse().map_err(|_| Cursor::refused())?;
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1_000)
        .map_err(|_| Cursor::refused())?;
    Ok((at, id.parse().map_err(|_| Cursor::refused())?))
}

/// The same, of a row.
pub(super) fn place_of(at: OffsetDateTime, id: Uuid) -> String {
    format!("{}.{id}", at.unix_timestamp_nanos() / 1_000)
}

pub(super) async fn one(ground: &mut Ground<'_, '_>, id: &str) -> Result<Option<Found>, Problem> {
    let Ok(id) = id.parse::<Uuid>() else {
        return Ok(None);
    };
    let row = queries::appointment(ground.tx.conn(), id).await?;
    Ok(of_all(ground, row.into_iter().collect()).await?.pop())
}

async fn of_all(
    ground: &mut Ground<'_, '_>,
    rows: Vec<AppointmentRow>,
) -> Result<Vec<Found>, Problem> {
    let keys = patients_of(ground.tx, rows.iter().map(|row| Some(row.subject_key))).await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let patient = keys.get(&row.subject_key).copied().flatten();
            of(row, patient)
        })
        .collect())
}

fn of(row: AppointmentRow, patient: Option<Uuid>) -> Found {
    let place = place_of(row.starts_at, row.id);
    let how = match row.mode.as_str() {
        "video" => Some("video"),
        "phone" => Some("phone"),
        _ => None,
    };
    let clinic = Clinic {
        facility: row.facility.clone(),
        department: row.department.clone(),
    };
    let appointment = Appointment {
        id: row.id,
        meta: Meta::new(row.version, row.updated_at).tagged(how),
        walk_in: row.kind == "walk_in",
        slot: row.slot_id,
        participants: participants(&row, patient),
        cancel_reason: if row.state == "expired" {
            Some("the place was held and not booked".to_owned())
        } else {
            row.end_reason
        },
        status: row.state,
        service: row.service,
        reason: row.reason,
        description: Some(row.schedule),
        start: Some(row.starts_at),
        end: Some(row.ends_at),
        created: Some(row.created_at),
        comment: row.note,
        instruction: None,
    };
    Found {
        resource: appointment.resource(),
        permission: "appointments:read",
        patient,
        of_chart: true,
        clinic: Some(clinic),
        made: None,
        place,
    }
}

/// The patient, whose slot it is, and where.
fn participants(row: &AppointmentRow, patient: Option<Uuid>) -> Vec<Participant> {
    // that he will come is his word, given when he confirms or by being there
    let comes = match row.state.as_str() {
        "held" | "expired" => "tentative",
        "booked" | "cancelled" | "no_show" => "needs_action",
        _ => "accepted",
    };
    let mut all = vec![Participant {
        actor: patient.map(|id| (Kind::Patient, id.to_string())),
        identifier: None,
        display: patient.is_none().then(|| "not known".to_owned()),
        status: comes.to_owned(),
    }];
    let accepted = |identifier: Option<String>, display: Option<String>| Participant {
        actor: None,
        identifier,
        display,
        status: "accepted".to_owned(),
    };
    if row.practitioner.is_some() || row.practitioner_name.is_some() {
        all.push(accepted(
            row.practitioner.clone(),
            row.practitioner_name.clone(),
        ));
    }
    let mut place: Vec<String> = [&row.facility, &row.department]
        .into_iter()
        .flatten()
        .cloned()
        .collect();
    place.extend(row.room.as_ref().map(|room| format!("room {room}")));
    if !place.is_empty() {
        all.push(accepted(None, Some(place.join(", "))));
    }
    all
}
