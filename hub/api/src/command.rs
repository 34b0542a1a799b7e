//! Every write: publish a command, wait a little, say what came of it.

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemas::commands::RecordAccess;
use schemas::{Body, TenantId};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;
use worker_integration::queries;

use crate::auth::identity::Identity;
use crate::backbone::{BackboneError, CommandOutcome, CommandRequest};
use crate::idempotency::{self, CommandId};
use crate::problem::Problem;
use crate::state::ApiState;
use crate::trace::Trace;

/// A command that was accepted and has no outcome yet.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "command_id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c",
    "state": "pending",
    "status_url": "/api/v1/commands/018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c"
}))]
pub(crate) struct Accepted {
    pub command_id: Uuid,
    /// `pending`
    pub state: &'static str,
    /// Where to ask what became of it.
    pub status_url: String,
}

/// What a write came to.
pub(crate) enum Written {
    Applied(Option<serde_json::Value>),
    Pending(Uuid),
}

/// A command's way from a handler to its owner.
pub(crate) struct Sender<'a> {
    state: &'a ApiState,
    pub(crate) who: &'a Identity,
    trace: &'a Trace,
}

impl<'a> Sender<'a> {
    pub(crate) fn new(state: &'a ApiState, who: &'a Identity, trace: &'a Trace) -> Self {
        Self { state, who, trace }
    }

    /// Publishes a command and waits for its outcome. A refusal is a problem.
    pub(crate) async fn send<B: Body>(
        &self,
        aggregate: impl Into<String>,
        body: &B,
    ) -> Result<Written, Problem> {
        let (id, outcome) = Asking {
            state: self.state,
            trace: self.trace,
            tenant: &self.who.tenant,
            actor: &self.who.username,
        }
        .ask(aggregate, body, self.state.limits.command_wait)
        .await?;
        match outcome {
            CommandOutcome::Applied { answer } => Ok(Written::Applied(answer)),
            CommandOutcome::Pending => Ok(Written::Pending(id)),
            CommandOutcome::Refused { code, detail } => Err(refused(code, detail)),
        }
    }

    /// The same for a change of what somebody may do: this process looks it up anew at once.
    pub(crate) async fn send_access<B: Body>(
        &self,
        aggregate: impl Into<String>,
        body: &B,
    ) -> Result<Written, Problem> {
        let written = self.send(aggregate, body).await;
        self.state.access.forget();
        written
    }

    /// Puts a look at something on record; durable when it returns. What can't be recorded is not shown.
    pub(crate) async fn record(&self, access: &RecordAccess) -> Result<(), Problem> {
        self.send(access.object.clone(), access)
            .await
            .map(drop)
            .map_err(|problem| {
                tracing::error!(code = %problem.code, "an access could not be recorded");
                Problem::unavailable(
                    "audit.unavailable",
                    "the access could not be recorded, so nothing is shown; try again",
                )
            })
    }
}

/// A command of somebody who may not be signed in yet.
pub(crate) struct Asking<'a> {
    pub(crate) state: &'a ApiState,
    pub(crate) trace: &'a Trace,
    pub(crate) tenant: &'a TenantId,
    pub(crate) actor: &'a str,
}

impl Asking<'_> {
    /// Publishes it and waits for at most `wait`; the command's id and what came of it.
    pub(crate) async fn ask<B: Body>(
        &self,
        aggregate: impl Into<String>,
        body: &B,
        wait: Duration,
    ) -> Result<(Uuid, CommandOutcome), BackboneError> {
        let body = serde_json::to_vec(body)
            .map_err(|error| BackboneError::Unavailable(error.to_string()))?;
        let CommandId { id, again } = idempotency::next_command();
        if again && let Some(outcome) = self.outcome_of_before(id).await? {
            return Ok((id, outcome));
        }
        let request = CommandRequest {
            id,
            tenant: self.tenant.clone(),
            name: B::NAME,
            version: B::VERSION,
            aggregate: aggregate.into(),
            body,
            actor: self.actor.to_owned(),
            traceparent: self.trace.parent(),
        };
        let outcome = self.state.backbone.command(request, wait).await?;
        Ok((id, outcome))
    }

    /// What came of this command when the request ran before ([`idempotency`]). What was carried out is `Pending` here: the
    /// caller asks for its outcome by its id, as the body of before may have had other ids in it than this one has.
    async fn outcome_of_before(&self, id: Uuid) -> Result<Option<CommandOutcome>, BackboneError> {
        let found = async {
            let mut tx = self.state.read(self.tenant).await.map_err(|_| ())?;
            queries::applied(tx.conn(), &[id]).await.map_err(drop)
        };
        let found = found
            .await
            .map_err(|()| BackboneError::Unavailable("the inbox can't be asked".to_owned()))?;
        Ok(found.into_iter().next().map(|before| {
            let said = |name: &str| {
                let answer = before.answer.as_ref()?;
                answer.get(name)?.as_str().map(str::to_owned)
            };
            match (before.outcome.as_str(), said("code")) {
                ("refused", Some(code)) => CommandOutcome::Refused {
                    code,
                    detail: said("detail").unwrap_or_default(),
                },
                _ => CommandOutcome::Pending,
            }
        }))
    }
}

