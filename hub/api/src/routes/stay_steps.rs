//! Steps of a stay: a bed is kept, the patient comes into it, is moved, is to go, has gone. Only that frees the bed.

use axum::response::Response;
use schemas::stays::{Disposition, Step};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::step::{StepTime, Stepping};
use super::visit_steps::{StepRefusals, take};
use crate::auth::permission::StaysManage;
use crate::command::Accepted;
use crate::extract::Body;
use crate::page::Moment;
use crate::problem::Problem;
use crate::routing::{Routes, routes};
use crate::views::integration::Applied;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(reserve))
        .routes(routes!(release))
        .routes(routes!(admit))
        .routes(routes!(transfer))
        .routes(routes!(discharge))
        .routes(routes!(cancel_discharge))
        .routes(routes!(leave))
        .routes(routes!(close))
        .routes(routes!(cancel))
}

/// Which bed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "bed_id": "018f3c1e-7a5c-5c3e-9b1a-2f4d5e6a7b8f" }))]
struct IntoBed {
    bed_id: Uuid,
    /// When it happened; absent: now.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    at: Option<Moment>,
    /// Why it is told so late; needed where `at` lies more than a day back.
    #[serde(default)]
    #[schema(max_length = 500)]
    late_reason: Option<String>,
}

/// Which bed, and why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "bed_id": "018f3c1e-7a5c-5c3e-9b1a-2f4d5e6a7b8f", "reason": "needs a monitor" }))]
struct Transfer {
    bed_id: Uuid,
    #[serde(default)]
    reason: Option<String>,
    /// When it happened; absent: now.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    at: Option<Moment>,
    /// Why it is told so late; needed where `at` lies more than a day back.
    #[serde(default)]
    #[schema(max_length = 500)]
    late_reason: Option<String>,
}

/// How the stay is to end.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "disposition": "home", "expected_at": "2026-02-02T10:00:00Z" }))]
struct Discharge {
    /// `home`, `lama` (against medical advice), `absconded`, `death`, `transfer_out`
    #[schema(value_type = String)]
    disposition: Disposition,
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    expected_at: Option<Moment>,
    /// When it happened; absent: now.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    at: Option<Moment>,
    /// Why it is told so late; needed where `at` lies more than a day back.
    #[serde(default)]
    #[schema(max_length = 500)]
    late_reason: Option<String>,
}

/// Why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "reason": "fever again" }))]
struct Because {
    reason: String,
    /// When it happened; absent: now.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    at: Option<Moment>,
    /// Why it is told so late; needed where `at` lies more than a day back.
    #[serde(default)]
    #[schema(max_length = 500)]
    late_reason: Option<String>,
}

/// How the patient left.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "disposition": "home" }))]
struct Departure {
    /// As for the discharge; absent: as it was initiated there. `home` needs all gates; the others do not, and leave them behind.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    disposition: Option<Disposition>,
    /// Needed at death.
    #[serde(default)]
    cause_of_death: Option<String>,
    /// Number of the certificate of the cause of death (MCCD form 4).
    #[serde(default)]
    form: Option<String>,
    #[serde(default)]
    note: Option<String>,
    /// When it happened; absent: now.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    at: Option<Moment>,
    /// Why it is told so late; needed where `at` lies more than a day back.
    #[serde(default)]
    #[schema(max_length = 500)]
    late_reason: Option<String>,
}

/// Keep a bed
///
/// The bed is this patient's to be admitted to; one kept before is let go. Its ward sees the patient.
#[utoipa::path(post, path = "/encounters/{id}/reserve-bed", tag = "stays",
    params(("id" = Uuid, Path, description = "the encounter"), ("If-Match" = Option<String>, Header, description = "ETag of what was read")),
    request_body = IntoBed, security(("bearer" = ["stays:manage"])),
    responses(
        (status = 200, description = "done; the answer has stage and version", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        StepRefusals,
        (status = 409, description = "not possible from where it stands; the detail names from, to and allowed (`adt.stage_conflict`), or somebody has the bed, or it is not ready (`adt.bed_conflict`)")))]
