//! What patients agreed to, and what they ask about their data.

use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;
use worker_patient::queries::{ConsentRow, PrivacyRequestRow};

/// A consent.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7ba1", "patient_id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b92", "state": "active",
    "purpose": "research", "notice_version": "2026-1", "notice_language": "hi", "given_by": "patient",
    "given_at": "2026-01-31T08:30:00Z", "recorded_by": "asha"
}))]
pub(crate) struct Consent {
    pub id: Uuid,
    /// The record it was given on.
    pub patient_id: Uuid,
    /// `active`, `expired`, `withdrawn`
    pub state: &'static str,
    pub purpose: String,
    pub notice_version: String,
    /// BCP 47.
    pub notice_language: String,
    /// `patient`, `guardian`, `nominee`
    pub given_by: String,
    #[serde(with = "time::serde::rfc3339")]
    pub given_at: OffsetDateTime,
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub until: Option<OffsetDateTime>,
    pub recorded_by: String,
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub withdrawn_at: Option<OffsetDateTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub withdrawn_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub withdraw_reason: Option<String>,
}

impl Consent {
    pub(crate) fn of(row: ConsentRow) -> Self {
        let over = row
            .until
            .is_some_and(|until| until <= OffsetDateTime::now_utc());
        Self {
            state: match (row.withdrawn_at, over) {
                (Some(_), false) => "withdrawn",
                (_, true) => "expired",
                (None, false) => "active",
            },
            id: row.id,
            patient_id: row.patient_id,
            purpose: row.purpose,
            notice_version: row.notice_version,
            notice_language: row.notice_language,
            given_by: row.given_by,
            given_at: row.given_at,
            until: row.until,
            recorded_by: row.recorded_by,
            withdrawn_at: row.withdrawn_at,
            withdrawn_by: row.withdrawn_by,
            withdraw_reason: row.withdraw_reason,
        }
    }
}

/// A request about somebody's data.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7ba2", "patient_id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b92", "kind": "correction",
    "detail": "the year of birth is wrong", "state": "in_progress", "allowed_states": ["completed", "rejected"],
    "received_at": "2026-01-31T08:30:00Z", "due_at": "2026-03-02T08:30:00Z", "overdue": false, "version": 2, "opened_by": "asha"
}))]
pub(crate) struct PrivacyRequest {
    pub id: Uuid,
    pub patient_id: Uuid,
    /// `access`, `correction`, `erasure`, `grievance`
    pub kind: String,
    pub detail: String,
    /// `received`, `in_progress`, `completed`, `rejected`
    pub state: String,
    /// What may follow.
    pub allowed_states: Vec<&'static str>,
    #[serde(with = "time::serde::rfc3339")]
    pub received_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub due_at: OffsetDateTime,
    /// Due, and not decided.
    pub overdue: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolution: Option<String>,
    pub version: i32,
    pub opened_by: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<String>,
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub decided_at: Option<OffsetDateTime>,
}

impl PrivacyRequest {
    pub(crate) fn of(row: PrivacyRequestRow) -> Self {
        let allowed = schemas::privacy::PrivacyRequestState::parse(&row.state)
            .map_or(&[][..], |state| state.allowed());
        Self {
            overdue: !allowed.is_empty() && row.due_at < OffsetDateTime::now_utc(),
            allowed_states: allowed.iter().map(|state| state.as_str()).collect(),
            id: row.id,
            patient_id: row.patient_id,
            kind: row.kind,
            detail: row.detail,
            state: row.state,
            received_at: row.received_at,
            due_at: row.due_at,
            resolution: row.resolution,
            version: row.version,
            opened_by: row.opened_by,
            decided_by: row.decided_by,
            decided_at: row.decided_at,
        }
    }
}
