//! Steps of a specimen: collected, received, rejected.

use axum::response::Response;
use schemas::specimens::{MoveSpecimen, RejectReason, SpecimenStep};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{StepRefusals, opened};
use crate::auth::permission::{Permission, SpecimensCollect, SpecimensReceive};
use crate::command::Accepted;
use crate::extract::Body;
use crate::page::Moment;
use crate::problem::Problem;
use crate::routes::optional;
use crate::routes::step::{StepTime, Stepping};
use crate::routing::{Routes, routes};
use crate::views::integration::Applied;

pub(super) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(collect))
        .routes(routes!(receive))
        .routes(routes!(reject))
}

/// Takes a step of a specimen, once the caller may see it.
async fn take<P: Permission>(
    stepping: Stepping<P>,
    time: StepTime,
    step: SpecimenStep,
) -> Result<Response, Problem> {
    let lane = opened(&stepping.desk, stepping.id).await?;
    stepping
        .take(lane, time, |told| MoveSpecimen {
            specimen_id: told.id,
            step,
            at: told.at,
            late_reason: told.late_reason,
            version: told.version,
            actor: told.actor,
        })
        .await
}

/// When it was taken, and by whom.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "collector": "m.das" }))]
struct Collection {
    /// Who took it; absent: who says so.
    #[serde(default)]
    #[schema(max_length = 500)]
    collector: Option<String>,
    /// Absent: now.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    at: Option<Moment>,
    /// Why it is told so late; needed where `at` lies more than a day back.
    #[serde(default)]
    #[schema(max_length = 500)]
    late_reason: Option<String>,
}

/// Say that a specimen was collected
#[utoipa::path(post, path = "/specimens/{id}/collect", tag = "results",
    params(("id" = Uuid, Path, description = "the specimen"), ("If-Match" = Option<String>, Header, description = "ETag of what was read")),
    request_body = Collection, security(("bearer" = ["specimens:collect"])),
    responses(
        (status = 200, description = "done; the answer has state and version", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        StepRefusals,
        (status = 422, description = "it lies in the future (`clinical.time_ahead`), or too far back (`clinical.time_late`)")))]
async fn collect(
    stepping: Stepping<SpecimensCollect>,
    Body(told): Body<Collection>,
) -> Result<Response, Problem> {
    let collector = optional("collector", told.collector)?;
    let step = SpecimenStep::Collect { collector };
    take(stepping, StepTime::new(told.at, told.late_reason), step).await
}

/// Receive a specimen in the laboratory
///
/// Also one that nobody scanned when it was collected.
#[utoipa::path(post, path = "/specimens/{id}/receive", tag = "results",
    params(("id" = Uuid, Path, description = "the specimen"), ("If-Match" = Option<String>, Header, description = "ETag of what was read")),
    request_body = StepTime, security(("bearer" = ["specimens:receive"])),
    responses(
        (status = 200, description = "done; the answer has state and version", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        StepRefusals,
        (status = 422, description = "it lies in the future (`clinical.time_ahead`), too far back (`clinical.time_late`), or before it was \
            collected (`clinical.specimen_time`)")))]
async fn receive(
    stepping: Stepping<SpecimensReceive>,
    Body(told): Body<StepTime>,
) -> Result<Response, Problem> {
    take(stepping, told, SpecimenStep::Receive).await
}

/// Why the laboratory can't use it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "reason": "haemolysed", "text": "plasma red" }))]
struct Rejecting {
    /// `expired`, `quantity_not_sufficient`, `broken_container`, `clotted`, `collection_date_missing`, `patient_number_missing`,
    /// `patient_name_missing`, `haemolysed`, `wrong_identification`, `wrong_label`, `contaminated`, `collector_missing`,
    /// `wrongly_stored`, `name_misspelt` (HL7 table 0490), or `other`.
    #[schema(value_type = String)]
    reason: RejectReason,
    /// What else is to be said of it; needed where the reason is `other`.
    #[serde(default)]
    #[schema(max_length = 500)]
    text: Option<String>,
    /// false: its orders are revoked. Absent or true: they wait for another specimen, and somebody gets the task to collect it.
    #[serde(default)]
    recollect: Option<bool>,
    /// Absent: now.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    at: Option<Moment>,
    /// Why it is told so late; needed where `at` lies more than a day back.
    #[serde(default)]
    #[schema(max_length = 500)]
    late_reason: Option<String>,
}

/// Reject a specimen
///
/// Its open orders lose it: they wait for another one (`POST /specimens`), and instruments that were told of them are told that they
/// are taken back. What was measured of it and is not released, or comes later, waits for verification with the reason;
/// `answer.reports_out` tells how many reports of it are out already, which only a correction takes back.
#[utoipa::path(post, path = "/specimens/{id}/reject", tag = "results",
    params(("id" = Uuid, Path, description = "the specimen"), ("If-Match" = Option<String>, Header, description = "ETag of what was read")),
    request_body = Rejecting, security(("bearer" = ["specimens:receive"])),
    responses(
        (status = 200, description = "done; the answer has state, version, the orders that lost it, and the task to collect again", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        StepRefusals,
        (status = 422, description = "nobody knows whose it is (`clinical.specimen_nobody`), the reason `other` needs a text \
            (`clinical.specimen_reason`), it lies in the future \
            (`clinical.time_ahead`), too far back (`clinical.time_late`), or before the step that it follows (`clinical.specimen_time`)")))]
async fn reject(
    stepping: Stepping<SpecimensReceive>,
    Body(told): Body<Rejecting>,
) -> Result<Response, Problem> {
    let step = SpecimenStep::Reject {
        reason: told.reason,
        text: optional("text", told.text)?,
        recollect: told.recollect.unwrap_or(true),
    };
    take(stepping, StepTime::new(told.at, told.late_reason), step).await
}
