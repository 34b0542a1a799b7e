//! What patients agree to, and what they ask about their data.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use schemas::privacy::{
    ConsentGiver, MovePrivacyRequest, OpenPrivacyRequest, PrivacyRequestKind, PrivacyRequestState,
    RecordConsent, WithdrawConsent,
};
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use utoipa::ToSchema;
use uuid::Uuid;
use worker_patient::queries::{self, PrivacyRequestSearch};

use super::patients::no_patient;
use crate::auth::identity::Identity;
use crate::auth::permission::{Can, PrivacyManage, PrivacyRead};
use crate::command::{Accepted, Placed, Sender};
use crate::extract::{Body, Params, Segment};
use crate::if_match::{IfMatch, tagged};
use crate::page::{Cursor, Limit, Moment, Page};
use crate::problem::Problem;
use crate::reads::patients::family;
use crate::routing::{Routes, routes};
use crate::state::ApiState;
use crate::trace::Trace;
use crate::views::integration::Applied;
use crate::views::privacy::{Consent, PrivacyRequest};

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(consents))
        .routes(routes!(record_consent))
        .routes(routes!(consent))
        .routes(routes!(withdraw_consent))
        .routes(routes!(requests_of))
        .routes(routes!(open_request))
        .routes(routes!(requests))
        .routes(routes!(request))
        .routes(routes!(move_request))
}

fn no_consent() -> Problem {
    Problem::unknown("consents.unknown", "no consent has this id")
}

fn no_request() -> Problem {
    Problem::unknown("privacy_requests.unknown", "no request has this id")
}

async fn records(state: &ApiState, who: &Identity, id: Uuid) -> Result<Vec<Uuid>, Problem> {
    let mut tx = state.read(&who.tenant).await?;
    family(&mut tx, id).await?.ok_or_else(no_patient)
}

fn text_of(moment: Option<Moment>) -> Result<String, Problem> {
    let at = moment.map_or_else(OffsetDateTime::now_utc, |moment| moment.0);
    at.format(&Rfc3339).map_err(|_| Problem::internal())
}

/// A patient's consents
///
/// Of all records of the person; what ended stays.
#[utoipa::path(get, path = "/patients/{id}/consents", tag = "privacy", params(("id" = Uuid, Path, description = "the patient")),
    security(("bearer" = ["privacy:read"])),
    responses(
        (status = 200, description = "newest first; the list is whole", body = Page<Consent>),
        (status = 404, description = "no patient has this id (`patients.unknown`)")))]
async fn consents(
    can: Can<PrivacyRead>,
    State(state): State<ApiState>,
    Segment(id): Segment<Uuid>,
) -> Result<Json<Page<Consent>>, Problem> {
    let records = records(&state, &can.who, id).await?;
    let mut tx = state.read(&can.who.tenant).await?;
    let rows = queries::consents(tx.conn(), &records).await?;
    Ok(Json(Page::whole(
        rows.into_iter().map(Consent::of).collect(),
    )))
}

/// What was agreed to.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "purpose": "research", "notice_version": "2026-1", "notice_language": "hi", "given_by": "patient" }))]
struct NewConsent {
    /// One word.
    #[schema(pattern = "^[a-z][a-z0-9_]{1,39}$")]
    purpose: String,
    /// Which notice was shown.
    #[schema(min_length = 1, max_length = 500)]
    notice_version: String,
    /// BCP 47: `hi`, `ta-IN` …
    #[schema(pattern = "^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$")]
    notice_language: String,
    /// `patient`, `guardian`, `nominee`
    #[schema(value_type = String)]
    given_by: ConsentGiver,
    /// Default: now.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    given_at: Option<Moment>,
    /// Default: until it is withdrawn.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Moment>,
}

