//! Steps of a visit: called, with the doctor, done; or absent, and back in the queue. And how every step is taken.

use axum::response::Response;
use schemas::stays::{MoveEncounter, Step};
use serde::Deserialize;
use utoipa::ToSchema;

use super::asking::Stepping;
use crate::auth::permission::{EncountersManage, Permission};
use crate::command::Accepted;
use crate::extract::Body;
use crate::page::Moment;
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

/// What is told of a step: when it happened, and why that is told late.
pub(super) struct Told {
    at: Option<Moment>,
    late_reason: Option<String>,
}

impl Told {
    pub(super) fn new(at: Option<Moment>, late_reason: Option<String>) -> Self {
        Self { at, late_reason }
    }
}

/// Takes a step of an encounter, once the caller has the chart open.
pub(super) async fn take<P: Permission>(
    stepping: Stepping<P>,
    told: Told,
    step: Step,
) -> Result<Response, Problem> {
    let Stepping { desk, id, version } = stepping;
    let known = {
        let mut tx = desk.tx().await?;
        reads::open(&desk.state, &desk.trace, desk.who(), P::NAME, &mut tx, id).await?
    };
    let command = MoveEncounter {
        encounter_id: id,
        step,
        at: told.at.and_then(Moment::text),
        late_reason: super::optional("late_reason", told.late_reason)?,
        version,
        family: known.keys.keys().copied().collect(),
        actor: desk.actor(),
    };
    let sent = desk.sender().send(known.aggregate(), &command).await;
    match sent {
        Ok(written) => Ok(written.respond(Applied::with)),
        Err(problem) if problem.code == "adt.gates_conflict" => {
            let mut tx = desk.tx().await?;
            Err(reads::with_gates(&mut tx, id, problem).await?)
        }
        Err(problem) => Err(problem),
    }
}

/// When it happened.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "at": "2026-01-31T08:30:00Z", "late_reason": "the network was down" }))]
pub(super) struct StepTime {
    /// Absent: now.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(super) at: Option<Moment>,
    /// Why it is told so late; needed where `at` lies more than a day back.
    #[serde(default)]
    #[schema(max_length = 500)]
    pub(super) late_reason: Option<String>,
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
        (status = 403, description = "the permission is missing (`auth.permission`), or the patient is not yours (`auth.relationship`)"),
        (status = 404, description = "no encounter has this id (`encounters.unknown`)"),
        (status = 409, description = "not possible from where it stands; the detail names from, to and allowed (`adt.stage_conflict`)"),
        (status = 412, description = "somebody changed it meanwhile (`adt.encounter_stale`)"),
        (status = 422, description = "it lies in the future (`adt.time_ahead`), or too far back (`adt.time_late`)")))]
async fn call(
    stepping: Stepping<EncountersManage>,
    Body(asked): Body<StepTime>,
) -> Result<Response, Problem> {
    take(stepping, Told::new(asked.at, asked.late_reason), Step::Call).await
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
        (status = 403, description = "the permission is missing (`auth.permission`), or the patient is not yours (`auth.relationship`)"),
        (status = 404, description = "no encounter has this id (`encounters.unknown`)"),
        (status = 409, description = "not possible from where it stands; the detail names from, to and allowed (`adt.stage_conflict`)"),
        (status = 412, description = "somebody changed it meanwhile (`adt.encounter_stale`)"),
        (status = 422, description = "it lies in the future (`adt.time_ahead`), or too far back (`adt.time_late`)")))]
async fn start(
    stepping: Stepping<EncountersManage>,
    Body(asked): Body<StepTime>,
) -> Result<Response, Problem> {
    take(
        stepping,
        Told::new(asked.at, asked.late_reason),
        Step::StartConsultation,
    )
    .await
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
        (status = 403, description = "the permission is missing (`auth.permission`), or the patient is not yours (`auth.relationship`)"),
        (status = 404, description = "no encounter has this id (`encounters.unknown`)"),
        (status = 409, description = "not possible from where it stands; the detail names from, to and allowed (`adt.stage_conflict`)"),
        (status = 412, description = "somebody changed it meanwhile (`adt.encounter_stale`)"),
        (status = 422, description = "it lies in the future (`adt.time_ahead`), or too far back (`adt.time_late`)")))]
async fn finish(
    stepping: Stepping<EncountersManage>,
    Body(asked): Body<StepTime>,
) -> Result<Response, Problem> {
    take(
        stepping,
        Told::new(asked.at, asked.late_reason),
        Step::Finish,
    )
    .await
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
        (status = 403, description = "the permission is missing (`auth.permission`), or the patient is not yours (`auth.relationship`)"),
        (status = 404, description = "no encounter has this id (`encounters.unknown`)"),
        (status = 409, description = "not possible from where it stands; the detail names from, to and allowed (`adt.stage_conflict`)"),
        (status = 412, description = "somebody changed it meanwhile (`adt.encounter_stale`)"),
        (status = 422, description = "it lies in the future (`adt.time_ahead`), or too far back (`adt.time_late`)")))]
async fn no_show(
    stepping: Stepping<EncountersManage>,
    Body(asked): Body<StepTime>,
) -> Result<Response, Problem> {
    take(
        stepping,
        Told::new(asked.at, asked.late_reason),
        Step::NoShow,
    )
    .await
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
        (status = 403, description = "the permission is missing (`auth.permission`), or the patient is not yours (`auth.relationship`)"),
        (status = 404, description = "no encounter has this id (`encounters.unknown`)"),
        (status = 409, description = "not possible from where it stands; the detail names from, to and allowed (`adt.stage_conflict`)"),
        (status = 412, description = "somebody changed it meanwhile (`adt.encounter_stale`)"),
        (status = 422, description = "it lies in the future (`adt.time_ahead`), or too far back (`adt.time_late`)")))]
async fn requeue(
    stepping: Stepping<EncountersManage>,
    Body(asked): Body<StepTime>,
) -> Result<Response, Problem> {
    take(
        stepping,
        Told::new(asked.at, asked.late_reason),
        Step::Requeue,
    )
    .await
}
