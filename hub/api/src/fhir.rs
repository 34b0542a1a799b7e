//! The FHIR R4 façade below `/fhir`: the same state as `/api/v1`, read through the same queries by the same rights, in FHIR's
//! words; a write is the same command. What a resource looks like is `hub-fhir`'s business; nothing here knows fhir-sdk.
//!
//! [`table`] says what is served: routes and CapabilityStatement are made from it, so neither can say more than the other.

mod answer;
mod asked;
mod batch;
mod call;
mod dates;
mod doors;
mod everything;
mod fits;
mod include;
pub(crate) mod keys;
mod metadata;
mod read;
mod refusal;
mod search;
mod source;
mod table;
mod writes;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::response::Response;
use axum::routing::{get, post};

pub(crate) use refusal::{outcome, speaks};

use hub_fhir::Kind;

use crate::ApiLimits;
use crate::extract::Segment;
use crate::problem::Problem;
use crate::state::ApiState;
use table::{Interaction, Wired};

/// Largest batch.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// Everything below `/fhir`.
pub(crate) fn routes(limits: &ApiLimits) -> Router<ApiState> {
    let system = Router::new().route("/metadata", get(metadata::read)).route(
        "/",
        post(batch::run).layer(DefaultBodyLimit::max(BATCH_BYTES)),
    );
    let system = resources(limits.resend_bytes)
        .merge(system)
        .method_not_allowed_fallback(crate::observe::wrong_method)
        .fallback(unknown_kind);
    // with and without the slash: bundles are posted to the base
    Router::new()
        .route(
            "/fhir/",
            post(batch::run).layer(DefaultBodyLimit::max(BATCH_BYTES)),
        )
        .nest("/fhir", system)
}

/// What a batch may ask for. A document has as much room as over REST.
fn resources(document_bytes: usize) -> Router<ApiState> {
    table::WIRED.iter().fold(Router::new(), |router, wired| {
        serve(router, wired, document_bytes)
    })
}

fn serve(
    mut router: Router<ApiState>,
    wired: &'static Wired,
    document_bytes: usize,
) -> Router<ApiState> {
    let kind = wired.kind;
    let base = format!("/{kind}");
    if wired.does(Interaction::Search) {
        let search = get(move |State(state): State<ApiState>, request: Request| {
            search::by_get(state, wired, request)
        });
        let by_post = post(move |State(state): State<ApiState>, request: Request| {
            search::by_post(state, wired, request)
        });
        router = router
            .route(&base, search)
            .route(&format!("{base}/_search"), by_post);
    }
    if wired.does(Interaction::Create) {
        let create = post(move |State(state): State<ApiState>, request: Request| {
            writes::create(state, wired, request)
        });
        let create = if kind == Kind::DocumentReference {
            create.layer(DefaultBodyLimit::max(document_bytes))
        } else {
            create
        };
        router = router.route(&base, create);
    }
    let one = format!("{base}/{{id}}");
    if wired.does(Interaction::Read) {
        let read = get(
            move |State(state): State<ApiState>, Segment(id): Segment<String>, request: Request| {
                read::read(state, wired, id, request)
            },
        );
        router = router.route(&one, read);
    }
    if wired.does(Interaction::Update) {
        let update = axum::routing::put(
            move |State(state): State<ApiState>, Segment(id): Segment<String>, request: Request| {
                writes::update(state, wired, id, request)
            },
        );
        router = router.route(&one, update);
    }
    if wired.does(Interaction::History) {
        let history = get(
            move |State(state): State<ApiState>, Segment(id): Segment<String>, request: Request| {
                read::history(state, wired, id, request)
            },
        );
        router = router.route(&format!("{one}/_history"), history);
    }
    if wired.does(Interaction::Vread) {
        let vread = get(
            move |State(state): State<ApiState>,
                  Segment((id, version)): Segment<(String, String)>,
                  request: Request| read::vread(state, wired, id, version, request),
        );
        router = router.route(&format!("{one}/_history/{{version}}"), vread);
    }
    if wired.does(Interaction::Everything) {
        let all = get(
            |State(state): State<ApiState>, Segment(id): Segment<String>, request: Request| {
                everything::of_patient(state, id, request)
            },
        );
        router = router.route(&format!("{one}/$everything"), all);
    }
    router
}

async fn unknown_kind() -> Result<Response, Problem> {
    Err(Problem::unknown(
        "fhir.unknown_type",
        "nothing is at this path; /fhir/metadata says which resources there are",
    ))
}
