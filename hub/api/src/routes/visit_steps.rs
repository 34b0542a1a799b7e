//! Steps of a visit: called, with the doctor, done; or absent, and back in the queue. And how every step is taken.

use axum::extract::State;
use axum::response::Response;
use schemas::stays::{MoveEncounter, Step};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::auth::identity::Identity;
use crate::auth::permission::{CanSomewhere, EncountersManage, Permission as _};
use crate::command::{Accepted, Sender};
use crate::extract::{Body, Segment};
use crate::if_match::IfMatch;
use crate::page::Moment;
use crate::problem::Problem;
use crate::reads::stays as reads;
use crate::routing::{Routes, routes};
use crate::state::ApiState;
use crate::trace::Trace;
use crate::views::integration::Applied;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(call))
        .routes(routes!(start))
        .routes(routes!(finish))
        .routes(routes!(no_show))
        .routes(routes!(requeue))
}

/// A step on its way: of which encounter, as it was seen, and when it happened.
pub(super) struct Walk {
    pub(super) id: Uuid,
    pub(super) version: Option<i32>,
    pub(super) at: Option<Moment>,
    pub(super) late_reason: Option<String>,
}

impl Walk {
    /// Takes it, once the caller has the chart open.
    pub(super) async fn take(
        self,
        state: &ApiState,
        trace: &Trace,
        who: &Identity,
        permission: &'static str,
        step: Step,
    ) -> Result<Response, Problem> {
        let known = {
            let mut tx = state.read(&who.tenant).await?;
            reads::open(state, trace, who, permission, &mut tx, self.id).await?
        };
        let command = MoveEncounter {
            encounter_id: self.id,
            step,
            at: self.at.and_then(Moment::text),
            late_reason: super::optional("late_reason", self.late_reason)?,
            version: self.version,
            family: known.keys.keys().copied().collect(),
            actor: who.username.clone(),
        };
        let sent = Sender::new(state, who, trace)
            .send(known.aggregate(), &command)
            .await;
        match sent {
            Ok(written) => Ok(written.respond(Applied::with)),
            Err(problem) if problem.code == "adt.gates_conflict" => {
                let mut tx = state.read(&who.tenant).await?;
                Err(reads::with_gates(&mut tx, self.id, problem).await?)
            }
            Err(problem) => Err(problem),
        }
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
    can: CanSomewhere<EncountersManage>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<Uuid>,
    IfMatch(version): IfMatch,
    Body(asked): Body<StepTime>,
) -> Result<Response, Problem> {
    let step = Step::Call;
    let walk = Walk {
        id,
        version,
        at: asked.at,
        late_reason: asked.late_reason,
    };
    walk.take(&state, &trace, &can.who, EncountersManage::NAME, step)
        .await
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
    can: CanSomewhere<EncountersManage>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<Uuid>,
    IfMatch(version): IfMatch,
    Body(asked): Body<StepTime>,
) -> Result<Response, Problem> {
    let step = Step::StartConsultation;
    let walk = Walk {
        id,
        version,
        at: asked.at,
        late_reason: asked.late_reason,
    };
    walk.take(&state, &trace, &can.who, EncountersManage::NAME, step)
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
    can: CanSomewhere<EncountersManage>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<Uuid>,
    IfMatch(version): IfMatch,
    Body(asked): Body<StepTime>,
) -> Result<Response, Problem> {
    let step = Step::Finish;
    let walk = Walk {
        id,
        version,
        at: asked.at,
        late_reason: asked.late_reason,
    };
    walk.take(&state, &trace, &can.who, EncountersManage::NAME, step)
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
    can: CanSomewhere<EncountersManage>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<Uuid>,
    IfMatch(version): IfMatch,
    Body(asked): Body<StepTime>,
) -> Result<Response, Problem> {
    let step = Step::NoShow;
    let walk = Walk {
        id,
        version,
        at: asked.at,
        late_reason: asked.late_reason,
    };
    walk.take(&state, &trace, &can.who, EncountersManage::NAME, step)
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
    can: CanSomewhere<EncountersManage>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<Uuid>,
    IfMatch(version): IfMatch,
    Body(asked): Body<StepTime>,
) -> Result<Response, Problem> {
    let step = Step::Requeue;
    let walk = Walk {
        id,
        version,
        at: asked.at,
        late_reason: asked.late_reason,
    };
    walk.take(&state, &trace, &can.who, EncountersManage::NAME, step)
        .await
}
