//! Critical values: who was called, and what was read back.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use schemas::criticals::AcknowledgeCritical;
use serde::Deserialize;
use utoipa::ToSchema;
use worker_clinical::queries::CriticalFilter;

use crate::auth::chart::Sight;
use crate::auth::permission::{Can, CriticalsAcknowledge, Permission as _, WorklistsRead};
use crate::command::{Accepted, Sender};
use crate::extract::{Body, Params, Segment};
use crate::page::{Cursor, Limit, Page};
use crate::problem::Problem;
use crate::reads::worklists as reads;
use crate::routing::{Routes, routes};
use crate::state::ApiState;
use crate::trace::Trace;
use crate::views::integration::Applied;
use crate::views::worklists::Critical;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(list))
        .routes(routes!(acknowledge))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Search {
    /// `open` (as if absent), `acknowledged` or `all`.
    state: Option<String>,
    /// true: only those that nobody was called about in time.
    overdue: Option<bool>,
    /// `next_cursor` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    /// 1 to 500.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 500, default = 50)]
    limit: Limit,
}

/// List critical values
///
/// Those of restricted charts are there for the laboratory (`specimens:all`) and for who cares for the patient.
#[utoipa::path(get, path = "/worklists/criticals", tag = "worklists", params(Search), security(("bearer" = ["worklists:read"])),
    responses((status = 200, description = "oldest first: what waits longest is seen first", body = Page<Critical>)))]
async fn list(
    can: Can<WorklistsRead>,
    State(state): State<ApiState>,
    trace: Trace,
    Params(search): Params<Search>,
) -> Result<Json<Page<Critical>>, Problem> {
    let sight = Sight::new(&state, &trace, &can.who, WorklistsRead::NAME);
    let filter = CriticalFilter {
        state: super::state_or_open(search.state, &["open", "acknowledged"])?,
        overdue: search.overdue,
        ..CriticalFilter::default()
    };
    let mut tx = state.read(&can.who.tenant).await?;
    reads::criticals(
        &mut tx,
        &sight,
        filter,
        search.cursor.as_ref(),
        search.limit,
    )
    .await
    .map(Json)
}

/// A call.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "told": "Sr. Mary, ICU", "read_back": "potassium 6.8" }))]
struct Call {
    /// Who was told.
    told: String,
    /// What that person read back.
    read_back: String,
    #[serde(default)]
    comment: Option<String>,
}

/// Acknowledge a critical value
///
/// Somebody was called and read the value back. A correction of the result that is critical too opens a new item.
#[utoipa::path(post, path = "/worklists/criticals/{id}/acknowledge", tag = "worklists",
    params(("id" = i64, Path, description = "the critical value")), request_body = Call, security(("bearer" = ["criticals:acknowledge"])),
    responses(
        (status = 200, description = "the call is on record", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 403, description = "the permission is missing (`auth.permission`), or the chart is closed to you (`auth.relationship`)"),
        (status = 404, description = "no critical value has this id (`clinical.critical_unknown`)"),
        (status = 409, description = "it was acknowledged before (`clinical.critical_closed`)")))]
async fn acknowledge(
    can: Can<CriticalsAcknowledge>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<i64>,
    Body(call): Body<Call>,
) -> Result<Response, Problem> {
    let command = AcknowledgeCritical {
        critical_id: id,
        told: super::text("told", call.told)?,
        read_back: super::text("read_back", call.read_back)?,
        comment: call.comment,
        actor: can.who.username.clone(),
    };
    {
        let sight = Sight::new(&state, &trace, &can.who, CriticalsAcknowledge::NAME);
        let mut tx = state.read(&can.who.tenant).await?;
        reads::critical_listed(&mut tx, &sight, id).await?;
    }
    let written = Sender::new(&state, &can.who, &trace)
        .send(format!("critical/{id}"), &command)
        .await?;
    Ok(written.respond(Applied::with))
}
