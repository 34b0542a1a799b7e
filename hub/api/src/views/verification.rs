//! Items of the verification worklist, and the list of everything that is held.

use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::care::LabResult;
use super::integration::HeldItem;
use super::worklists::Unmatched;

/// One version of a result that waits for its verification, or had it.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": 17, "revision": 1, "state": "needs_review", "failed": "range", "reason": "outside the range of autoverification",
    "pack": "2026.1", "approved_by": "Dr. A. Rao", "counts": true, "corrects_released": false, "blocked": false,
    "measured_at": "2026-01-31T08:05:00Z", "at": "2026-01-31T08:30:00Z",
    "result": {
        "id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c.1",
        "report_id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c", "item": 1, "version": 1, "current": true,
        "patient_id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8d", "code": { "code": "GLU" },
        "value": { "kind": "quantity", "number": "412" }, "unit": "mg/dL", "loinc": "2345-7", "ucum": "mg/dL",
        "ucum_value": "412", "flags": ["H"], "status": "F", "received_at": "2026-01-31T08:30:00Z", "channel": "analyzer",
        "specimen_number": "A-778", "source_event": "0b0e8a52-3a52-5f1c-8a50-5a54f0cf7d7d", "released": false
    }
}))]
pub(crate) struct Verification {
    pub id: i64,
    /// Rises with every change. A decision names the one that was seen; when it is another by then, it is refused (409).
    pub revision: i32,
    /// `received` (the instrument has not said its last word), `needs_review`, `verified` (waits for its report), `rejected` or
    /// `released`.
    pub state: String,
    /// The first check that failed, in their order: `final`, `patient`, `specimen` (it was rejected), `order`, `meaning`, `flags`, `rules`, `number`,
    /// `measurable`, `range`, `critical`, `correction`, `delta`, `control`, `siblings`, `first`, `on`; or `run`: another run of
    /// the sample counts, or was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The instrument flagged it as not to be used, or its specimen was rejected: verified only with a comment.
    pub blocked: bool,
    /// Another version or run of it was released before.
    pub corrects_released: bool,
    /// False: a later version or run counts.
    pub counts: bool,
    /// Version of the rule pack that judged it.
    pub pack: String,
    /// Who approved the pack; absent: it was a draft.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approved_by: Option<String>,
    /// A person, or `rules`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<String>,
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub decided_at: Option<OffsetDateTime>,
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub released_at: Option<OffsetDateTime>,
    /// Who asked for another run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rerun_by: Option<String>,
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub rerun_at: Option<OffsetDateTime>,
    /// The order that tells the instrument; absent where it must be told by hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rerun_order_id: Option<Uuid>,
    /// People who entered or edited it: where the rule pack asks for two persons, another verifies.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub makers: Vec<String>,
    #[serde(with = "time::serde::rfc3339")]
    pub measured_at: OffsetDateTime,
    /// Since when it waits.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    pub result: LabResult,
}

/// A remark of a person.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({ "by": "r.rao", "comment": "clot removed, measured again", "at": "2026-01-31T08:41:00Z" }))]
pub(crate) struct Comment {
    pub by: String,
    pub comment: String,
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
}

/// A result to verify with everything that belongs to it.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": 17, "revision": 1, "state": "needs_review", "failed": "flags", "reason": "flag A",
    "pack": "2026.1", "counts": true, "corrects_released": false, "blocked": false,
    "measured_at": "2026-01-31T08:05:00Z", "at": "2026-01-31T08:30:00Z",
    "result": {
        "id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c.1",
        "report_id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c", "item": 1, "version": 1, "current": true,
        "code": { "code": "GLU" }, "value": { "kind": "quantity", "number": "412" }, "received_at": "2026-01-31T08:30:00Z",
        "channel": "analyzer", "source_event": "0b0e8a52-3a52-5f1c-8a50-5a54f0cf7d7d", "released": false
    },
    "runs": [], "comments": [{ "by": "r.rao", "comment": "repeat it", "at": "2026-01-31T08:41:00Z" }]
}))]
pub(crate) struct VerificationDetail {
    #[serde(flatten)]
    pub item: Verification,
    /// Every version and run of the test on the sample as measured, itself among them.
    pub runs: Vec<Verification>,
    pub comments: Vec<Comment>,
}

/// Something that waits until a person says what it means or whose it is.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "kind": "code", "reason": "unknown_code", "channel": "lab", "since": "2026-01-31T08:30:00Z",
    "resolve": "/api/v1/held/17/map",
    "held": {
        "id": 17, "reason": "unknown_code", "channel": "lab", "code_system": "99ACME", "code": "GLU-X", "unit": "mg/dl",
        "waiting": 12, "state": "open", "first_at": "2026-01-31T08:30:00Z", "last_at": "2026-01-31T09:12:00Z"
    }
}))]
pub(crate) struct Waiting {
    /// `code`: what a code or unit means (`held`); `patient`: whose a report is (`unmatched`).
    pub kind: &'static str,
    pub reason: String,
    pub channel: String,
    #[serde(with = "time::serde::rfc3339")]
    pub since: OffsetDateTime,
    /// Where it is resolved (POST).
    pub resolve: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held: Option<HeldItem>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unmatched: Option<Unmatched>,
}
