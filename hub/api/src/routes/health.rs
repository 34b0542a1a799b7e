//! What a supervisor asks: is the process alive, can it work, what has it counted.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::backbone::{Check, Readiness};
use crate::problem::Problem;
use crate::state::ApiState;

/// The process answers; nothing else is asked.
pub(crate) async fn alive() -> Json<serde_json::Value> {
    Json(json!({ "status": "alive" }))
}

/// NATS, Postgres, migrations and data keys: 200 when all are well, otherwise 503 that says which is not.
pub(crate) async fn ready(State(state): State<ApiState>) -> Result<Response, Problem> {
    let readiness = state.backbone.readiness().await;
    if readiness.is_ready() {
        return Ok(Json(json!({
            "status": "ready", "nats": "ok", "postgres": "ok", "migrations": "ok", "keys": "ok"
        }))
        .into_response());
    }
    Err(Problem::unavailable("readiness", failing(&readiness)))
}

fn failing(readiness: &Readiness) -> String {
    [
        ("nats", &readiness.nats),
        ("postgres", &readiness.postgres),
        ("migrations", &readiness.migrations),
        ("keys", &readiness.keys),
    ]
    .into_iter()
    .map(|(name, check)| match check {
        Check::Ok => format!("{name}: ok"),
        Check::Failing(reason) => format!("{name}: {reason}"),
        Check::NotChecked => format!("{name}: not checked"),
    })
    .collect::<Vec<_>>()
    .join("; ")
}

/// Prometheus text format. No patient data is in a label.
pub(crate) async fn metrics(State(state): State<ApiState>) -> impl IntoResponse {
    (
        StatusCode::OK,
        [(
            header::CONTENT_TYPE,
            "text/plain; version=0.0.4; charset=utf-8",
        )],
        (state.metrics)(),
    )
}
