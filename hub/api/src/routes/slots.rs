//! Leave and extra hours, and the slots that follow from a schedule. Nothing here tells of a patient.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use schemas::scheduling::{AddException, EndException, ExceptionKind};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;
use worker_scheduling::queries::{self, SlotFilter};

use super::schedules::own;
use crate::auth::permission::{CanSomewhere, SchedulesManage, SchedulesRead};
use crate::command::{Accepted, Placed, Sender};
use crate::day::{Clock, Day};
use crate::extract::{Body, Params, Segment};
use crate::page::{Cursor, Limit, Moment, Page};
use crate::problem::Problem;
use crate::reads::scheduling as reads;
use crate::routing::{Routes, routes};
use crate::state::ApiState;
use crate::trace::Trace;
use crate::views::scheduling::{ScheduleException, ScheduleWritten, Slot, told};

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(add_exception))
        .routes(routes!(exceptions))
        .routes(routes!(end_exception))
        .routes(routes!(slots))
        .routes(routes!(slot))
}

/// Leave, or extra hours.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "kind": "leave", "first_day": "2026-02-02", "last_day": "2026-02-06", "reason": "conference" }))]
struct NewException {
    /// `leave` or `extra`.
    #[schema(value_type = String)]
    kind: ExceptionKind,
    /// Where the schedule is.
    #[schema(value_type = String, format = Date)]
    first_day: Day,
    #[schema(value_type = String, format = Date)]
    last_day: Day,
    /// Of each day. Absent: the whole day; extra hours need both.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    from: Option<Clock>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    to: Option<Clock>,
    reason: String,
}

/// Add leave or extra hours
///
/// Leave takes what is free and lists who is booked as `affected`: they stay booked until somebody finds them another time.
/// Extra hours are offered to the waiting list first.
#[utoipa::path(post, path = "/schedules/{id}/exceptions", tag = "appointments", params(("id" = Uuid, Path, description = "the schedule")),
    request_body = NewException, security(("bearer" = ["schedules:manage"])),
    responses(
        (status = 201, description = "so it is now", body = ScheduleWritten),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 403, description = "the permission is missing (`auth.permission`), or it is not at your place (`auth.scope`)"),
        (status = 404, description = "no schedule has this id (`schedules.unknown`)"),
        (status = 422, description = "the days or hours are not possible (`exceptions.days`, `exceptions.hours`)")))]
async fn add_exception(
    can: CanSomewhere<SchedulesManage>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<Uuid>,
    Body(new): Body<NewException>,
) -> Result<Response, Problem> {
    if new.from.is_some() != new.to.is_some() || (new.from.is_some() && new.to <= new.from) {
        return Err(Problem::invalid(
            "to",
            "give both `from` and `to`, or none; `to` is after `from`",
        ));
    }
    own(&state, &can.who, id).await?;
    let command = AddException {
        exception_id: Uuid::now_v7(),
        schedule_id: id,
        kind: new.kind,
        first_day: new.first_day.0.to_string(),
        last_day: new.last_day.0.to_string(),
        from: new.from.map(|clock| clock.0),
        to: new.to.map(|clock| clock.0),
        reason: super::reason(new.reason)?,
        actor: can.who.username.clone(),
    };
    let written = Sender::new(&state, &can.who, &trace)
        .send(worker_scheduling::aggregate(id), &command)
        .await?;
    Ok(written.respond_placed(|answer| Placed {
        location: format!("/api/v1/schedules/{id}/exceptions"),
        created: true,
        view: told::<ScheduleWritten>(answer),
    }))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ExceptionSearch {
    /// Only those that last until this day or longer.
    #[param(value_type = Option<String>, format = Date)]
    from: Option<Day>,
}

/// List leave and extra hours
#[utoipa::path(get, path = "/schedules/{id}/exceptions", tag = "appointments",
    params(("id" = Uuid, Path, description = "the schedule"), ExceptionSearch), security(("bearer" = ["schedules:read"])),
    responses(
        (status = 200, description = "by their first day, also those that do not hold any more; at most 500", body = Page<ScheduleException>),
        (status = 404, description = "no schedule has this id (`schedules.unknown`)")))]
