//! Encounters, orders, reports and results.

use schemas::care::{Code, Location, Practitioner, Value};
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::canonical;

/// A stay or a visit.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c", "patient_id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8d",
    "visit_number": "V-1001", "class": "I", "status": "in_progress",
    "location": { "point_of_care": "ICU", "bed": "4" }, "attending": { "id": "D12", "name": "R. Rao" },
    "started_at": "2026-01-30T22:10:00Z", "version": 2, "updated_at": "2026-01-31T08:30:00Z",
    "stage": "admitted", "next_steps": ["transfer", "initiate_discharge", "leave", "cancel"]
}))]
pub(crate) struct Encounter {
    pub id: Uuid,
    /// Absent while the patient index does not know the identifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patient_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub visit_number: Option<String>,
    /// HL7 table 0004.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// `planned`, `in_progress`, `finished`, `cancelled`, `entered_in_error` or `unknown`.
    pub status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = canonical::location)]
    pub location: Option<Location>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = canonical::location)]
    pub prior_location: Option<Location>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = canonical::practitioner)]
    pub attending: Option<Practitioner>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = canonical::practitioner)]
    pub referring: Option<Practitioner>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disposition: Option<String>,
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub started_at: Option<OffsetDateTime>,
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub ended_at: Option<OffsetDateTime>,
    /// Where it stands in its way through the house: `token`, `called`, `in_consult`, `done`, `no_show`; `requested`, `bed_reserved`,
    /// `admitted`, `discharge_initiated`, `cleared`, `left`, `closed`; `cancelled`. Absent when too little was said of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// The steps that are possible from there.
    pub next_steps: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub department_id: Option<Uuid>,
    /// Date of the token, at its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = Date)]
    pub token_day: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<String>,
    /// `self` or `insurer`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ward_class: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub medico_legal: Option<bool>,
    /// When the patient is expected to leave.
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub expected_at: Option<OffsetDateTime>,
    /// How it ended, as staff said it: `disposition`, `cause_of_death`, `form`, `note`, or `cancelled`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub ending: Option<serde_json::Value>,
    /// For `If-Match`.
    pub version: i32,
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

/// An encounter with all places of it, oldest first.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c", "visit_number": "V-1001", "class": "I", "status": "in_progress",
    "version": 2, "updated_at": "2026-01-31T08:30:00Z", "stage": "admitted",
    "next_steps": ["transfer", "initiate_discharge", "leave", "cancel"],
    "places": [{ "location": { "point_of_care": "ICU", "bed": "4" }, "status": "active", "from_at": "2026-01-30T22:10:00Z" }]
}))]
pub(crate) struct EncounterDetail {
    #[serde(flatten)]
    pub encounter: Encounter,
    pub places: Vec<Place>,
}

/// A place during an encounter.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Place {
    #[schema(schema_with = canonical::location)]
    pub location: Location,
    /// `active`, `completed` or `cancelled`.
    pub status: String,
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub from_at: Option<OffsetDateTime>,
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub to_at: Option<OffsetDateTime>,
}

/// An ordered test or service.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c", "patient_id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8d",
    "placer_number": "ORD-9", "filler_number": "LAB-77", "code": { "code": "CBC", "text": "Blood count", "system": "L" },
    "status": "active", "priority": "routine", "version": 1, "updated_at": "2026-01-31T08:30:00Z"
}))]
pub(crate) struct Order {
    pub id: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patient_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub visit_number: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub placer_number: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filler_number: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_number: Option<String>,
    #[schema(schema_with = canonical::code)]
    pub code: Code,
    /// `active`, `on_hold`, `revoked`, `completed`, `cancel_requested`, `unknown` or `entered_in_error`.
    pub status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = canonical::practitioner)]
    pub ordered_by: Option<Practitioner>,
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub ordered_at: Option<OffsetDateTime>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Channels whose instruments may do it; absent: every one that knows the test.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<String>,
    /// Why no instrument is told of it although it is open: `specimen_in_use`, another patient's order is on the number;
    /// `specimen_rejected`, the laboratory could not use it and another is to be collected (`POST /specimens`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held: Option<String>,
    /// What instruments were told, oldest word first. Absent: nothing yet.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sent: Vec<Sending>,
    pub version: i32,
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

