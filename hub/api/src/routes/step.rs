//! A step of one thing, whatever it is: who takes it saw a version of it (`If-Match`), says when it happened, and its owner says what
//! came of it. Which step is possible from where the thing stands decides its owner alone. Has no routes of its own.

use std::collections::BTreeMap;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa::openapi::{self, RefOr};
use uuid::Uuid;

use super::asking::Desk;
use crate::auth::permission::Permission;
use crate::extract::Segment;
use crate::if_match::IfMatch;
use crate::page::Moment;
use crate::problem::Problem;
use crate::state::ApiState;

/// A step of one thing: who takes it, the thing that its path names, and the version that he saw.
pub(super) struct Stepping<P> {
    pub(super) desk: Desk<P>,
    pub(super) id: Uuid,
    pub(super) version: Option<i32>,
}

impl<P: Permission> FromRequestParts<ApiState> for Stepping<P> {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Problem> {
        let desk = Desk::<P>::from_request_parts(parts, state).await?;
        let Segment(id) = Segment::<Uuid>::from_request_parts(parts, state).await?;
        let IfMatch(version) = IfMatch::from_request_parts(parts, state).await?;
        Ok(Self { desk, id, version })
    }
}

/// When it happened.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "at": "2026-01-31T08:30:00Z", "late_reason": "the network was down" }))]
pub(super) struct StepTime {
    /// Absent: now.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    at: Option<Moment>,
    /// Why it is told so late; needed where `at` lies more than a day back.
    #[serde(default)]
    #[schema(max_length = 500)]
    late_reason: Option<String>,
}

impl StepTime {
    /// Of a body that says more than the time.
    pub(super) fn new(at: Option<Moment>, late_reason: Option<String>) -> Self {
        Self { at, late_reason }
    }
}

/// What the command of every step says, whatever it moves.
pub(super) struct Told {
    pub(super) id: Uuid,
    /// RFC 3339; absent: now.
    pub(super) at: Option<String>,
    pub(super) late_reason: Option<String>,
    pub(super) version: Option<i32>,
    pub(super) actor: String,
}

impl<P: Permission> Stepping<P> {
    /// Takes the step, once the thing is opened for who asks: its command goes into the thing's lane, and its outcome is the answer.
    ///
    /// # Errors
    /// 400 for a reason that is empty or too long; what the owner refuses it with.
    pub(super) async fn take<B: schemas::Body>(
        &self,
        lane: String,
        time: StepTime,
        command: impl FnOnce(Told) -> B,
    ) -> Result<Response, Problem> {
        let command = command(Told {
            id: self.id,
            at: time.at.and_then(Moment::text),
            late_reason: super::optional("late_reason", time.late_reason)?,
            version: self.version,
            actor: self.desk.actor(),
        });
        self.desk.apply(lane, &command).await
    }
}

/// By status, as the OpenAPI file describes them.
pub(super) type Refusals = BTreeMap<String, RefOr<openapi::Response>>;

/// What every step of one kind of things may be refused with, described once. A route that has more to say of one status says it
/// after this.
pub(super) fn refusals(told: &[(&str, &str)]) -> Refusals {
    told.iter()
        .map(|(status, text)| {
            (
                (*status).to_owned(),
                RefOr::T(openapi::Response::new(*text)),
            )
        })
        .collect()
}