/// BCP 47 in its outline: subtags of letters and digits, the first of letters.
fn language(text: String) -> Result<String, Problem> {
    let mut tags = text.split('-');
    let is_first = tags.next().is_some_and(|tag| {
        (2..=8).contains(&tag.len()) && tag.bytes().all(|byte| byte.is_ascii_alphabetic())
    });
    let others = tags.all(|tag| {
        (1..=8).contains(&tag.len()) && tag.bytes().all(|byte| byte.is_ascii_alphanumeric())
    });
    if is_first && others && text.len() <= 35 {
        Ok(text)
    } else {
        Err(Problem::invalid(
            "notice_language",
            "must be a language tag as `hi` or `ta-IN`",
        ))
    }
}

/// Record a consent
///
/// One stands for one purpose at a time. A medical emergency needs none.
#[utoipa::path(post, path = "/patients/{id}/consents", tag = "privacy", params(("id" = Uuid, Path, description = "the patient")),
    request_body = NewConsent, security(("bearer" = ["privacy:manage"])),
    responses(
        (status = 201, description = "on record; Location is the consent", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 404, description = "no patient has this id (`patients.unknown`)"),
        (status = 409, description = "one for this purpose stands (`consents.exists`)"),
        (status = 422, description = "the purpose or a time is not possible; `code` says why")))]
async fn record_consent(
    can: Can<PrivacyManage>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<Uuid>,
    Body(consent): Body<NewConsent>,
) -> Result<Response, Problem> {
    let consent_id = Uuid::now_v7();
    let command = RecordConsent {
        consent_id,
        patient_id: id,
        purpose: consent.purpose,
        notice_version: super::text("notice_version", consent.notice_version)?,
        notice_language: language(consent.notice_language)?,
        given_by: consent.given_by,
        given_at: text_of(consent.given_at)?,
        until: consent
            .until
            .map(|until| text_of(Some(until)))
            .transpose()?,
        actor: can.who.username.clone(),
    };
    let written = Sender::new(&state, &can.who, &trace)
        .send(id.to_string(), &command)
        .await?;
    Ok(written.respond_placed(|answer| Placed {
        location: format!("/api/v1/consents/{consent_id}"),
        created: true,
        view: Applied::with(answer),
    }))
}

/// Read a consent
#[utoipa::path(get, path = "/consents/{id}", tag = "privacy", params(("id" = Uuid, Path, description = "the consent")),
    security(("bearer" = ["privacy:read"])),
    responses(
        (status = 200, description = "the consent", body = Consent),
        (status = 404, description = "no consent has this id (`consents.unknown`)")))]
async fn consent(
    can: Can<PrivacyRead>,
    State(state): State<ApiState>,
    Segment(id): Segment<Uuid>,
) -> Result<Json<Consent>, Problem> {
    let mut tx = state.read(&can.who.tenant).await?;
    let row = queries::consent(tx.conn(), id)
        .await?
        .ok_or_else(no_consent)?;
    Ok(Json(Consent::of(row)))
}

/// A withdrawal; nobody has to say why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "reason": "no longer wants messages" }))]
struct Withdrawal {
    #[serde(default)]
    reason: Option<String>,
}

/// Withdraw a consent
///
/// As easy as giving it: no reason is needed. Doing it twice is doing it once.
#[utoipa::path(post, path = "/consents/{id}/withdraw", tag = "privacy", params(("id" = Uuid, Path, description = "the consent")),
    request_body = Withdrawal, security(("bearer" = ["privacy:manage"])),
    responses(
        (status = 200, description = "withdrawn", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 404, description = "no consent has this id (`consents.unknown`)")))]
async fn withdraw_consent(
    can: Can<PrivacyManage>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<Uuid>,
    Body(withdrawal): Body<Withdrawal>,
) -> Result<Response, Problem> {
    let patient = {
        let mut tx = state.read(&can.who.tenant).await?;
        let row = queries::consent(tx.conn(), id)
            .await?
            .ok_or_else(no_consent)?;
        row.patient_id
    };
    let command = WithdrawConsent {
        consent_id: id,
        reason: withdrawal.reason.map(super::reason).transpose()?,
        actor: can.who.username.clone(),
    };
    let written = Sender::new(&state, &can.who, &trace)
        .send(patient.to_string(), &command)
        .await?;
    Ok(written.respond(Applied::with))
}

