//! What the hub keeps of its own doings: outcomes of commands, the audit trail, incidents.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;
use worker_integration::queries::AuditSearch as Wanted;

use crate::auth::permission::{AuditRead, Can, CommandsRead, IncidentsRead};
use crate::extract::{Params, Segment};
use crate::page::{Cursor, Limit, Moment, Page};
use crate::problem::Problem;
use crate::reads::integration as reads;
use crate::reads::patients::family;
use crate::state::ApiState;
use crate::views::integration::{AuditEntry, CommandStatus, Incident};

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(command))
        .routes(routes!(audit))
        .routes(routes!(incidents))
}

/// Ask what became of a command
///
/// For the `Location` of a 202. A command without an outcome on record is `pending`: it waits, or was never sent.
#[utoipa::path(get, path = "/commands/{id}", tag = "commands", params(("id" = Uuid, Path, description = "the command")),
    security(("bearer" = ["commands:read"])),
    responses((status = 200, description = "its state", body = CommandStatus)))]
async fn command(
    can: Can<CommandsRead>,
    State(state): State<ApiState>,
    Segment(id): Segment<Uuid>,
) -> Result<Json<CommandStatus>, Problem> {
    let mut tx = state.read(&can.who.tenant).await?;
    reads::command(&mut tx, id).await.map(Json)
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AuditSearch {
    /// What it was done to: `message <id>` …
    object: Option<String>,
    /// Id of something that was touched, also together with others.
    touched: Option<Uuid>,
    /// A patient's id: who saw his data, also under a record that was merged with his, and who changed his record.
    patient: Option<Uuid>,
    actor: Option<String>,
    /// `message.body_read`, `auth.login` …
    action: Option<String>,
    /// At or after this time.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Moment>,
    /// Before this time.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Moment>,
    /// `next_cursor` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    /// 1 to 500.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 500, default = 50)]
    limit: Limit,
}

/// Search the audit trail
#[utoipa::path(get, path = "/audit", tag = "audit", params(AuditSearch), security(("bearer" = ["audit:read"])),
    responses(
        (status = 200, description = "newest first", body = Page<AuditEntry>),
        (status = 404, description = "no patient has the id of `patient` (`patients.unknown`)")))]
async fn audit(
    can: Can<AuditRead>,
    State(state): State<ApiState>,
    Params(search): Params<AuditSearch>,
) -> Result<Json<Page<AuditEntry>>, Problem> {
    let mut tx = state.read(&can.who.tenant).await?;
    let patients = match search.patient {
        None => None,
        Some(id) => Some(
            family(&mut tx, id)
                .await?
                .ok_or_else(super::patients::no_patient)?,
        ),
    };
    let wanted = Wanted {
        object: search.object,
        actor: search.actor,
        action: search.action,
        touched: search.touched,
        patients,
        recorded_from: search.from.map(|moment| moment.0),
        recorded_to: search.to.map(|moment| moment.0),
        ..Wanted::default()
    };
    reads::audit(&mut tx, wanted, search.cursor.as_ref(), search.limit)
        .await
        .map(Json)
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct IncidentSearch {
    /// `open` (as if absent) or `all`.
    state: Option<String>,
    /// `next_cursor` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    /// 1 to 500.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 500, default = 50)]
    limit: Limit,
}

/// List incidents of the backbone
///
/// Differences between ledger and streams, servers with weaker settings than promised.
#[utoipa::path(get, path = "/incidents", tag = "incidents", params(IncidentSearch), security(("bearer" = ["incidents:read"])),
    responses((status = 200, description = "newest first", body = Page<Incident>)))]
async fn incidents(
    can: Can<IncidentsRead>,
    State(state): State<ApiState>,
    Params(search): Params<IncidentSearch>,
) -> Result<Json<Page<Incident>>, Problem> {
    let open_only = super::state_or_open(search.state, &["open"])?.is_some();
    let mut tx = state.read(&can.who.tenant).await?;
    reads::incidents(&mut tx, open_only, search.cursor.as_ref(), search.limit)
        .await
        .map(Json)
}
