//! Correcting results of reports by hand.

use axum::response::Response;
use axum::{Extension, Json};
use schemas::rounds::AmendResult;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;
use worker_clinical::queries;

use super::asking::Desk;
use crate::auth::permission::{Permission, ResultsAmend, ResultsRead};
use crate::command::Accepted;
use crate::extract::{Body, Segment};
use crate::looks::ShownOf;
use crate::page::Page;
use crate::problem::Problem;
use crate::routing::{Routes, routes};
use crate::views::integration::Applied;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(amend))
        .routes(routes!(amendments))
}

/// The lane of a report, its chart opened, and its patient; a report of nobody needs the permission alone.
async fn lane<P: Permission>(
    desk: &Desk<P>,
    tx: &mut hub_core::Tx<'_>,
    id: Uuid,
) -> Result<(String, Option<Uuid>), Problem> {
    let report = queries::report(tx.conn(), id)
        .await?
        .map(|(report, _)| report)
        .ok_or_else(|| Problem::unknown("clinical.report_unknown", "no report has this id"))?;
    let sight = desk.sight();
    let patient = sight.open_tube(tx, report.subject_key).await?;
    Ok((report.subject_key.unwrap_or(id).to_string(), patient))
}

/// What is right, and why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "item": 1, "version": 1, "value": "4.2", "reason": "haemolysed, measured again" }))]
struct Amendment {
    /// The result's place in its report.
    item: i16,
    /// The version that was seen.
    version: i16,
    /// In the unit that is shown: `ucum` where there is one, else `unit`.
    value: String,
    reason: String,
}

/// Correct a result
///
/// The next version of the result; the version before stays, marked as superseded, and the report's version rises. Where results of
/// the channel must be verified, this one must be too, by somebody else. A value beyond its critical limits is raised as any other.
#[utoipa::path(post, path = "/reports/{id}/amend", tag = "results", params(("id" = Uuid, Path, description = "the report")),
    request_body = Amendment, security(("bearer" = ["results:amend"])),
    responses(
        (status = 200, description = "corrected; the answer has the new versions, and whether it must be verified", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 404, description = "no report has this id (`clinical.report_unknown`), or it has no such result (`clinical.result_unknown`)"),
        (status = 409, description = "it was changed since (`clinical.result_stale`), is not final (`clinical.result_preliminary_conflict`), or \
            says that already (`clinical.result_same`)"),
        (status = 422, description = "the value is not of the result's kind (`clinical.result_value`, `clinical.result_kind`), or its meaning is \
            not known (`clinical.result_held`)")))]
async fn amend(
    desk: Desk<ResultsAmend>,
    Segment(id): Segment<Uuid>,
    Body(amendment): Body<Amendment>,
) -> Result<Response, Problem> {
    let aggregate = {
        let mut tx = desk.tx().await?;
        lane(&desk, &mut tx, id).await?.0
    };
    let command = AmendResult {
        report_id: id,
        item: amendment.item,
        version: amendment.version,
        value: amendment.value,
        reason: super::reason(amendment.reason)?,
        actor: desk.actor(),
    };
    let written = desk.sender().send(aggregate, &command).await?;
    Ok(written.respond(Applied::with))
}

/// A correction by hand.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "item": 1, "version": 2, "actor": "dr.rao", "reason": "haemolysed, measured again", "at": "2026-01-31T08:30:00Z" }))]
struct Amended {
    /// The result's place in its report.
    item: i16,
    /// The version that it made.
    version: i16,
    actor: String,
    reason: String,
    #[serde(with = "time::serde::rfc3339")]
    at: OffsetDateTime,
}

/// Read who corrected a report by hand
///
/// The values, old and new, are the versions of its results: `GET /api/v1/results?versions=all`.
#[utoipa::path(get, path = "/reports/{id}/amendments", tag = "results", params(("id" = Uuid, Path, description = "the report")),
    security(("bearer" = ["results:read"])),
    responses(
        (status = 200, description = "oldest first; the list is whole", body = Page<Amended>),
        (status = 404, description = "no report has this id (`clinical.report_unknown`)")))]
async fn amendments(
    desk: Desk<ResultsRead>,
    Segment(id): Segment<Uuid>,
) -> Result<(Extension<ShownOf>, Json<Page<Amended>>), Problem> {
    let mut tx = desk.tx().await?;
    let (_, patient) = lane(&desk, &mut tx, id).await?;
    let rows = queries::result_amendments(tx.conn(), id).await?;
    let amended = rows
        .into_iter()
        .map(|row| Amended {
            item: row.item,
            version: row.version,
            actor: row.actor,
            reason: row.reason,
            at: row.at,
        })
        .collect();
    Ok((ShownOf::these([patient]), Json(Page::whole(amended))))
}
