//! Keeps an answer, sealed, and gives it again. It may hold what is shown once (a password) or a patient's data: nothing of it lies
//! in the bucket to be read.

use axum::body::{Body, to_bytes};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::answer::{Answer, Refusal};
use super::claim::{Claim, Entry, EntryState};
use crate::auth::identity::Identity;
use crate::looks::{self, OnRecord};
use crate::problem::Problem;
use crate::state::ApiState;

/// Says that an answer is that of an earlier request.
const REPLAYED: &str = "idempotent-replayed";
/// Largest answer that is kept. Answers to writes are small.
const MAX_ANSWER: usize = 384 * 1024;
/// Headers of an answer that belong to it; the others are of the day.
const KEPT_HEADERS: [HeaderName; 5] = [
    header::CONTENT_TYPE,
    header::LOCATION,
    header::ETAG,
    header::CONTENT_LOCATION,
    header::LAST_MODIFIED,
];

/// The entry that has this answer, and the answer to send.
pub(super) async fn keep(
    state: &ApiState,
    claim: &Claim,
    response: Response,
) -> (Response, Result<Entry, Problem>) {
    let (parts, body) = response.into_parts();
    let Ok(bytes) = to_bytes(body, usize::MAX).await else {
        let failed = Problem::internal();
        return (failed.clone().into_response(), Err(failed));
    };
    let headers = KEPT_HEADERS
        .iter()
        .filter_map(|name| {
            let value = parts.headers.get(name)?.to_str().ok()?;
            Some((name.as_str().to_owned(), value.to_owned()))
        })
        .collect();
    let fits = claim.keeps && bytes.len() <= MAX_ANSWER;
    let looks = parts.extensions.get::<OnRecord>();
    let answer = Answer {
        status: parts.status.as_u16(),
        headers,
        body: if fits {
            STANDARD.encode(&bytes)
        } else {
            String::new()
        },
        refusal: parts.extensions.get::<Problem>().map(Refusal::of),
        looks: looks.map_or_else(Vec::new, |OnRecord(looks)| looks.clone()),
        gone: !fits,
    };
    let sealed = serde_json::to_vec(&answer).ok().and_then(|plain| {
        let belongs = belongs(&claim.key, &claim.digest);
        state.answers.seal(&belongs, &plain).ok()
    });
    let entry = sealed
        .map(|sealed| Entry {
            digest: claim.digest.clone(),
            state: EntryState::Answered {
                sealed: STANDARD.encode(sealed),
            },
        })
        .ok_or_else(Problem::internal);
    (Response::from_parts(parts, Body::from(bytes)), entry)
}

/// Where an answer is sealed for: it opens for this key and this body alone.
pub(super) fn belongs(key: &str, digest: &str) -> String {
    format!("answer {key} {digest}")
}

/// It is not run again, and its answer is not here.
pub(super) fn gone(why: &'static str) -> Problem {
    Problem::new(StatusCode::CONFLICT, "idempotency.answer_gone", why)
}

/// The answer of the first time, as it was but for its trace. Where it showed patients' data it is a look as it was then.
pub(super) async fn replay(
    state: &ApiState,
    who: &Identity,
    belongs: &str,
    sealed: &str,
) -> Result<Response, Problem> {
    let answer = STANDARD
        .decode(sealed)
        .ok()
        .and_then(|sealed| state.answers.open(belongs, &sealed))
        .and_then(|plain| serde_json::from_slice::<Answer>(&plain).ok())
        .filter(|answer| !answer.gone);
    let Some(answer) = answer else {
        return Err(gone(
            "the request with this key was carried out; its answer is not kept (it was a bundle's, or large, or the secret of the \
             installation has changed): read what it made",
        ));
    };
    looks::again(state, who, &answer.looks).await?;
    let mut response = answer.rebuilt();
    response
        .headers_mut()
        .insert(REPLAYED, HeaderValue::from_static("true"));
    metrics::counter!("hub_api_replayed_total").increment(1);
    Ok(response)
}
