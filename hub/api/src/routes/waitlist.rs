//! Waiting lists: who waits for a place, and what he says to an offer.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use schemas::scheduling::{AnswerWaitlist, JoinWaitlist, Mode, WaitlistAnswer};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;
use worker_scheduling::queries::WaitlistFilter;

use super::desk::{chart_of, seen, states, words};
use crate::auth::clinic;
use crate::auth::identity::Identity;
use crate::auth::permission::{AppointmentsBook, AppointmentsRead, CanSomewhere, Permission as _};
use crate::command::{Accepted, Placed, Sender};
use crate::extract::{Body, Params, Segment};
use crate::if_match::tagged;
use crate::page::{Cursor, Limit, Moment, Page};
use crate::problem::Problem;
use crate::reads::scheduling as reads;
use crate::routing::{Routes, routes};
use crate::state::ApiState;
use crate::trace::Trace;
use crate::views::queues::{WaitlistEntry, WaitlistWritten};
use crate::views::scheduling::told;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(join))
        .routes(routes!(list))
        .routes(routes!(read))
        .routes(routes!(accept))
        .routes(routes!(decline))
        .routes(routes!(withdraw))
}

fn in_person() -> Mode {
    Mode::InPerson
}

/// Who waits, and for what time.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "schedule_id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c", "patient_identifier": "12345",
    "from": "2026-02-02T02:30:00Z", "to": "2026-02-06T14:30:00Z", "priority": 0
}))]
struct NewEntry {
    schedule_id: Uuid,
    /// Give this or `patient_identifier`.
    #[serde(default)]
    patient_id: Option<Uuid>,
    /// PID-3: its value (`12345`), the whole CX text (`12345^^^HOSP^MR`), or `system|value`.
    #[serde(default)]
    patient_identifier: Option<String>,
    /// Slots that begin from then …
    #[schema(value_type = String, format = DateTime)]
    from: Moment,
    /// … and before then.
    #[schema(value_type = String, format = DateTime)]
    to: Moment,
    /// 0 to 9: the higher, the sooner; then who came first.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 9, default = 0)]
    priority: i16,
    /// `in_person`, `video` or `phone`.
    #[serde(default = "in_person")]
    #[schema(value_type = Option<String>, default = "in_person")]
    mode: Mode,
    #[serde(default)]
    #[schema(max_length = 500)]
    note: Option<String>,
}

/// Join a waiting list
///
/// A place in that time is kept for the first of the list as soon as there is one, for as long as the schedule's
/// `offer_seconds` say; then for the next. Who joins while a place is free is offered it at once.
#[utoipa::path(post, path = "/waitlist", tag = "appointments", request_body = NewEntry, security(("bearer" = ["appointments:book"])),
    responses(
        (status = 201, description = "on the list; Location is the entry", body = WaitlistWritten),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 403, description = "the permission is missing (`auth.permission`), or the schedule is not at your place (`auth.scope`)"),
        (status = 404, description = "no schedule has this id (`schedules.unknown`)"),
        (status = 409, description = "the patient is on the list (`waitlist.already_waiting`), or the schedule is retired (`schedules.closed`)"),
        (status = 422, description = "its time is over (`waitlist.time`), or nobody has the identifier (`appointments.no_patient`)")))]
async fn join(
    can: CanSomewhere<AppointmentsBook>,
    State(state): State<ApiState>,
    trace: Trace,
    Body(new): Body<NewEntry>,
) -> Result<Response, Problem> {
    if !(0..=9).contains(&new.priority) {
        return Err(Problem::invalid("priority", "must be from 0 to 9"));
    }
    let note = words("note", new.note)?;
    let subject = {
        let mut tx = state.read(&can.who.tenant).await?;
        let schedule = reads::schedule(&mut tx, new.schedule_id).await?;
        clinic::own(
            &can.who,
            AppointmentsBook::NAME,
            schedule.facility.as_deref(),
            schedule.department.as_deref(),
        )?;
        reads::subject(&mut tx, new.patient_id, new.patient_identifier.as_deref()).await?
    };
    let id = Uuid::now_v7();
    let text = |moment: Moment| moment.text().ok_or_else(Problem::internal);
    let command = JoinWaitlist {
        entry_id: id,
        schedule_id: new.schedule_id,
        subject_key: subject.key,
        person_keys: subject.person,
        priority: new.priority,
        from: text(new.from)?,
        to: text(new.to)?,
        mode: new.mode,
        note,
        actor: can.who.username.clone(),
    };
    let written = Sender::new(&state, &can.who, &trace)
        .send(worker_scheduling::aggregate(new.schedule_id), &command)
        .await?;
    Ok(written.respond_placed(|answer| Placed {
        location: format!("/api/v1/waitlist/{id}"),
        created: true,
        view: told::<WaitlistWritten>(answer),
    }))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct WaitlistSearch {
    schedule_id: Option<Uuid>,
    /// One patient's. Opens as his chart does.
    patient_id: Option<Uuid>,
    /// The same, by PID-3 as sent.
    patient_identifier: Option<String>,
    /// One or several with commas: `waiting`, `offered` (both as if absent), `booked`, `withdrawn`, `lapsed`.
    state: Option<String>,
    /// `next_cursor` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    /// 1 to 500.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 500, default = 50)]
    limit: Limit,
}

/// Search waiting lists
#[utoipa::path(get, path = "/waitlist", tag = "appointments", params(WaitlistSearch), security(("bearer" = ["appointments:read"])),
    responses(
        (status = 200, description = "in the order in which they came; `rank` is the order in which they are served", body = Page<WaitlistEntry>),
        (status = 403, description = "the permission is missing (`auth.permission`), or there is no relationship with the patient (`auth.relationship`)"),
        (status = 404, description = "no patient has this id (`patients.unknown`)")))]
