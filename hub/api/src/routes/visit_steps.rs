//! Steps of a visit: called, with the doctor, done; or absent, and back in the queue. And how every step of an encounter is taken.

use axum::response::Response;
use schemas::stays::{MoveEncounter, Step};
use uuid::Uuid;

use super::step::{Refusals, StepTime, Stepping, refusals};
use crate::auth::permission::{EncountersManage, Permission};
use crate::command::Accepted;
use crate::extract::Body;
use crate::problem::Problem;
use crate::reads::stays as reads;
use crate::routing::{Routes, routes};
use crate::views::integration::Applied;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(call))
        .routes(routes!(start))
        .routes(routes!(finish))
        .routes(routes!(no_show))
        .routes(routes!(requeue))
}

/// What a step of an encounter may be refused with.
pub(super) struct StepRefusals;

impl utoipa::IntoResponses for StepRefusals {
    fn responses() -> Refusals {
        refusals(&[
            (
                "403",
                "the permission is missing (`auth.permission`), or the patient is not yours (`auth.relationship`)",
            ),
            ("404", "no encounter has this id (`encounters.unknown`)"),
            (
                "409",
                "not possible from where it stands; the detail names from, to and allowed (`adt.stage_conflict`)",
            ),
            (
                "412",
                "somebody changed it meanwhile (`adt.encounter_stale`)",
            ),
            (
                "422",
                "it lies in the future (`adt.time_ahead`), or too far back (`adt.time_late`)",
            ),
        ])
    }
}

/// Takes a step of an encounter, once the caller has the chart open.
pub(super) async fn take<P: Permission>(
    stepping: Stepping<P>,
    time: StepTime,
    step: Step,
) -> Result<Response, Problem> {
    let (desk, id) = (&stepping.desk, stepping.id);
    let known = {
        let mut tx = desk.tx().await?;
        reads::open(&desk.state, &desk.trace, desk.who(), P::NAME, &mut tx, id).await?
    };
    let family: Vec<Uuid> = known.keys.keys().copied().collect();
    let taken = stepping
        .take(known.aggregate(), time, |told| MoveEncounter {
            encounter_id: told.id,
            step,
            at: told.at,
            late_reason: told.late_reason,
            version: told.version,
            family,
            actor: told.actor,
        })
        .await;
    match taken {
        Err(problem) if problem.code == "adt.gates_conflict" => {
            let mut tx = desk.tx().await?;
            Err(reads::with_gates(&mut tx, id, problem).await?)
        }
        taken => taken,
    }
}

/// Call a token
///
/// The patient is asked in.
#[utoipa::path(post, path = "/encounters/{id}/call", tag = "stays",
    params(("id" = Uuid, Path, description = "the encounter"), ("If-Match" = Option<String>, Header, description = "ETag of what was read")),
    request_body = StepTime, security(("bearer" = ["encounters:manage"])),
    responses(
        (status = 200, description = "done; the answer has stage and version", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        StepRefusals))]
async fn call(
    stepping: Stepping<EncountersManage>,
    Body(asked): Body<StepTime>,
) -> Result<Response, Problem> {
    take(stepping, asked, Step::Call).await
}

/// Begin a consultation
///
/// The patient is with the doctor, called or not.
#[utoipa::path(post, path = "/encounters/{id}/start-consultation", tag = "stays",
    params(("id" = Uuid, Path, description = "the encounter"), ("If-Match" = Option<String>, Header, description = "ETag of what was read")),
    request_body = StepTime, security(("bearer" = ["encounters:manage"])),
    responses(
        (status = 200, description = "done; the answer has stage and version", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        StepRefusals))]
async fn start(
    stepping: Stepping<EncountersManage>,
    Body(asked): Body<StepTime>,
) -> Result<Response, Problem> {
    take(stepping, asked, Step::StartConsultation).await
}

/// End a consultation
///
/// The visit is done.
#[utoipa::path(post, path = "/encounters/{id}/finish", tag = "stays",
    params(("id" = Uuid, Path, description = "the encounter"), ("If-Match" = Option<String>, Header, description = "ETag of what was read")),
    request_body = StepTime, security(("bearer" = ["encounters:manage"])),
    responses(
        (status = 200, description = "done; the answer has stage and version", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        StepRefusals))]
async fn finish(
    stepping: Stepping<EncountersManage>,
    Body(asked): Body<StepTime>,
) -> Result<Response, Problem> {
    take(stepping, asked, Step::Finish).await
}

/// Say that a patient did not come
///
/// The visit counts as cancelled, until the patient comes after all.
#[utoipa::path(post, path = "/encounters/{id}/no-show", tag = "stays",
    params(("id" = Uuid, Path, description = "the encounter"), ("If-Match" = Option<String>, Header, description = "ETag of what was read")),
    request_body = StepTime, security(("bearer" = ["encounters:manage"])),
    responses(
        (status = 200, description = "done; the answer has stage and version", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        StepRefusals))]
async fn no_show(
    stepping: Stepping<EncountersManage>,
    Body(asked): Body<StepTime>,
) -> Result<Response, Problem> {
    take(stepping, asked, Step::NoShow).await
}

/// Put a token back
///
/// Called but not there yet, or there after all: the patient waits with his token.
#[utoipa::path(post, path = "/encounters/{id}/requeue", tag = "stays",
    params(("id" = Uuid, Path, description = "the encounter"), ("If-Match" = Option<String>, Header, description = "ETag of what was read")),
    request_body = StepTime, security(("bearer" = ["encounters:manage"])),
    responses(
        (status = 200, description = "done; the answer has stage and version", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        StepRefusals))]
async fn requeue(
    stepping: Stepping<EncountersManage>,
    Body(asked): Body<StepTime>,
) -> Result<Response, Problem> {
    take(stepping, asked, Step::Requeue).await
}
