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
    /// `open`, `matched` (by an order that came later), `claimed` or `discarded`.
    pub state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolved_by: Option<String>,
    /// Why it was discarded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
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

/// One control result and what the rules made of it.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": 7, "run_id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c", "channel": "lab", "material": "QC1", "lot": "45821", "level": "1",
    "code": "GLU", "value": "106.22", "unit": "mg/dL", "mean": "99.5", "sd": "2.1", "z": 3.2, "verdict": "rejected",
    "rules": ["1-2s", "1-3s"], "judged_by": "2026.1", "state": "open", "observed_at": "2026-01-31T07:05:00Z"
}))]
pub(crate) struct Control {
    pub id: i64,
    pub run_id: Uuid,
    pub channel: String,
    /// Sample number under which the instrument reports the material.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub material: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lot: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<String>,
    /// Analyte, as sent.
    pub code: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code_text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loinc: Option<String>,
    /// As sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Of the target that it was judged by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sd: Option<String>,
    /// Standard deviations from the mean; absent when it was not checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub z: Option<f64>,
    /// `in_control`, `warning`, `rejected` or `not_checked`.
    pub verdict: String,
    /// Rules that it broke; of one that was not checked, why: `no_target`, `no_number`, `other_unit`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
    /// Version of the rule pack.
    pub judged_by: String,
    /// `none`: nothing to decide; `open`, `accepted` or `rejected`.
    pub state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<String>,
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub decided_at: Option<OffsetDateTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    pub observed_at: OffsetDateTime,
}

/// What one analyte of one material should measure on one channel.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "channel": "lab", "material": "QC1", "code": "GLU", "lot": "45821", "level": "1", "mean": "99.5", "sd": "2.1",
    "unit": "mg/dL", "defined_by": "r.rao", "changed_at": "2026-01-30T07:00:00Z"
}))]
pub(crate) struct ControlTarget {
    pub channel: String,
    pub material: String,
    pub code: String,
    pub lot: String,
    pub level: String,
    pub mean: String,
    pub sd: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    pub defined_by: String,
    #[serde(with = "time::serde::rfc3339")]
    pub changed_at: OffsetDateTime,
}

/// A result beyond its critical limits.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": 3, "report_id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c", "item": 0, "version": 1, "current": true,
    "patient_id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8d", "channel": "lab", "specimen_number": "A-778", "loinc": "2823-3",
    "value": "6.8", "ucum": "mmol/L", "side": "high", "limit": "6.2", "judged_by": "2026.1", "state": "open",
    "raised_at": "2026-01-31T08:30:00Z", "due_at": "2026-01-31T09:00:00Z"
}))]
pub(crate) struct Critical {
    pub id: i64,
    pub report_id: Uuid,
    /// The result's place in its report.
    pub item: i16,
    pub version: i16,
    /// False: a later version replaced the result.
    pub current: bool,
    /// Absent while the report is on nobody's chart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patient_id: Option<Uuid>,
    pub channel: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub specimen_number: Option<String>,
    pub loinc: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loinc_display: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comparator: Option<String>,
    /// In `ucum`, decimal text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    pub ucum: String,
    /// `low` or `high`.
    pub side: String,
    /// The limit that it is beyond.
    pub limit: String,
    /// Version of the rule pack.
    pub judged_by: String,
    /// `open` or `acknowledged`.
    pub state: String,
    #[serde(with = "time::serde::rfc3339")]
    pub raised_at: OffsetDateTime,
    /// By then somebody must have been called.
    #[serde(with = "time::serde::rfc3339")]
    pub due_at: OffsetDateTime,
    /// When the hub found that nobody had been called in time.
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub overdue_at: Option<OffsetDateTime>,
    /// Who was told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub told: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_back: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acknowledged_by: Option<String>,
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub acknowledged_at: Option<OffsetDateTime>,
}
