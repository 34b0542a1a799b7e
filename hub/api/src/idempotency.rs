//! `Idempotency-Key`: a POST that is sent again, because its answer was lost, is answered as it was and does nothing more.
//!
//! Two things together keep that promise. An entry in a bucket that all processes share (a day, on disk) is claimed before
//! the handler runs and has the answer afterwards. And whatever the handler asks of the workers has ids that are made of the
//! tenant, the caller, the route, the key and the body: a request that is run again, because the process that ran it died
//! before the answer was on record, meets its own commands in the workers' inbox, which let them take effect once.
//!
//! The answer lies in the bucket sealed under `[api] token_secret`: it may hold what is shown once (a password) or a patient's
//! data; of the body there lies a digest that is keyed with the same secret. This room writes no state of the hospital.

mod answer;
mod claim;
mod digests;
mod keeping;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use futures::FutureExt as _;
use tracing::Instrument as _;
use uuid::Uuid;

use crate::auth::identity::{Identity, Known, Reach};
use crate::command::accepted;
use crate::fhir::keys as facade;
use crate::operations;
use crate::problem::Problem;
use crate::state::ApiState;
use claim::{Claim, Entry, EntryState, Found, claim};
use digests::{BodyDigest, digest_of_scope};
use keeping::keep;

pub(crate) use claim::{now, until};
pub(crate) use digests::{digest, keyed_digest};

/// The header (draft-ietf-httpapi-idempotency-key-header).
pub(crate) const KEY: &str = "idempotency-key";
/// Longest key.
const MAX_KEY: usize = 255;
/// Commands that one request may send and a later run looks for.
const COMMANDS: u32 = 16;
/// What ids of commands are made in.
const NAMESPACE: Uuid = Uuid::from_u128(0x5b1f_9b63_6d0e_5c0a_9d0c_2f0f_7a64_11d4);

tokio::task_local! {
    static UNDER: Arc<Under>;
}

/// A request that runs under a key.
#[derive(Debug)]
struct Under {
    root: Uuid,
    /// It may have run before, and its process died.
    again: bool,
    asked: AtomicU32,
}

impl Under {
    fn id(&self, place: u32) -> Uuid {
        Uuid::new_v5(&self.root, &place.to_be_bytes())
    }
}

/// The id of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CommandId {
    pub(crate) id: Uuid,
    /// An outcome of it may be on record already.
    pub(crate) again: bool,
}

/// The id of the next command of this request: a new one, or, under a key, the one that it would have if it ran again.
pub(crate) fn next_command() -> CommandId {
    UNDER
        .try_with(|under| CommandId {
            id: under.id(under.asked.fetch_add(1, Ordering::Relaxed)),
            again: under.again,
        })
        .unwrap_or_else(|_| CommandId {
            id: Uuid::now_v7(),
            again: false,
        })
}

/// The layer around all POSTs of somebody who is signed in. Others have no key: tokens are not kept for anybody.
pub(crate) async fn once(State(state): State<ApiState>, request: Request, next: Next) -> Response {
    // a FHIR search by POST only reads: it is answered as things are now, and what it told is not kept
    let only_reads = request.uri().path().ends_with("/_search");
    if request.method() != Method::POST || only_reads || !request.headers().contains_key(KEY) {
        return next.run(request).await;
    }
    let Some(Known(Ok(who))) = request.extensions().get::<Known>() else {
        return next.run(request).await;
    };
    let who = who.clone();
    let permission = operations::of(&request)
        .and_then(|one| one.permission)
        .or_else(|| facade::permission(request.uri().path()));
    // the route refuses him, now as then: no answer of the past is for who has lost the right
    if permission.is_some_and(|name| who.reach(name) == Reach::Nowhere) {
        return next.run(request).await;
    }
    match run(&state, who, request, next).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    }
}

async fn run(
    state: &ApiState,
    who: Identity,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let key = key_of(&parts)?;
    let body = to_bytes(body, state.limits.largest_body())
        .await
        .map_err(|_| too_large())?;
    let is_bundle = facade::takes_bundles(parts.uri.path());
    if is_bundle && facade::only_reads(&body) {
        // answered as things are now, and what it tells is not kept
        let request = Request::from_parts(parts, Body::from(body));
        return Ok(next.run(request).await);
    }
    let route = format!("{} {}", parts.method, parts.uri);
    let name = format!("{}.{}", who.tenant, digest_of_scope(&who, &route, key));
    let digest = BodyDigest::of(&state.answers, &body);
    let mut claim = match claim(state, &who, name, &digest).await? {
        Found::Mine(claim) => claim,
        Found::Answered(response) => return Ok(response),
    };
    claim.keeps = !is_bundle;
    let under = Arc::new(Under {
        root: Uuid::new_v5(
            &NAMESPACE,
            format!("{} {}", claim.key, claim.digest).as_bytes(),
        ),
        again: claim.again,
        asked: AtomicU32::new(0),
    });
    let request = Request::from_parts(parts, Body::from(body));
    // Whoever hangs up is the one for whom the answer is kept: the run goes on without him, for as long as a request may.
    let state = state.clone();
    let work = async move {
        let limit = state.limits.request_time;
        let running = UNDER.scope(Arc::clone(&under), next.run(request));
        // a defect of a handler must not leave its key claimed
        let running = AssertUnwindSafe(running).catch_unwind();
        let response = match tokio::time::timeout(limit, running).await {
            Ok(Ok(response)) => response,
            Ok(Err(panic)) => crate::observe::on_panic(panic),
            Err(_) => crate::observe::too_late(),
        };
        settle(&state, &who, claim, &under, response).await
    };
    tokio::spawn(work.in_current_span())
        .await
        .map_err(|_| Problem::internal())
}

