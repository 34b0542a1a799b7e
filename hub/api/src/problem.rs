//! Errors as `application/problem+json` (RFC 9457), in one form and with stable codes.
//!
//! A handler returns a [`Problem`]; the outermost layer (`observe`) adds `instance` and `trace_id`
//! and writes the body, so that no error leaves without them. A problem never carries what a caller did
//! not send himself, and never the text of a database or of a panic.

use std::borrow::Cow;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An error on its way out.
#[derive(Debug, Clone)]
pub struct Problem {
    pub status: StatusCode,
    /// Stable, for programs: `request.invalid`, `patients.unknown` …
    pub code: Cow<'static, str>,
    /// For people.
    pub detail: String,
    pub fields: Vec<FieldProblem>,
    /// The permission that is missing.
    pub permission: Option<&'static str>,
    /// Seconds after which another try can help.
    pub retry_after: Option<u64>,
    /// What few problems have; apart, because a problem is the `Err` of every handler and should be small.
    pub extension: Option<Box<Extension>>,
}

/// Members that only some problems have.
#[derive(Debug, Clone, Default)]
pub struct Extension {
    /// What could be had instead.
    pub alternatives: Vec<Alternative>,
    /// People on file who look like the one to be registered.
    pub lookalikes: Vec<Lookalike>,
}

/// A slot that is free, in place of one that is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Alternative {
    #[schema(example = "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c")]
    pub slot_id: uuid::Uuid,
    #[schema(example = "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8d")]
    pub schedule_id: uuid::Uuid,
    #[schema(example = "2026-01-31T08:30:00Z")]
    pub starts_at: String,
    #[schema(example = "2026-01-31T08:40:00Z")]
    pub ends_at: String,
}

/// Somebody on file who may be the person that is to be registered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Lookalike {
    pub patient_id: uuid::Uuid,
    /// 1 to 100.
    pub score: i16,
    /// `same_abha`, `same_name_and_birth_date`, `same_mobile`, `similar_name`.
    pub reasons: Vec<String>,
}

/// What is wrong with one parameter or one member of the body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldProblem {
    /// Name of the parameter, or path inside the body.
    #[schema(example = "limit")]
    pub field: String,
    /// What is wrong with it.
    #[schema(example = "must be from 1 to 500")]
    pub detail: String,
}

/// A problem as it is sent (RFC 9457).
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(as = Problem, example = json!({
    "type": "urn:hub:problem:patients.unknown",
    "title": "Not Found",
    "status": 404,
    "detail": "no patient has this id",
    "instance": "/api/v1/patients/018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c",
    "code": "patients.unknown",
    "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736"
}))]
pub struct ProblemDocument {
    /// `urn:hub:problem:` and the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// The status in words.
    pub title: String,
    pub status: u16,
    /// What happened and what to do.
    pub detail: String,
    /// Path of the request, without its query.
    pub instance: String,
    /// Stable code for programs.
    pub code: String,
    /// Quote it when asking for help: log lines of this request carry it.
    pub trace_id: String,
    /// Parameters or members of the body at fault.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldProblem>,
    /// The permission that is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permission: Option<String>,
    /// Free slots, where the one that was asked for is not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alternatives: Vec<Alternative>,
    /// At registration: people on file who look like it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lookalikes: Vec<Lookalike>,
    /// At the token endpoint: the error of RFC 6749 §5.2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Media type of a problem.
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";

impl Problem {
    pub fn new(
        status: StatusCode,
        code: impl Into<Cow<'static, str>>,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            status,
            code: code.into(),
            detail: detail.into(),
            fields: Vec::new(),
            permission: None,
            retry_after: None,
            extension: None,
        }
    }

    /// The request can't be read, or a parameter is wrong: 400 with the field.
    pub fn invalid(field: impl Into<String>, detail: impl Into<String>) -> Self {
        let mut problem = Self::new(
            StatusCode::BAD_REQUEST,
            "request.invalid",
            "a parameter or a member of the body is wrong; see errors",
        );
        problem.fields.push(FieldProblem {
            field: field.into(),
            detail: detail.into(),
        });
        problem
    }

