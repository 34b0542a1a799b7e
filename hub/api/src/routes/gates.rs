//! The gates of a discharge, each cleared by who answers for it; and how many days a stay counts.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::{Extension, Json};
use schemas::stays::{Gate, Step};
use serde::Deserialize;
use time::{Duration, Time};
use utoipa::ToSchema;
use uuid::Uuid;
use worker_clinical::queries;

use super::step::{StepTime, Stepping};
use super::visit_steps::{StepRefusals, take};
use crate::auth::permission::{
    CanSomewhere, EncountersRead, GatesBilling, GatesClinical, GatesPharmacy, GatesTpa,
    Permission as _,
};
use crate::command::Accepted;
use crate::extract::{Body, Params, Segment};
use crate::looks::ShownOf;
use crate::page::{Moment, Page};
use crate::problem::Problem;
use crate::reads::stays::{self as reads, PolicyName};
use crate::routing::{Routes, routes};
use crate::state::ApiState;
use crate::trace::Trace;
use crate::views::integration::Applied;
use crate::views::stays::{BedDays, DischargeGate};

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(gates))
        .routes(routes!(clinical))
        .routes(routes!(pharmacy))
        .routes(routes!(billing))
        .routes(routes!(tpa))
        .routes(routes!(bed_days))
}

/// List the gates of a discharge
///
/// Each with what stands before it and a link to that; none before a discharge was initiated. Orders that are cancelled or entered
/// in error stand before nothing.
#[utoipa::path(get, path = "/encounters/{id}/gates", tag = "stays", params(("id" = Uuid, Path, description = "the encounter")),
    security(("bearer" = ["encounters:read"])),
    responses(
        (status = 200, description = "the list is whole", body = Page<DischargeGate>),
        (status = 404, description = "no encounter has this id (`encounters.unknown`)")))]
async fn gates(
    can: CanSomewhere<EncountersRead>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<Uuid>,
) -> Result<(Extension<ShownOf>, Json<Page<DischargeGate>>), Problem> {
    let mut tx = state.read(&can.who.tenant).await?;
    let known = reads::open(&state, &trace, &can.who, EncountersRead::NAME, &mut tx, id).await?;
    let blocking = queries::blocking(tx.conn(), id).await?;
    let gates = queries::gates(tx.conn(), id).await?;
    let gates = gates
        .into_iter()
        .map(|row| DischargeGate::of(id, row, &blocking))
        .collect();
    let shown = ShownOf::these(known.keys.into_values());
    Ok((shown, Json(Page::whole(gates))))
}

/// A gate is cleared.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "note": "summary given" }))]
struct Clearance {
    #[serde(default)]
    note: Option<String>,
    /// Why open orders do not stand in the way of the clinical gate; it is on record.
    #[serde(default)]
    despite: Option<String>,
    /// When it happened; absent: now.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    at: Option<Moment>,
    /// Why it is told so late; needed where `at` lies more than a day back.
    #[serde(default)]
    #[schema(max_length = 500)]
    late_reason: Option<String>,
}

impl Clearance {
    fn step(self, gate: Gate) -> Result<(StepTime, Step), Problem> {
        if self.despite.is_some() && gate != Gate::Clinical {
            return Err(Problem::invalid("despite", "is for the clinical gate only"));
        }
        let step = Step::ClearGate {
            gate,
            note: super::optional("note", self.note)?,
            despite: super::optional("despite", self.despite)?,
        };
        Ok((StepTime::new(self.at, self.late_reason), step))
    }
}

/// Clear the clinical gate
///
/// Summary and advice are given, and no order of the stay is open, or `despite` says why that does not matter.
#[utoipa::path(post, path = "/encounters/{id}/gates/clinical", tag = "stays",
    params(("id" = Uuid, Path, description = "the encounter"), ("If-Match" = Option<String>, Header, description = "ETag of what was read")),
    request_body = Clearance, security(("bearer" = ["gates:clinical"])),
    responses(
        (status = 200, description = "done; the answer has stage and version", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        StepRefusals,
        (status = 409, description = "not possible from where it stands; the detail names from, to and allowed (`adt.stage_conflict`), or orders are open: the detail links to each (`adt.gate_conflict`), or the gate is not open (`adt.gate_closed`)")))]
async fn clinical(
    stepping: Stepping<GatesClinical>,
    Body(asked): Body<Clearance>,
) -> Result<Response, Problem> {
    let (time, step) = asked.step(Gate::Clinical)?;
    take(stepping, time, step).await
}

/// Clear the gate of the pharmacy
///
/// Medicines that were not used are returned.
#[utoipa::path(post, path = "/encounters/{id}/gates/pharmacy", tag = "stays",
    params(("id" = Uuid, Path, description = "the encounter"), ("If-Match" = Option<String>, Header, description = "ETag of what was read")),
    request_body = Clearance, security(("bearer" = ["gates:pharmacy"])),
    responses(
        (status = 200, description = "done; the answer has stage and version", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        StepRefusals,
        (status = 409, description = "not possible from where it stands; the detail names from, to and allowed (`adt.stage_conflict`), or the gate is not open (`adt.gate_closed`)")))]
