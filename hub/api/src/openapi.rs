//! The OpenAPI 3.1 document: made from the handlers, completed here with what is the same for all.

use std::sync::LazyLock;

use axum::http::header;
use axum::response::IntoResponse;
use utoipa::openapi::OpenApi;

use crate::{ApiLimits, routes};

/// The whole description.
#[must_use]
pub fn openapi() -> OpenApi {
    let (_, api) = routes::api(&ApiLimits::default()).split_for_parts();
    api
}

static DOCUMENT: LazyLock<String> = LazyLock::new(|| openapi().to_json().unwrap_or_default());

pub(crate) async fn document() -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "application/json")],
        DOCUMENT.as_str(),
    )
}
