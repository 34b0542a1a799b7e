//! Queues: who is there today, who walked in, who is next.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use schemas::scheduling::{CallToken, DelayQueue, WalkIn};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;
use worker_scheduling::queries::{QueueFilter, QueueRow};

use super::desk::words;
use crate::auth::clinic;
use crate::auth::identity::Identity;
use crate::auth::permission::{
    AppointmentsBook, AppointmentsRead, CanSomewhere, Permission as _, QueuesCall,
};
use crate::command::{Accepted, Placed, Sender};
use crate::day::Day;
use crate::extract::{Body, Params, Segment};
use crate::page::{Cursor, Limit, Page};
use crate::problem::Problem;
use crate::reads::scheduling as reads;
use crate::routing::{Routes, routes};
use crate::state::ApiState;
use crate::trace::Trace;
use crate::views::appointments::AppointmentWritten;
use crate::views::integration::Applied;
use crate::views::queues::{Called, Queue, QueueDetail};
use crate::views::scheduling::told;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(list))
        .routes(routes!(read))
        .routes(routes!(walk_in))
        .routes(routes!(next))
        .routes(routes!(delay))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct QueueSearch {
    schedule_id: Option<Uuid>,
    practitioner: Option<String>,
    /// Absent: today, where each schedule is.
    #[param(value_type = Option<String>, format = Date)]
    day: Option<Day>,
    /// `next_cursor` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    /// 1 to 500.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 500, default = 50)]
    limit: Limit,
}

/// List the queues of a day
///
/// Of the clinics where the caller works.
#[utoipa::path(get, path = "/queues", tag = "appointments", params(QueueSearch), security(("bearer" = ["appointments:read"])),
    responses((status = 200, description = "one a schedule that has hours on the day", body = Page<Queue>)))]
async fn list(
    can: CanSomewhere<AppointmentsRead>,
    State(state): State<ApiState>,
    Params(search): Params<QueueSearch>,
) -> Result<Json<Page<Queue>>, Problem> {
    let filter = QueueFilter {
        schedule: search.schedule_id,
        practitioner: search.practitioner,
        day: search.day.map(|day| day.0),
        places: clinic::places(&can.who, AppointmentsRead::NAME),
        ..QueueFilter::default()
    };
    let mut tx = state.read(&can.who.tenant).await?;
    let page = reads::queues(&mut tx, filter, search.cursor.as_ref(), search.limit).await?;
    Ok(Json(page))
}

/// Read a queue
///
/// Every number, and who is expected.
#[utoipa::path(get, path = "/queues/{id}", tag = "appointments", params(("id" = Uuid, Path, description = "the queue")),
    security(("bearer" = ["appointments:read"])),
    responses(
        (status = 200, description = "lowest number first", body = QueueDetail),
        (status = 403, description = "the permission is missing (`auth.permission`), or the schedule is not at your place (`auth.scope`)"),
        (status = 404, description = "no queue has this id (`queues.unknown`)")))]
async fn read(
    can: CanSomewhere<AppointmentsRead>,
    State(state): State<ApiState>,
    Segment(id): Segment<Uuid>,
) -> Result<Json<QueueDetail>, Problem> {
    let row = own(&state, &can.who, AppointmentsRead::NAME, id).await?;
    let mut tx = state.read(&can.who.tenant).await?;
    Ok(Json(reads::queue_detail(&mut tx, row).await?))
}

/// The queue is of a clinic where the caller works.
async fn own(
    state: &ApiState,
    who: &Identity,
    permission: &'static str,
    id: Uuid,
) -> Result<QueueRow, Problem> {
    let mut tx = state.read(&who.tenant).await?;
    let row = reads::queue_row(&mut tx, id).await?;
    clinic::own(
        who,
        permission,
        row.facility.as_deref(),
        row.department.as_deref(),
    )?;
    Ok(row)
}

/// Who walked in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "patient_identifier": "12345", "reason": "fever since yesterday" }))]
struct NewWalkIn {
    /// Give this or `patient_identifier`.
    #[serde(default)]
    patient_id: Option<Uuid>,
    /// PID-3: its value (`12345`), the whole CX text (`12345^^^HOSP^MR`), or `system|value`.
    #[serde(default)]
    patient_identifier: Option<String>,
    #[serde(default)]
    #[schema(max_length = 500)]
    reason: Option<String>,
}

