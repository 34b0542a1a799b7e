//! Entries of the bucket: whoever claims one is the only one who runs the request, and who comes later meets what became of it.

use std::time::Duration;

use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::digests::{BodyDigest, Compared};
use super::keeping::{belongs, gone, replay};
use crate::auth::identity::Identity;
use crate::backbone::Noted;
use crate::problem::Problem;
use crate::state::{ApiLimits, ApiState};

/// How much longer than a request may take its claim holds: then it is known to be dead.
const GRACE: Duration = Duration::from_secs(5);

/// What stands in the bucket.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Of the body, as `BodyDigest` writes it; empty while nothing was asked under the key.
    pub(super) digest: String,
    #[serde(flatten)]
    pub(super) state: EntryState,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub(super) enum EntryState {
    /// Whoever comes may run it.
    Free,
    /// Somebody runs it, until then (milliseconds since 1970) at most.
    Running { until: i64 },
    /// It was answered; base64 of the sealed answer.
    Answered { sealed: String },
}

/// A claim that is held: only this run may change the entry.
pub(super) struct Claim {
    pub(super) key: String,
    pub(super) digest: String,
    revision: u64,
    pub(super) again: bool,
    /// What is answered is kept. It is not where it may be anything, under any permission: a bundle is carried out once, and who
    /// asks again is told that it was.
    pub(super) keeps: bool,
}

impl Claim {
    /// Puts an entry in the place of the claim.
    pub(super) async fn becomes(&self, state: &ApiState, entry: &Entry) -> Result<(), Problem> {
        note(state, &self.key, self.revision, entry).await.map(drop)
    }
}

/// What a request that comes with a key finds.
pub(super) enum Found {
    Mine(Claim),
    Answered(Response),
}

/// Milliseconds since 1970, as claims in the bucket have it.
pub(crate) fn now() -> i64 {
    i64::try_from(OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX)
}

/// How long a claim of a request that begins now holds.
pub(crate) fn until(limits: &ApiLimits) -> i64 {
    now() + i64::try_from((limits.request_time + GRACE).as_millis()).unwrap_or(0)
}

pub(super) async fn claim(
    state: &ApiState,
    who: &Identity,
    key: String,
    body: &BodyDigest<'_>,
) -> Result<Found, Problem> {
    let noted = state.backbone.noted(&key).await?;
    let seen = noted.as_ref().map_or(0, |noted| noted.revision);
    let entry = noted.and_then(|Noted { value, .. }| serde_json::from_slice::<Entry>(&value).ok());
    // that of the entry where it is of this body: ids of its commands are made of it
    let digest = match &entry {
        Some(entry) if !entry.digest.is_empty() => match body.compared(&entry.digest) {
            Compared::Same => entry.digest.clone(),
            Compared::Other => return Err(reused()),
            Compared::Unknown => return Err(not_to_be_compared(&entry.state)),
        },
        _ => body.text().to_owned(),
    };
    let again = match entry {
        None => false,
        Some(entry) => match entry.state {
            EntryState::Free => !entry.digest.is_empty(),
            EntryState::Running { until } if until > now() => return Err(in_flight(until)),
            EntryState::Running { .. } => true,
            EntryState::Answered { sealed } => {
                let response = replay(state, who, &belongs(&key, &digest), &sealed).await?;
                return Ok(Found::Answered(response));
            }
        },
    };
    let until = until(&state.limits);
    let running = Entry {
        digest: digest.clone(),
        state: EntryState::Running { until },
    };
    match note(state, &key, seen, &running).await? {
        Some(revision) => Ok(Found::Mine(Claim {
            key,
            digest,
            revision,
            again,
            keeps: true,
        })),
        // the same request, at the same moment, through another connection or process
        None => Err(in_flight(until)),
    }
}

fn reused() -> Problem {
    Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "idempotency.reused",
        "this key was used for another body; a new request needs a new key",
    )
}

/// Whether it is the same request nobody can tell, so it is neither run again nor called another one.
fn not_to_be_compared(state: &EntryState) -> Problem {
    match state {
        EntryState::Running { until } if *until > now() => in_flight(*until),
        _ => gone(
            "a request came with this key before the secret of the installation changed; what came of it is not known any more: \
             read what it made, and use a new key if there is nothing",
        ),
    }
}

fn in_flight(until: i64) -> Problem {
    let mut problem = Problem::new(
        StatusCode::CONFLICT,
        "idempotency.in_flight",
        "the request with this key has not been answered yet; ask again in a moment",
    );
    let seconds = u64::try_from((until - now()) / 1000).unwrap_or(0);
    // hardly any takes longer than a second
    problem.retry_after = Some(seconds.clamp(1, 2));
    problem
}

async fn note(
    state: &ApiState,
    key: &str,
    seen: u64,
    entry: &Entry,
) -> Result<Option<u64>, Problem> {
    let value = serde_json::to_vec(entry).map_err(|_| Problem::internal())?;
    Ok(state.backbone.note(key, seen, value.into()).await?)
}
