//! How each facility numbers its patients.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use schemas::registration::DefineSeries;
use serde::Deserialize;
use utoipa::ToSchema;
use worker_patient::queries;

use crate::auth::permission::{Can, NumberSeriesDefine, PatientsRead};
use crate::command::{Accepted, Sender};
use crate::extract::{Body, Segment};
use crate::if_match::{Seen, tagged};
use crate::page::Page;
use crate::problem::Problem;
use crate::routing::{Routes, routes};
use crate::state::ApiState;
use crate::trace::Trace;
use crate::views::integration::Applied;
use crate::views::registration::NumberSeries;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(series))
        .routes(routes!(one_series))
        .routes(routes!(define_series))
}

/// List number series
#[utoipa::path(get, path = "/number-series", tag = "patients", security(("bearer" = ["patients:read"])),
    responses((status = 200, description = "by facility; the list is whole", body = Page<NumberSeries>)))]
async fn series(
    can: Can<PatientsRead>,
    State(state): State<ApiState>,
) -> Result<Json<Page<NumberSeries>>, Problem> {
    let mut tx = state.read(&can.who.tenant).await?;
    let rows = queries::number_series(tx.conn()).await?;
    Ok(Json(Page::whole(
        rows.into_iter().map(NumberSeries::of).collect(),
    )))
}

/// Read a facility's number series
#[utoipa::path(get, path = "/number-series/{id}", tag = "patients", params(("id" = String, Path, description = "the facility")),
    security(("bearer" = ["patients:read"])),
    responses(
        (status = 200, description = "the series; ETag is the version of its definition", body = NumberSeries),
        (status = 404, description = "nothing is defined of this facility, and it has given no number (`patients.series_unknown`)")))]
async fn one_series(
    can: Can<PatientsRead>,
    State(state): State<ApiState>,
    Segment(facility): Segment<String>,
) -> Result<Response, Problem> {
    let mut tx = state.read(&can.who.tenant).await?;
    let row = queries::one_number_series(tx.conn(), &facility)
        .await?
        .ok_or_else(|| {
            Problem::unknown(
                "patients.series_unknown",
                "no facility with this code has a series",
            )
        })?;
    let version = row.version;
    Ok(tagged(&NumberSeries::of(row), version))
}

/// How a facility numbers its patients.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "prefix": "SGM", "width": 6, "next": 1 }))]
struct SeriesRule {
    #[schema(max_length = 12)]
    prefix: String,
    /// Digits, with leading zeros.
    #[schema(minimum = 1, maximum = 12)]
    width: i16,
    /// The next number; with the same prefix never below what was given.
    #[schema(minimum = 1)]
    next: i64,
}

/// Define a facility's number series
///
/// Changing wants `If-Match`, making has none. A facility of which nothing is defined has its own letters as prefix and six digits.
#[utoipa::path(put, path = "/number-series/{id}", tag = "patients", params(("id" = String, Path, description = "the facility"),
        ("If-Match" = Option<String>, Header, description = "ETag of the version that was seen; absent when it is made")),
    request_body = SeriesRule, security(("bearer" = ["number_series:define"])),
    responses(
        (status = 200, description = "defined", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 409, description = "numbers beyond this one were given (`patients.series_conflict`)"),
        (status = 412, description = "somebody changed it meanwhile (`patients.series_stale`)"),
        (status = 422, description = "prefix, width or next is not possible (`patients.series`)")))]
async fn define_series(
    can: Can<NumberSeriesDefine>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(facility): Segment<String>,
    seen: Seen,
    Body(rule): Body<SeriesRule>,
) -> Result<Response, Problem> {
    let facility = super::text("facility", facility.trim().to_owned())?;
    let is_there = {
        let mut tx = state.read(&can.who.tenant).await?;
        queries::one_number_series(tx.conn(), &facility)
            .await?
            .is_some()
    };
    let command = DefineSeries {
        version: seen.of_definition(is_there, "patients.series_stale")?,
        prefix: rule.prefix,
        width: rule.width,
        next: rule.next,
        actor: can.who.username.clone(),
        facility,
    };
    let aggregate = format!("series {}", command.facility);
    let written = Sender::new(&state, &can.who, &trace)
        .send(aggregate, &command)
        .await?;
    Ok(written.respond(Applied::with))
}
