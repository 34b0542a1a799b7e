//! `/api/docs`: one page of our own that reads `/api/openapi.json`. Served from the binary, loads nothing
//! from anywhere else, and says so to the browser.

use axum::http::header;
use axum::response::IntoResponse;

const PAGE: &str = include_str!("docs_page.html");

/// Only what the page itself brings may run, and it may talk only to this server.
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(crate) async fn page() -> impl IntoResponse {
    (
        [
            (header::CONTENT_TYPE, "text/html; charset=utf-8"),
            (header::CONTENT_SECURITY_POLICY, POLICY),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::REFERRER_POLICY, "no-referrer"),
        ],
        PAGE,
    )
}