async fn reserve(
    stepping: Stepping<StaysManage>,
    Body(asked): Body<IntoBed>,
) -> Result<Response, Problem> {
    let step = Step::Reserve {
        bed_id: asked.bed_id,
    };
    take(stepping, StepTime::new(asked.at, asked.late_reason), step).await
}

/// Let a kept bed go
///
/// The admission is requested as before.
#[utoipa::path(post, path = "/encounters/{id}/release-bed", tag = "stays",
    params(("id" = Uuid, Path, description = "the encounter"), ("If-Match" = Option<String>, Header, description = "ETag of what was read")),
    request_body = StepTime, security(("bearer" = ["stays:manage"])),
    responses(
        (status = 200, description = "done; the answer has stage and version", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        StepRefusals))]
async fn release(
    stepping: Stepping<StaysManage>,
    Body(asked): Body<StepTime>,
) -> Result<Response, Problem> {
    take(stepping, asked, Step::Release).await
}

/// Admit
///
/// The patient is in the bed. A patient is admitted once, under whichever of his numbers and whoever said so.
#[utoipa::path(post, path = "/encounters/{id}/admit", tag = "stays",
    params(("id" = Uuid, Path, description = "the encounter"), ("If-Match" = Option<String>, Header, description = "ETag of what was read")),
    request_body = IntoBed, security(("bearer" = ["stays:manage"])),
    responses(
        (status = 200, description = "done; the answer has stage and version", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        StepRefusals,
        (status = 409, description = "not possible from where it stands; the detail names from, to and allowed (`adt.stage_conflict`), or somebody has the bed, or it is not ready (`adt.bed_conflict`), or the patient is admitted (`adt.already_admitted`), or `at` is before what was said last (`adt.time_conflict`)")))]
async fn admit(
    stepping: Stepping<StaysManage>,
    Body(asked): Body<IntoBed>,
) -> Result<Response, Problem> {
    let step = Step::Admit {
        bed_id: asked.bed_id,
    };
    take(stepping, StepTime::new(asked.at, asked.late_reason), step).await
}

/// Transfer
///
/// Into another bed: the one is left and the other taken at the same moment. The one is to be cleaned.
#[utoipa::path(post, path = "/encounters/{id}/transfer", tag = "stays",
    params(("id" = Uuid, Path, description = "the encounter"), ("If-Match" = Option<String>, Header, description = "ETag of what was read")),
    request_body = Transfer, security(("bearer" = ["stays:manage"])),
    responses(
        (status = 200, description = "done; the answer has stage and version", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        StepRefusals,
        (status = 409, description = "not possible from where it stands; the detail names from, to and allowed (`adt.stage_conflict`), or somebody has the bed, or it is not ready (`adt.bed_conflict`), or `at` is before what was said last (`adt.time_conflict`)")))]
async fn transfer(
    stepping: Stepping<StaysManage>,
    Body(asked): Body<Transfer>,
) -> Result<Response, Problem> {
    let step = Step::Transfer {
        bed_id: asked.bed_id,
        reason: super::optional("reason", asked.reason)?,
    };
    take(stepping, StepTime::new(asked.at, asked.late_reason), step).await
}

/// Initiate a discharge
///
/// Puts up the gates; the bed stays the patient's until he has left it.
#[utoipa::path(post, path = "/encounters/{id}/discharge", tag = "stays",
    params(("id" = Uuid, Path, description = "the encounter"), ("If-Match" = Option<String>, Header, description = "ETag of what was read")),
    request_body = Discharge, security(("bearer" = ["stays:manage"])),
    responses(
        (status = 200, description = "done; the answer has stage and version", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        StepRefusals))]
