//! What happens to an appointment on its way: booked after it was held, confirmed, arrived, seen, or not.

use axum::response::Response;
use schemas::scheduling::{AdvanceAppointment, AppointmentAction};
use serde::Deserialize;
use utoipa::ToSchema;

use super::desk::{answered, own};
use super::step::{Refusals, Stepping, refusals};
use crate::auth::permission::{AppointmentsBook, Permission, QueuesCall};
use crate::command::Accepted;
use crate::extract::Body;
use crate::problem::Problem;
use crate::routing::{Routes, routes};
use crate::views::appointments::AppointmentWritten;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(book))
        .routes(routes!(confirm))
        .routes(routes!(arrive))
        .routes(routes!(start))
        .routes(routes!(finish))
        .routes(routes!(no_show))
        .routes(routes!(cancel))
}

/// What a step of an appointment may be refused with.
struct StepRefusals;

impl utoipa::IntoResponses for StepRefusals {
    fn responses() -> Refusals {
        refusals(&[
            (
                "403",
                "the permission is missing (`auth.permission`), or the schedule is not at your place (`auth.scope`)",
            ),
            ("404", "no appointment has this id (`appointments.unknown`)"),
            (
                "409",
                "this is no step from its state (`appointments.state_conflict`)",
            ),
            (
                "412",
                "somebody changed it meanwhile (`appointments.stale`)",
            ),
        ])
    }
}

/// Takes a step of an appointment at a schedule that is the caller's.
async fn take<P: Permission>(
    stepping: Stepping<P>,
    action: AppointmentAction,
    reason: Option<String>,
) -> Result<Response, Problem> {
    let Stepping { desk, id, version } = stepping;
    let row = own(&desk.state, desk.who(), P::NAME, id).await?;
    let command = AdvanceAppointment {
        appointment_id: id,
        action,
        version,
        reason,
        actor: desk.actor(),
    };
    let written = desk
        .sender()
        .send(worker_scheduling::aggregate(row.schedule_id), &command)
        .await?;
    Ok(answered(written))
}

/// Book a held appointment
///
/// Makes a hold a booking, while it stands; an offer of the waiting list is taken so too. With `If-Match` only when nobody changed it meanwhile.
#[utoipa::path(post, path = "/appointments/{id}/book", tag = "appointments",
    params(("id" = Uuid, Path, description = "the appointment"), ("If-Match" = Option<String>, Header, description = "ETag of what was read")),
    security(("bearer" = ["appointments:book"])),
    responses(
        (status = 200, description = "booked", body = AppointmentWritten),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        StepRefusals,
        (status = 409, description = "this is no step from its state (`appointments.state_conflict`), or the hold is over (`appointments.hold_over_conflict`)")))]
async fn book(stepping: Stepping<AppointmentsBook>) -> Result<Response, Problem> {
    take(stepping, AppointmentAction::Book, None).await
}

/// Confirm an appointment
///
/// The patient said that he will come. With `If-Match` only when nobody changed it meanwhile.
#[utoipa::path(post, path = "/appointments/{id}/confirm", tag = "appointments",
    params(("id" = Uuid, Path, description = "the appointment"), ("If-Match" = Option<String>, Header, description = "ETag of what was read")),
    security(("bearer" = ["appointments:book"])),
    responses(
        (status = 200, description = "confirmed", body = AppointmentWritten),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        StepRefusals))]
async fn confirm(stepping: Stepping<AppointmentsBook>) -> Result<Response, Problem> {
    take(stepping, AppointmentAction::Confirm, None).await
}

/// Mark a patient arrived
///
/// On the day of the appointment; he gets the next number of the queue. With `If-Match` only when nobody changed it meanwhile.
#[utoipa::path(post, path = "/appointments/{id}/arrive", tag = "appointments",
    params(("id" = Uuid, Path, description = "the appointment"), ("If-Match" = Option<String>, Header, description = "ETag of what was read")),
    security(("bearer" = ["appointments:book"])),
    responses(
        (status = 200, description = "arrived; `token` is his number", body = AppointmentWritten),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        StepRefusals,
        (status = 409, description = "this is no step from its state (`appointments.state_conflict`), or it is on another day (`appointments.day_conflict`)")))]
async fn arrive(stepping: Stepping<AppointmentsBook>) -> Result<Response, Problem> {
    take(stepping, AppointmentAction::Arrive, None).await
}

/// Begin a consultation
///
/// Also without calling the number before. With `If-Match` only when nobody changed it meanwhile.
#[utoipa::path(post, path = "/appointments/{id}/start", tag = "appointments",
    params(("id" = Uuid, Path, description = "the appointment"), ("If-Match" = Option<String>, Header, description = "ETag of what was read")),
    security(("bearer" = ["queues:call"])),
    responses(
        (status = 200, description = "in consultation", body = AppointmentWritten),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        StepRefusals))]
async fn start(stepping: Stepping<QueuesCall>) -> Result<Response, Problem> {
    take(stepping, AppointmentAction::Start, None).await
}

/// End a consultation
///
/// The number is done. With `If-Match` only when nobody changed it meanwhile.
#[utoipa::path(post, path = "/appointments/{id}/finish", tag = "appointments",
    params(("id" = Uuid, Path, description = "the appointment"), ("If-Match" = Option<String>, Header, description = "ETag of what was read")),
    security(("bearer" = ["queues:call"])),
    responses(
        (status = 200, description = "done", body = AppointmentWritten),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        StepRefusals))]
async fn finish(stepping: Stepping<QueuesCall>) -> Result<Response, Problem> {
    take(stepping, AppointmentAction::Finish, None).await
}

/// Mark a patient as not come
///
/// Once its time has begun. The place is free again. With `If-Match` only when nobody changed it meanwhile.
#[utoipa::path(post, path = "/appointments/{id}/no-show", tag = "appointments",
    params(("id" = Uuid, Path, description = "the appointment"), ("If-Match" = Option<String>, Header, description = "ETag of what was read")),
    security(("bearer" = ["appointments:book"])),
    responses(
        (status = 200, description = "not come", body = AppointmentWritten),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        StepRefusals,
        (status = 409, description = "this is no step from its state (`appointments.state_conflict`), or it has not begun yet (`appointments.early_conflict`)")))]
async fn no_show(stepping: Stepping<AppointmentsBook>) -> Result<Response, Problem> {
    take(stepping, AppointmentAction::NoShow, None).await
}

/// Why it is cancelled.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "reason": "patient called off" }))]
struct CancelAppointment {
    reason: String,
}

/// Cancel an appointment
///
/// Its place is offered to the waiting list, and is free when nobody there wants it. With `If-Match` only when nobody changed
/// it meanwhile.
#[utoipa::path(post, path = "/appointments/{id}/cancel", tag = "appointments",
    params(("id" = Uuid, Path, description = "the appointment"), ("If-Match" = Option<String>, Header, description = "ETag of what was read")),
    request_body = CancelAppointment, security(("bearer" = ["appointments:book"])),
    responses(
        (status = 200, description = "cancelled", body = AppointmentWritten),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        StepRefusals))]
async fn cancel(
    stepping: Stepping<AppointmentsBook>,
    Body(why): Body<CancelAppointment>,
) -> Result<Response, Problem> {
    take(
        stepping,
        AppointmentAction::Cancel,
        Some(super::reason(why.reason)?),
    )
    .await
}
