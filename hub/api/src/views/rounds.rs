//! Scores of rounds of observations, the tasks that follow, and orders of oxygen targets.

use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;
use worker_clinical::queries::{OxygenTarget as TargetRow, ScoreRow, TaskRow};

/// What a rule pack made of a round.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "5f0c1b9e-2f1d-5f0a-8a56-1c2d3e4f5a6b", "version": 1, "current": true, "patient_id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8d",
    "pack": "news2", "pack_version": "2026.1", "state": "computed", "total": 7, "response": "emergency", "scale": 1,
    "parts": [{ "part": "pulse", "points": 2, "row": "above 110, to 130", "value": "115", "ucum": "/min", "from": "entry" }],
    "missing": [], "checks": { "age": "old_enough", "pregnancy": "no" }, "observed_at": "2026-01-31T08:30:00Z",
    "next_due_at": "2026-01-31T08:30:00Z", "computed_at": "2026-01-31T08:30:04Z", "entered_by": "asha"
}))]
pub(crate) struct Score {
    pub id: Uuid,
    pub version: i16,
    /// False for versions that a correction replaced.
    pub current: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patient_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub visit_number: Option<String>,
    /// `news2`
    pub pack: String,
    pub pack_version: String,
    /// `computed`; `incomplete`: a part is missing, so there is no total; `not_applicable`: the pack is not for this patient.
    pub state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<i16>,
    /// What is asked for: the row of the pack. Of an incomplete score: what its known parts alone ask for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response: Option<String>,
    /// Which oxygen scale counted.
    pub scale: i16,
    /// Each part with its points, the row of the pack that matched, the value and where it came from.
    #[schema(value_type = Vec<Object>)]
    pub parts: serde_json::Value,
    pub missing: Vec<String>,
    /// What decides whether the pack is for this patient, and whether it was known: `not_checked` where it was not.
    #[schema(value_type = Object)]
    pub checks: serde_json::Value,
    #[serde(with = "time::serde::rfc3339")]
    pub observed_at: OffsetDateTime,
    /// When the next round is due. The same time as `observed_at`: continuously.
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub next_due_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339")]
    pub computed_at: OffsetDateTime,
    pub entered_by: String,
}

impl Score {
    pub(crate) fn of(row: ScoreRow, patient_id: Option<Uuid>) -> Self {
        Self {
            id: row.id,
            version: row.version,
            current: row.current,
            patient_id,
            visit_number: row.visit_number,
            pack: row.pack,
            pack_version: row.pack_version,
            state: row.state,
            total: row.total,
            response: row.response,
            scale: row.scale,
            parts: row.parts,
            missing: row.missing,
            checks: row.checks,
            observed_at: row.observed_at,
            next_due_at: row.next_due_at,
            computed_at: row.computed_at,
            entered_by: row.entered_by,
        }
    }
}

/// What somebody must do for a patient.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "5f0c1b9e-2f1d-5f0a-8a56-1c2d3e4f5a6b", "kind": "deterioration", "patient_id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8d",
    "visit_number": "V1", "score_id": "5f0c1b9e-2f1d-5f0a-8a56-1c2d3e4f5a6c", "trigger": "emergency", "times": 1, "state": "open",
    "raised_at": "2026-01-31T08:30:04Z", "due_at": "2026-01-31T08:45:04Z"
}))]
pub(crate) struct Task {
    pub id: Uuid,
    /// `deterioration`, or `recollection`: a specimen was rejected, another is to be collected.
    pub kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patient_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub visit_number: Option<String>,
    /// The newest score that asks for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score_id: Option<Uuid>,
    /// The response of the rule pack: `emergency`, `urgent`, `urgent_single`; or `specimen_rejected`.
    pub trigger: String,
    /// How many scores, or specimens, asked for it.
    pub times: i32,
    /// `open`, `acknowledged` or `done`.
    pub state: String,
    #[serde(with = "time::serde::rfc3339")]
    pub raised_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub due_at: OffsetDateTime,
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub acknowledged_at: Option<OffsetDateTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acknowledged_by: Option<String>,
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub done_at: Option<OffsetDateTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub done_by: Option<String>,
    /// What came of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
}

impl Task {
    pub(crate) fn of(row: TaskRow, patient_id: Option<Uuid>) -> Self {
        Self {
            id: row.id,
            kind: row.kind,
            patient_id,
            visit_number: row.visit_number,
            score_id: row.score_id,
            trigger: row.trigger,
            times: row.times,
            state: row.state,
            raised_at: row.raised_at,
            due_at: row.due_at,
            acknowledged_at: row.acknowledged_at,
            acknowledged_by: row.acknowledged_by,
            done_at: row.done_at,
            done_by: row.done_by,
            outcome: row.outcome,
        }
    }
}

/// A doctor's order that saturation is kept at 88 to 92 %.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c", "scale": 2, "reason": "COPD with hypercapnia", "ordered_at": "2026-01-31T08:30:00Z",
    "ordered_by": "dr.rao"
}))]
pub(crate) struct OxygenTarget {
    pub id: Uuid,
    /// The oxygen scale of NEWS2 that counts with it: 2.
    pub scale: i16,
    pub reason: String,
    #[serde(with = "time::serde::rfc3339")]
    pub ordered_at: OffsetDateTime,
    pub ordered_by: String,
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub ended_at: Option<OffsetDateTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_reason: Option<String>,
}

impl OxygenTarget {
    pub(crate) fn of(row: TargetRow) -> Self {
        Self {
            id: row.id,
            scale: row.scale,
            reason: row.reason,
            ordered_at: row.ordered_at,
            ordered_by: row.ordered_by,
            ended_at: row.ended_at,
            ended_by: row.ended_by,
            end_reason: row.end_reason,
        }
    }
}
