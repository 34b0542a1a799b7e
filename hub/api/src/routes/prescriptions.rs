//! Prescriptions: drafted, signed with their checks, dispensed elsewhere, cancelled or stopped.

use axum::Json;
use axum::response::Response;
use schemas::chart::{
    self, Content, DraftPrescription, EntryAction, PrescriptionLine, SignPrescription,
};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::asking::Desk;
use super::charting::{self, Doing, Search};
use crate::auth::permission::{ChartsRead, PrescriptionsWrite};
use crate::command::Accepted;
use crate::extract::{Body, Params, Segment};
use crate::if_match::IfMatch;
use crate::page::Page;
use crate::problem::Problem;
use crate::routing::{Routes, routes};
use crate::views::canonical;
use crate::views::chart::Prescription;
use crate::views::integration::Applied;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(list))
        .routes(routes!(draft))
        .routes(routes!(read))
        .routes(routes!(edit))
        .routes(routes!(sign))
        .routes(routes!(advance))
}

/// A patient's prescriptions
#[utoipa::path(get, path = "/patients/{id}/prescriptions", tag = "charts",
    params(("id" = Uuid, Path, description = "the patient"), Search), security(("bearer" = ["charts:read"])),
    responses(
        (status = 200, description = "newest first", body = Page<Prescription>),
        (status = 404, description = "no patient has this id (`patients.unknown`)")))]
async fn list(
    desk: Desk<ChartsRead>,
    Segment(id): Segment<Uuid>,
    Params(search): Params<Search>,
) -> Result<Json<Page<Prescription>>, Problem> {
    charting::list(&desk, id, &search).await
}

/// What is prescribed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "lines": [{ "drug": { "text": "Paracetamol 500 mg tablet" }, "dose": "500 mg", "route": "oral", "frequency": "1-0-1", "days": 5 }],
    "visit_number": "V1" }))]
struct NewPrescription {
    /// Quantities are computed where frequency (`1-0-1`) and days say them; what is sent of them is not looked at.
    #[schema(schema_with = canonical::prescription_lines)]
    lines: Vec<PrescriptionLine>,
    #[serde(default)]
    remark: Option<String>,
    /// When it is drafted; an edit does not change it.
    #[serde(default)]
    visit_number: Option<String>,
}

impl NewPrescription {
    fn canonical(self) -> chart::Prescription {
        chart::Prescription {
            lines: self.lines,
            remark: self.remark,
            signature: None,
            checks: Vec::new(),
        }
    }
}

/// Draft a prescription
#[utoipa::path(post, path = "/patients/{id}/prescriptions", tag = "charts", params(("id" = Uuid, Path, description = "the patient")),
    request_body = NewPrescription, security(("bearer" = ["prescriptions:write"])),
    responses(
        (status = 201, description = "drafted; Location is the prescription", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 404, description = "no patient has this id (`patients.unknown`)"),
        (status = 422, description = "it has no line, or a line no drug (`clinical.entry_empty`)")))]
async fn draft(
    desk: Desk<PrescriptionsWrite>,
    Segment(id): Segment<Uuid>,
    Body(mut new): Body<NewPrescription>,
) -> Result<Response, Problem> {
    let subject = desk.patient(id).await?;
    let command = DraftPrescription {
        entry_id: Uuid::now_v7(),
        subject: subject.identifier.clone(),
        visit_number: new.visit_number.take(),
        prescription: new.canonical(),
        actor: desk.actor(),
    };
    charting::make(&desk, &subject, command.entry_id, "prescriptions", &command).await
}

/// Read a prescription
///
/// With the checks of its signing: done, and not done.
#[utoipa::path(get, path = "/prescriptions/{id}", tag = "charts", params(("id" = Uuid, Path, description = "the prescription")),
    security(("bearer" = ["charts:read"])),
    responses(
        (status = 200, description = "the prescription; ETag is the version", body = Prescription),
        (status = 404, description = "no prescription has this id (`clinical.entry_unknown`)")))]
async fn read(desk: Desk<ChartsRead>, Segment(id): Segment<Uuid>) -> Result<Response, Problem> {
    charting::read::<Prescription, _>(&desk, id).await
}

/// Edit a draft
#[utoipa::path(patch, path = "/prescriptions/{id}", tag = "charts",
    params(("id" = Uuid, Path, description = "the prescription"), ("If-Match" = Option<String>, Header, description = "ETag of what was read")),
    request_body = NewPrescription, security(("bearer" = ["prescriptions:write"])),
    responses(
        (status = 200, description = "edited", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 403, description = "it is another's draft (`clinical.author_not_allowed`)"),
        (status = 404, description = "no prescription has this id (`clinical.entry_unknown`)"),
        (status = 409, description = "it was signed (`clinical.state_conflict`)"),
        (status = 412, description = "somebody changed it meanwhile (`clinical.entry_stale`)"),
        (status = 422, description = "it has no line, or a line no drug (`clinical.entry_empty`)")))]
