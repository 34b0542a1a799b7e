//! What a sign-in in two steps must remember between them, sealed into what the caller brings back: asking for a challenge stores
//! nothing, so nobody fills anything by asking, and any process answers. That it is good once is kept by the worker, by its digest.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use schemas::sign_in::Challenge;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::problem::Problem;
use crate::state::ApiState;

/// A person finds his key, or signs in at the provider, in this time.
pub(crate) const LIFETIME: time::Duration = time::Duration::minutes(5);
/// Longer than any that is made here.
const LONGEST: usize = 8_192;

/// For which of the steps something is sealed: one is never taken for the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    AddPasskey,
    UsePasskey,
    /// Somebody who is signed in proves that it is still he.
    ProveByPasskey,
    Provider,
}

impl Step {
    fn belongs(self) -> &'static str {
        match self {
            Self::AddPasskey => "ceremony passkey add",
            Self::UsePasskey => "ceremony passkey use",
            Self::ProveByPasskey => "ceremony passkey prove",
            Self::Provider => "ceremony provider",
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Kept<T> {
    until: i64,
    what: T,
}

/// What was remembered, and how its answer is used up.
pub(crate) struct Opened<T> {
    pub(crate) what: T,
    pub(crate) challenge: Challenge,
}

/// Seals it for [`LIFETIME`].
pub(crate) fn seal<T: Serialize>(state: &ApiState, step: Step, what: T) -> Result<String, Problem> {
    let until = (OffsetDateTime::now_utc() + LIFETIME).unix_timestamp();
    let plain = serde_json::to_vec(&Kept { until, what }).map_err(|_| Problem::internal())?;
    state
        .answers
        .seal(step.belongs(), &plain)
        .map(|sealed| URL_SAFE_NO_PAD.encode(sealed))
        .map_err(|_| Problem::internal())
}

/// Opens it; `None` when it is none of ours, or out of date.
pub(crate) fn open<T: DeserializeOwned>(
    state: &ApiState,
    step: Step,
    text: &str,
) -> Option<Opened<T>> {
    if text.len() > LONGEST {
        return None;
    }
    let sealed = URL_SAFE_NO_PAD.decode(text).ok()?;
    let plain = state.answers.open(step.belongs(), &sealed)?;
    let kept: Kept<T> = serde_json::from_slice(&plain).ok()?;
    let until = OffsetDateTime::from_unix_timestamp(kept.until).ok()?;
    (until > OffsetDateTime::now_utc()).then(|| Opened {
        what: kept.what,
        challenge: Challenge {
            digest: worker_identity::hex_digest(&sealed),
            until: until.format(&Rfc3339).unwrap_or_default(),
        },
    })
}
