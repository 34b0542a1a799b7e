//! Everything that waits until a person says what it means or whose it is, in one list.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;

use crate::auth::chart::Sight;
use crate::auth::permission::{Can, Permission as _, WorklistsRead};
use crate::extract::Params;
use crate::page::{Cursor, Limit, Page};
use crate::problem::Problem;
use crate::reads::verification as reads;
use crate::routing::{Routes, routes};
use crate::state::ApiState;
use crate::trace::Trace;
use crate::views::verification::Waiting;

pub(crate) fn routes() -> Routes {
    Routes::new().routes(routes!(list))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Search {
    channel: Option<String>,
    /// `unknown_code`, `unknown_unit`, `no_specimen`, `unknown_specimen`, `no_open_order` or `patient_mismatch`.
    reason: Option<String>,
    /// `next_cursor` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    /// 1 to 500.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 500, default = 50)]
    limit: Limit,
}

/// List everything that is held
///
/// The open items of `/held` and of `/worklists/unmatched` in one list; `resolve` is the route where each is resolved. What is about a
/// restricted chart is left out for who does not care for the patient: the report, and of a question on a code its sample.
#[utoipa::path(get, path = "/worklists/held", tag = "worklists", params(Search), security(("bearer" = ["worklists:read"])),
    responses((status = 200, description = "oldest first: what waits longest is seen first", body = Page<Waiting>)))]
async fn list(
    can: Can<WorklistsRead>,
    State(state): State<ApiState>,
    trace: Trace,
    Params(search): Params<Search>,
) -> Result<Json<Page<Waiting>>, Problem> {
    let sight = Sight::new(&state, &trace, &can.who, WorklistsRead::NAME);
    let mut tx = state.read(&can.who.tenant).await?;
    reads::waiting(
        &mut tx,
        &sight,
        search.channel.as_deref(),
        search.reason.as_deref(),
        search.cursor.as_ref(),
        search.limit,
    )
    .await
    .map(Json)
}