/// A patient's requests about his data
#[utoipa::path(get, path = "/patients/{id}/privacy-requests", tag = "privacy",
    params(("id" = Uuid, Path, description = "the patient")), security(("bearer" = ["privacy:read"])),
    responses(
        (status = 200, description = "what is due first; the list is whole", body = Page<PrivacyRequest>),
        (status = 404, description = "no patient has this id (`patients.unknown`)")))]
async fn requests_of(
    can: Can<PrivacyRead>,
    State(state): State<ApiState>,
    Segment(id): Segment<Uuid>,
) -> Result<Json<Page<PrivacyRequest>>, Problem> {
    let records = records(&state, &can.who, id).await?;
    let search = PrivacyRequestSearch {
        records: Some(&records),
        limit: 1_000,
        ..PrivacyRequestSearch::default()
    };
    let mut tx = state.read(&can.who.tenant).await?;
    let rows = queries::privacy_requests(tx.conn(), &search).await?;
    Ok(Json(Page::whole(
        rows.into_iter().map(PrivacyRequest::of).collect(),
    )))
}

/// What is asked.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "kind": "correction", "detail": "the year of birth is wrong" }))]
struct NewRequest {
    /// `access`, `correction`, `erasure`, `grievance`
    #[schema(value_type = String)]
    kind: PrivacyRequestKind,
    #[schema(min_length = 1, max_length = 500)]
    detail: String,
    /// Default: now.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    received_at: Option<Moment>,
}

/// Put a patient's request about his data on record
///
/// It is due 30 days after it was received, a grievance 90.
#[utoipa::path(post, path = "/patients/{id}/privacy-requests", tag = "privacy",
    params(("id" = Uuid, Path, description = "the patient")), request_body = NewRequest, security(("bearer" = ["privacy:manage"])),
    responses(
        (status = 201, description = "on record; Location is the request", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 404, description = "no patient has this id (`patients.unknown`)")))]
async fn open_request(
    can: Can<PrivacyManage>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<Uuid>,
    Body(request): Body<NewRequest>,
) -> Result<Response, Problem> {
    let request_id = Uuid::now_v7();
    let command = OpenPrivacyRequest {
        request_id,
        patient_id: id,
        kind: request.kind,
        detail: super::text("detail", request.detail)?,
        received_at: text_of(request.received_at)?,
        actor: can.who.username.clone(),
    };
    let written = Sender::new(&state, &can.who, &trace)
        .send(id.to_string(), &command)
        .await?;
    Ok(written.respond_placed(|answer| Placed {
        location: format!("/api/v1/privacy-requests/{request_id}"),
        created: true,
        view: Applied::with(answer),
    }))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Search {
    /// `received`, `in_progress`, `completed`, `rejected`; all when absent.
    state: Option<String>,
    /// true: only those that are due and not decided.
    #[serde(default)]
    overdue: bool,
    /// `next_cursor` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    /// 1 to 500.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 500, default = 50)]
    limit: Limit,
}

/// List requests of patients about their data
#[utoipa::path(get, path = "/privacy-requests", tag = "privacy", params(Search), security(("bearer" = ["privacy:read"])),
    responses((status = 200, description = "what is due first", body = Page<PrivacyRequest>)))]
