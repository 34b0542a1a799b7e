//! Registration by a person: what a desk says of a patient, beside what source systems report (`patients`).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::patients::{Address, HumanName, Identifier, Sex, Telecom};
use crate::{Body, Patch};

/// What a person says of a patient beside the identifiers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Stated {
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub name: Patch<HumanName>,
    /// The name in another script, an alias.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub other_names: Patch<Vec<HumanName>>,
    /// ISO 8601 date, as exact as it is known: `1980`, `1980-05`, `1980-05-17`.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub birth_date: Patch<String>,
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub sex: Patch<Sex>,
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub telecoms: Patch<Vec<Telecom>>,
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub addresses: Patch<Vec<Address>>,
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub mother_maiden_name: Patch<String>,
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub marital_status: Patch<String>,
    /// RFC 3339 time of death, or the empty string when only the fact is known.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub deceased: Patch<String>,
}

/// `patients.patient.register`: a new patient at a desk. Refused (`patients.likely_duplicate`) when a patient is on file who
/// looks like it, unless `force` says why it is another person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RegisterPatient {
    /// The first is the primary one. Empty: the worker takes the next number of the facility's series.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub identifiers: Vec<Identifier>,
    /// The facility whose series gives the number where `identifiers` has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facility: Option<String>,
    pub stated: Stated,
    /// Why it is registered although somebody looks like it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force: Option<String>,
    pub actor: String,
}

impl Body for RegisterPatient {
    const NAME: &'static str = "patients.patient.register";
}

/// `patients.patient.change`: a person corrects or completes a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChangePatient {
    pub patient_id: Uuid,
    /// The version that was seen; absent: whatever it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<i32>,
    pub stated: Stated,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub actor: String,
}

impl Body for ChangePatient {
    const NAME: &'static str = "patients.patient.change";
}

/// `patients.patient.restrict`: open the chart only to those who care for the patient, or to everybody again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RestrictPatient {
    pub patient_id: Uuid,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<i32>,
    pub restricted: bool,
    pub reason: String,
    pub actor: String,
}

impl Body for RestrictPatient {
    const NAME: &'static str = "patients.patient.restrict";
}

/// `patients.identifier.add`: one more identifier of a patient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AddIdentifier {
    pub patient_id: Uuid,
    pub identifier: Identifier,
    pub actor: String,
}

impl Body for AddIdentifier {
    const NAME: &'static str = "patients.identifier.add";
}

/// `patients.identifier.end`: an identifier is not to be used any more. It still leads to the patient, and to nobody else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EndIdentifier {
    pub patient_id: Uuid,
    pub identifier: Identifier,
    pub reason: String,
    pub actor: String,
}

impl Body for EndIdentifier {
    const NAME: &'static str = "patients.identifier.end";
}

/// `patients.series.define`: how a facility numbers its patients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DefineSeries {
    pub facility: String,
    pub prefix: String,
    /// Digits, with leading zeros.
    pub width: i16,
    /// The next number; never below what was given.
    pub next: i64,
    /// The version that the caller saw, 0 when he saw none; absent: whatever it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i32>,
    pub actor: String,
}

impl Body for DefineSeries {
    const NAME: &'static str = "patients.series.define";
}