/// What an instrument was told of an order last, and how it took it.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "channel": "chemistry", "action": "perform", "answer": "refused", "reason": "UA: no reagent", "occasion": "query",
    "control_id": "18F3C1E7A5C0000001", "times": 1, "first_at": "2026-01-31T08:30:00Z", "at": "2026-01-31T08:30:00Z"
}))]
pub(crate) struct Sending {
    pub channel: String,
    /// `perform`: it is to be done; `cancel`: it is taken back.
    pub action: String,
    /// `sending`: not known yet; `delivered`: taken, and the instrument's protocol says no more; `accepted`, `refused`: said by
    /// the instrument; `no_answer`: it said nothing, however often it was told.
    pub answer: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// `query`: it asked; `download`: it was told without asking.
    pub occasion: String,
    /// Control id of the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub control_id: Option<String>,
    /// Messages that carried it.
    pub times: i32,
    #[serde(with = "time::serde::rfc3339")]
    pub first_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
}

/// An order that was placed, or stood already.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c", "placer_number": "ORD-9", "status": "active", "created": true
}))]
pub(crate) struct OrderPlaced {
    pub id: Uuid,
    pub placer_number: String,
    pub status: String,
    /// False: it was placed before.
    pub created: bool,
}

/// An order with its specimens.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c", "placer_number": "ORD-9", "code": { "code": "CBC" }, "status": "active",
    "version": 1, "updated_at": "2026-01-31T08:30:00Z",
    "specimens": [{
        "id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8e", "number": "A-778", "kind": { "code": "BLD" }, "state": "collected",
        "collected_at": "2026-01-31T08:05:00Z", "version": 2
    }]
}))]
pub(crate) struct OrderDetail {
    #[serde(flatten)]
    pub order: Order,
    pub specimens: Vec<Specimen>,
}

/// A specimen.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Specimen {
    pub id: Uuid,
    /// Accession or container number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filler_number: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = canonical::code)]
    pub kind: Option<Code>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = canonical::code)]
    pub body_site: Option<Code>,
    /// HL7 table 0369.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = canonical::code)]
    pub container: Option<Code>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = canonical::code)]
    pub condition: Option<Code>,
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub collected_at: Option<OffsetDateTime>,
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub received_at: Option<OffsetDateTime>,
    /// `accessioned` (it has a number), `collected`, `received` (by the laboratory) or `rejected`: told by the times that are known,
    /// from staff or from hospital systems.
    pub state: String,
    /// Who took it; absent where no person said it here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collected_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub received_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rejection: Option<SpecimenRejection>,
    /// For `If-Match`.
    pub version: i32,
}

/// Why the laboratory could not use a specimen.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "reason": "haemolysed", "text": "plasma red", "recollect": true, "by": "r.rao", "at": "2026-01-31T08:41:00Z"
}))]
pub(crate) struct SpecimenRejection {
    pub reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Its orders wait for another one; else they were revoked.
    pub recollect: bool,
    pub by: String,
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
}

/// A report: one ordered test with its results.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c", "patient_id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8d", "channel": "lab",
    "filler_number": "LAB-77", "specimen_number": "A-778", "code": { "code": "CBC", "text": "Blood count", "system": "L" },
    "status": "F", "received_at": "2026-01-31T08:30:00Z", "version": 1, "updated_at": "2026-01-31T08:30:00Z",
    "released": true, "release": { "state": "released", "number": 1, "at": "2026-01-31T08:41:00Z" }
}))]
pub(crate) struct Report {
    pub id: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patient_id: Option<Uuid>,
    pub channel: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub visit_number: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub placer_number: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filler_number: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub specimen_number: Option<String>,
    #[schema(schema_with = canonical::code)]
    pub code: Code,
    /// OBR-25 as sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub observed_at: Option<OffsetDateTime>,
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub issued_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339")]
    pub received_at: OffsetDateTime,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    pub version: i32,
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
    /// Final for readers: every result that needed verification is decided or, where its channel needs none, final.
    pub released: bool,
    /// Absent: its source has verified it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<Released>,
}

/// Where the release of a report stands.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Released {
    /// `open`: at least one result waits; `released`; `rejected`: no result of it is good.
    pub state: String,
    /// How often it was released: above 1 a correction superseded what was printed before.
    pub number: i32,
    /// The last time.
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub at: Option<OffsetDateTime>,
}

