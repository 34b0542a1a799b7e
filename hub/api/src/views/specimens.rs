//! Specimens with what belongs to them, and a result with all that it stands on.

use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;
use worker_clinical::queries::{self, KeptSpecimen};

use super::care::{LabResult, Report, Specimen};

/// A specimen, whose it is, and what it is for.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8e", "number": "A-778", "kind": { "code": "SER" }, "state": "collected",
    "collected_at": "2026-01-31T08:05:00Z", "collected_by": "m.das", "version": 2,
    "patient_id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8d", "orders": ["018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c"],
    "next_steps": ["receive", "reject"], "created_at": "2026-01-31T07:50:00Z", "updated_at": "2026-01-31T08:06:00Z"
}))]
pub(crate) struct SpecimenRecord {
    #[serde(flatten)]
    pub specimen: Specimen,
    /// Absent when nobody said whose it is, or the index does not know him yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patient_id: Option<Uuid>,
    /// Orders that it is for, or was.
    pub orders: Vec<Uuid>,
    /// The steps that are possible from here: `collect`, `receive`, `reject`.
    pub next_steps: Vec<&'static str>,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

impl SpecimenRecord {
    pub(crate) fn of(row: KeptSpecimen, patient_id: Option<Uuid>) -> Self {
        let mut next_steps = queries::specimen_steps(&row.specimen.state);
        if row.specimen.subject_key.is_none() {
            next_steps.retain(|step| *step != "reject");
        }
        Self {
            patient_id,
            orders: row.orders,
            next_steps,
            created_at: row.created_at,
            updated_at: row.updated_at,
            specimen: Specimen::of(row.specimen),
        }
    }
}

/// A tube that was labelled, or stood already.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({ "id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8e", "version": 1, "created": true }))]
pub(crate) struct SpecimenAccessioned {
    pub id: Uuid,
    pub version: i32,
    /// False: the orders were put on a tube that was known.
    pub created: bool,
}

impl SpecimenAccessioned {
    /// From what the clinical worker answers.
    pub(crate) fn of(answer: Option<&serde_json::Value>) -> Self {
        let member = |name| answer.and_then(|answer: &serde_json::Value| answer.get(name));
        Self {
            id: member("specimen_id")
                .and_then(serde_json::Value::as_str)
                .and_then(|id| id.parse().ok())
                .unwrap_or_default(),
            version: member("version")
                .and_then(serde_json::Value::as_i64)
                .and_then(|version| version.try_into().ok())
                .unwrap_or_default(),
            created: member("created").and_then(serde_json::Value::as_bool) == Some(true),
        }
    }
}

/// A result as it is now, with its versions, its report and its specimen.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c.1",
    "report_id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c", "item": 1, "version": 1, "current": true,
    "code": { "code": "GLU", "system": "L" }, "value": { "kind": "quantity", "number": "104" }, "unit": "mg/dl",
    "status": "F", "received_at": "2026-01-31T08:30:00Z", "channel": "lab", "specimen_number": "A-778",
    "source_event": "0b0e8a52-3a52-5f1c-8a50-5a54f0cf7d7d", "released": false,
    "verification": { "id": 17, "state": "needs_review", "failed": "specimen", "reason": "the specimen was rejected: haemolysed" },
    "versions": [],
    "report": {
        "id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c", "channel": "lab", "code": { "code": "CHEM" },
        "received_at": "2026-01-31T08:30:00Z", "version": 1, "updated_at": "2026-01-31T08:30:00Z", "released": false
    },
    "specimen": { "id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8e", "number": "A-778", "state": "rejected", "version": 3 }
}))]
pub(crate) struct ResultDetail {
    #[serde(flatten)]
    pub result: LabResult,
    /// All of them, oldest first, the current one among them.
    pub versions: Vec<LabResult>,
    pub report: Report,
    /// Absent where the report names none, or its number is no specimen's of the patient.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub specimen: Option<Specimen>,
}
