//! Where hospital systems and the house's own register differ: seen, and closed by somebody who looked.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use schemas::stays::ResolveDifference;
use serde::Deserialize;
use utoipa::ToSchema;
use worker_clinical::queries;

use crate::auth::permission::{Can, DifferencesRead, DifferencesResolve};
use crate::command::{Accepted, Sender};
use crate::extract::{Body, Params, Segment};
use crate::page::{Cursor, Limit, Page};
use crate::problem::Problem;
use crate::routing::{Routes, routes};
use crate::state::ApiState;
use crate::trace::Trace;
use crate::views::integration::Applied;
use crate::views::stays::Difference;

pub(crate) fn routes() -> Routes {
    Routes::new().routes(routes!(list)).routes(routes!(resolve))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Search {
    /// `open` (as if absent), `settled`, `resolved` or `all`.
    state: Option<String>,
    /// `next_cursor` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    /// 1 to 500.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 500, default = 50)]
    limit: Limit,
}

/// List differences with hospital systems
///
/// What an ADT message says is filed; where the register of beds, or what staff lead, says something else, it is listed here. An item
/// settles by itself when its cause is gone.
#[utoipa::path(get, path = "/adt-differences", tag = "stays", params(Search), security(("bearer" = ["adt_differences:read"])),
    responses((status = 200, description = "newest first", body = Page<Difference>)))]
async fn list(
    can: Can<DifferencesRead>,
    State(state): State<ApiState>,
    Params(search): Params<Search>,
) -> Result<Json<Page<Difference>>, Problem> {
    let wanted = super::state_or_open(search.state, &["open", "settled", "resolved"])?;
    let before = Cursor::key::<i64>(search.cursor.as_ref())?;
    let mut tx = state.read(&can.who.tenant).await?;
    let rows =
        queries::differences(tx.conn(), wanted.as_deref(), before, search.limit.rows()).await?;
    let next = rows
        .last()
        .filter(|_| search.limit.is_full(rows.len()))
        .map(|row| row.id);
    Ok(Json(Page::of(rows, next, Difference::of)))
}

/// What was found.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "comment": "the ward had swapped the beds" }))]
struct Closing {
    comment: String,
}

/// Close a difference
#[utoipa::path(post, path = "/adt-differences/{id}/resolve", tag = "stays", params(("id" = i64, Path, description = "of the list")),
    request_body = Closing, security(("bearer" = ["adt_differences:resolve"])),
    responses(
        (status = 200, description = "closed", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 404, description = "no difference has this id (`adt.difference_unknown`)"),
        (status = 409, description = "it is not open any more (`adt.difference_resolved`)")))]
async fn resolve(
    can: Can<DifferencesResolve>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<i64>,
    Body(closing): Body<Closing>,
) -> Result<Response, Problem> {
    let command = ResolveDifference {
        difference_id: id,
        comment: super::text("comment", closing.comment)?,
        actor: can.who.username.clone(),
    };
    let written = Sender::new(&state, &can.who, &trace)
        .send(format!("difference {id}"), &command)
        .await?;
    Ok(written.respond(Applied::with))
}
