//! Rounds of observations that staff enter, the scores made of them, and orders of oxygen targets.

use axum::Json;
use axum::response::Response;
use schemas::rounds::{
    CorrectObservation, EndOxygenTarget, EnteredValue, OrderOxygenTarget, RecordObservations,
};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;
use worker_clinical::queries::{self, VitalFilter};

use super::asking::Desk;
use crate::auth::permission::{OxygenTargetsOrder, VitalsRead, VitalsRecord};
use crate::command::{Accepted, Placed};
use crate::extract::{Body, Params, Segment};
use crate::if_match::{IfMatch, tagged};
use crate::page::{Cursor, Limit, Moment, Page};
use crate::problem::Problem;
use crate::reads::care::Versions;
use crate::reads::{chart as reads, devices};
use crate::routing::{Routes, routes};
use crate::views::devices::Vital;
use crate::views::integration::Applied;
use crate::views::rounds::{OxygenTarget, Score};

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(list))
        .routes(routes!(record))
        .routes(routes!(read_one))
        .routes(routes!(correct))
        .routes(routes!(scores))
        .routes(routes!(score))
        .routes(routes!(targets))
        .routes(routes!(order_target))
        .routes(routes!(end_target))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Search {
    /// LOINC code, or the code as sent.
    code: Option<String>,
    /// Observed at or after this time.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Moment>,
    /// Observed before this time.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Moment>,
    /// `current` (as if absent) or `all`: also those that a correction replaced.
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

/// A patient's observations
///
/// What staff entered and what devices measured, side by side: `matched_by` is `entry` for what a person entered.
#[utoipa::path(get, path = "/patients/{id}/observations", tag = "charts",
    params(("id" = Uuid, Path, description = "the patient"), Search), security(("bearer" = ["vitals:read"])),
    responses(
        (status = 200, description = "newest first", body = Page<Vital>),
        (status = 404, description = "no patient has this id (`patients.unknown`)")))]
async fn list(
    desk: Desk<VitalsRead>,
    Segment(id): Segment<Uuid>,
    Params(search): Params<Search>,
) -> Result<Json<Page<Vital>>, Problem> {
    let mut tx = desk.tx().await?;
    let subject = desk.subject(&mut tx, id).await?;
    let filter = VitalFilter {
        code: search.code,
        from: search.from.map(|moment| moment.0),
        to: search.to.map(|moment| moment.0),
        versions: match search.versions {
            Versions::Current => queries::Versions::Current,
            Versions::All => queries::Versions::All,
        },
        ..VitalFilter::default()
    };
    devices::vitals(
        &mut tx,
        &subject.keys,
        filter,
        search.cursor.as_ref(),
        search.limit,
    )
    .await
    .map(Json)
}

/// One value.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "loinc": "8867-4", "value": "72", "ucum": "/min" }))]
struct NewValue {
    /// LOINC code.
    loinc: String,
    #[serde(default)]
    display: Option<String>,
    /// Decimal text, or the code of a coded value (`A`, `C`, `V`, `P`, `U` of 80288-4).
    value: String,
    /// Absent: the value is coded. `[degF]` is converted, and kept as entered.
    #[serde(default)]
    ucum: Option<String>,
}

impl NewValue {
    fn canonical(self) -> EnteredValue {
        EnteredValue {
            loinc: self.loinc,
            display: self.display,
            value: self.value,
            ucum: self.ucum,
        }
    }
}

/// A round.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "observed_at": "2026-01-31T08:30:00Z", "visit_number": "V1", "pregnant": false,
    "values": [
        { "loinc": "9279-1", "value": "16", "ucum": "/min" }, { "loinc": "59408-5", "value": "97", "ucum": "%" },
        { "loinc": "3151-8", "value": "0", "ucum": "L/min" }, { "loinc": "8480-6", "value": "120", "ucum": "mm[Hg]" },
        { "loinc": "8867-4", "value": "72", "ucum": "/min" }, { "loinc": "80288-4", "value": "A" },
        { "loinc": "8310-5", "value": "37.0", "ucum": "Cel" }] }))]