async fn list(
    can: CanSomewhere<AppointmentsRead>,
    State(state): State<ApiState>,
    trace: Trace,
    Params(search): Params<WaitlistSearch>,
) -> Result<Json<Page<WaitlistEntry>>, Problem> {
    let wanted = search.state.as_deref().unwrap_or("waiting,offered");
    let states = states(Some(wanted), &|text| {
        ["waiting", "offered", "booked", "withdrawn", "lapsed"].contains(&text)
    })?;
    let mut tx = state.read(&can.who.tenant).await?;
    let asked = (search.patient_id, search.patient_identifier.as_deref());
    let subjects = chart_of(&state, &trace, &can.who, &mut tx, asked).await?;
    let filter = WaitlistFilter {
        schedule: search.schedule_id,
        places: if subjects.is_some() {
            None
        } else {
            clinic::places(&can.who, AppointmentsRead::NAME)
        },
        subjects,
        states,
        ..WaitlistFilter::default()
    };
    let page = reads::waitlist(&mut tx, filter, search.cursor.as_ref(), search.limit).await?;
    Ok(Json(page))
}

/// Read an entry of a waiting list
#[utoipa::path(get, path = "/waitlist/{id}", tag = "appointments", params(("id" = Uuid, Path, description = "the entry")),
    security(("bearer" = ["appointments:read"])),
    responses(
        (status = 200, description = "with its ETag, and the offer that stands", body = WaitlistEntry),
        (status = 403, description = "the permission is missing (`auth.permission`), or there is no relationship with the patient (`auth.relationship`)"),
        (status = 404, description = "nobody waits under this id (`waitlist.unknown`)")))]
async fn read(
    can: CanSomewhere<AppointmentsRead>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<Uuid>,
) -> Result<Response, Problem> {
    let mut tx = state.read(&can.who.tenant).await?;
    let row = reads::waitlist_row(&mut tx, id).await?;
    let place = (row.facility.as_deref(), row.department.as_deref());
    seen(&state, &trace, &can.who, &mut tx, row.subject_key, place).await?;
    let view = reads::waitlist_entry(&mut tx, row).await?;
    Ok(tagged(&view, view.version))
}

async fn answer(
    state: &ApiState,
    trace: &Trace,
    who: &Identity,
    id: Uuid,
    answer: WaitlistAnswer,
) -> Result<Response, Problem> {
    let schedule = {
        let mut tx = state.read(&who.tenant).await?;
        let row = reads::waitlist_row(&mut tx, id).await?;
        clinic::own(
            who,
            AppointmentsBook::NAME,
            row.facility.as_deref(),
            row.department.as_deref(),
        )?;
        row.schedule_id
    };
    let command = AnswerWaitlist {
        entry_id: id,
        answer,
        actor: who.username.clone(),
    };
    let written = Sender::new(state, who, trace)
        .send(worker_scheduling::aggregate(schedule), &command)
        .await?;
    Ok(written.respond(told::<WaitlistWritten>))
}

/// Accept an offer
///
/// The place that is held becomes a booking.
#[utoipa::path(post, path = "/waitlist/{id}/accept", tag = "appointments", params(("id" = Uuid, Path, description = "the entry")),
    security(("bearer" = ["appointments:book"])),
    responses(
        (status = 200, description = "booked; `appointment_id` is the appointment", body = WaitlistWritten),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 403, description = "the permission is missing (`auth.permission`), or the schedule is not at your place (`auth.scope`)"),
        (status = 404, description = "nobody waits under this id (`waitlist.unknown`)"),
        (status = 409, description = "nothing is offered (`waitlist.state_conflict`), or not any more (`appointments.hold_over_conflict`)")))]
async fn accept(
    can: CanSomewhere<AppointmentsBook>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<Uuid>,
) -> Result<Response, Problem> {
    answer(&state, &trace, &can.who, id, WaitlistAnswer::Accept).await
}

/// Decline an offer
///
/// The place goes to the next; who declines keeps his rank for another one.
#[utoipa::path(post, path = "/waitlist/{id}/decline", tag = "appointments", params(("id" = Uuid, Path, description = "the entry")),
    security(("bearer" = ["appointments:book"])),
    responses(
        (status = 200, description = "waiting on", body = WaitlistWritten),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 403, description = "the permission is missing (`auth.permission`), or the schedule is not at your place (`auth.scope`)"),
        (status = 404, description = "nobody waits under this id (`waitlist.unknown`)"),
        (status = 409, description = "nothing is offered (`waitlist.state_conflict`)")))]
async fn decline(
    can: CanSomewhere<AppointmentsBook>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<Uuid>,
) -> Result<Response, Problem> {
    answer(&state, &trace, &can.who, id, WaitlistAnswer::Decline).await
}

/// Leave a waiting list
///
/// What is offered to him goes to the next.
#[utoipa::path(post, path = "/waitlist/{id}/withdraw", tag = "appointments", params(("id" = Uuid, Path, description = "the entry")),
    security(("bearer" = ["appointments:book"])),
    responses(
        (status = 200, description = "off the list", body = WaitlistWritten),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 403, description = "the permission is missing (`auth.permission`), or the schedule is not at your place (`auth.scope`)"),
        (status = 404, description = "nobody waits under this id (`waitlist.unknown`)"),
        (status = 409, description = "it is over (`waitlist.state_conflict`)")))]
async fn withdraw(
    can: CanSomewhere<AppointmentsBook>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<Uuid>,
) -> Result<Response, Problem> {
    answer(&state, &trace, &can.who, id, WaitlistAnswer::Withdraw).await
}
