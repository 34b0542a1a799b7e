//! All routes, put together once: [`api`] gives both the handlers and their OpenAPI description.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderValue, header};
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::Response;
use axum::routing::get;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa_axum::router::OpenApiRouter;

use crate::observe::{not_found, observe, on_panic, wrong_method};
use crate::state::ApiState;
use crate::{docs_page, openapi};

mod auth;
mod health;

/// The whole HTTP surface of the hub.
pub fn router(state: ApiState) -> Router {
    let limits = state.limits;
    let (api, _) = api(&state.limits).split_for_parts();
    Router::new()
        .merge(api.layer(map_response(not_stored)))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
        .route("/api/openapi.json", get(openapi::document))
        .route("/api/docs", get(docs_page::page))
        .method_not_allowed_fallback(wrong_method)
        .fallback(not_found)
        .layer(DefaultBodyLimit::max(limits.body_bytes))
        .layer(CatchPanicLayer::custom(on_panic))
        .layer(from_fn_with_state(limits.request_time, observe))
        .with_state(state)
}

/// Everything under `/api/v1`, with its description.
pub(crate) fn api(_limits: &crate::ApiLimits) -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().nest("/api/v1", OpenApiRouter::new().merge(auth::routes()))
}

/// What the API tells is about patients: nobody on the way may keep it.
async fn not_stored(mut response: Response) -> Response {
    response
        .headers_mut()
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}
