//! The outermost layer: trace, time limit, the form of every error, one log line and the metrics of
//! each request. It never sees a query string, a header value or a body: those may name a patient.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use hub_core::telemetry::{Kind, Span, Value, export};
use time::OffsetDateTime;
use tracing::Instrument as _;

use crate::fhir;
use crate::problem::Problem;
use crate::trace::Trace;

/// Where the token check leaves who asks, for the log line.
#[derive(Debug, Clone, Default)]
pub(crate) struct ActorSlot(pub(crate) Arc<OnceLock<String>>);

/// Route of a request that no route matches: paths are the caller's words and stay out of labels.
const UNMATCHED: &str = "unmatched";

/// Asked by machines every few seconds: spans of these would only hide others.
const UNTRACED: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

pub(crate) async fn observe(
    State(time_limit): State<Duration>,
    mut request: Request,
    next: Next,
) -> Response {
    let started = Instant::now();
    let trace = Trace::of(request.headers());
    let actor = ActorSlot::default();
    let method = method_label(request.method());
    let instance = request.uri().path().to_owned();
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| UNMATCHED.to_owned(), |path| path.as_str().to_owned());
    request.extensions_mut().insert(trace.clone());
    request.extensions_mut().insert(actor.clone());

    let span = tracing::info_span!("request", method, route, trace_id = trace.trace_id);
    let mut response =
        match tokio::time::timeout(time_limit, next.run(request).instrument(span.clone())).await {
            Ok(response) => response,
            Err(_) => too_late(),
        };
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        let headers = std::mem::take(response.headers_mut());
        response = if fhir::speaks(&instance) {
            fhir::outcome(&problem, &trace.trace_id)
        } else {
            problem.render(&instance, &trace.trace_id)
        };
        // a 405 names the methods that are allowed; layers say how often one may ask
        for (name, value) in &headers {
            let of_the_body = name == header::CONTENT_TYPE || name == header::CONTENT_LENGTH;
            if !of_the_body && !response.headers().contains_key(name) {
                response.headers_mut().append(name, value.clone());
            }
        }
    }
    if let Ok(value) = HeaderValue::from_str(&trace.parent()) {
        response.headers_mut().insert("traceparent", value);
    }

    let status = response.status().as_u16();
    let elapsed = started.elapsed();
    if !UNTRACED.contains(&route.as_str()) {
        export::record(trace.context, || {
            let began = OffsetDateTime::now_utc() - elapsed;
            let span = Span::new(trace.context, trace.caller, Kind::Server, method, began)
                .on(Value::Route(route.clone()))
                .with("http.request.method", Value::Word(method))
                .with("http.route", Value::Route(route.clone()))
                .with("http.response.status_code", Value::whole(status));
            // what the caller did wrong is no failure of ours (OpenTelemetry, HTTP spans)
            if status >= 500 {
                span.failed("http.server_error")
            } else {
                span
            }
        });
    }
    metrics::counter!("hub_api_requests_total", "method" => method, "route" => route.clone(), "status" => status.to_string())
        .increment(1);
    metrics::histogram!("hub_api_request_seconds", "method" => method, "route" => route.clone())
        .record(elapsed.as_secs_f64());
    span.in_scope(|| {
        tracing::info!(
            status,
            ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
            actor = actor.0.get().map_or("-", String::as_str),
            "answered"
        );
    });
    response
}

pub(crate) fn too_late() -> Response {
    use axum::response::IntoResponse as _;
    Problem::unavailable(
        "request.timeout",
        "the answer took too long; a write may still be carried out",
    )
    .into_response()
}

/// Methods as labels: a bound set, whatever callers invent.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

/// What a panic becomes: nothing of it is told to the caller.
pub(crate) fn on_panic(_: Box<dyn std::any::Any + Send + 'static>) -> Response {
    use axum::response::IntoResponse as _;
    metrics::counter!("hub_api_panics_total").increment(1);
    tracing::error!("a handler panicked");
    Problem::internal().into_response()
}

/// No route has this path.
pub(crate) async fn not_found() -> Problem {
    Problem::unknown(
        "request.no_route",
        "nothing is at this path; see /api/docs for what there is",
    )
}

/// The path exists, the method does not.
pub(crate) async fn wrong_method() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "request.method",
        "this path does not take this method; the Allow header lists those it takes",
    )
}