async fn exceptions(
    can: CanSomewhere<SchedulesRead>,
    State(state): State<ApiState>,
    Segment(id): Segment<Uuid>,
    Params(search): Params<ExceptionSearch>,
) -> Result<Json<Page<ScheduleException>>, Problem> {
    let mut tx = state.read(&can.who.tenant).await?;
    reads::schedule(&mut tx, id).await?;
    let rows = queries::exceptions(tx.conn(), id, search.from.map(|day| day.0)).await?;
    Ok(Json(Page::whole(
        rows.into_iter().map(ScheduleException::of).collect(),
    )))
}

/// End leave or extra hours
///
/// What leave took is free again, and nobody is affected by it any more.
#[utoipa::path(post, path = "/schedule-exceptions/{id}/end", tag = "appointments", params(("id" = Uuid, Path, description = "the exception")),
    security(("bearer" = ["schedules:manage"])),
    responses(
        (status = 200, description = "it does not hold any more", body = ScheduleWritten),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 403, description = "the permission is missing (`auth.permission`), or it is not at your place (`auth.scope`)"),
        (status = 404, description = "no exception has this id (`exceptions.unknown`)")))]
async fn end_exception(
    can: CanSomewhere<SchedulesManage>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<Uuid>,
) -> Result<Response, Problem> {
    let schedule = {
        let mut tx = state.read(&can.who.tenant).await?;
        queries::exception(tx.conn(), id)
            .await?
            .ok_or_else(|| Problem::unknown("exceptions.unknown", "no exception has this id"))?
            .schedule_id
    };
    own(&state, &can.who, schedule).await?;
    let command = EndException {
        exception_id: id,
        actor: can.who.username.clone(),
    };
    let written = Sender::new(&state, &can.who, &trace)
        .send(worker_scheduling::aggregate(schedule), &command)
        .await?;
    Ok(written.respond(|answer| match answer {
        // it had ended before: nothing changed
        None => ScheduleWritten {
            schedule_id: schedule,
            exception_id: Some(id),
            ..ScheduleWritten::default()
        },
        answer => told(answer),
    }))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct SlotSearch {
    schedule_id: Option<Uuid>,
    practitioner: Option<String>,
    service: Option<String>,
    facility: Option<String>,
    /// Beginning at or after this time. Absent: now, unless a cursor is given.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Moment>,
    /// Beginning before this time.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Moment>,
    /// true: only those with a free place.
    #[serde(default)]
    free: bool,
    /// `next_cursor` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    /// 1 to 500.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 500, default = 50)]
    limit: Limit,
}

/// Search slots
#[utoipa::path(get, path = "/slots", tag = "appointments", params(SlotSearch), security(("bearer" = ["schedules:read"])),
    responses((status = 200, description = "by their time", body = Page<Slot>)))]
async fn slots(
    can: CanSomewhere<SchedulesRead>,
    State(state): State<ApiState>,
    Params(search): Params<SlotSearch>,
) -> Result<Json<Page<Slot>>, Problem> {
    let from = search.from.map(|moment| moment.0);
    let from = if search.cursor.is_some() {
        from
    } else {
        from.or_else(|| Some(time::OffsetDateTime::now_utc()))
    };
    let filter = SlotFilter {
        schedule: search.schedule_id,
        practitioner: search.practitioner,
        service: search.service,
        facility: search.facility,
        from,
        to: search.to.map(|moment| moment.0),
        free: search.free,
        ..SlotFilter::default()
    };
    let mut tx = state.read(&can.who.tenant).await?;
    let page = reads::slots(&mut tx, filter, search.cursor.as_ref(), search.limit).await?;
    Ok(Json(page))
}

/// Read a slot
#[utoipa::path(get, path = "/slots/{id}", tag = "appointments", params(("id" = Uuid, Path, description = "the slot")),
    security(("bearer" = ["schedules:read"])),
    responses(
        (status = 200, description = "and what is free in it", body = Slot),
        (status = 404, description = "no slot has this id (`slots.unknown`)")))]
async fn slot(
    can: CanSomewhere<SchedulesRead>,
    State(state): State<ApiState>,
    Segment(id): Segment<Uuid>,
) -> Result<Json<Slot>, Problem> {
    let mut tx = state.read(&can.who.tenant).await?;
    let row = queries::slot(tx.conn(), id)
        .await?
        .ok_or_else(|| Problem::unknown("slots.unknown", "no slot has this id"))?;
    Ok(Json(Slot::of(row)))
}
