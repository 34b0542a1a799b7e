//! All routes, put together once: [`api`] gives both the handlers and their OpenAPI description.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::middleware::{from_fn, from_fn_with_state, map_response};
use axum::response::Response;
use axum::routing::{get, post};
use tower::{Service as _, ServiceBuilder};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowOrigin, CorsLayer};
use utoipa_axum::router::OpenApiRouter;

use crate::looks::on_record;
use crate::observe::{not_found, observe, on_panic, wrong_method};
use crate::problem::Problem;
use crate::routing::Routes;
use crate::state::ApiState;
use crate::{ApiLimits, caller, docs_page, idempotency, openapi, shape};

mod account;
mod admissions;
mod alarms;
mod allergies;
mod amending;
mod appointments;
mod asking;
mod attendance;
mod audit;
mod auth;
mod beds;
mod care;
mod channels;
mod charting;
mod clients;
mod codes;
mod conditions;
mod controls;
mod criticals;
mod dead;
mod demographics;
pub(crate) mod desk;
mod differences;
pub(crate) mod documents;
mod federated;
mod feed;
mod gates;
mod glass;
mod health;
mod held;
pub(crate) mod house;
mod identifiers;
mod identities;
mod logins;
mod me;
mod messages;
mod my_passkeys;
mod my_record;
mod notes;
mod number_series;
mod oauth;
pub(crate) mod orders;
mod passkeys;
mod patients;
mod prescriptions;
mod privacy;
mod proof;
mod queues;
mod records;
pub(crate) mod registration;
mod roles;
mod rounds;
mod schedules;
mod second_factor;
mod slots;
mod specimens;
mod stay_steps;
pub(crate) mod stays;
mod step;
mod tasks;
mod tenants;
mod unmatched;
mod users;
mod verification;
mod verifying;
mod visit_steps;
mod vitals;
mod waiting;
mod waitlist;
mod wards;

/// The whole HTTP surface of the hub. What machines ask every few seconds is there at once; what staff and programs use is put
/// together when the first of them comes: three hundred routes and their description are a third of the memory of a hub that
/// only carries messages.
pub fn router(state: ApiState) -> Router {
    let probes = Router::new()
        .route("/metrics", get(health::metrics))
        .layer(from_fn_with_state(state.clone(), caller::anybody))
        // a supervisor that is told to wait would take the hub for dead
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready));
    let staff = Arc::new(LazyLock::new({
        let state = state.clone();
        Box::new(move || outermost(staff(&state), state)) as Box<dyn FnOnce() -> Router + Send>
    }));
    // after the layers of the probes: what is behind it has its own
    outermost(probes, state).fallback(move |request: Request| {
        let mut staff = Router::clone(&staff);
        async move { staff.call(request).await }
    })
}

fn staff(state: &ApiState) -> Router<ApiState> {
    let for_anybody = Router::new()
        .route("/api/openapi.json", get(openapi::document))
        .route("/api/docs", get(docs_page::page))
        .fallback(not_found)
        .layer(from_fn_with_state(state.clone(), caller::anybody));
    Router::new()
        .nest(PREFIX, api(&state.limits).into_router())
        .merge(crate::fhir::routes(&state.limits))
        // where programs look for them
        .route("/oauth/token", post(oauth::token))
        .route("/.well-known/jwks.json", get(auth::jwks))
        // laid around every route at once: each call of `layer` would box all of them again. From the outside inwards: how often
        // and who asks, the same shape, once under a key. Innermost: whose data an answer shows is read from all of it, before
        // `fields` narrows it, and what could not be put on record is no answer that is kept for its key
        .layer(
            ServiceBuilder::new()
                .layer(map_response(not_stored))
                .layer(from_fn_with_state(state.clone(), caller::identify))
                .layer(from_fn(shape::keep))
                .layer(from_fn_with_state(state.clone(), idempotency::once))
                .layer(from_fn_with_state(state.clone(), on_record)),
        )
        .merge(for_anybody)
}

/// What holds for every answer, also for a method that is not there.
fn outermost(routes: Router<ApiState>, state: ApiState) -> Router {
    let limits = state.limits;
    let cors = cors(&state.cors_origins);
    routes
        .method_not_allowed_fallback(wrong_method)
        .layer(
            ServiceBuilder::new()
                .layer(cors)
                .layer(from_fn_with_state(limits.request_time, observe))
                .layer(CatchPanicLayer::custom(on_panic))
                .layer(DefaultBodyLimit::max(limits.body_bytes)),
        )
        .with_state(state)
}

