//! Visits and stays as staff lead them: what a step came to, gates, bed-days, differences with hospital systems.

use schemas::care::Location;
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;
use worker_clinical::queries;

use super::canonical;

/// An encounter that was opened.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c", "visit_number": "HV2F4D5E6A7B8C", "stage": "token", "token": 17, "version": 1
}))]
pub(crate) struct Opened {
    pub id: Uuid,
    pub visit_number: String,
    pub stage: String,
    /// Of out-patients: their place in today's queue of the department.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<i64>,
    pub version: i64,
}

impl Opened {
    pub(crate) fn of(answer: Option<&serde_json::Value>) -> Self {
        let text = |name: &str| {
            answer
                .and_then(|answer| answer.get(name)?.as_str())
                .unwrap_or_default()
                .to_owned()
        };
        let number = |name: &str| answer.and_then(|answer| answer.get(name)?.as_i64());
        Self {
            id: text("encounter_id").parse().unwrap_or_default(),
            visit_number: text("visit_number"),
            stage: text("stage"),
            token: number("token"),
            version: number("version").unwrap_or_default(),
        }
    }
}

/// What stands before a gate.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct GateBlock {
    /// `order`
    pub kind: &'static str,
    pub id: Uuid,
    /// Where to look at it.
    pub link: String,
    pub status: String,
    pub text: String,
}

/// A gate of a discharge.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "gate": "clinical", "state": "open", "link": "/api/v1/encounters/018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c/gates/clinical",
    "blocking": [{ "kind": "order", "id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8d", "status": "active", "text": "Glucose",
        "link": "/api/v1/orders/018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8d" }]
}))]
pub(crate) struct DischargeGate {
    /// `clinical`, `pharmacy`, `billing`, `tpa`
    pub gate: String,
    /// `open`, `cleared`, `not_required`
    pub state: String,
    /// Where it is cleared, while it is open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cleared_by: Option<String>,
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub cleared_at: Option<OffsetDateTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// What stands before it; what is cancelled or entered in error does not.
    pub blocking: Vec<GateBlock>,
}

impl DischargeGate {
    pub(crate) fn of(
        encounter: Uuid,
        row: queries::GateRow,
        blocking: &[queries::Blocking],
    ) -> Self {
        let open = row.state == "open";
        let blocking = blocking
            .iter()
            .filter(|_| open && row.gate == "clinical")
            .map(|one| GateBlock {
                kind: "order",
                id: one.order_id,
                link: format!("/api/v1/orders/{}", one.order_id),
                status: one.status.clone(),
                text: one.code_text.clone().unwrap_or_else(|| one.code.clone()),
            })
            .collect();
        Self {
            link: open.then(|| format!("/api/v1/encounters/{encounter}/gates/{}", row.gate)),
            gate: row.gate,
            state: row.state,
            cleared_by: row.cleared_by,
            cleared_at: row.cleared_at,
            note: row.note,
            blocking,
        }
    }
}

/// One day that counts, and the bed that it counts for.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct BedDay {
    /// The local date on which it begins.
    #[schema(format = Date)]
    pub date: String,
    /// Of the register; absent: a bed that only messages name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bed_id: Option<Uuid>,
    pub ward: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub room: String,
    pub bed: String,
}

/// The days of a stay, counted by one policy.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "policy": "rolling", "days": 3, "minutes": 3090, "from": "2026-07-01T04:30:00Z", "to": "2026-07-03T08:00:00Z", "open": false,
    "zone": "Asia/Kolkata",
    "by_day": [{ "date": "2026-07-01", "ward": "WARD-A", "bed": "12" }, { "date": "2026-07-02", "ward": "WARD-A", "bed": "12" },
        { "date": "2026-07-03", "ward": "WARD-A", "bed": "12" }]
}))]
pub(crate) struct BedDays {
    /// `census`, `rolling`, `calendar`, `checkout`
    pub policy: &'static str,
    pub days: u32,
    pub minutes: i64,
    #[serde(with = "time::serde::rfc3339")]
    pub from: OffsetDateTime,
    /// When the patient left, or now.
    #[serde(with = "time::serde::rfc3339")]
    pub to: OffsetDateTime,
    /// True: the patient is still there, and it counts until now.
    pub open: bool,
    /// In which days begin.
    pub zone: String,
    /// Each day with the bed at its end, or the last one: on a day of transfer there is one. The last 3,660 of a longer stay.
    pub by_day: Vec<BedDay>,
}

/// Where a hospital system's word and the house's own register differ.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": 4, "reason": "bed_occupied", "encounter_id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c",
    "bed_id": "018f3c1e-7a5c-5c3e-9b1a-2f4d5e6a7b8f", "place": { "point_of_care": "WARD-A", "bed": "12" },
    "source_event": "018f3c1e-7a5c-5c3e-9b1a-2f4d5e6a7b90", "at": "2026-01-31T08:30:00Z", "state": "open"
}))]
pub(crate) struct Difference {
    pub id: i64,
    /// `bed_unknown`: the register has no such bed. `bed_occupied`: another patient has it, or it is kept for one. `bed_not_ready`: it
    /// was being cleaned or out of use. `second_bed`: the patient is in another bed. `second_admission`: he is in the house on a stay that staff lead. `left_with_gates`: he left with gates open.
    /// `moved_elsewhere`: an update names another place than where staff put him. `cancelled_elsewhere`: his admission was cancelled.
    pub reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encounter_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bed_id: Option<Uuid>,
    /// As the hospital system names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = canonical::location)]
    pub place: Option<Location>,
    /// The event that said so; its message is found by it.
    pub source_event: Uuid,
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// `open`; `settled`: its cause is gone; `resolved`: a person looked at it.
    pub state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolved_by: Option<String>,
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub resolved_at: Option<OffsetDateTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

impl Difference {
    pub(crate) fn of(row: queries::DifferenceRow) -> Self {
        Self {
            id: row.id,
            reason: row.reason,
            encounter_id: row.encounter_id,
            bed_id: row.bed_id,
            place: row
                .place
                .and_then(|place| serde_json::from_value(place).ok()),
            source_event: row.source_event,
            at: row.at,
            state: row.state,
            resolved_by: row.resolved_by,
            resolved_at: row.resolved_at,
            comment: row.comment,
        }
    }
}
