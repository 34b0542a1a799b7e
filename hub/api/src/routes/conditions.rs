//! Conditions: the problem list.

use axum::Json;
use axum::response::Response;
use schemas::chart::{self, Content, EntryAction, RecordCondition};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::asking::Desk;
use super::charting::{self, Doing, Search};
use crate::auth::permission::{ChartsRead, ConditionsWrite};
use crate::command::Accepted;
use crate::extract::{Body, Params, Segment};
use crate::if_match::IfMatch;
use crate::page::Page;
use crate::problem::Problem;
use crate::routing::{Routes, routes};
use crate::views::canonical;
use crate::views::chart::Condition;
use crate::views::integration::Applied;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(list))
        .routes(routes!(record))
        .routes(routes!(read))
        .routes(routes!(change))
}

/// A patient's conditions
#[utoipa::path(get, path = "/patients/{id}/conditions", tag = "charts",
    params(("id" = Uuid, Path, description = "the patient"), Search), security(("bearer" = ["charts:read"])),
    responses(
        (status = 200, description = "newest first", body = Page<Condition>),
        (status = 404, description = "no patient has this id (`patients.unknown`)")))]
async fn list(
    desk: Desk<ChartsRead>,
    Segment(id): Segment<Uuid>,
    Params(search): Params<Search>,
) -> Result<Json<Page<Condition>>, Problem> {
    charting::list(&desk, id, &search).await
}

/// A condition to be recorded.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "content": { "code": { "code": "E11.9", "system": "I10" }, "text": "Type 2 diabetes mellitus", "since": "2019-04" },
    "confirmed": false }))]
struct NewCondition {
    /// ICD-10 codes have the system `I10`, those of ICD-10-CM `I10C`. They are looked up in the release in force; where none is
    /// imported `code_check` says `not_checked`, and of `I10` the form is looked at.
    #[schema(schema_with = canonical::condition)]
    content: chart::Condition,
    /// false: provisional.
    #[serde(default)]
    #[schema(required = false)]
    confirmed: bool,
    #[serde(default)]
    visit_number: Option<String>,
}

/// Record a condition
#[utoipa::path(post, path = "/patients/{id}/conditions", tag = "charts", params(("id" = Uuid, Path, description = "the patient")),
    request_body = NewCondition, security(("bearer" = ["conditions:write"])),
    responses(
        (status = 201, description = "recorded; Location is the entry", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 404, description = "no patient has this id (`patients.unknown`)"),
        (status = 422, description = "the code has not the form of ICD-10 (`clinical.icd10_form`), the release in force has no such code (`clinical.icd10_no_such_code`) or no more (`clinical.icd10_retired`), it is a group of codes (`clinical.icd10_group`), or there is no text (`clinical.entry_empty`)")))]
async fn record(
    desk: Desk<ConditionsWrite>,
    Segment(id): Segment<Uuid>,
    Body(new): Body<NewCondition>,
) -> Result<Response, Problem> {
    let subject = desk.patient(id).await?;
    let command = RecordCondition {
        entry_id: Uuid::now_v7(),
        subject: subject.identifier.clone(),
        visit_number: new.visit_number,
        condition: new.content,
        confirmed: new.confirmed,
        actor: desk.actor(),
    };
    charting::make(&desk, &subject, command.entry_id, "conditions", &command).await
}

/// Read a condition
#[utoipa::path(get, path = "/conditions/{id}", tag = "charts", params(("id" = Uuid, Path, description = "the entry")),
    security(("bearer" = ["charts:read"])),
    responses(
        (status = 200, description = "the condition; ETag is the version", body = Condition),
        (status = 404, description = "no condition has this id (`clinical.entry_unknown`)")))]
async fn read(desk: Desk<ChartsRead>, Segment(id): Segment<Uuid>) -> Result<Response, Problem> {
    charting::read::<Condition, _>(&desk, id).await
}

/// What is done to it.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum ConditionAction {
    /// Exchanges the content.
    Edit,
    Confirm,
    /// It is not so.
    Refute,
    Resolve,
    /// It is back.
    Reactivate,
    /// It should never have been written here.
    Retract,
}

/// A change of a condition.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "action": "confirm" }))]
struct ConditionChange {
    action: ConditionAction,
    /// With `edit`: the whole.
    #[serde(default)]
    #[schema(schema_with = canonical::condition)]
    content: Option<chart::Condition>,
    /// Needed to refute and retract.
    #[serde(default)]
    reason: Option<String>,
}

/// Change a condition
///
/// Every version is kept. With `If-Match` only when nobody changed it meanwhile.
#[utoipa::path(patch, path = "/conditions/{id}", tag = "charts",
    params(("id" = Uuid, Path, description = "the entry"), ("If-Match" = Option<String>, Header, description = "ETag of what was read")),
    request_body = ConditionChange, security(("bearer" = ["conditions:write"])),
    responses(
        (status = 200, description = "changed", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 404, description = "no condition has this id (`clinical.entry_unknown`)"),
        (status = 409, description = "its state does not allow it (`clinical.state_conflict`)"),
        (status = 412, description = "somebody changed it meanwhile (`clinical.entry_stale`)"),
        (status = 422, description = "a reason is needed (`clinical.reason_needed`), or the content is not good (as when it is recorded; a code that was retired since may stay)")))]
async fn change(
    desk: Desk<ConditionsWrite>,
    Segment(id): Segment<Uuid>,
    IfMatch(seen): IfMatch,
    Body(change): Body<ConditionChange>,
) -> Result<Response, Problem> {
    let doing = Doing {
        kind: "condition",
        seen,
        action: match change.action {
            ConditionAction::Edit => EntryAction::Edit,
            ConditionAction::Confirm => EntryAction::Confirm,
            ConditionAction::Refute => EntryAction::Refute,
            ConditionAction::Resolve => EntryAction::Resolve,
            ConditionAction::Reactivate => EntryAction::Reactivate,
            ConditionAction::Retract => EntryAction::Retract,
        },
        content: change.content.map(Content::Condition),
        reason: change.reason,
    };
    charting::change(&desk, id, doing).await
}