struct NewRound {
    /// When it was measured; the same time again adds to the round.
    #[schema(value_type = String, format = DateTime)]
    observed_at: Moment,
    values: Vec<NewValue>,
    #[serde(default)]
    visit_number: Option<String>,
    /// Which oxygen scale of NEWS2 is meant: 2 needs a doctor's order. Absent: as ordered, else 1.
    #[serde(default)]
    oxygen_scale: Option<i16>,
    /// NEWS2 is not for pregnant patients. Absent: nobody said, and the score says so.
    #[serde(default)]
    pregnant: Option<bool>,
}

/// Enter a round of observations
///
/// Makes the early warning score of the round, and opens a task when the score asks for somebody. The same round again is the
/// same; another value of the same term and time is refused, because it must be a correction. What devices measured shortly
/// before fills what was not entered; what is missing then leaves the round without a total.
#[utoipa::path(post, path = "/patients/{id}/observations", tag = "charts", params(("id" = Uuid, Path, description = "the patient")),
    request_body = NewRound, security(("bearer" = ["vitals:record"])),
    responses(
        (status = 201, description = "entered; the answer has the observations, the score and its task", body = Applied),
        (status = 200, description = "this round stands already, as it was sent", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 404, description = "no patient has this id (`patients.unknown`)"),
        (status = 409, description = "a value of that time stands with another value (`clinical.observation_exists`), or a doctor \
            ordered the other scale (`clinical.oxygen_scale_conflict`)"),
        (status = 422, description = "the second scale is not ordered (`clinical.oxygen_scale_not_ordered`), or a value can't be right \
            (`clinical.observation_implausible`)")))]
async fn record(
    desk: Desk<VitalsRecord>,
    Segment(id): Segment<Uuid>,
    Body(round): Body<NewRound>,
) -> Result<Response, Problem> {
    let subject = desk.patient(id).await?;
    let command = RecordObservations {
        subject: subject.identifier.clone(),
        keys: subject.all_keys(),
        visit_number: round.visit_number,
        observed_at: round
            .observed_at
            .text()
            .ok_or_else(|| Problem::invalid("observed_at", "is out of range"))?,
        values: round.values.into_iter().map(NewValue::canonical).collect(),
        scale: round.oxygen_scale,
        birth_date: subject.birth_date.clone(),
        pregnant: round.pregnant,
        actor: desk.actor(),
    };
    let written = desk.sender().send(subject.aggregate(), &command).await?;
    let patient = subject.patient;
    Ok(written.respond_placed(|answer| Placed {
        location: format!("/api/v1/patients/{patient}/observations"),
        created: answer
            .as_ref()
            .is_none_or(|answer| answer["created"] != false),
        view: Applied::with(answer),
    }))
}

/// What is right.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "value": { "loinc": "8867-4", "value": "70", "ucum": "/min" }, "reason": "typed 170 for 70" }))]
struct Correction {
    /// Of the same term. Absent: entered in error.
    #[serde(default)]
    #[schema(inline)]
    value: Option<NewValue>,
    reason: String,
}

/// Read an observation
#[utoipa::path(get, path = "/observations/{id}", tag = "charts", params(("id" = Uuid, Path, description = "the observation")),
    security(("bearer" = ["vitals:read"])),
    responses(
        (status = 200, description = "its current version; ETag is its number", body = Vital),
        (status = 404, description = "no observation on a chart has this id (`clinical.observation_unknown`)")))]
async fn read_one(desk: Desk<VitalsRead>, Segment(id): Segment<Uuid>) -> Result<Response, Problem> {
    let mut tx = desk.tx().await?;
    let row = queries::current_vital(tx.conn(), id)
        .await?
        .ok_or_else(no_observation)?;
    // what is on nobody's chart is on the worklist of measurements
    let subject = row.subject_key.ok_or_else(no_observation)?;
    let (patient, _) = desk.opened(&mut tx, subject).await?;
    let version = i32::from(row.version);
    Ok(tagged(&Vital::of(row, patient), version))
}

