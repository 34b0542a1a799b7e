//! What the hub keeps of its own doings: outcomes of commands, the audit trail, incidents.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use schemas::incidents::AcknowledgeIncident;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;
use worker_integration::queries::AuditSearch as Wanted;

use crate::auth::permission::{AuditRead, Can, CommandsRead, IncidentsAcknowledge, IncidentsRead};
use crate::command::{Accepted, Sender};
use crate::extract::{Body, Params, Segment};
use crate::page::{Cursor, Limit, Moment, Page};
use crate::problem::Problem;
use crate::reads::integration as reads;
use crate::reads::patients::{family, keys_of_patient};
use crate::routing::{Routes, routes};
use crate::state::ApiState;
use crate::trace::Trace;
use crate::views::integration::{Applied, AuditEntry, CommandStatus, Incident};

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(command))
        .routes(routes!(audit))
        .routes(routes!(incidents))
        .routes(routes!(acknowledge))
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
    /// A patient's id: who saw his data, also under a record that was merged with his, and who changed his record, his orders, specimens and results.
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
    let subjects = match search.patient {
        None => Vec::new(),
        Some(id) => keys_of_patient(&mut tx, id)
            .await?
            .unwrap_or_default()
            .into_keys()
            .collect(),
    };
    let wanted = Wanted {
        object: search.object,
        actor: search.actor,
        action: search.action,
        touched: search.touched,
        patients,
        subjects,
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
/// Differences between ledger and streams, and messages that fail alike: ten dead letters of one channel, stage and reason within
/// five minutes are one incident, which counts what comes after them and is over when none of them is open. What nobody
/// acknowledges in time is escalated (`[incidents] escalate_after_seconds`).
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

/// What the person who looks after it has to say.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "note": "the analyzer's new firmware, its maker is told" }))]
struct Acknowledgement {
    #[serde(default)]
    #[schema(max_length = 500)]
    note: Option<String>,
}

/// Say that somebody looks after an incident
///
/// It stays open until it is over, and is not escalated.
#[utoipa::path(post, path = "/incidents/{id}/acknowledge", tag = "incidents", params(("id" = i64, Path, description = "the incident")),
    request_body = Acknowledgement, security(("bearer" = ["incidents:acknowledge"])),
    responses(
        (status = 200, description = "it is known that somebody does", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 404, description = "no incident has this id (`integration.incident_unknown`)"),
        (status = 409, description = "it is acknowledged or over (`integration.incident_conflict`)")))]
async fn acknowledge(
    can: Can<IncidentsAcknowledge>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<i64>,
    Body(said): Body<Acknowledgement>,
) -> Result<Response, Problem> {
    let command = AcknowledgeIncident {
        incident_id: id,
        note: said
            .note
            .map(|note| super::text("note", note))
            .transpose()?,
        actor: can.who.username.clone(),
    };
    let written = Sender::new(&state, &can.who, &trace)
        .send(format!("incident/{id}"), &command)
        .await?;
    Ok(written.respond(Applied::with))
}
