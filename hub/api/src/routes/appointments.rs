//! Appointments: booked, found, moved, changed. What happens to one on its day is in `attendance.rs`.
//!
//! Booking opens no chart: that is how a relationship begins. Reading does, but for who works where the schedule is.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use schemas::scheduling::{BookAppointment, ChangeAppointment, Mode, RescheduleAppointment};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;
use worker_scheduling::queries::AppointmentFilter;

use super::desk::{answered, bookable, chart_of, instead, own, seen, states, words};
use crate::auth::clinic;
use crate::auth::permission::{AppointmentsBook, AppointmentsRead, CanSomewhere, Permission as _};
use crate::command::{Accepted, Placed, Sender};
use crate::day::Day;
use crate::extract::{Body, Params, Segment};
use crate::if_match::{IfMatch, tagged};
use crate::page::{Cursor, Limit, Moment, Page};
use crate::problem::Problem;
use crate::reads::scheduling as reads;
use crate::routing::{Routes, routes};
use crate::state::ApiState;
use crate::trace::Trace;
use crate::views::appointments::{Appointment, AppointmentDetail, AppointmentWritten};
use crate::views::scheduling::told;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(book))
        .routes(routes!(list))
        .routes(routes!(read))
        .routes(routes!(change))
        .routes(routes!(reschedule))
}

fn in_person() -> Mode {
    Mode::InPerson
}

/// Who wants which slot.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "slot_id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8f", "patient_id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b92", "reason": "cough"
}))]
struct NewAppointment {
    slot_id: Uuid,
    /// Give this or `patient_identifier`.
    #[serde(default)]
    patient_id: Option<Uuid>,
    /// PID-3: its value (`12345`), the whole CX text (`12345^^^HOSP^MR`), or `system|value`.
    #[serde(default)]
    patient_identifier: Option<String>,
    /// true: keep the place for some minutes (`hold_seconds` of the schedule); then it is free by itself.
    #[serde(default)]
    hold: bool,
    /// true: also beyond the capacity, as far as the schedule allows it.
    #[serde(default)]
    overbook: bool,
    /// `in_person`, `video` or `phone`.
    #[serde(default = "in_person")]
    #[schema(value_type = Option<String>, default = "in_person")]
    mode: Mode,
    /// What it is about.
    #[serde(default)]
    #[schema(max_length = 500)]
    reason: Option<String>,
    #[serde(default)]
    #[schema(max_length = 500)]
    note: Option<String>,
}

/// Book an appointment
///
/// Or hold a place (`hold`) and book it with `POST /appointments/{id}/book`. When the slot is full the problem names the
/// nearest free slots in `alternatives`.
#[utoipa::path(post, path = "/appointments", tag = "appointments", request_body = NewAppointment,
    security(("bearer" = ["appointments:book"])),
    responses(
        (status = 201, description = "booked, or held until `held_until`; Location is the appointment", body = AppointmentWritten),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 403, description = "the permission is missing (`auth.permission`), or the schedule is not at your place (`auth.scope`)"),
        (status = 404, description = "no slot has this id (`slots.unknown`)"),
        (status = 409, description = "the slot is full (`slots.full_conflict`), over (`slots.past_conflict`) or not the schedule's any more \
            (`slots.closed`), `alternatives` names others; or the patient has it already (`appointments.same_slot_exists`), or the \
            identifier is that of several people (`appointments.ambiguous_patient`)"),
        (status = 422, description = "nobody has the identifier (`appointments.no_patient`)")))]