fn no_observation() -> Problem {
    Problem::unknown("clinical.observation_unknown", "no observation has this id")
}

/// Correct an observation
///
/// The version before is kept, with who and why. The score of its round is made anew.
#[utoipa::path(patch, path = "/observations/{id}", tag = "charts",
    params(("id" = Uuid, Path, description = "the observation"), ("If-Match" = Option<String>, Header, description = "version that was read")),
    request_body = Correction, security(("bearer" = ["vitals:record"])),
    responses(
        (status = 200, description = "corrected; the answer has the score", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 404, description = "no observation has this id (`clinical.observation_unknown`)"),
        (status = 409, description = "taken back (`clinical.observation_retracted_conflict`), or measured by a device (`clinical.observation_device_conflict`)"),
        (status = 412, description = "somebody changed it meanwhile (`clinical.observation_stale`)"),
        (status = 422, description = "the value can't be right (`clinical.observation_implausible`), or is of another term (`clinical.observation_code`)")))]
async fn correct(
    desk: Desk<VitalsRecord>,
    Segment(id): Segment<Uuid>,
    IfMatch(seen): IfMatch,
    Body(correction): Body<Correction>,
) -> Result<Response, Problem> {
    let (aggregate, keys) = {
        let mut tx = desk.tx().await?;
        let row = queries::current_vital(tx.conn(), id)
            .await?
            .ok_or_else(no_observation)?;
        // what is on nobody's chart is on the worklist of measurements
        let subject = row.subject_key.ok_or_else(no_observation)?;
        (subject.to_string(), desk.opened(&mut tx, subject).await?.1)
    };
    let command = CorrectObservation {
        observation_id: id,
        keys,
        seen,
        value: correction.value.map(NewValue::canonical),
        reason: super::reason(correction.reason)?,
        actor: desk.actor(),
    };
    let written = desk.sender().send(aggregate, &command).await?;
    Ok(written.respond(Applied::with))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Listing {
    /// `next_cursor` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    /// 1 to 500.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 500, default = 50)]
    limit: Limit,
}

/// A patient's early warning scores
#[utoipa::path(get, path = "/patients/{id}/scores", tag = "charts",
    params(("id" = Uuid, Path, description = "the patient"), Listing), security(("bearer" = ["vitals:read"])),
    responses(
        (status = 200, description = "newest round first, current versions", body = Page<Score>),
        (status = 404, description = "no patient has this id (`patients.unknown`)")))]
async fn scores(
    desk: Desk<VitalsRead>,
    Segment(id): Segment<Uuid>,
    Params(listing): Params<Listing>,
) -> Result<Json<Page<Score>>, Problem> {
    let mut tx = desk.tx().await?;
    let subject = desk.subject(&mut tx, id).await?;
    reads::scores(
        &mut tx,
        &subject.keys,
        listing.cursor.as_ref(),
        listing.limit,
    )
    .await
    .map(Json)
}

/// Read a score in all its versions
///
/// Each with the version of the rule pack, what went in and the rows that matched.
#[utoipa::path(get, path = "/scores/{id}", tag = "charts", params(("id" = Uuid, Path, description = "the score")),
    security(("bearer" = ["vitals:read"])),
    responses(
        (status = 200, description = "newest first; the list is whole", body = Page<Score>),
        (status = 404, description = "no score has this id (`clinical.score_unknown`)")))]
async fn score(
    desk: Desk<VitalsRead>,
    Segment(id): Segment<Uuid>,
) -> Result<Json<Page<Score>>, Problem> {
    let mut tx = desk.tx().await?;
    let rows = queries::score_versions(tx.conn(), id).await?;
    let subject = rows
        .first()
        .map(|row| row.subject_key)
        .ok_or_else(|| Problem::unknown("clinical.score_unknown", "no score has this id"))?;
    let (patient, _) = desk.opened(&mut tx, subject).await?;
    Ok(Json(Page::whole(
        rows.into_iter()
            .map(|row| Score::of(row, patient))
            .collect(),
    )))
}

