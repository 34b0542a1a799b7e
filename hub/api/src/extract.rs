//! Parameters and bodies of a request; whatever is wrong with them becomes a problem that names the field.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::{StatusCode, header, request::Parts};
use serde::de::DeserializeOwned;

use crate::nul;
use crate::problem::Problem;

/// The query string as `T`; a parameter that `T` does not have is refused, not ignored.
#[derive(Debug)]
pub(crate) struct Params<T>(pub(crate) T);

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let with_nul = form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes())
            .find(|(name, value)| name.contains('\0') || value.contains('\0'));
        if let Some((name, _)) = with_nul {
            return Err(holds_nul(&name));
        }
        // an empty parameter is one that a form left empty
        let given = form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes())
            .filter(|(_, value)| !value.is_empty())
            .fold(
                form_urlencoded::Serializer::new(String::new()),
                |mut given, (name, value)| {
                    given.append_pair(&name, &value);
                    given
                },
            )
            .finish();
        let reader = serde_urlencoded::Deserializer::new(form_urlencoded::parse(given.as_bytes()));
        serde_path_to_error::deserialize(reader)
            .map(Self)
            .map_err(|error| {
                let field = error.path().to_string();
                let field = if field == "." { "query" } else { &field };
                Problem::invalid(field, error.inner().to_string())
            })
    }
}

/// The body as `T`.
#[derive(Debug)]
pub(crate) struct Body<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;
    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let is_json = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split(';').next())
            .is_some_and(|media| {
                let media = media.trim().to_ascii_lowercase();
                media == "application/json"
                    || (media.starts_with("application/") && media.ends_with("+json"))
            });
        if !is_json {
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "request.media_type",
                "send JSON, with content-type: application/json",
            ));
        }
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(|rejection| unreadable(&rejection))?;
        // a list would be read as the members of the object in their order, and an empty one as an object without any
        if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
            return Err(Problem::invalid("body", "must be a JSON object"));
        }
        let mut reader = serde_json::Deserializer::from_slice(&bytes);
        let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
            let field = error.path().to_string();
            let field = if field == "." { "body" } else { &field };
            Problem::invalid(field, error.inner().to_string())
        })?;
        if let Some(field) = nul::in_json(&bytes) {
            return Err(holds_nul(&field));
        }
        reader
            .end()
            .map_err(|_| Problem::invalid("body", "goes on after the end of the JSON value"))?;
        Ok(Self(value))
    }
}

fn holds_nul(field: &str) -> Problem {
    Problem::invalid(field.replace('\0', ""), "holds a NUL character")
}

/// A body that is too large, or that ended early.
pub(crate) fn unreadable(rejection: &BytesRejection) -> Problem {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "request.too_large",
            "the body is larger than this operation takes",
        )
    } else {
        Problem::invalid("body", "ended early or could not be read")
    }
}

/// The one variable segment of a path.
#[derive(Debug)]
pub(crate) struct Segment<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Segment<T> {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let nothing = || {
            Problem::unknown(
                "request.no_route",
                "nothing is at this path: the last part is not an id of this kind",
            )
        };
        if nul::in_path(parts.uri.path()) {
            return Err(nothing());
        }
        Path::<T>::from_request_parts(parts, state)
            .await
            .map(|Path(value)| Self(value))
            .map_err(|_| nothing())
    }
}