async fn book(
    can: CanSomewhere<AppointmentsBook>,
    State(state): State<ApiState>,
    trace: Trace,
    Body(new): Body<NewAppointment>,
) -> Result<Response, Problem> {
    let reason = words("reason", new.reason)?;
    let note = words("note", new.note)?;
    let (subject, schedule) = {
        let mut tx = state.read(&can.who.tenant).await?;
        let schedule = bookable(&mut tx, &can.who, new.slot_id).await?;
        let subject =
            reads::subject(&mut tx, new.patient_id, new.patient_identifier.as_deref()).await?;
        (subject, schedule)
    };
    let id = Uuid::now_v7();
    let command = BookAppointment {
        appointment_id: id,
        slot_id: new.slot_id,
        subject_key: subject.key,
        person_keys: subject.person,
        hold: new.hold,
        overbook: new.overbook,
        mode: new.mode,
        reason,
        note,
        actor: can.who.username.clone(),
    };
    let written = Sender::new(&state, &can.who, &trace)
        .send(worker_scheduling::aggregate(schedule), &command)
        .await;
    let written = instead(&state, &can.who, new.slot_id, written).await?;
    Ok(written.respond_placed(|answer| Placed {
        location: format!("/api/v1/appointments/{id}"),
        created: true,
        view: told::<AppointmentWritten>(answer),
    }))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AppointmentSearch {
    /// One patient's: with what they are about. Opens as his chart does.
    patient_id: Option<Uuid>,
    /// The same, by PID-3 as sent.
    patient_identifier: Option<String>,
    schedule_id: Option<Uuid>,
    practitioner: Option<String>,
    service: Option<String>,
    /// On this day, where the schedule is.
    #[param(value_type = Option<String>, format = Date)]
    day: Option<Day>,
    /// Beginning at or after this time.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Moment>,
    /// Beginning before this time.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Moment>,
    /// One or several with commas: `held`, `booked`, `confirmed`, `arrived`, `in_consult`, `done`, `cancelled`, `no_show`, `expired`.
    state: Option<String>,
    /// true: only those that need another time.
    #[serde(default)]
    attention: bool,
    /// Only those that this leave still leaves without a time.
    exception_id: Option<Uuid>,
    /// `next_cursor` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    /// 1 to 500.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 500, default = 50)]
    limit: Limit,
}

/// Search appointments
///
/// Of a patient (opens as his chart does), or of the clinics where the caller works: then without what they are about.
#[utoipa::path(get, path = "/appointments", tag = "appointments", params(AppointmentSearch),
    security(("bearer" = ["appointments:read"])),
    responses(
        (status = 200, description = "by their time", body = Page<Appointment>),
        (status = 403, description = "the permission is missing (`auth.permission`), or there is no relationship with the patient (`auth.relationship`)"),
        (status = 404, description = "no patient has this id (`patients.unknown`)")))]
async fn list(
    can: CanSomewhere<AppointmentsRead>,
    State(state): State<ApiState>,
    trace: Trace,
    Params(search): Params<AppointmentSearch>,
) -> Result<Json<Page<Appointment>>, Problem> {
    let states = states(search.state.as_deref(), &|text| {
        schemas::scheduling::AppointmentState::parse(text).is_some()
    })?;
    let mut tx = state.read(&can.who.tenant).await?;
    let subjects = chart_of(
        &state,
        &trace,
        &can.who,
        &mut tx,
        (search.patient_id, search.patient_identifier.as_deref()),
    )
    .await?;
    let filter = AppointmentFilter {
        places: if subjects.is_some() {
            None
        } else {
            clinic::places(&can.who, AppointmentsRead::NAME)
        },
        subjects,
        schedule: search.schedule_id,
        practitioner: search.practitioner,
        service: search.service,
        states,
        day: search.day.map(|day| day.0),
        from: search.from.map(|moment| moment.0),
        to: search.to.map(|moment| moment.0),
        attention: search.attention,
        exception: search.exception_id,
        ..AppointmentFilter::default()
    };
    let page = reads::appointments(&mut tx, filter, search.cursor.as_ref(), search.limit).await?;
    Ok(Json(page))
}

/// Read an appointment
///
/// With every step and reminder. For who works where the schedule is, and for who may open the patient's chart.
#[utoipa::path(get, path = "/appointments/{id}", tag = "appointments", params(("id" = Uuid, Path, description = "the appointment")),
    security(("bearer" = ["appointments:read"])),
    responses(
        (status = 200, description = "with its ETag", body = AppointmentDetail),
        (status = 403, description = "the permission is missing (`auth.permission`), or there is no relationship with the patient (`auth.relationship`)"),
        (status = 404, description = "no appointment has this id (`appointments.unknown`)")))]
async fn read(
    can: CanSomewhere<AppointmentsRead>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<Uuid>,
) -> Result<Response, Problem> {
    let mut tx = state.read(&can.who.tenant).await?;
    let row = reads::appointment_row(&mut tx, id).await?;
    let place = (row.facility.as_deref(), row.department.as_deref());
    seen(&state, &trace, &can.who, &mut tx, row.subject_key, place).await?;
    let view = reads::appointment_detail(&mut tx, row).await?;
    Ok(tagged(&view, view.appointment.version))
}