async fn edit(
    desk: Desk<PrescriptionsWrite>,
    Segment(id): Segment<Uuid>,
    IfMatch(seen): IfMatch,
    Body(text): Body<NewPrescription>,
) -> Result<Response, Problem> {
    let doing = Doing {
        kind: "prescription",
        seen,
        action: EntryAction::Edit,
        content: Some(Content::Prescription(text.canonical())),
        reason: None,
    };
    charting::change(&desk, id, doing).await
}

/// What the prescriber knows of the checks.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "accept_unchecked": true }))]
struct Signing {
    /// The prescriber looked himself at what the hub could not check.
    #[serde(default)]
    #[schema(required = false)]
    accept_unchecked: bool,
    /// Why it is signed in spite of an alert.
    #[serde(default)]
    override_reason: Option<String>,
}

/// Sign a prescription
///
/// By its author. The checks run now: a check that could not run says `not_checked`, never that it passed.
#[utoipa::path(post, path = "/prescriptions/{id}/sign", tag = "charts",
    params(("id" = Uuid, Path, description = "the prescription"), ("If-Match" = Option<String>, Header, description = "ETag of what was read")),
    request_body = Signing, security(("bearer" = ["prescriptions:write"])),
    responses(
        (status = 200, description = "signed", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 403, description = "it is another's draft (`clinical.author_not_allowed`)"),
        (status = 404, description = "no prescription has this id (`clinical.entry_unknown`)"),
        (status = 409, description = "something was not checked (`rx.unchecked_conflict`), a check alerts (`rx.alert_conflict`), it was signed before (`clinical.state_conflict`)"),
        (status = 412, description = "somebody changed it meanwhile (`clinical.entry_stale`)")))]
async fn sign(
    desk: Desk<PrescriptionsWrite>,
    Segment(id): Segment<Uuid>,
    IfMatch(seen): IfMatch,
    Body(signing): Body<Signing>,
) -> Result<Response, Problem> {
    let (row, keys) = {
        let mut tx = desk.tx().await?;
        let (row, _, keys) = desk.entry(&mut tx, Some("prescription"), id).await?;
        (row, keys)
    };
    let command = SignPrescription {
        entry_id: id,
        seen,
        keys,
        accept_unchecked: signing.accept_unchecked,
        override_reason: signing
            .override_reason
            .map(|words| super::text("override_reason", words))
            .transpose()?,
        actor: desk.actor(),
    };
    let written = desk
        .sender()
        .send(row.subject_key.to_string(), &command)
        .await?;
    Ok(written.respond(Applied::with))
}

/// What is done to it.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum PrescriptionAction {
    /// Before it was dispensed.
    Cancel,
    /// A pharmacy outside the hub has dispensed it.
    Dispense,
    /// After it was dispensed: no more of it.
    Stop,
    /// It should never have been written here.
    Retract,
}

/// A change of a prescription's state.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "action": "cancel", "reason": "allergic" }))]
struct PrescriptionChange {
    action: PrescriptionAction,
    /// Needed but to dispense.
    #[serde(default)]
    reason: Option<String>,
}

/// Bring a prescription into another state
#[utoipa::path(post, path = "/prescriptions/{id}/state", tag = "charts",
    params(("id" = Uuid, Path, description = "the prescription"), ("If-Match" = Option<String>, Header, description = "ETag of what was read")),
    request_body = PrescriptionChange, security(("bearer" = ["prescriptions:write"])),
    responses(
        (status = 200, description = "done", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 404, description = "no prescription has this id (`clinical.entry_unknown`)"),
        (status = 409, description = "its state does not allow it (`clinical.state_conflict`)"),
        (status = 412, description = "somebody changed it meanwhile (`clinical.entry_stale`)"),
        (status = 422, description = "a reason is needed (`clinical.reason_needed`)")))]
async fn advance(
    desk: Desk<PrescriptionsWrite>,
    Segment(id): Segment<Uuid>,
    IfMatch(seen): IfMatch,
    Body(change): Body<PrescriptionChange>,
) -> Result<Response, Problem> {
    let doing = Doing {
        kind: "prescription",
        seen,
        action: match change.action {
            PrescriptionAction::Cancel => EntryAction::Cancel,
            PrescriptionAction::Dispense => EntryAction::Dispense,
            PrescriptionAction::Stop => EntryAction::Stop,
            PrescriptionAction::Retract => EntryAction::Retract,
        },
        content: None,
        reason: change.reason,
    };
    charting::change(&desk, id, doing).await
}