async fn pharmacy(
    stepping: Stepping<GatesPharmacy>,
    Body(asked): Body<Clearance>,
) -> Result<Response, Problem> {
    let (time, step) = asked.step(Gate::Pharmacy)?;
    take(stepping, time, step).await
}

/// Clear the gate of billing
///
/// The bill is settled.
#[utoipa::path(post, path = "/encounters/{id}/gates/billing", tag = "stays",
    params(("id" = Uuid, Path, description = "the encounter"), ("If-Match" = Option<String>, Header, description = "ETag of what was read")),
    request_body = Clearance, security(("bearer" = ["gates:billing"])),
    responses(
        (status = 200, description = "done; the answer has stage and version", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        StepRefusals,
        (status = 409, description = "not possible from where it stands; the detail names from, to and allowed (`adt.stage_conflict`), or the gate is not open (`adt.gate_closed`)")))]
async fn billing(
    stepping: Stepping<GatesBilling>,
    Body(asked): Body<Clearance>,
) -> Result<Response, Problem> {
    let (time, step) = asked.step(Gate::Billing)?;
    take(stepping, time, step).await
}

/// Clear the gate of the insurer
///
/// The insurer has said its final word. Only where an insurer pays.
#[utoipa::path(post, path = "/encounters/{id}/gates/tpa", tag = "stays",
    params(("id" = Uuid, Path, description = "the encounter"), ("If-Match" = Option<String>, Header, description = "ETag of what was read")),
    request_body = Clearance, security(("bearer" = ["gates:tpa"])),
    responses(
        (status = 200, description = "done; the answer has stage and version", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        StepRefusals,
        (status = 409, description = "not possible from where it stands; the detail names from, to and allowed (`adt.stage_conflict`), or the gate is not open (`adt.gate_closed`)")))]
async fn tpa(
    stepping: Stepping<GatesTpa>,
    Body(asked): Body<Clearance>,
) -> Result<Response, Problem> {
    let (time, step) = asked.step(Gate::Tpa)?;
    take(stepping, time, step).await
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Counting {
    /// `census` (as if absent; midnight census, for statistics), `rolling` (24 hours from the admission), `calendar` (the day of the
    /// discharge is free), `checkout` (a day ends at a fixed hour). The minimum is one day.
    #[param(inline, value_type = Option<PolicyName>)]
    policy: Option<PolicyName>,
    /// `rolling`: a rest of so many hours is another day. `checkout`: leaving within so many hours after the hour begins no other day.
    /// 0 to 24, with a fraction; absent: 0.
    #[param(minimum = 0, maximum = 24)]
    grace_hours: Option<f64>,
    /// `checkout`: the hour, `12:00` when absent.
    checkout: Option<String>,
    /// IANA zone in which days begin; absent: the facility's.
    zone: Option<String>,
}

/// Count the bed-days of a stay
///
/// By the policy that is asked for; a stay that is not over counts until now.
#[utoipa::path(get, path = "/encounters/{id}/bed-days", tag = "stays",
    params(("id" = Uuid, Path, description = "the encounter"), Counting), security(("bearer" = ["encounters:read"])),
    responses(
        (status = 200, description = "the days", body = BedDays),
        (status = 404, description = "no encounter has this id (`encounters.unknown`)"),
        (status = 409, description = "the patient was in no bed (`encounters.bed_missing_conflict`)")))]
async fn bed_days(
    can: CanSomewhere<EncountersRead>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<Uuid>,
    Params(asked): Params<Counting>,
) -> Result<(Extension<ShownOf>, Json<BedDays>), Problem> {
    let grace = asked.grace_hours.unwrap_or_default();
    if !(0.0..=24.0).contains(&grace) {
        return Err(Problem::invalid("grace_hours", "must be from 0 to 24"));
    }
    let hour = asked.checkout.as_deref().map_or(
        Ok(Time::from_hms(12, 0, 0).unwrap_or(Time::MIDNIGHT)),
        |text| {
            Time::parse(text, time::macros::format_description!("[hour]:[minute]"))
                .map_err(|_| Problem::invalid("checkout", "must be an hour as 12:00"))
        },
    )?;
    let mut tx = state.read(&can.who.tenant).await?;
    let known = reads::open(&state, &trace, &can.who, EncountersRead::NAME, &mut tx, id).await?;
    reads::days(
        &mut tx,
        id,
        asked.policy.unwrap_or(PolicyName::Census),
        Duration::seconds_f64(grace * 3_600.0),
        hour,
        asked.zone.as_deref(),
    )
    .await?
    .map(|days| (ShownOf::these(known.keys.into_values()), Json(days)))
    .ok_or_else(|| {
        Problem::new(
            StatusCode::CONFLICT,
            "encounters.bed_missing_conflict",
            "the patient was in no bed during this encounter",
        )
    })
}