/// A report and its results, all versions of each.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c", "channel": "lab", "code": { "code": "GLU", "system": "L" },
    "status": "C", "received_at": "2026-01-31T08:30:00Z", "version": 2, "updated_at": "2026-01-31T10:00:00Z",
    "released": true, "results": [{
        "id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c.1",
        "report_id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c", "item": 1, "version": 2, "current": true,
        "code": { "code": "GLU", "system": "L" }, "value": { "kind": "quantity", "number": "104" }, "raw_value": "104",
        "unit": "mg/dl", "loinc": "2345-7", "ucum": "mg/dL", "ucum_value": "104", "flags": ["H"], "status": "C",
        "received_at": "2026-01-31T08:30:00Z", "channel": "lab", "source_event": "0b0e8a52-3a52-5f1c-8a50-5a54f0cf7d7d",
        "released": true
    }]
}))]
pub(crate) struct ReportDetail {
    #[serde(flatten)]
    pub report: Report,
    pub results: Vec<LabResult>,
}

/// One result in one version.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Result, example = json!({
    "id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c.1",
    "report_id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c", "item": 1, "version": 1, "current": true,
    "patient_id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8d",
    "code": { "code": "GLU", "text": "Glucose", "system": "L" }, "value_type": "NM",
    "value": { "kind": "quantity", "number": "104" }, "raw_value": "104", "unit": "mg/dl",
    "loinc": "2345-7", "loinc_display": "Glucose [Mass/volume] in Serum or Plasma", "ucum": "mg/dL", "ucum_value": "104",
    "range": { "text": "70-100", "low": "70", "high": "100" }, "flags": ["H"], "status": "F",
    "observed_at": "2026-01-31T08:05:00Z", "received_at": "2026-01-31T08:30:00Z", "channel": "lab",
    "specimen_number": "A-778", "filler_number": "LAB-77", "source_event": "0b0e8a52-3a52-5f1c-8a50-5a54f0cf7d7d",
    "released": false, "verification": { "id": 17, "state": "needs_review", "failed": "range",
        "reason": "outside the range of autoverification" }
}))]
pub(crate) struct LabResult {
    /// Report and item: what `/results/{id}` reads, the same through all versions. Over FHIR it is the Observation's id.
    pub id: String,
    pub report_id: Uuid,
    /// The result's place in its report, the same through all versions.
    pub item: i16,
    pub version: i16,
    /// False for a version that a correction replaced.
    pub current: bool,
    /// Absent when the message named no patient or the index does not know him yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patient_id: Option<Uuid>,
    /// As sent.
    #[schema(schema_with = canonical::code)]
    pub code: Code,
    /// Second code, as sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = canonical::code)]
    pub alternate: Option<Code>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sub_id: Option<String>,
    /// OBX-2 as sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value_type: Option<String>,
    #[schema(schema_with = canonical::value)]
    pub value: Value,
    /// OBX-5 as sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw_value: Option<String>,
    /// OBX-6 as sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// What the mapping tables say the code means; absent while unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loinc: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loinc_display: Option<String>,
    /// UCUM unit of `ucum_value`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ucum: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ucum_value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<Range>,
    /// Each flag as sent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<String>,
    /// OBX-11 as sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Why it waits for a person: `unknown_code`, `unknown_unit`, `no_patient` or `patient_mismatch`. Absent: it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held: Option<String>,
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub observed_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339")]
    pub received_at: OffsetDateTime,
    /// When a correction replaced this version.
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub superseded_at: Option<OffsetDateTime>,
    pub channel: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub specimen_number: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub placer_number: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filler_number: Option<String>,
    /// Event that brought this version.
    pub source_event: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// May be acted on: verified here or, where its channel needs no verification, final.
    pub released: bool,
    /// Absent: its source has verified it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verification: Option<Verified>,
}

/// Where the verification of a result stands.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Verified {
    /// Decide it at `/worklists/verification/{id}`.
    pub id: i64,
    /// `received` (not final yet), `needs_review`, `verified` (waits for its report), `rejected` or `released`.
    pub state: String,
    /// The first check that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// A person, or `rules`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub at: Option<OffsetDateTime>,
}

/// Reference range.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Range {
    /// As sent.
    pub text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub low: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub high: Option<String>,
}
