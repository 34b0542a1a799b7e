//! What bedside devices measured; what of it is on nobody's chart, and whose it is.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use schemas::devices::{ClaimVitals, DiscardVitals};
use serde::Deserialize;
use time::format_description::well_known::Rfc3339;
use utoipa::ToSchema;
use worker_clinical::queries::{self, UnmatchedVitalsFilter, UnmatchedVitalsRow, VitalFilter};

use super::care::Listing;
use super::unmatched;
use crate::auth::chart::Sight;
use crate::auth::identity::Identity;
use crate::auth::permission::{Can, Permission as _, VitalsRead, VitalsResolve, WorklistsRead};
use crate::command::{Accepted, Sender};
use crate::extract::{Body, Params, Segment};
use crate::page::{Cursor, Limit, Moment, Page};
use crate::problem::Problem;
use crate::reads::care::Versions;
use crate::reads::{devices as reads, patients};
use crate::routing::{Routes, routes};
use crate::state::ApiState;
use crate::trace::Trace;
use crate::views::devices::{UnmatchedVitals, Vital};
use crate::views::integration::Applied;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(list))
        .routes(routes!(latest))
        .routes(routes!(waiting))
        .routes(routes!(of_item))
        .routes(routes!(claim))
        .routes(routes!(discard))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Search {
    /// PID-3 as sent: its value, the whole CX text, or `system|value`.
    patient_identifier: String,
    /// LOINC code, or the code as sent.
    code: Option<String>,
    /// true: only those that wait for a person to say what code or unit mean; false: only those that do not.
    held: Option<bool>,
    /// Observed at or after this time.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Moment>,
    /// Observed before this time.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Moment>,
    /// `current` (as if absent) or `all`: also those that a correction or a late movement replaced.
    #[serde(default)]
    #[param(inline, value_type = Option<Versions>)]
    versions: Versions,
    /// `next_cursor` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    /// 1 to 500.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 500, default = 50)]
    limit: Limit,
}

/// Search measurements of bedside devices
///
/// A measurement is the patient's whom its message names, or who was alone in the bed at the time of the measurement; else it
/// waits at `/worklists/vitals`. Values that mean "no value" were dropped when they came.
#[utoipa::path(get, path = "/vitals", tag = "bedside", params(Search), security(("bearer" = ["vitals:read"])),
    responses((status = 200, description = "newest first", body = Page<Vital>)))]
async fn list(
    can: Can<VitalsRead>,
    State(state): State<ApiState>,
    trace: Trace,
    Params(search): Params<Search>,
) -> Result<Json<Page<Vital>>, Problem> {
    let mut tx = state.read(&can.who.tenant).await?;
    let keys = patients::keys_of_identifier(&mut tx, &search.patient_identifier).await?;
    let sight = Sight::new(&state, &trace, &can.who, VitalsRead::NAME);
    let keys = sight.narrowed(&mut tx, keys).await?;
    let filter = VitalFilter {
        code: search.code,
        held: search.held,
        from: search.from.map(|moment| moment.0),
        to: search.to.map(|moment| moment.0),
        versions: match search.versions {
            Versions::Current => queries::Versions::Current,
            Versions::All => queries::Versions::All,
        },
        ..VitalFilter::default()
    };
    reads::vitals(&mut tx, &keys, filter, search.cursor.as_ref(), search.limit)
        .await
        .map(Json)
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Latest {
    /// PID-3 as sent.
    patient_identifier: String,
    /// Only what was observed at or after this time: an old value is no present one.
    #[param(value_type = Option<String>, format = DateTime)]
    since: Option<Moment>,
}

/// Read the latest value of each measurement
///
/// One item a LOINC term, or a code as sent where no table knows it. Look at `observed_at` before you call it present.
#[utoipa::path(get, path = "/vitals/latest", tag = "bedside", params(Latest), security(("bearer" = ["vitals:read"])),
    responses((status = 200, description = "one item a term", body = Page<Vital>)))]
