//! What staff wrote into charts.

use schemas::chart;
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;
use worker_clinical::queries::{ChartRow, ChartVersion, NoKnownAllergies};

use super::canonical;

/// An entry of a chart, whatever its kind.
pub(crate) trait Charted: Sized + Serialize {
    /// As stored.
    const KIND: &'static str;
    /// `None` when the row's body is of another kind, which would be a defect.
    fn of(row: ChartRow, patient_id: Option<Uuid>) -> Option<Self>;
    fn version(&self) -> i32;
}

macro_rules! entries {
    ($($(#[$about:meta])* $name:ident = $kind:literal: $content:ty as $described:ident, states $states:literal;)+) => {$(
        #[derive(Debug, Clone, Serialize, ToSchema)]
        $(#[$about])*
        pub(crate) struct $name {
            pub id: Uuid,
            #[serde(skip_serializing_if = "Option::is_none")]
            pub patient_id: Option<Uuid>,
            #[doc = $states]
            pub state: String,
            /// Left out of an entry that can't be opened.
            #[serde(skip_serializing_if = "Option::is_none")]
            #[schema(schema_with = canonical::$described)]
            pub content: Option<$content>,
            /// In a list: the entry is encrypted and can't be opened (damaged, or its key is lost). Nothing but its words is missing.
            #[serde(skip_serializing_if = "std::ops::Not::not")]
            pub unreadable: bool,
            #[serde(skip_serializing_if = "Option::is_none")]
            pub visit_number: Option<String>,
            /// Rises with every change; also the ETag.
            pub version: i32,
            #[serde(with = "time::serde::rfc3339")]
            pub recorded_at: OffsetDateTime,
            pub recorded_by: String,
            #[serde(with = "time::serde::rfc3339")]
            pub updated_at: OffsetDateTime,
            pub updated_by: String,
            /// Why it is in this state, where a reason was asked for.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub reason: Option<String>,
        }

        impl Charted for $name {
            const KIND: &'static str = $kind;
            fn of(row: ChartRow, patient_id: Option<Uuid>) -> Option<Self> {
                Some(Self {
                    id: row.id,
                    patient_id,
                    state: row.state,
                    content: if row.unreadable {
                        None
                    } else {
                        Some(serde_json::from_value(row.body).ok()?)
                    },
                    unreadable: row.unreadable,
                    visit_number: row.visit_number,
                    version: row.version,
                    recorded_at: row.recorded_at,
                    recorded_by: row.recorded_by,
                    updated_at: row.updated_at,
                    updated_by: row.updated_by,
                    reason: row.reason,
                })
            }
            fn version(&self) -> i32 {
                self.version
            }
        }
    )+};
}

entries! {
    /// An allergy or intolerance.
    #[schema(example = json!({
        "id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c", "patient_id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8d", "state": "active",
        "content": { "substance": { "text": "Penicillin" }, "category": "drug", "reactions": ["rash"], "severity": "severe",
                     "certainty": "confirmed", "since": "1999" },
        "version": 1, "recorded_at": "2026-01-31T08:30:00Z", "recorded_by": "asha", "updated_at": "2026-01-31T08:30:00Z",
        "updated_by": "asha"
    }))]
    Allergy = "allergy": chart::Allergy as allergy, states "`active`, `resolved`, `refuted` or `entered_in_error`.";
    /// A problem or diagnosis.
    #[schema(example = json!({
        "id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c", "patient_id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8d", "state": "provisional",
        "content": { "code": { "code": "E11.9", "system": "I10" }, "text": "Type 2 diabetes mellitus", "since": "2019-04",
                     "code_check": { "result": "known", "release": "2019" } },
        "version": 1, "recorded_at": "2026-01-31T08:30:00Z", "recorded_by": "dr.rao", "updated_at": "2026-01-31T08:30:00Z",
        "updated_by": "dr.rao"
    }))]
    Condition = "condition": chart::Condition as condition, states "`provisional`, `confirmed`, `resolved`, `refuted` or `entered_in_error`.";
    /// A note.
    #[schema(example = json!({
        "id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c", "patient_id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8d", "state": "signed",
        "content": { "note_kind": "progress", "title": "Ward round", "text": "Better today.", "signature": { "by": "dr.rao",
                     "at": "2026-01-31T08:40:00Z", "sha256": "6ae8a75555209fd6c44157c0aed8016e763ff435a19cf186f76863140143ff72" } },
        "version": 2, "recorded_at": "2026-01-31T08:30:00Z", "recorded_by": "dr.rao", "updated_at": "2026-01-31T08:40:00Z",
        "updated_by": "dr.rao"
    }))]
    Note = "note": chart::Note as note, states "`draft`, `signed`, `addended` or `entered_in_error`.";
    /// A prescription.
    #[schema(example = json!({
        "id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c", "patient_id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8d", "state": "signed",
        "content": { "lines": [{ "drug": { "text": "Amoxicillin 500 mg capsule" }, "dose": "500 mg", "route": "oral",
                     "frequency": "1-0-1", "days": 5, "quantity": 10 }],
                     "checks": [{ "check": "allergy", "outcome": "passed", "reason": "somebody asked, and no allergies are known" },
                                { "check": "interaction", "outcome": "not_checked", "reason": "the hub has no table for it" }] },
        "version": 2, "recorded_at": "2026-01-31T08:30:00Z", "recorded_by": "dr.rao", "updated_at": "2026-01-31T08:40:00Z",
        "updated_by": "dr.rao"
    }))]
    Prescription = "prescription": chart::Prescription as prescription,
        states "`draft`, `signed`, `dispensed`, `stopped`, `cancelled` or `entered_in_error`.";
    /// A document: what it is; its bytes are read by themselves.
    #[schema(example = json!({
        "id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c", "patient_id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8d", "state": "filed",
        "content": { "title": "Referral letter", "document_kind": "referral", "media_type": "application/pdf", "bytes": 48211,
                     "sha256": "6ae8a75555209fd6c44157c0aed8016e763ff435a19cf186f76863140143ff72" },
        "version": 1, "recorded_at": "2026-01-31T08:30:00Z", "recorded_by": "asha", "updated_at": "2026-01-31T08:30:00Z",
        "updated_by": "asha"
    }))]
    Document = "document": chart::Document as document, states "`filed` or `entered_in_error`.";
}

