//! Items of the laboratory's worklists.

use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

/// A report that is on nobody's chart.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "report_id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c", "reason": "unknown_specimen", "channel": "lab",
    "specimen_number": "A-778", "code": "CHEM", "tests": ["GLU", "NA"], "state": "open", "at": "2026-01-31T08:30:00Z"
}))]
pub(crate) struct Unmatched {
    /// Read it at `/reports/{id}`.
    pub report_id: Uuid,
    /// `no_specimen`: it names neither patient nor specimen; `unknown_specimen`: no order has named its specimen;
    /// `no_open_order`: orders on it were revoked, or completed long ago; `patient_mismatch`: it names another patient than
    /// the orders on its specimen.
    pub reason: String,
    pub channel: String,
    /// As sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub specimen_number: Option<String>,
    /// The patient that the message names, where the orders are another's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub named_patient_id: Option<Uuid>,
    /// The patient it came to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patient_id: Option<Uuid>,
    /// Code of the report, as sent.
    pub code: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code_text: Option<String>,
    /// Codes of its results, as sent.
    pub tests: Vec<String>,
    /// `open`, `matched` (by an order that came later) or `claimed`.
    pub state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolved_by: Option<String>,
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub resolved_at: Option<OffsetDateTime>,
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub observed_at: Option<OffsetDateTime>,
    /// Since when it waits.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
}
