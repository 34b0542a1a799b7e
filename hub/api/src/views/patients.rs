//! Patients.

use schemas::patients::{Address, HumanName, Telecom};
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;
use worker_patient::queries;

use super::canonical;

/// A person's record.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c", "status": "active", "provisional": false,
    "name": { "family": "Sharma", "given": ["Asha"] }, "birth_date": "1980-05-17", "sex": "female",
    "identifiers": [{ "system": "HOSP", "value": "12345", "kind": "MR" }],
    "telecoms": [{ "system": "mobile", "value": "+91 98450 12345" }],
    "version": 3, "updated_at": "2026-01-31T08:30:00Z"
}))]
pub(crate) struct Patient {
    pub id: Uuid,
    /// `active`, `merged` or `entered_in_error`.
    pub status: String,
    /// The record that this one leads to since a merge.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub merged_into: Option<Uuid>,
    /// True when only an order or a result has named the person so far.
    pub provisional: bool,
    /// The chart is open to those who care for the patient only.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    pub restricted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = canonical::human_name)]
    pub name: Option<HumanName>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(schema_with = canonical::human_names)]
    pub other_names: Vec<HumanName>,
    /// ISO 8601, possibly partial: `1980`, `1980-05`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub birth_date: Option<String>,
    /// `male`, `female`, `other` or `unknown`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sex: Option<String>,
    /// Records that lead to this one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub merged: Vec<Uuid>,
    /// Those of this record; when one record is read, also those of the records merged into it.
    pub identifiers: Vec<PatientIdentifier>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(schema_with = canonical::telecoms)]
    pub telecoms: Vec<Telecom>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(schema_with = canonical::addresses)]
    pub addresses: Vec<Address>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mother_maiden_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub marital_status: Option<String>,
    /// Time of death; empty when only the fact is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deceased: Option<String>,
    pub version: i32,
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

impl Patient {
    /// A record, and those that lead to it where they are known.
    pub(crate) fn of(row: queries::Patient, merged: &[queries::Patient]) -> Self {
        let own = row.identifiers.into_iter().map(|one| (one, false));
        let theirs = merged.iter().flat_map(|record| record.identifiers.clone());
        Self {
            id: row.id,
            status: row.status,
            merged_into: row.merged_into,
            provisional: row.provisional,
            restricted: row.restricted,
            name: row.name,
            other_names: row.other_names,
            birth_date: row.birth_date,
            sex: row.sex,
            identifiers: own
                .chain(theirs.map(|one| (one, true)))
                .map(|(one, elsewhere)| PatientIdentifier {
                    system: one.system,
                    value: one.value,
                    kind: one.kind,
                    patient_id: elsewhere.then_some(one.patient_id),
                    ended_at: one.ended_at,
                })
                .collect(),
            merged: merged.iter().map(|record| record.id).collect(),
            telecoms: row.telecoms,
            addresses: row.addresses,
            mother_maiden_name: row.mother_maiden_name,
            marital_status: row.marital_status,
            deceased: row.deceased,
            version: row.version,
            updated_at: row.updated_at,
        }
    }
}

/// One identifier.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct PatientIdentifier {
    /// Assigning authority, or `mrn` when the sender names none.
    pub system: String,
    /// As sent.
    pub value: String,
    /// HL7 table 0203.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The record it was registered on, when that is another (merged) one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patient_id: Option<Uuid>,
    /// Not to be used any more since then; it still leads here.
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub ended_at: Option<OffsetDateTime>,
}

/// A record that may be the same person.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "patient": { "id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8d", "status": "active", "provisional": true,
                 "identifiers": [], "version": 1, "updated_at": "2026-01-31T08:30:00Z" },
    "score": 87, "reasons": ["same_mobile", "same_name_and_birth_date"], "state": "open"
}))]
pub(crate) struct Duplicate {
    pub patient: Patient,
    /// 1 to 100.
    pub score: i16,
    /// `shared_identifier`, `same_abha`, `same_name_and_birth_date`, `same_mobile`.
    pub reasons: Vec<String>,
    /// `open`, `merged` or `dismissed`.
    pub state: String,
}
