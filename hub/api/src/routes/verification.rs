//! Results of analyzers that wait for their verification, or had it.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use uuid::Uuid;
use worker_clinical::queries::{VerificationFilter, VerificationState};

use crate::auth::chart::Sight;
use crate::auth::permission::{Can, Permission as _, WorklistsRead};
use crate::extract::{Params, Segment};
use crate::page::{Cursor, Limit, Page};
use crate::problem::Problem;
use crate::reads::patients;
use crate::reads::verification as reads;
use crate::routing::{Routes, routes};
use crate::state::ApiState;
use crate::trace::Trace;
use crate::views::verification::{Verification, VerificationDetail};

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(list))
        .routes(routes!(read))
        .routes(routes!(affected))
}

const STATES: [&str; 5] = [
    "received",
    "needs_review",
    "verified",
    "rejected",
    "released",
];

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Search {
    /// `open` (as if absent: received or in need of review, and not replaced), `received`, `needs_review`, `verified`,
    /// `rejected`, `released` or `all`.
    state: Option<String>,
    channel: Option<String>,
    /// The first check that failed: `range`, `delta`, `control` …
    reason: Option<String>,
    /// PID-3 as sent.
    patient_identifier: Option<String>,
    /// Number on the tube.
    specimen: Option<String>,
    report: Option<Uuid>,
    /// `next_cursor` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    /// 1 to 500.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 500, default = 50)]
    limit: Limit,
}

fn state_of(given: Option<&str>) -> Result<VerificationState, Problem> {
    match given {
        None | Some("open") => Ok(VerificationState::Open),
        Some("all") => Ok(VerificationState::All),
        Some(state) if STATES.contains(&state) => Ok(VerificationState::One(state.to_owned())),
        Some(_) => Err(Problem::invalid(
            "state",
            format!("must be one of: open, {}, all", STATES.join(", ")),
        )),
    }
}

/// List results to verify
///
/// Results of analyzers that the rules did not let pass, each with the first check that failed.
#[utoipa::path(get, path = "/worklists/verification", tag = "worklists", params(Search), security(("bearer" = ["worklists:read"])),
    responses((status = 200, description = "oldest first: what waits longest is seen first", body = Page<Verification>)))]
async fn list(
    can: Can<WorklistsRead>,
    State(state): State<ApiState>,
    trace: Trace,
    Params(search): Params<Search>,
) -> Result<Json<Page<Verification>>, Problem> {
    let sight = Sight::new(&state, &trace, &can.who, WorklistsRead::NAME);
    let mut tx = state.read(&can.who.tenant).await?;
    let subjects = match &search.patient_identifier {
        None => None,
        Some(text) => {
            let keys = patients::keys_of_identifier(&mut tx, text).await?;
            Some(keys.into_keys().collect())
        }
    };
    let filter = VerificationFilter {
        state: state_of(search.state.as_deref())?,
        channel: search.channel,
        failed: search.reason,
        subjects,
        specimen: search.specimen,
        report: search.report,
        ..VerificationFilter::default()
    };
    reads::list(
        &mut tx,
        &sight,
        filter,
        search.cursor.as_ref(),
        search.limit,
    )
    .await
    .map(Json)
}

/// Read a result to verify
///
/// With every version and run of the test on the sample, and what people remarked.
#[utoipa::path(get, path = "/worklists/verification/{id}", tag = "worklists", params(("id" = i64, Path, description = "the item")),
    security(("bearer" = ["worklists:read"])),
    responses(
        (status = 200, description = "the item", body = VerificationDetail),
        (status = 403, description = "the permission is missing (`auth.permission`), or the chart is closed to you (`auth.relationship`)"),
        (status = 404, description = "no result to verify has this id (`clinical.verification_unknown`)")))]
async fn read(
    can: Can<WorklistsRead>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<i64>,
) -> Result<Json<VerificationDetail>, Problem> {
    let sight = Sight::new(&state, &trace, &can.who, WorklistsRead::NAME);
    let mut tx = state.read(&can.who.tenant).await?;
    reads::one(&mut tx, &sight, id)
        .await?
        .ok_or_else(no_item)
        .map(Json)
}

pub(super) fn no_item() -> Problem {
    Problem::unknown(
        "clinical.verification_unknown",
        "no result to verify has this id",
    )
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Listing {
    /// `next_cursor` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    /// 1 to 500.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 500, default = 50)]
    limit: Limit,
}

/// List results that a control puts in doubt
///
/// Results of patients of the same channel and analyte, measured after the last good control of its level before it and before the
/// first good one after it, in whatever state they are.
#[utoipa::path(get, path = "/worklists/qc/{id}/affected", tag = "worklists",
    params(("id" = i64, Path, description = "the control result"), Listing), security(("bearer" = ["worklists:read"])),
    responses(
        (status = 200, description = "oldest first", body = Page<Verification>),
        (status = 404, description = "no control result has this id (`clinical.control_unknown`)")))]
async fn affected(
    can: Can<WorklistsRead>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<i64>,
    Params(listing): Params<Listing>,
) -> Result<Json<Page<Verification>>, Problem> {
    let sight = Sight::new(&state, &trace, &can.who, WorklistsRead::NAME);
    let mut tx = state.read(&can.who.tenant).await?;
    reads::affected(&mut tx, &sight, id, listing.cursor.as_ref(), listing.limit)
        .await?
        .ok_or_else(|| {
            Problem::unknown("clinical.control_unknown", "no control result has this id")
        })
        .map(Json)
}