/// Pages of these origins may call the API from a browser; of no other. Who calls is told by his token, never by a cookie.
fn cors(origins: &[String]) -> CorsLayer {
    if origins.is_empty() {
        return CorsLayer::new();
    }
    let header = HeaderName::from_static;
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(
            origins
                .iter()
                .filter_map(|origin| HeaderValue::from_str(origin).ok()),
        ))
        .allow_methods([
            Method::GET,
            Method::HEAD,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
        ])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::IF_MATCH,
            header::IF_NONE_MATCH,
            header("idempotency-key"),
            header("if-none-exist"),
            header("last-event-id"),
            header("prefer"),
            header("traceparent"),
        ])
        .expose_headers([
            header::ETAG,
            header::LOCATION,
            header::RETRY_AFTER,
            header("idempotent-replayed"),
            header("ratelimit"),
            header("ratelimit-policy"),
            header("deprecation"),
            header("sunset"),
            header("traceparent"),
        ])
        .max_age(Duration::from_secs(600))
}

/// Where versions of the API live.
const PREFIX: &str = "/api/v1";

/// Everything that is described, under its prefix.
pub(crate) fn described() -> utoipa::openapi::OpenApi {
    let all = api(&ApiLimits::default()).described();
    OpenApiRouter::new().nest(PREFIX, all).into_openapi()
}

/// Everything under [`PREFIX`].
fn api(limits: &ApiLimits) -> Routes {
    Routes::new()
        .merge(auth::routes())
        .merge(second_factor::routes())
        .merge(passkeys::routes())
        .merge(my_passkeys::routes())
        .merge(proof::routes())
        .merge(federated::routes())
        .merge(identities::routes())
        .merge(me::routes())
        .merge(users::routes())
        .merge(roles::routes())
        .merge(clients::routes())
        .merge(oauth::routes())
        .merge(glass::routes())
        .merge(patients::routes())
        .merge(registration::routes())
        .merge(logins::routes())
        .merge(my_record::routes())
        .merge(identifiers::routes())
        .merge(number_series::routes())
        .merge(allergies::routes())
        .merge(conditions::routes())
        .merge(notes::routes())
        .merge(prescriptions::routes())
        .merge(documents::routes(limits))
        .merge(rounds::routes())
        .merge(tasks::routes())
        .merge(amending::routes())
        .merge(care::routes())
        .merge(orders::routes())
        .merge(specimens::routes())
        .merge(house::routes())
        .merge(wards::routes())
        .merge(beds::routes())
        .merge(stays::routes())
        .merge(admissions::routes())
        .merge(visit_steps::routes())
        .merge(stay_steps::routes())
        .merge(gates::routes())
        .merge(differences::routes())
        .merge(messages::routes())
        .merge(held::routes())
        .merge(unmatched::routes())
        .merge(vitals::routes())
        .merge(alarms::routes())
        .merge(controls::routes())
        .merge(criticals::routes())
        .merge(verification::routes())
        .merge(verifying::routes())
        .merge(waiting::routes())
        .merge(dead::routes(limits))
        .merge(channels::routes())
        .merge(records::routes())
        .merge(feed::routes())
        .merge(schedules::routes())
        .merge(slots::routes())
        .merge(attendance::routes())
        .merge(appointments::routes())
        .merge(waitlist::routes())
        .merge(queues::routes())
        .merge(audit::routes())
        .merge(tenants::routes())
        .merge(privacy::routes())
        .merge(codes::routes())
}

/// What the API tells is about patients: nobody on the way may keep it.
async fn not_stored(mut response: Response) -> Response {
    response
        .headers_mut()
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response.headers_mut().insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}

/// Longest reason or resolution that a person may give.
const TEXT_BYTES: usize = 500;

/// A person's words: not empty, not long.
fn text(field: &'static str, words: String) -> Result<String, Problem> {
    if words.trim().is_empty() {
        return Err(Problem::invalid(field, "must not be empty"));
    }
    if words.len() > TEXT_BYTES {
        return Err(Problem::invalid(
            field,
            format!("has more than {TEXT_BYTES} bytes"),
        ));
    }
    Ok(words)
}

/// The same of what may be left out.
fn optional(field: &'static str, words: Option<String>) -> Result<Option<String>, Problem> {
    words.map(|words| text(field, words)).transpose()
}

fn reason(words: String) -> Result<String, Problem> {
    text("reason", words)
}

/// The state that a list is narrowed to: `open` when nothing is said, `None` for all.
fn state_or_open(
    given: Option<String>,
    states: &'static [&'static str],
) -> Result<Option<String>, Problem> {
    match given.as_deref() {
        None => Ok(Some("open".to_owned())),
        Some("all") => Ok(None),
        Some(state) if states.contains(&state) => Ok(given),
        Some(_) => Err(Problem::invalid(
            "state",
            format!("must be one of: {}, all", states.join(", ")),
        )),
    }
}