/// One printable word; quotes of a structured field (RFC 9651) are taken off.
fn key_of(parts: &Parts) -> Result<&str, Problem> {
    let invalid = || {
        Problem::invalid(
            "Idempotency-Key",
            format!(
                "must be one key of 1 to {MAX_KEY} printable ASCII characters, a UUID for instance"
            ),
        )
    };
    let mut values = parts.headers.get_all(KEY).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(invalid());
    };
    let text = value.to_str().map_err(|_| invalid())?.trim();
    let text = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .unwrap_or(text);
    if text.is_empty() || text.len() > MAX_KEY || !text.bytes().all(|byte| byte.is_ascii_graphic())
    {
        return Err(invalid());
    }
    Ok(text)
}

fn too_large() -> Problem {
    Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "request.too_large",
        "the body is larger than this operation takes, or ended early",
    )
}

/// Puts the answer on record, or the key free again when nothing came of it.
async fn settle(
    state: &ApiState,
    who: &Identity,
    claim: Claim,
    under: &Under,
    response: Response,
) -> Response {
    let asked = under.asked.load(Ordering::Relaxed);
    let status = response.status();
    let response = if claim.again && status.is_client_error() && asked == 0 {
        // It asks for what it did itself when it ran first: what came of that is the answer.
        match first_outcome(state, who, under).await {
            Some(id) => accepted(id),
            None => response,
        }
    } else {
        response
    };
    let status = response.status();
    let nothing_came = match claim.keeps {
        true => asked == 0 && !status.is_success(),
        // what a refused one says can be said again: it meets what was asked
        false => asked == 0 || !status.is_success(),
    };
    let (response, entry) =
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS || nothing_came {
            // Not an outcome. Where something was asked the key stays this body's, and a later run meets what was asked.
            let digest = if asked > 0 || claim.again {
                claim.digest.clone()
            } else {
                String::new()
            };
            let entry = Entry {
                digest,
                state: EntryState::Free,
            };
            (response, Ok(entry))
        } else {
            keep(state, &claim, response).await
        };
    let written = match entry {
        Ok(entry) => claim.becomes(state, &entry).await,
        Err(problem) => Err(problem),
    };
    if let Err(problem) = written {
        // the claim runs out; whoever asks then runs it again, under the same ids
        metrics::counter!("hub_api_answers_unkept_total").increment(1);
        tracing::warn!(code = %problem.code, "an answer could not be kept for its Idempotency-Key");
    }
    response
}

/// The last command of a run before that has an outcome.
async fn first_outcome(state: &ApiState, who: &Identity, under: &Under) -> Option<Uuid> {
    let ids: Vec<Uuid> = (0..COMMANDS).map(|place| under.id(place)).collect();
    let mut tx = state.read(&who.tenant).await.ok()?;
    let found = worker_integration::queries::applied(tx.conn(), &ids)
        .await
        .ok()?;
    ids.into_iter()
        .rev()
        .find(|id| found.iter().any(|one| one.event_id == *id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_one_printable_word_with_or_without_quotes() {
        let read = |values: &[&str]| {
            let mut request = Request::post("/");
            for value in values {
                request = request.header(KEY, *value);
            }
            let (parts, ()) = request.body(()).unwrap().into_parts();
            key_of(&parts).map(str::to_owned).ok()
        };
        assert_eq!(read(&["a-1"]).as_deref(), Some("a-1"));
        assert_eq!(read(&["\"a-1\""]).as_deref(), Some("a-1"));
        for bad in [
            &[""][..],
            &["\"\""],
            &["a b"],
            &["a", "b"],
            &["é"],
            &["x"; 0],
        ] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
        assert_eq!(read(&["x".repeat(256).as_str()]), None);
    }

    #[tokio::test]
    async fn commands_of_a_request_that_runs_again_have_the_ids_of_before() {
        let run = |again| {
            let under = Arc::new(Under {
                root: Uuid::from_u128(7),
                again,
                asked: AtomicU32::new(0),
            });
            UNDER.scope(under, async { (next_command(), next_command()) })
        };
        let (first, second) = run(false).await;
        assert_ne!(first.id, second.id);
        let (repeated, _) = run(true).await;
        assert_eq!(first.id, repeated.id);
        assert!(repeated.again && !first.again);
        assert_ne!(next_command().id, next_command().id);
    }
}