async fn latest(
    can: Can<VitalsRead>,
    State(state): State<ApiState>,
    trace: Trace,
    Params(search): Params<Latest>,
) -> Result<Json<Page<Vital>>, Problem> {
    let mut tx = state.read(&can.who.tenant).await?;
    let keys = patients::keys_of_identifier(&mut tx, &search.patient_identifier).await?;
    let sight = Sight::new(&state, &trace, &can.who, VitalsRead::NAME);
    let keys = sight.narrowed(&mut tx, keys).await?;
    reads::latest(&mut tx, &keys, search.since.map(|moment| moment.0))
        .await
        .map(Json)
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Waiting {
    /// `open` (as if absent), `explained`, `claimed`, `discarded` or `all`.
    state: Option<String>,
    /// `no_bed`, `bed_unknown`, `bed_ambiguous`, `bed_empty`, `two_patients`, `patient_mismatch` or `clock`.
    reason: Option<String>,
    channel: Option<String>,
    /// `next_cursor` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    /// 1 to 500.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 500, default = 50)]
    limit: Limit,
}

/// List unmatched measurements
///
/// One item for all that one device at one bed measured and that waits for the same reason. Movements that arrive later explain
/// what they can, by the same rule: who was alone in the bed at the time of the measurement. Those that name a patient whose chart is
/// restricted are left out for who does not care for him.
#[utoipa::path(get, path = "/worklists/vitals", tag = "worklists", params(Waiting), security(("bearer" = ["worklists:read"])),
    responses((status = 200, description = "oldest first: what waits longest is seen first", body = Page<UnmatchedVitals>)))]
async fn waiting(
    can: Can<WorklistsRead>,
    State(state): State<ApiState>,
    trace: Trace,
    Params(search): Params<Waiting>,
) -> Result<Json<Page<UnmatchedVitals>>, Problem> {
    let sight = Sight::new(&state, &trace, &can.who, WorklistsRead::NAME);
    let states = &["open", "explained", "claimed", "discarded"];
    let filter = UnmatchedVitalsFilter {
        state: super::state_or_open(search.state, states)?,
        reason: search.reason,
        channel: search.channel,
        ..UnmatchedVitalsFilter::default()
    };
    let mut tx = state.read(&can.who.tenant).await?;
    reads::unmatched(
        &mut tx,
        &sight,
        filter,
        search.cursor.as_ref(),
        search.limit,
    )
    .await
    .map(Json)
}

/// Read unmatched measurements
///
/// What an item holds and nobody's chart does.
#[utoipa::path(get, path = "/worklists/vitals/{id}", tag = "worklists", params(("id" = i64, Path, description = "the item"), Listing),
    security(("bearer" = ["worklists:read"])),
    responses(
        (status = 200, description = "newest first", body = Page<Vital>),
        (status = 403, description = "the permission is missing (`auth.permission`), or they name a patient whose chart is closed to you \
            (`auth.relationship`)"),
        (status = 404, description = "no unmatched measurements have this id (`vitals.unknown`)")))]
async fn of_item(
    can: Can<WorklistsRead>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<i64>,
    Params(listing): Params<Listing>,
) -> Result<Json<Page<Vital>>, Problem> {
    let sight = Sight::new(&state, &trace, &can.who, WorklistsRead::NAME);
    let mut tx = state.read(&can.who.tenant).await?;
    let item = item(&mut tx, id).await?;
    reads::open_item(&mut tx, &sight, &item).await?;
    reads::vitals_of_item(&mut tx, id, listing.cursor.as_ref(), listing.limit)
        .await
        .map(Json)
}

/// Whose they are: an identifier, and the date of birth or the name; all of the item, or those of a period.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "patient_identifier": "12345", "birth_date": "1980-05-17", "to": "2026-01-13T09:00:00Z" }))]
struct VitalsClaim {
    /// PID-3 in any of its forms. Must lead to one person.
    patient_identifier: String,
    /// ISO 8601, the whole date.
    #[serde(default)]
    birth_date: Option<String>,
    /// All words of the name, in any order.
    #[serde(default)]
    name: Option<String>,
    /// Only what was observed at or after this time.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    from: Option<Moment>,
    /// Only what was observed before this time.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    to: Option<Moment>,
}