/// What is to be otherwise; absent members stay.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "mode": "video", "note": "brings old films" }))]
struct AppointmentChange {
    /// `in_person`, `video` or `phone`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    mode: Option<Mode>,
    #[serde(default)]
    #[schema(max_length = 500)]
    reason: Option<String>,
    #[serde(default)]
    #[schema(max_length = 500)]
    note: Option<String>,
}

/// Change an appointment
///
/// What it is about; its time is changed by rescheduling. Only as it was seen: `If-Match` names the version.
#[utoipa::path(patch, path = "/appointments/{id}", tag = "appointments",
    params(("id" = Uuid, Path, description = "the appointment"), ("If-Match" = Option<String>, Header, description = "ETag of what was read")),
    request_body = AppointmentChange, security(("bearer" = ["appointments:book"])),
    responses(
        (status = 200, description = "changed", body = AppointmentWritten),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 403, description = "the permission is missing (`auth.permission`), or the schedule is not at your place (`auth.scope`)"),
        (status = 404, description = "no appointment has this id (`appointments.unknown`)"),
        (status = 409, description = "it is over (`appointments.state_conflict`)"),
        (status = 412, description = "somebody changed it meanwhile (`appointments.stale`)")))]
async fn change(
    can: CanSomewhere<AppointmentsBook>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<Uuid>,
    IfMatch(version): IfMatch,
    Body(change): Body<AppointmentChange>,
) -> Result<Response, Problem> {
    let row = own(&state, &can.who, AppointmentsBook::NAME, id).await?;
    let command = ChangeAppointment {
        appointment_id: id,
        version,
        mode: change.mode,
        reason: words("reason", change.reason)?,
        note: words("note", change.note)?,
        actor: can.who.username.clone(),
    };
    let written = Sender::new(&state, &can.who, &trace)
        .send(worker_scheduling::aggregate(row.schedule_id), &command)
        .await?;
    Ok(answered(written))
}

/// Where to.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "slot_id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b9a", "reason": "patient is travelling" }))]
struct Rescheduling {
    slot_id: Uuid,
    /// true: also beyond the capacity, as far as the schedule allows it.
    #[serde(default)]
    overbook: bool,
    #[serde(default)]
    #[schema(max_length = 500)]
    reason: Option<String>,
}

/// Reschedule an appointment
///
/// The same appointment in another slot, also of another schedule; it is `booked` again. Its old place goes to the waiting
/// list, it leaves its old queue, and its reminders are those of the new time. It keeps the old place when the new one is
/// not to be had.
#[utoipa::path(post, path = "/appointments/{id}/reschedule", tag = "appointments",
    params(("id" = Uuid, Path, description = "the appointment"), ("If-Match" = Option<String>, Header, description = "ETag of what was read")),
    request_body = Rescheduling, security(("bearer" = ["appointments:book"])),
    responses(
        (status = 200, description = "it is there now", body = AppointmentWritten),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 403, description = "the permission is missing (`auth.permission`), or a schedule is not at your place (`auth.scope`)"),
        (status = 404, description = "no appointment (`appointments.unknown`) or no slot (`slots.unknown`) has this id"),
        (status = 409, description = "the slot is full (`slots.full_conflict`), over or closed, `alternatives` names others; or this is no step \
            from its state (`appointments.state_conflict`)"),
        (status = 412, description = "somebody changed it meanwhile (`appointments.stale`)")))]
async fn reschedule(
    can: CanSomewhere<AppointmentsBook>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<Uuid>,
    IfMatch(version): IfMatch,
    Body(to): Body<Rescheduling>,
) -> Result<Response, Problem> {
    let row = own(&state, &can.who, AppointmentsBook::NAME, id).await?;
    let keys = {
        let mut tx = state.read(&can.who.tenant).await?;
        bookable(&mut tx, &can.who, to.slot_id).await?;
        reads::person_of_key(&mut tx, row.subject_key).await?.1
    };
    let command = RescheduleAppointment {
        appointment_id: id,
        slot_id: to.slot_id,
        person_keys: keys.into_keys().map(schemas::IdentifierKey).collect(),
        overbook: to.overbook,
        version,
        reason: words("reason", to.reason)?,
        actor: can.who.username.clone(),
    };
    let written = Sender::new(&state, &can.who, &trace)
        .send(worker_scheduling::aggregate(row.schedule_id), &command)
        .await;
    let written = instead(&state, &can.who, to.slot_id, written).await?;
    Ok(answered(written))
}