async fn requests(
    can: Can<PrivacyRead>,
    State(state): State<ApiState>,
    Params(search): Params<Search>,
) -> Result<Json<Page<PrivacyRequest>>, Problem> {
    if search
        .state
        .as_deref()
        .is_some_and(|state| PrivacyRequestState::parse(state).is_none())
    {
        return Err(Problem::invalid(
            "state",
            "must be one of: received, in_progress, completed, rejected",
        ));
    }
    let after = Cursor::key::<(i64, Uuid)>(search.cursor.as_ref())?
        .map(|(micros, id)| {
            OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1_000)
                .map(|at| (at, id))
                .map_err(|_| Cursor::refused())
        })
        .transpose()?;
    let wanted = PrivacyRequestSearch {
        records: None,
        state: search.state.as_deref(),
        due_before: search.overdue.then(OffsetDateTime::now_utc),
        after,
        limit: search.limit.rows(),
    };
    let mut tx = state.read(&can.who.tenant).await?;
    let rows = queries::privacy_requests(tx.conn(), &wanted).await?;
    let next = search
        .limit
        .is_full(rows.len())
        .then(|| rows.last())
        .flatten()
        .and_then(|row| {
            let micros = row.due_at.unix_timestamp_nanos() / 1_000;
            Some((i64::try_from(micros).ok()?, row.id))
        });
    Ok(Json(Page::of(rows, next, PrivacyRequest::of)))
}

/// Read a request of a patient about his data
#[utoipa::path(get, path = "/privacy-requests/{id}", tag = "privacy", params(("id" = Uuid, Path, description = "the request")),
    security(("bearer" = ["privacy:read"])),
    responses(
        (status = 200, description = "the request; ETag is the version", body = PrivacyRequest),
        (status = 404, description = "no request has this id (`privacy_requests.unknown`)")))]
async fn request(
    can: Can<PrivacyRead>,
    State(state): State<ApiState>,
    Segment(id): Segment<Uuid>,
) -> Result<Response, Problem> {
    let mut tx = state.read(&can.who.tenant).await?;
    let row = queries::privacy_request(tx.conn(), id)
        .await?
        .ok_or_else(no_request)?;
    let request = PrivacyRequest::of(row);
    Ok(tagged(&request, request.version))
}

/// How far it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "state": "completed", "resolution": "corrected from the birth certificate" }))]
struct PrivacyStep {
    /// `in_progress`, `completed`, `rejected`
    #[schema(value_type = String)]
    state: PrivacyRequestState,
    /// What was done, or why not: with `completed` and `rejected`.
    #[serde(default)]
    #[schema(max_length = 500)]
    resolution: Option<String>,
}

/// Move a request on
///
/// With `If-Match` only when nobody changed it meanwhile. What is decided stays decided.
#[utoipa::path(post, path = "/privacy-requests/{id}/state", tag = "privacy", params(("id" = Uuid, Path, description = "the request"),
        ("If-Match" = Option<String>, Header, description = "ETag of the version that was seen")),
    request_body = PrivacyStep, security(("bearer" = ["privacy:manage"])),
    responses(
        (status = 200, description = "it is so now", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 404, description = "no request has this id (`privacy_requests.unknown`)"),
        (status = 409, description = "no way leads there (`privacy_requests.state_conflict`)"),
        (status = 412, description = "somebody changed it meanwhile (`privacy_requests.stale`)"),
        (status = 422, description = "a decision needs its resolution, and nothing else has one (`privacy_requests.resolution`)")))]
async fn move_request(
    can: Can<PrivacyManage>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<Uuid>,
    IfMatch(version): IfMatch,
    Body(step): Body<PrivacyStep>,
) -> Result<Response, Problem> {
    let patient = {
        let mut tx = state.read(&can.who.tenant).await?;
        let row = queries::privacy_request(tx.conn(), id)
            .await?
            .ok_or_else(no_request)?;
        row.patient_id
    };
    let command = MovePrivacyRequest {
        request_id: id,
        state: step.state,
        resolution: step
            .resolution
            .map(|text| super::text("resolution", text))
            .transpose()?,
        version,
        actor: can.who.username.clone(),
    };
    let written = Sender::new(&state, &can.who, &trace)
        .send(patient.to_string(), &command)
        .await?;
    Ok(written.respond(Applied::with))
}
