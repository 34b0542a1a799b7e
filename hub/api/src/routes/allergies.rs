//! Allergies, and that none are known.

use axum::response::Response;
use axum::{Extension, Json};
use schemas::chart::{self, Content, EndNoAllergies, EntryAction, RecordAllergy, StateNoAllergies};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;
use worker_clinical::queries::{self, ChartFilter};

use super::asking::Desk;
use super::charting::{self, Doing, Search};
use crate::auth::permission::{AllergiesWrite, ChartsRead};
use crate::command::Accepted;
use crate::extract::{Body, Params, Segment};
use crate::if_match::IfMatch;
use crate::looks::ShownOf;
use crate::page::Page;
use crate::problem::Problem;
use crate::reads::chart as reads;
use crate::routing::{Routes, routes};
use crate::views::canonical;
use crate::views::chart::{Allergy, AllergyList, EntryVersion};
use crate::views::integration::Applied;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(list))
        .routes(routes!(record))
        .routes(routes!(state_none))
        .routes(routes!(end_none))
        .routes(routes!(read))
        .routes(routes!(change))
        .routes(routes!(versions))
}

/// A patient's allergies
///
/// `status` tells "nobody asked" from "none known". With conditions the items are narrowed, the status is not.
#[utoipa::path(get, path = "/patients/{id}/allergies", tag = "charts",
    params(("id" = Uuid, Path, description = "the patient"), Search), security(("bearer" = ["charts:read"])),
    responses(
        (status = 200, description = "newest first", body = AllergyList),
        (status = 404, description = "no patient has this id (`patients.unknown`)")))]
async fn list(
    desk: Desk<ChartsRead>,
    Segment(id): Segment<Uuid>,
    Params(search): Params<Search>,
) -> Result<Json<AllergyList>, Problem> {
    let mut tx = desk.tx().await?;
    let subject = desk.subject(&mut tx, id).await?;
    let page: Page<Allergy> = reads::entries(
        &mut tx,
        &subject.keys,
        search.filter(),
        search.cursor.as_ref(),
        search.limit,
    )
    .await?;
    let keys = subject.all_keys();
    let active = ChartFilter {
        state: Some("active".to_owned()),
        limit: 1,
        ..ChartFilter::default()
    };
    let active = queries::chart_entries(&mut tx, "allergy", &keys, &active).await?;
    let none_known = queries::no_known_allergies(tx.conn(), &keys).await?;
    Ok(Json(AllergyList::of(
        !active.is_empty(),
        none_known,
        page.items,
        page.next_cursor,
    )))
}

/// An allergy to be recorded.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "content": {
    "substance": { "text": "Penicillin" }, "category": "drug", "reactions": ["rash"], "severity": "severe", "certainty": "confirmed" } }))]
struct NewAllergy {
    /// What, in whole.
    #[schema(schema_with = canonical::allergy)]
    content: chart::Allergy,
    #[serde(default)]
    visit_number: Option<String>,
}

/// Record an allergy
///
/// Ends "none known", if that stands.
#[utoipa::path(post, path = "/patients/{id}/allergies", tag = "charts", params(("id" = Uuid, Path, description = "the patient")),
    request_body = NewAllergy, security(("bearer" = ["allergies:write"])),
    responses(
        (status = 201, description = "recorded; Location is the entry", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 404, description = "no patient has this id (`patients.unknown`)"),
        (status = 409, description = "the substance stands on the list already (`clinical.allergy_exists`)"),
        (status = 422, description = "it has no substance (`clinical.entry_empty`), or a word that is not known (`clinical.entry_word`)")))]
async fn record(
    desk: Desk<AllergiesWrite>,
    Segment(id): Segment<Uuid>,
    Body(new): Body<NewAllergy>,
) -> Result<Response, Problem> {
    let subject = desk.patient(id).await?;
    let command = RecordAllergy {
        entry_id: Uuid::now_v7(),
        subject: subject.identifier.clone(),
        visit_number: new.visit_number,
        allergy: new.content,
        actor: desk.actor(),
    };
    charting::make(&desk, &subject, command.entry_id, "allergies", &command).await
}

/// State that no allergies are known
///
/// Somebody asked. The same again is answered as before.
#[utoipa::path(post, path = "/patients/{id}/allergies/none-known", tag = "charts", params(("id" = Uuid, Path, description = "the patient")),
    security(("bearer" = ["allergies:write"])),
    responses(
        (status = 200, description = "stated", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 404, description = "no patient has this id (`patients.unknown`)"),
        (status = 409, description = "an allergy stands on the list (`clinical.allergies_conflict`)")))]
async fn state_none(
    desk: Desk<AllergiesWrite>,
    Segment(id): Segment<Uuid>,
) -> Result<Response, Problem> {
    let subject = desk.patient(id).await?;
    let command = StateNoAllergies {
        statement_id: Uuid::now_v7(),
        subject: subject.identifier.clone(),
        keys: subject.all_keys(),
        actor: desk.actor(),
    };
    let written = desk.sender().send(subject.aggregate(), &command).await?;
    Ok(written.respond(Applied::with))
}