/// Claim unmatched measurements
///
/// Puts them on the chart of the patient. The second identifier must agree with the patient's record; both, if both are given. An
/// item of which something is left stays open.
#[utoipa::path(post, path = "/worklists/vitals/{id}/claim", tag = "worklists", params(("id" = i64, Path, description = "the item")),
    request_body = VitalsClaim, security(("bearer" = ["vitals:resolve"])),
    responses(
        (status = 200, description = "they are on the patient's chart", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 404, description = "no unmatched measurements have this id (`vitals.unknown`)"),
        (status = 409, description = "they were decided about before (`clinical.vitals_not_open`), or the identifier is that of several \
            people (`unmatched.ambiguous_patient`)"),
        (status = 422, description = "nobody has the identifier (`unmatched.no_patient`), the second identifier does not agree with the \
            record or the record has none (`unmatched.disagrees`), or nothing of the item lies in the period \
            (`clinical.vitals_none`)")))]
async fn claim(
    can: Can<VitalsResolve>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<i64>,
    Body(claim): Body<VitalsClaim>,
) -> Result<Response, Problem> {
    let two = unmatched::Claim {
        patient_identifier: claim.patient_identifier,
        birth_date: claim.birth_date,
        name: claim.name,
    };
    let (item, (subject, second)) = {
        let mut tx = state.read(&can.who.tenant).await?;
        (
            item(&mut tx, id).await?,
            unmatched::checked(&mut tx, &two).await?,
        )
    };
    let time = |moment: Option<Moment>| moment.and_then(|moment| moment.0.format(&Rfc3339).ok());
    let command = ClaimVitals {
        item_id: id,
        subject,
        second,
        from: time(claim.from),
        to: time(claim.to),
        actor: can.who.username.clone(),
    };
    send(&state, &can.who, &trace, &item, &command).await
}

/// Why nobody's.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "reason": "monitor on a simulator, training" }))]
struct VitalsDiscard {
    reason: String,
}

/// Discard unmatched measurements
///
/// They stay on file, on nobody's chart.
#[utoipa::path(post, path = "/worklists/vitals/{id}/discard", tag = "worklists", params(("id" = i64, Path, description = "the item")),
    request_body = VitalsDiscard, security(("bearer" = ["vitals:resolve"])),
    responses(
        (status = 200, description = "the item is closed", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 404, description = "no unmatched measurements have this id (`vitals.unknown`)"),
        (status = 409, description = "they were decided about before (`clinical.vitals_not_open`)")))]
async fn discard(
    can: Can<VitalsResolve>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<i64>,
    Body(discard): Body<VitalsDiscard>,
) -> Result<Response, Problem> {
    let reason = super::reason(discard.reason)?;
    let item = {
        let mut tx = state.read(&can.who.tenant).await?;
        item(&mut tx, id).await?
    };
    let command = DiscardVitals {
        item_id: id,
        reason,
        actor: can.who.username.clone(),
    };
    send(&state, &can.who, &trace, &item, &command).await
}

async fn item(tx: &mut hub_core::Tx<'_>, id: i64) -> Result<UnmatchedVitalsRow, Problem> {
    reads::unmatched_item(tx, id)
        .await?
        .ok_or_else(|| Problem::unknown("vitals.unknown", "no unmatched measurements have this id"))
}

/// In the lane of the item's measurements: none can come between.
async fn send<T: schemas::Body>(
    state: &ApiState,
    who: &Identity,
    trace: &Trace,
    item: &UnmatchedVitalsRow,
    command: &T,
) -> Result<Response, Problem> {
    let written = Sender::new(state, who, trace)
        .send(item.origin_key.to_string(), command)
        .await?;
    Ok(written.respond(Applied::with))
}