/// Take a walk-in
///
/// Somebody is there without an appointment: he gets the next number of today, as many a day as the schedule says.
#[utoipa::path(post, path = "/schedules/{id}/walk-ins", tag = "appointments", params(("id" = Uuid, Path, description = "the schedule")),
    request_body = NewWalkIn, security(("bearer" = ["appointments:book"])),
    responses(
        (status = 201, description = "arrived; `token` is his number. Location is the appointment", body = AppointmentWritten),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 403, description = "the permission is missing (`auth.permission`), or the schedule is not at your place (`auth.scope`)"),
        (status = 404, description = "no schedule has this id (`schedules.unknown`)"),
        (status = 409, description = "no more walk-ins are taken today (`queues.walk_ins_conflict`), the schedule has no hours today \
            (`queues.closed`), or the patient has an appointment here today (`queues.appointment_conflict`) or waits already \
            (`queues.already_waiting`)"),
        (status = 422, description = "nobody has the identifier (`appointments.no_patient`)")))]
async fn walk_in(
    can: CanSomewhere<AppointmentsBook>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<Uuid>,
    Body(new): Body<NewWalkIn>,
) -> Result<Response, Problem> {
    let reason = words("reason", new.reason)?;
    let subject = {
        let mut tx = state.read(&can.who.tenant).await?;
        let schedule = reads::schedule(&mut tx, id).await?;
        clinic::own(
            &can.who,
            AppointmentsBook::NAME,
            schedule.facility.as_deref(),
            schedule.department.as_deref(),
        )?;
        reads::subject(&mut tx, new.patient_id, new.patient_identifier.as_deref()).await?
    };
    let appointment = Uuid::now_v7();
    let command = WalkIn {
        appointment_id: appointment,
        schedule_id: id,
        subject_key: subject.key,
        person_keys: subject.person,
        reason,
        actor: can.who.username.clone(),
    };
    let written = Sender::new(&state, &can.who, &trace)
        .send(worker_scheduling::aggregate(id), &command)
        .await?;
    Ok(written.respond_placed(|answer| Placed {
        location: format!("/api/v1/appointments/{appointment}"),
        created: true,
        view: told::<AppointmentWritten>(answer),
    }))
}

/// Whom to call, and where to.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "room": "12" }))]
struct NextCall {
    /// This number (once more) and not the next.
    #[serde(default)]
    number: Option<i32>,
    /// Absent: the schedule's room.
    #[serde(default)]
    #[schema(max_length = 500)]
    room: Option<String>,
}

/// Call the next patient
///
/// The lowest number that waits. Two who call at the same moment get two numbers.
#[utoipa::path(post, path = "/queues/{id}/next", tag = "appointments", params(("id" = Uuid, Path, description = "the queue")),
    request_body = NextCall, security(("bearer" = ["queues:call"])),
    responses(
        (status = 200, description = "called", body = Called),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 403, description = "the permission is missing (`auth.permission`), or the schedule is not at your place (`auth.scope`)"),
        (status = 404, description = "no queue has this id (`queues.unknown`)"),
        (status = 409, description = "nobody waits (`queues.empty_conflict`), or not under this number (`queues.token_conflict`)")))]
async fn next(
    can: CanSomewhere<QueuesCall>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<Uuid>,
    Body(call): Body<NextCall>,
) -> Result<Response, Problem> {
    let row = own(&state, &can.who, QueuesCall::NAME, id).await?;
    let command = CallToken {
        queue_id: id,
        number: call.number,
        room: words("room", call.room)?,
        actor: can.who.username.clone(),
    };
    let written = Sender::new(&state, &can.who, &trace)
        .send(worker_scheduling::aggregate(row.schedule_id), &command)
        .await?;
    Ok(written.respond(told::<Called>))
}

/// How much later, and why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "minutes": 30, "reason": "emergency in the ward" }))]
struct Delay {
    /// 0: on time again.
    #[schema(minimum = 0, maximum = 1440)]
    minutes: i32,
    reason: String,
}

/// Say that it will be later
///
/// Everybody who waits or is expected is told (`scheduling.queue.delayed`).
#[utoipa::path(post, path = "/queues/{id}/delay", tag = "appointments", params(("id" = Uuid, Path, description = "the queue")),
    request_body = Delay, security(("bearer" = ["queues:call"])),
    responses(
        (status = 200, description = "said", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 403, description = "the permission is missing (`auth.permission`), or the schedule is not at your place (`auth.scope`)"),
        (status = 404, description = "no queue has this id (`queues.unknown`)")))]
async fn delay(
    can: CanSomewhere<QueuesCall>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<Uuid>,
    Body(delay): Body<Delay>,
) -> Result<Response, Problem> {
    if !(0..=1_440).contains(&delay.minutes) {
        return Err(Problem::invalid("minutes", "must be from 0 to 1440"));
    }
    let row = own(&state, &can.who, QueuesCall::NAME, id).await?;
    let command = DelayQueue {
        queue_id: id,
        minutes: delay.minutes,
        reason: super::reason(delay.reason)?,
        actor: can.who.username.clone(),
    };
    let written = Sender::new(&state, &can.who, &trace)
        .send(worker_scheduling::aggregate(row.schedule_id), &command)
        .await?;
    Ok(written.respond(Applied::with))
}