/// A worker's refusal as a problem.
pub(crate) fn refused(code: String, detail: String) -> Problem {
    Problem::new(refusal_status(&code), code, detail)
}

impl Written {
    /// 200 with `view` of the answer, or 202 with the place to ask.
    pub(crate) fn respond<T: Serialize>(
        self,
        view: impl FnOnce(Option<serde_json::Value>) -> T,
    ) -> Response {
        match self {
            Self::Applied(answer) => Json(view(answer)).into_response(),
            Self::Pending(id) => accepted(id),
        }
    }
}

impl Written {
    /// 201 with the place of what is new, 200 when it stood already, or 202 with the place to ask.
    pub(crate) fn respond_placed<T: Serialize>(
        self,
        view: impl FnOnce(Option<serde_json::Value>) -> Placed<T>,
    ) -> Response {
        let answer = match self {
            Self::Applied(answer) => answer,
            Self::Pending(id) => return accepted(id),
        };
        let Placed {
            view,
            location,
            created,
        } = view(answer);
        let status = if created {
            StatusCode::CREATED
        } else {
            StatusCode::OK
        };
        let mut response = (status, Json(view)).into_response();
        if let Ok(location) = HeaderValue::from_str(&location) {
            response.headers_mut().insert(header::LOCATION, location);
        }
        response
    }
}

/// A thing that a write made, or found made.
pub(crate) struct Placed<T> {
    pub(crate) view: T,
    pub(crate) location: String,
    pub(crate) created: bool,
}

/// 202 with `Location`.
pub(crate) fn accepted(command_id: Uuid) -> Response {
    let status_url = format!("/api/v1/commands/{command_id}");
    let location = HeaderValue::from_str(&status_url).ok();
    let mut response = (
        StatusCode::ACCEPTED,
        Json(Accepted {
            command_id,
            state: "pending",
            status_url,
        }),
    )
        .into_response();
    if let Some(location) = location {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// The one place that maps a worker's refusal to HTTP. The last part of the code decides: a worker names
/// its refusals so (`patients.unknown`, `held.not_open`), and what is not recognised is 422: understood
/// and not possible.
pub(crate) fn refusal_status(code: &str) -> StatusCode {
    let last = code.rsplit('.').next().unwrap_or(code);
    let says = |words: &[&str]| {
        words.iter().any(|word| {
            last == *word
                || last.ends_with(&format!("_{word}"))
                || last.starts_with(&format!("{word}_"))
        })
    };
    if code.starts_with("limit.") {
        StatusCode::PAYMENT_REQUIRED
    } else if says(&["unknown", "missing", "not_found"]) {
        StatusCode::NOT_FOUND
    } else if says(&[
        "conflict",
        "exists",
        "already",
        "not_open",
        "not_merged",
        "merged",
        "resolved",
        "stale",
        "closed",
        "duplicate",
        "same",
        "cycle",
        "in_use",
    ]) {
        StatusCode::CONFLICT
    } else if says(&["forbidden", "not_allowed"]) {
        StatusCode::FORBIDDEN
    } else {
        StatusCode::UNPROCESSABLE_ENTITY
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_part_of_a_refusal_code_decides_the_status() {
        for (code, status) in [
            ("patients.unknown", 404),
            ("patients.unknown_survivor", 404),
            ("held.not_found", 404),
            ("held.not_open", 409),
            ("patients.already_merged", 409),
            ("patients.not_merged", 409),
            ("users.username_exists", 409),
            ("users.stale", 409),
            ("approval.own_work_forbidden", 403),
            ("grants.role", 422),
            ("limit.users", 402),
            ("tenants.state_conflict", 409),
            ("code.invalid", 422),
            ("envelope.body", 422),
            ("", 422),
        ] {
            assert_eq!(refusal_status(code).as_u16(), status, "{code}");
        }
    }
}