/// Why it does not hold.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "reason": "asked the wrong patient" }))]
struct TakingBack {
    reason: String,
}

/// Take back that no allergies are known
///
/// Then nobody has asked.
#[utoipa::path(post, path = "/patients/{id}/allergies/none-known/end", tag = "charts", params(("id" = Uuid, Path, description = "the patient")),
    request_body = TakingBack, security(("bearer" = ["allergies:write"])),
    responses(
        (status = 200, description = "taken back", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 404, description = "no patient has this id (`patients.unknown`)"),
        (status = 409, description = "it is not stated (`clinical.none_known_not_open`)")))]
async fn end_none(
    desk: Desk<AllergiesWrite>,
    Segment(id): Segment<Uuid>,
    Body(why): Body<TakingBack>,
) -> Result<Response, Problem> {
    let subject = desk.patient(id).await?;
    let mut keys = vec![subject.identifier.key.0];
    keys.extend(subject.all_keys());
    let command = EndNoAllergies {
        keys,
        reason: super::reason(why.reason)?,
        actor: desk.actor(),
    };
    let written = desk.sender().send(subject.aggregate(), &command).await?;
    Ok(written.respond(Applied::with))
}

/// Read an allergy
#[utoipa::path(get, path = "/allergies/{id}", tag = "charts", params(("id" = Uuid, Path, description = "the entry")),
    security(("bearer" = ["charts:read"])),
    responses(
        (status = 200, description = "the allergy; ETag is the version", body = Allergy),
        (status = 404, description = "no allergy has this id (`clinical.entry_unknown`)")))]
async fn read(desk: Desk<ChartsRead>, Segment(id): Segment<Uuid>) -> Result<Response, Problem> {
    charting::read::<Allergy, _>(&desk, id).await
}

/// What is done to it.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum AllergyAction {
    /// Exchanges the content.
    Edit,
    /// It is over: desensitised, outgrown.
    Resolve,
    /// It never was one.
    Refute,
    Reactivate,
    /// It should never have been written here.
    Retract,
}

/// A change of an allergy.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "action": "refute", "reason": "tolerated amoxicillin in 2025" }))]
struct AllergyChange {
    action: AllergyAction,
    /// With `edit`: the whole.
    #[serde(default)]
    #[schema(schema_with = canonical::allergy)]
    content: Option<chart::Allergy>,
    /// Needed to resolve, refute and retract.
    #[serde(default)]
    reason: Option<String>,
}

/// Change an allergy
///
/// Every version is kept. With `If-Match` only when nobody changed it meanwhile.
#[utoipa::path(patch, path = "/allergies/{id}", tag = "charts",
    params(("id" = Uuid, Path, description = "the entry"), ("If-Match" = Option<String>, Header, description = "ETag of what was read")),
    request_body = AllergyChange, security(("bearer" = ["allergies:write"])),
    responses(
        (status = 200, description = "changed", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 404, description = "no allergy has this id (`clinical.entry_unknown`)"),
        (status = 409, description = "its state does not allow it (`clinical.state_conflict`), or another entry has the substance (`clinical.allergy_exists`)"),
        (status = 412, description = "somebody changed it meanwhile (`clinical.entry_stale`)"),
        (status = 422, description = "a reason is needed (`clinical.reason_needed`), or the content is not good")))]
async fn change(
    desk: Desk<AllergiesWrite>,
    Segment(id): Segment<Uuid>,
    IfMatch(seen): IfMatch,
    Body(change): Body<AllergyChange>,
) -> Result<Response, Problem> {
    let doing = Doing {
        kind: "allergy",
        seen,
        action: match change.action {
            AllergyAction::Edit => EntryAction::Edit,
            AllergyAction::Resolve => EntryAction::Resolve,
            AllergyAction::Refute => EntryAction::Refute,
            AllergyAction::Reactivate => EntryAction::Reactivate,
            AllergyAction::Retract => EntryAction::Retract,
        },
        content: change.content.map(Content::Allergy),
        reason: change.reason,
    };
    charting::change(&desk, id, doing).await
}

/// All versions of a chart entry
///
/// Of an allergy, condition, note, prescription or document.
#[utoipa::path(get, path = "/chart-entries/{id}/versions", tag = "charts", params(("id" = Uuid, Path, description = "the entry")),
    security(("bearer" = ["charts:read"])),
    responses(
        (status = 200, description = "oldest first; the list is whole", body = Page<EntryVersion>),
        (status = 404, description = "no entry has this id (`clinical.entry_unknown`)")))]
async fn versions(
    desk: Desk<ChartsRead>,
    Segment(id): Segment<Uuid>,
) -> Result<(Extension<ShownOf>, Json<Page<EntryVersion>>), Problem> {
    let mut tx = desk.tx().await?;
    let (_, patient, _) = desk.entry(&mut tx, None, id).await?;
    let rows = queries::chart_history(&mut tx, id).await?;
    let versions = rows.into_iter().map(EntryVersion::of).collect();
    Ok((ShownOf::these([patient]), Json(Page::whole(versions))))
}
