//! What a desk is shown: what a merge would do, how facilities number.

use serde::Serialize;
use utoipa::ToSchema;
use worker_clinical::queries::ChartCounts;
use worker_patient::queries::NumberSeries as SeriesRow;

use super::patients::Patient;

/// What a merge would do.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "possible": true,
    "survivor": { "id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c", "status": "active", "provisional": false, "identifiers": [],
                  "birth_date": "1980-05-17", "version": 3, "updated_at": "2026-01-31T08:30:00Z" },
    "retired": { "id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8d", "status": "active", "provisional": false, "identifiers": [],
                 "birth_date": "1980", "version": 1, "updated_at": "2026-01-31T08:30:00Z" },
    "differences": ["birth_date"],
    "identifiers": 3,
    "charts": { "survivor": { "encounters": 2, "orders": 4, "reports": 3, "vitals": 120, "entries": 5, "scores": 2 },
                "retired": { "encounters": 1, "orders": 0, "reports": 1, "vitals": 0, "entries": 0, "scores": 0 } },
    "warnings": ["no_known_allergies_against_allergies"]
}))]
pub(crate) struct MergePreview {
    /// Whether `POST /patients/{id}/merge` would be carried out.
    pub possible: bool,
    /// The code with which it would be refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<&'static str>,
    pub survivor: Patient,
    pub retired: Patient,
    /// Fields that differ: readers would see the survivor's.
    pub differences: Vec<&'static str>,
    /// How many identifiers would lead to the one person.
    pub identifiers: usize,
    pub charts: Charts,
    /// `different_sex`, `different_birth_date`, `no_known_allergies_against_allergies`, `deceased_against_alive`, `restricted`.
    pub warnings: Vec<&'static str>,
}

/// What stands in both charts.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Charts {
    pub survivor: Counts,
    pub retired: Counts,
}

/// How much stands in a chart; of measurements at most ten thousand are counted.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub(crate) struct Counts {
    pub encounters: i64,
    pub orders: i64,
    pub reports: i64,
    pub vitals: i64,
    pub entries: i64,
    pub scores: i64,
}

impl From<ChartCounts> for Counts {
    fn from(row: ChartCounts) -> Self {
        Self {
            encounters: row.encounters,
            orders: row.orders,
            reports: row.reports,
            vitals: row.vitals,
            entries: row.entries,
            scores: row.scores,
        }
    }
}

/// How a facility numbers its patients.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({ "facility": "SGM", "prefix": "SGM", "width": 6, "next": 4711, "version": 1 }))]
pub(crate) struct NumberSeries {
    pub facility: String,
    pub prefix: String,
    /// Digits, with leading zeros.
    pub width: i16,
    pub next: i64,
    /// Of the definition.
    pub version: i32,
}

impl NumberSeries {
    pub(crate) fn of(row: SeriesRow) -> Self {
        Self {
            facility: row.facility,
            prefix: row.prefix,
            width: row.width,
            next: row.next,
            version: row.version,
        }
    }
}
