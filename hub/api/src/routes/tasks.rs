//! Tasks: what somebody must do for a patient, by a time.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use schemas::rounds::{AdvanceTask, TaskAction};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;
use worker_clinical::queries::{self, TaskFilter};

use super::asking::Desk;
use crate::auth::chart::Sight;
use crate::auth::permission::{Can, Permission as _, TasksAct, TasksRead};
use crate::command::Accepted;
use crate::extract::{Body, Params, Segment};
use crate::page::{Cursor, Limit, Page};
use crate::problem::Problem;
use crate::reads::chart as reads;
use crate::routing::{Routes, routes};
use crate::state::ApiState;
use crate::trace::Trace;
use crate::views::integration::Applied;
use crate::views::rounds::Task;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(list))
        .routes(routes!(of_patient))
        .routes(routes!(acknowledge))
        .routes(routes!(complete))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Search {
    /// `open` (as if absent), `acknowledged`, `done` or `all`.
    state: Option<String>,
    /// `next_cursor` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    /// 1 to 500.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 500, default = 50)]
    limit: Limit,
}

impl Search {
    fn filter(&self, subjects: Option<Vec<Uuid>>) -> Result<TaskFilter, Problem> {
        Ok(TaskFilter {
            subjects,
            state: super::state_or_open(self.state.clone(), &["open", "acknowledged", "done"])?,
            ..TaskFilter::default()
        })
    }
}

/// List tasks
///
/// Those of restricted charts are left out for who does not care for the patient.
#[utoipa::path(get, path = "/tasks", tag = "charts", params(Search), security(("bearer" = ["tasks:read"])),
    responses((status = 200, description = "the one that is due first in front", body = Page<Task>)))]
async fn list(
    can: Can<TasksRead>,
    State(state): State<ApiState>,
    trace: Trace,
    Params(search): Params<Search>,
) -> Result<Json<Page<Task>>, Problem> {
    let sight = Sight::new(&state, &trace, &can.who, TasksRead::NAME);
    let mut tx = state.read(&can.who.tenant).await?;
    reads::tasks(
        &mut tx,
        &sight,
        search.filter(None)?,
        search.cursor.as_ref(),
        search.limit,
    )
    .await
    .map(Json)
}

/// A patient's tasks
#[utoipa::path(get, path = "/patients/{id}/tasks", tag = "charts",
    params(("id" = Uuid, Path, description = "the patient"), Search), security(("bearer" = ["tasks:read"])),
    responses(
        (status = 200, description = "the one that is due first in front", body = Page<Task>),
        (status = 404, description = "no patient has this id (`patients.unknown`)")))]
async fn of_patient(
    desk: Desk<TasksRead>,
    Segment(id): Segment<Uuid>,
    Params(search): Params<Search>,
) -> Result<Json<Page<Task>>, Problem> {
    let sight = desk.sight();
    let mut tx = desk.tx().await?;
    let subject = desk.subject(&mut tx, id).await?;
    reads::tasks(
        &mut tx,
        &sight,
        search.filter(Some(subject.all_keys()))?,
        search.cursor.as_ref(),
        search.limit,
    )
    .await
    .map(Json)
}

async fn advance(
    desk: &Desk<TasksAct>,
    id: Uuid,
    action: TaskAction,
    outcome: Option<String>,
) -> Result<Response, Problem> {
    let aggregate = {
        let mut tx = desk.tx().await?;
        let row = queries::task(tx.conn(), id)
            .await?
            .ok_or_else(|| Problem::unknown("clinical.task_unknown", "no task has this id"))?;
        desk.opened(&mut tx, row.subject_key).await?;
        row.subject_key.to_string()
    };
    let command = AdvanceTask {
        task_id: id,
        action,
        outcome,
        actor: desk.actor(),
    };
    let written = desk.sender().send(aggregate, &command).await?;
    Ok(written.respond(Applied::with))
}

/// Acknowledge a task
///
/// Somebody has seen it and goes.
#[utoipa::path(post, path = "/tasks/{id}/acknowledge", tag = "charts", params(("id" = Uuid, Path, description = "the task")),
    security(("bearer" = ["tasks:act"])),
    responses(
        (status = 200, description = "acknowledged", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 404, description = "no task has this id (`clinical.task_unknown`)"),
        (status = 409, description = "it is not open (`clinical.task_conflict`)")))]
async fn acknowledge(
    desk: Desk<TasksAct>,
    Segment(id): Segment<Uuid>,
) -> Result<Response, Problem> {
    advance(&desk, id, TaskAction::Acknowledge, None).await
}

/// What came of it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "outcome": "seen by Dr Rao, moved to ICU" }))]
struct Outcome {
    outcome: String,
}

/// Complete a task
#[utoipa::path(post, path = "/tasks/{id}/complete", tag = "charts", params(("id" = Uuid, Path, description = "the task")),
    request_body = Outcome, security(("bearer" = ["tasks:act"])),
    responses(
        (status = 200, description = "done", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 404, description = "no task has this id (`clinical.task_unknown`)"),
        (status = 409, description = "it is done already (`clinical.task_conflict`)")))]
async fn complete(
    desk: Desk<TasksAct>,
    Segment(id): Segment<Uuid>,
    Body(outcome): Body<Outcome>,
) -> Result<Response, Problem> {
    let outcome = super::text("outcome", outcome.outcome)?;
    advance(&desk, id, TaskAction::Complete, Some(outcome)).await
}
