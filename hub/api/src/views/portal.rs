//! Patients' log-ins, as a desk sees them, and what a patient sees of himself: nothing of how the house works with it (who verified,
//! which instrument, notes of the desk), and nothing of others. The lists of members are kept here, also where staff see the same: what
//! is added for staff must not come to a patient by a type that they share.

use schemas::care::{Code, Value};
use schemas::patients::{Address, HumanName, Telecom};
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;
use worker_clinical::queries::ResultRow;
use worker_identity::queries::PatientLoginRow;
use worker_patient::queries::Person;

use super::appointments::Appointment;
use super::canonical;
use super::care::{LabResult, Range};

/// A log-in of a patient.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c", "patient_id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b92",
    "made_for": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b92", "username": "asha.1980", "state": "active",
    "must_change_password": false, "second_factor": false, "version": 1, "created_by": "desk",
    "created_at": "2026-01-31T08:30:00Z", "last_sign_in": "2026-02-01T07:58:11Z"
}))]
pub(crate) struct PatientLogin {
    /// The user.
    pub id: Uuid,
    /// The record that stands for it now.
    pub patient_id: Uuid,
    /// The record that it was made for.
    pub made_for: Uuid,
    /// Never changed, never given to another person.
    pub username: String,
    /// Of the user: `active`, `locked` or `disabled`.
    pub state: String,
    pub must_change_password: bool,
    /// A second factor is enrolled.
    pub second_factor: bool,
    /// For `If-Match`.
    pub version: i32,
    pub created_by: String,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub last_sign_in: Option<OffsetDateTime>,
    /// It is over since then.
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub ended_at: Option<OffsetDateTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_by: Option<String>,
    /// `desk`: somebody ended it; `merge`: his records were merged, and of two log-ins the other one survived.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_as: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_reason: Option<String>,
}

impl PatientLogin {
    pub(crate) fn of(row: PatientLoginRow) -> Self {
        Self {
            id: row.user_id,
            patient_id: row.patient_id,
            made_for: row.made_for,
            username: row.username,
            state: row.state,
            must_change_password: row.must_change,
            second_factor: row.has_factor,
            version: row.version,
            created_by: row.created_by,
            created_at: row.created_at,
            last_sign_in: row.last_sign_in,
            ended_at: row.ended_at,
            ended_by: row.ended_by,
            ended_as: row.ended_as,
            end_reason: row.end_reason,
        }
    }
}

/// What the hospital has written down of me.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "patient_id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b92", "name": { "family": "Sharma", "given": ["Asha"] },
    "birth_date": "1980-05-17", "sex": "female", "identifiers": [{ "system": "HOSP", "value": "12345", "kind": "MR" }],
    "telecoms": [{ "system": "mobile", "value": "+91 98450 12345" }], "updated_at": "2026-01-31T08:30:00Z"
}))]
pub(crate) struct OwnRecord {
    pub patient_id: Uuid,
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
    /// Those in use, of all records that are mine.
    pub identifiers: Vec<OwnIdentifier>,
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
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

/// A number of mine.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct OwnIdentifier {
    /// Who gave it.
    pub system: String,
    pub value: String,
    /// HL7 table 0203.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
}

impl OwnRecord {
    pub(crate) fn of(person: Person) -> Self {
        let Person { patient, merged } = person;
        let identifiers = patient
            .identifiers
            .into_iter()
            .chain(merged.into_iter().flat_map(|record| record.identifiers))
            .filter(|one| one.ended_at.is_none())
            .map(|one| OwnIdentifier {
                system: one.system,
                value: one.value,
                kind: one.kind,
            })
            .collect();
        Self {
            patient_id: patient.id,
            name: patient.name,
            other_names: patient.other_names,
            birth_date: patient.birth_date,
            sex: patient.sex,
            identifiers,
            telecoms: patient.telecoms,
            addresses: patient.addresses,
            mother_maiden_name: patient.mother_maiden_name,
            marital_status: patient.marital_status,
            updated_at: patient.updated_at,
        }
    }
}

/// A result of mine that was released.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "patient_id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b92", "report_id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c", "item": 1,
    "version": 1, "report": "Clinical chemistry", "code": { "code": "GLU", "text": "Glucose", "system": "L" },
    "value": { "kind": "quantity", "number": "104" }, "unit": "mg/dl", "loinc": "2345-7",
    "loinc_display": "Glucose [Mass/volume] in Serum or Plasma", "range": { "text": "70-100", "low": "70", "high": "100" },
    "flags": ["H"], "observed_at": "2026-01-31T08:05:00Z", "received_at": "2026-01-31T08:30:00Z"
}))]
pub(crate) struct OwnResult {
    pub patient_id: Uuid,
    pub report_id: Uuid,
    /// The result's place in its report.
    pub item: i16,
    /// 2 and above: it was corrected.
    pub version: i16,
    /// What the report is about.
    pub report: String,
    #[schema(schema_with = canonical::code)]
    pub code: Code,
    #[schema(schema_with = canonical::value)]
    pub value: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loinc: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loinc_display: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<Range>,
    /// As sent: `H` above, `L` below the range …
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub observed_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339")]
    pub received_at: OffsetDateTime,
}

impl OwnResult {
    pub(crate) fn of(row: ResultRow, patient_id: Uuid) -> Self {
        let report = row
            .report_code_text
            .clone()
            .unwrap_or_else(|| row.report_code.clone());
        let result = LabResult::of(row, Some(patient_id));
        Self {
            patient_id,
            report_id: result.report_id,
            item: result.item,
            version: result.version,
            report,
            code: result.code,
            value: result.value,
            unit: result.unit,
            loinc: result.loinc,
            loinc_display: result.loinc_display,
            range: result.range,
            flags: result.flags,
            notes: result.notes,
            observed_at: result.observed_at,
            received_at: result.received_at,
        }
    }
}

/// An appointment of mine.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b90", "patient_id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b92", "state": "booked",
    "mode": "in_person", "schedule": "Dr Rao, general OPD", "facility": "MAIN", "day": "2026-02-02",
    "starts_at": "2026-02-02T02:30:00Z", "ends_at": "2026-02-02T02:40:00Z"
}))]
pub(crate) struct OwnAppointment {
    pub id: Uuid,
    pub patient_id: Uuid,
    /// `held`, `booked`, `confirmed`, `arrived`, `in_consult`, `done`, `cancelled`, `no_show` or `expired`.
    pub state: String,
    /// `in_person`, `video` or `phone`.
    pub mode: String,
    pub schedule: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub practitioner_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub facility: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub department: Option<String>,
    /// Where the schedule is.
    pub day: String,
    #[serde(with = "time::serde::rfc3339")]
    pub starts_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub ends_at: OffsetDateTime,
    /// My number in the queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<i32>,
    /// What it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl OwnAppointment {
    pub(crate) fn of(appointment: Appointment, patient_id: Uuid) -> Self {
        Self {
            id: appointment.id,
            patient_id,
            state: appointment.state,
            mode: appointment.mode,
            schedule: appointment.schedule,
            practitioner_name: appointment.practitioner_name,
            service: appointment.service,
            room: appointment.room,
            facility: appointment.facility,
            department: appointment.department,
            day: appointment.day,
            starts_at: appointment.starts_at,
            ends_at: appointment.ends_at,
            token: appointment.token,
            reason: appointment.reason,
        }
    }
}