async fn discharge(
    stepping: Stepping<StaysManage>,
    Body(asked): Body<Discharge>,
) -> Result<Response, Problem> {
    let step = Step::InitiateDischarge {
        disposition: asked.disposition,
        expected_at: asked.expected_at.and_then(Moment::text),
    };
    take(stepping, StepTime::new(asked.at, asked.late_reason), step).await
}

/// Take a discharge back
///
/// The patient stays. The next time all gates are to be cleared anew.
#[utoipa::path(post, path = "/encounters/{id}/cancel-discharge", tag = "stays",
    params(("id" = Uuid, Path, description = "the encounter"), ("If-Match" = Option<String>, Header, description = "ETag of what was read")),
    request_body = Because, security(("bearer" = ["stays:manage"])),
    responses(
        (status = 200, description = "done; the answer has stage and version", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        StepRefusals))]
async fn cancel_discharge(
    stepping: Stepping<StaysManage>,
    Body(asked): Body<Because>,
) -> Result<Response, Problem> {
    let step = Step::CancelDischarge {
        reason: super::reason(asked.reason)?,
    };
    take(stepping, StepTime::new(asked.at, asked.late_reason), step).await
}

/// Say that a patient has left
///
/// Only this frees the bed, which is then to be cleaned.
#[utoipa::path(post, path = "/encounters/{id}/leave", tag = "stays",
    params(("id" = Uuid, Path, description = "the encounter"), ("If-Match" = Option<String>, Header, description = "ETag of what was read")),
    request_body = Departure, security(("bearer" = ["stays:manage"])),
    responses(
        (status = 200, description = "done; the answer has stage and version", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        StepRefusals,
        (status = 409, description = "not possible from where it stands; the detail names from, to and allowed (`adt.stage_conflict`), or gates are open: `errors` has each with its link (`adt.gates_conflict`)"),
        (status = 422, description = "a death without its cause (`adt.cause_of_death`), it lies in the future (`adt.time_ahead`), or too far \
            back (`adt.time_late`)")))]
async fn leave(
    stepping: Stepping<StaysManage>,
    Body(asked): Body<Departure>,
) -> Result<Response, Problem> {
    let step = Step::Leave {
        disposition: asked.disposition,
        cause_of_death: super::optional("cause_of_death", asked.cause_of_death)?,
        form: super::optional("form", asked.form)?,
        note: super::optional("note", asked.note)?,
    };
    take(stepping, StepTime::new(asked.at, asked.late_reason), step).await
}

/// Close a stay
///
/// Nothing is left to do: the patient has left, and every gate is cleared.
#[utoipa::path(post, path = "/encounters/{id}/close", tag = "stays",
    params(("id" = Uuid, Path, description = "the encounter"), ("If-Match" = Option<String>, Header, description = "ETag of what was read")),
    request_body = StepTime, security(("bearer" = ["stays:manage"])),
    responses(
        (status = 200, description = "done; the answer has stage and version", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        StepRefusals,
        (status = 409, description = "not possible from where it stands; the detail names from, to and allowed (`adt.stage_conflict`), or gates are open (`adt.gates_conflict`)")))]
async fn close(
    stepping: Stepping<StaysManage>,
    Body(asked): Body<StepTime>,
) -> Result<Response, Problem> {
    take(stepping, asked, Step::Close).await
}

/// Cancel a visit or stay
///
/// It should not have been. A bed kept or taken is let go.
#[utoipa::path(post, path = "/encounters/{id}/cancel", tag = "stays",
    params(("id" = Uuid, Path, description = "the encounter"), ("If-Match" = Option<String>, Header, description = "ETag of what was read")),
    request_body = Because, security(("bearer" = ["stays:manage"])),
    responses(
        (status = 200, description = "done; the answer has stage and version", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        StepRefusals))]
async fn cancel(
    stepping: Stepping<StaysManage>,
    Body(asked): Body<Because>,
) -> Result<Response, Problem> {
    let step = Step::Cancel {
        reason: super::reason(asked.reason)?,
    };
    take(stepping, StepTime::new(asked.at, asked.late_reason), step).await
}