/// A patient's oxygen targets
#[utoipa::path(get, path = "/patients/{id}/oxygen-targets", tag = "charts", params(("id" = Uuid, Path, description = "the patient")),
    security(("bearer" = ["vitals:read"])),
    responses(
        (status = 200, description = "newest first, ended ones too", body = Page<OxygenTarget>),
        (status = 404, description = "no patient has this id (`patients.unknown`)")))]
async fn targets(
    desk: Desk<VitalsRead>,
    Segment(id): Segment<Uuid>,
) -> Result<Json<Page<OxygenTarget>>, Problem> {
    let mut tx = desk.tx().await?;
    let subject = desk.subject(&mut tx, id).await?;
    let rows = queries::oxygen_targets(tx.conn(), &subject.all_keys()).await?;
    Ok(Json(Page::whole(
        rows.into_iter().map(OxygenTarget::of).collect(),
    )))
}

/// Why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "reason": "COPD with hypercapnia" }))]
struct OxygenReason {
    reason: String,
}

/// Order that saturation is kept at 88 to 92 %
///
/// From now on rounds are scored on the second oxygen scale of NEWS2.
#[utoipa::path(post, path = "/patients/{id}/oxygen-targets", tag = "charts", params(("id" = Uuid, Path, description = "the patient")),
    request_body = OxygenReason, security(("bearer" = ["oxygen_targets:order"])),
    responses(
        (status = 201, description = "ordered", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 404, description = "no patient has this id (`patients.unknown`)"),
        (status = 409, description = "such an order stands (`clinical.oxygen_target_exists`)")))]
async fn order_target(
    desk: Desk<OxygenTargetsOrder>,
    Segment(id): Segment<Uuid>,
    Body(why): Body<OxygenReason>,
) -> Result<Response, Problem> {
    let subject = desk.patient(id).await?;
    let command = OrderOxygenTarget {
        target_id: Uuid::now_v7(),
        subject: subject.identifier.clone(),
        keys: subject.all_keys(),
        reason: super::reason(why.reason)?,
        actor: desk.actor(),
    };
    let written = desk.sender().send(subject.aggregate(), &command).await?;
    let patient = subject.patient;
    Ok(written.respond_placed(|answer| Placed {
        location: format!("/api/v1/patients/{patient}/oxygen-targets"),
        created: true,
        view: Applied::with(answer),
    }))
}

/// End an oxygen target
#[utoipa::path(post, path = "/oxygen-targets/{id}/end", tag = "charts", params(("id" = Uuid, Path, description = "the order")),
    request_body = OxygenReason, security(("bearer" = ["oxygen_targets:order"])),
    responses(
        (status = 200, description = "ended", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 404, description = "no order has this id (`clinical.oxygen_target_unknown`)"),
        (status = 409, description = "it was ended before (`clinical.oxygen_target_closed`)")))]
async fn end_target(
    desk: Desk<OxygenTargetsOrder>,
    Segment(id): Segment<Uuid>,
    Body(why): Body<OxygenReason>,
) -> Result<Response, Problem> {
    let aggregate = {
        let mut tx = desk.tx().await?;
        let row = queries::oxygen_target(tx.conn(), id)
            .await?
            .ok_or_else(|| {
                Problem::unknown("clinical.oxygen_target_unknown", "no order has this id")
            })?;
        desk.opened(&mut tx, row.subject_key).await?;
        row.subject_key.to_string()
    };
    let command = EndOxygenTarget {
        target_id: id,
        reason: super::reason(why.reason)?,
        actor: desk.actor(),
    };
    let written = desk.sender().send(aggregate, &command).await?;
    Ok(written.respond(Applied::with))
}
