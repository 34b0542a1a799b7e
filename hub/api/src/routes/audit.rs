//! Proof that the audit trail is whole: its chain is computed anew, its signed roots are shown.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use time::Date;
use time::macros::format_description;
use utoipa::ToSchema;
use worker_identity::root_key::{self, is_signed};
use worker_integration::maintain::{self, Signatures, Span};

use crate::auth::permission::{AuditRead, Can};
use crate::extract::Params;
use crate::page::Page;
use crate::problem::Problem;
use crate::routing::{Routes, routes};
use crate::state::ApiState;

pub(crate) fn routes() -> Routes {
    Routes::new().routes(routes!(verify)).routes(routes!(roots))
}

/// A request may not take longer; what was looked at by then is told.
const TIME: Duration = Duration::from_secs(8);

/// Days of the trail.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Days {
    /// First day, `2026-01-31` (UTC): the chain is followed from the signed root of the day before it. Absent: from the first entry.
    #[param(value_type = Option<String>, format = Date)]
    from: Option<String>,
    /// Last day. Absent: to the end.
    #[param(value_type = Option<String>, format = Date)]
    to: Option<String>,
}

fn day(field: &'static str, text: Option<&str>) -> Result<Option<Date>, Problem> {
    text.map(|text| {
        Date::parse(text, format_description!("[year]-[month]-[day]"))
            .map_err(|_| Problem::invalid(field, "must be a day as 2026-01-31"))
    })
    .transpose()
}

/// What a look at the chain found.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "whole": false, "complete": true, "first_position": 1, "intact": 4711, "unsealed": 0,
    "roots": { "hold": 12, "not_checked": 0 },
    "broken": { "what": "altered", "position": 4712, "entry_id": 5120, "day": "2026-01-31" }
}))]
pub(crate) struct AuditVerification {
    /// Nothing that was looked at is broken, and all of it was looked at.
    whole: bool,
    /// False: there was not enough time; ask for fewer days, or use `hub audit verify`.
    complete: bool,
    /// Place in the chain where it began.
    first_position: i64,
    /// Links that hold, from there on.
    intact: i64,
    /// Entries that have no link yet: they are sealed every ten seconds.
    unsealed: i64,
    roots: AuditRoots,
    /// The first row that does not fit.
    #[serde(skip_serializing_if = "Option::is_none")]
    broken: Option<AuditBroken>,
}

/// Signed roots that were compared.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({ "hold": 12, "not_checked": 0 }))]
pub(crate) struct AuditRoots {
    hold: u32,
    /// Signed by a key that does not open here.
    not_checked: u32,
}

/// The first row that does not fit.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({ "what": "altered", "position": 4712, "entry_id": 5120, "day": "2026-01-31" }))]
pub(crate) struct AuditBroken {
    /// `altered`, `missing`, `inserted`, `gap` (a link of the chain is gone), `relaid` (the chain was computed anew since the root of
    /// the day was signed), `root_altered`, `cut_off` (a root reaches further than the chain).
    what: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entry_id: Option<i64>,
    /// When it was sealed, or whose root it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    day: Option<String>,
}

/// Public halves of the keys that sign roots.
struct Keys(HashMap<String, Vec<u8>>);

impl Signatures for Keys {
    fn holds(&self, kid: &str, text: &[u8], signature: &[u8]) -> Option<bool> {
        self.0
            .get(kid)
            .map(|public| is_signed(public, text, signature))
    }
}

async fn keys(state: &ApiState) -> Result<Keys, Problem> {
    let Some(sealer) = state.keys.sealer() else {
        return Ok(Keys(HashMap::new()));
    };
    let keys = root_key::load(&state.pool, sealer).await?;
    Ok(Keys(
        keys.into_iter()
            .map(|key| (key.kid.clone(), key.public().to_vec()))
            .collect(),
    ))
}

/// Verify the audit trail
///
/// Computes the hash chain anew, compares it with the signed root of each day, and names the first entry that was altered, taken
/// away or put in. What is recorded since the last pass of the sealer (ten seconds) is not in the chain yet.
#[utoipa::path(get, path = "/audit/verify", tag = "audit", params(Days), security(("bearer" = ["audit:read"])),
    responses((status = 200, description = "what was found", body = AuditVerification)))]
async fn verify(
    can: Can<AuditRead>,
    State(state): State<ApiState>,
    Params(days): Params<Days>,
) -> Result<Json<AuditVerification>, Problem> {
    let span = Span {
        from: day("from", days.from.as_deref())?,
        to: day("to", days.to.as_deref())?,
        until: Some(Instant::now() + TIME),
    };
    let keys = keys(&state).await?;
    let found = maintain::verify(&state.pool, &can.who.tenant, &keys, &[], span).await?;
    Ok(Json(AuditVerification {
        whole: found.complete && found.broken.is_none(),
        complete: found.complete,
        first_position: found.first_position,
        intact: found.intact,
        unsealed: found.unsealed,
        roots: AuditRoots {
            hold: found.roots.hold,
            not_checked: found.roots.not_checked,
        },
        broken: found.broken.map(|broken| AuditBroken {
            what: broken.what.as_str(),
            position: broken.position,
            entry_id: broken.entry_id,
            day: broken.day,
        }),
    }))
}

/// A signed root.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "tenant": "demo", "day": "2026-01-31", "first_position": 4001, "last_position": 4711,
    "digest": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "kid": "3f1a5c0e9d2b4766",
    "signature": "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
}))]
pub(crate) struct AuditRoot {
    tenant: String,
    /// UTC.
    day: String,
    first_position: i64,
    last_position: i64,
    /// SHA-256 of the chain at `last_position`, hex.
    digest: String,
    kid: String,
    /// Ed25519 over the lines `sangam audit root v1`, tenant, day, first and last position, digest; each ends with a line feed. Hex.
    signature: String,
}

/// List the signed roots of the audit trail
///
/// One a day, once the day is over. Who keeps them elsewhere can show that nothing was cut off or laid anew since.
#[utoipa::path(get, path = "/audit/roots", tag = "audit", params(Days), security(("bearer" = ["audit:read"])),
    responses((status = 200, description = "oldest first; the list is whole", body = Page<AuditRoot>)))]
async fn roots(
    can: Can<AuditRead>,
    State(state): State<ApiState>,
    Params(days): Params<Days>,
) -> Result<Json<Page<AuditRoot>>, Problem> {
    let (from, to) = (
        day("from", days.from.as_deref())?,
        day("to", days.to.as_deref())?,
    );
    let roots = maintain::roots(&state.pool, &can.who.tenant, from, to).await?;
    Ok(Json(Page::whole(
        roots
            .into_iter()
            .map(|root| AuditRoot {
                tenant: root.tenant,
                day: root.day,
                first_position: root.first_position,
                last_position: root.last_position,
                digest: root.digest,
                kid: root.kid,
                signature: root.signature,
            })
            .collect(),
    )))
}
