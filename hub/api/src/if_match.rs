//! Versions of things that people change: `ETag` out, `If-Match` in, so that nobody overwrites what he did not see.

use axum::Json;
use axum::extract::FromRequestParts;
use axum::http::{HeaderValue, Method, StatusCode, header, request::Parts};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;

use crate::problem::Problem;

/// The version that the caller saw; `None`: whatever it is (`*`). A PATCH or PUT without it is refused (428): nobody shall
/// overwrite without a thought what he did not see. A step (POST) takes it and does not demand it: its state guards it.
pub(crate) struct IfMatch(pub(crate) Option<i32>);

/// What the caller says of the version of a thing that may not be there yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    /// He says nothing: good for making it, not for changing it.
    Nothing,
    /// `*`
    Whatever,
    Version(i32),
}

impl Seen {
    fn of(parts: &Parts) -> Result<Self, Problem> {
        let Some(value) = parts.headers.get(header::IF_MATCH) else {
            return Ok(Self::Nothing);
        };
        let text = value.to_str().unwrap_or_default().trim();
        if text == "*" {
            return Ok(Self::Whatever);
        }
        text.trim_start_matches("W/")
            .trim_matches('"')
            .parse()
            .map(Self::Version)
            .map_err(|_| Problem::invalid("If-Match", "must be an ETag that this hub gave"))
    }
}

impl Seen {
    /// The version that a definition under a code of the caller's is to meet: 0 where it makes it, `None` where any will do.
    /// `stale` is the code for a version of what is not there.
    pub(crate) fn of_definition(
        self,
        is_there: bool,
        stale: &'static str,
    ) -> Result<Option<i32>, Problem> {
        match (self, is_there) {
            (Self::Nothing, true) => Err(must_match()),
            // whoever makes one must not change that which somebody makes at the same moment
            (Self::Nothing, false) => Ok(Some(0)),
            (Self::Whatever, true) => Ok(None),
            (Self::Version(version), true) => Ok(Some(version)),
            // RFC 9110 §13.1.1: nothing that is not there matches
            (Self::Whatever | Self::Version(_), false) => Err(Problem::new(
                StatusCode::PRECONDITION_FAILED,
                stale,
                "nothing has this code; without If-Match it is made",
            )),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Seen {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Self::of(parts)
    }
}

/// It is there, and the caller does not say which version of it he saw.
pub(crate) fn must_match() -> Problem {
    Problem::new(
        StatusCode::PRECONDITION_REQUIRED,
        "request.if_match",
        "say with If-Match which version you saw (the ETag of reading it), or `*` for whichever it is",
    )
}

impl<S: Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        match Seen::of(parts)? {
            Seen::Version(version) => Ok(Self(Some(version))),
            Seen::Nothing if [Method::PATCH, Method::PUT].contains(&parts.method) => {
                Err(must_match())
            }
            Seen::Nothing | Seen::Whatever => Ok(Self(None)),
        }
    }
}

/// An answer with its version.
pub(crate) fn tagged<T: Serialize>(view: &T, version: i32) -> Response {
    let mut response = Json(view).into_response();
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{version}\"")) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}