    /// 404 with the thing's own code.
    pub fn unknown(code: &'static str, detail: &'static str) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, detail)
    }

    /// No or no valid token.
    pub fn unauthenticated(detail: &'static str) -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "auth.token",
            format!("{detail}; sign in at POST /api/v1/auth/login"),
        )
    }

    /// Signed in, but without the right.
    pub fn forbidden(permission: &'static str) -> Self {
        let mut problem = Self::new(
            StatusCode::FORBIDDEN,
            "auth.permission",
            format!("this needs the permission {permission}"),
        );
        problem.permission = Some(permission);
        problem
    }

    /// Names the permission that would have helped.
    #[must_use]
    pub(crate) fn lacking(mut self, permission: &'static str) -> Self {
        self.permission = Some(permission);
        self
    }

    /// Names the people on file who look like it.
    #[must_use]
    pub(crate) fn alike(mut self, lookalikes: Vec<Lookalike>) -> Self {
        self.extension.get_or_insert_default().lookalikes = lookalikes;
        self
    }

    /// Something the hub stands on is away.
    pub fn unavailable(code: &'static str, detail: impl Into<String>) -> Self {
        let mut problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail);
        problem.retry_after = Some(2);
        problem
    }

    /// Our fault. What it was stands in the log under the trace id.
    pub fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "the hub failed; its log has the reason under this trace id",
        )
    }

    /// The body as it is sent.
    pub(crate) fn document(&self, instance: &str, trace_id: &str) -> ProblemDocument {
        ProblemDocument {
            kind: format!("urn:hub:problem:{}", self.code),
            title: self.status.canonical_reason().unwrap_or("Error").to_owned(),
            status: self.status.as_u16(),
            detail: self.detail.clone(),
            instance: instance.to_owned(),
            code: self.code.clone().into_owned(),
            trace_id: trace_id.to_owned(),
            errors: self.fields.clone(),
            permission: self.permission.map(str::to_owned),
            alternatives: self
                .extension
                .as_ref()
                .map(|extension| extension.alternatives.clone())
                .unwrap_or_default(),
            lookalikes: self
                .extension
                .as_ref()
                .map(|extension| extension.lookalikes.clone())
                .unwrap_or_default(),
            // codes of the token endpoint are the standard's
            error: self.code.strip_prefix("oauth.").map(str::to_owned),
        }
    }

    /// The whole response.
    pub(crate) fn render(&self, instance: &str, trace_id: &str) -> Response {
        let body = serde_json::to_vec(&self.document(instance, trace_id)).unwrap_or_default();
        let mut response = (
            self.status,
            [
                (header::CONTENT_TYPE, PROBLEM_JSON),
                (header::CACHE_CONTROL, "no-store"),
            ],
            body,
        )
            .into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer realm=\"hub\""),
            );
        }
        if let Some(seconds) = self.retry_after {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// Hands the problem to the outermost layer, which writes it.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// The database could not answer. The reason goes to the log, not to the caller.
impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        // a server's message may quote values: its code and its constraint say enough
        let reason = error.as_database_error().map_or_else(
            || kind_of(&error).to_owned(),
            |database| {
                format!(
                    "sqlstate {}",
                    database.code().unwrap_or(Cow::Borrowed("unknown"))
                )
            },
        );
        if hub_core::db::is_of_key(&error) {
            // which key and why, the vault has said
            tracing::warn!("what is sealed in the database can't be opened");
            Self::unavailable(
                "database.unavailable",
                "what is encrypted can't be opened now; try again",
            )
        } else if hub_core::db::is_transient(&error) {
            tracing::warn!(reason, "the database is not available");
            Self::unavailable(
                "database.unavailable",
                "the database is not available; try again",
            )
        } else {
            tracing::error!(reason, "a query failed");
            Self::internal()
        }
    }
}

/// Names an error of the driver without quoting it.
fn kind_of(error: &sqlx::Error) -> &'static str {
    match error {
        sqlx::Error::Io(_) => "connection",
        sqlx::Error::PoolTimedOut => "no connection free in time",
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => "a column does not decode",
        sqlx::Error::ColumnNotFound(_) => "a column is missing",
        sqlx::Error::RowNotFound => "a row is missing",
        _ => "driver",
    }
}

impl From<crate::BackboneError> for Problem {
    fn from(error: crate::BackboneError) -> Self {
        use crate::BackboneError;
        match error {
            BackboneError::Unavailable(reason) => {
                tracing::warn!(reason, "the message store is not available");
                Self::unavailable(
                    "backbone.unavailable",
                    "the message store is not available; nothing was changed; try again",
                )
            }
            BackboneError::Gone => Self::new(
                StatusCode::GONE,
                "messages.gone",
                "the original is no longer kept (retention)",
            ),
            BackboneError::Channel(detail) => {
                Self::new(StatusCode::CONFLICT, "channels.refuses", detail)
            }
        }
    }
}