/// What is known of a patient's allergies. "Nobody asked" and "none known" are two things.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({ "status": "none_known", "stated_at": "2026-01-31T08:30:00Z", "stated_by": "asha", "items": [] }))]
pub(crate) struct AllergyList {
    /// `not_asked`; `none_known`: somebody asked; `listed`: at least one allergy is active.
    pub status: &'static str,
    /// When "none known" was stated.
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub stated_at: Option<OffsetDateTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stated_by: Option<String>,
    pub items: Vec<Allergy>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

impl AllergyList {
    /// An active allergy counts more than a statement, which may be of another record of the person.
    pub(crate) fn of(
        any_active: bool,
        none_known: Option<NoKnownAllergies>,
        items: Vec<Allergy>,
        next_cursor: Option<String>,
    ) -> Self {
        let none_known = none_known.filter(|_| !any_active);
        Self {
            status: match (any_active, &none_known) {
                (true, _) => "listed",
                (false, Some(_)) => "none_known",
                (false, None) => "not_asked",
            },
            stated_at: none_known.as_ref().map(|one| one.stated_at),
            stated_by: none_known.map(|one| one.stated_by),
            items,
            next_cursor,
        }
    }
}

/// One version of an entry.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "version": 2, "action": "resolve", "state": "resolved", "content": { "text": "Fracture of radius" }, "actor": "dr.rao",
    "reason": "healed", "at": "2026-03-01T10:00:00Z"
}))]
pub(crate) struct EntryVersion {
    pub version: i32,
    /// `record`, `edit`, `sign`, `addend`, `resolve` …
    pub action: String,
    pub state: String,
    /// As it was then; of the entry's kind.
    #[schema(value_type = Object)]
    pub content: serde_json::Value,
    pub actor: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
}

impl EntryVersion {
    pub(crate) fn of(row: ChartVersion) -> Self {
        Self {
            version: row.version,
            action: row.action,
            state: row.state,
            content: row.body,
            actor: row.actor,
            reason: row.reason,
            at: row.at,
        }
    }
}
