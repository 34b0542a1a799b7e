//! What a source system said about a person, and what the patient index made of it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Body, IdentifierKey, Patch};

/// One identifier of a person (HL7 CX; FHIR Identifier).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Identifier {
    /// Key = digest of tenant, system and value.
    pub key: IdentifierKey,
    /// Assigning authority (CX.4), or `mrn` when the sender names none.
    pub system: String,
    /// The identifier as sent, trimmed (CX.1).
    pub value: String,
    /// Identifier type, HL7 table 0203 (`MR`, `SS`, `ABHA` …), if sent (CX.5).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
}

/// Name of a person (HL7 XPN; FHIR HumanName).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct HumanName {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<String>,
    /// Given and middle names in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub given: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suffix: Option<String>,
    /// HL7 table 0200 (`L` legal, `A` alias, `M` maiden …).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub use_code: Option<String>,
}

impl HumanName {
    /// The name as one line: prefix, given names, family name, suffix.
    #[must_use]
    pub fn display(&self) -> String {
        self.prefix
            .iter()
            .chain(self.given.iter())
            .chain(self.family.iter())
            .chain(self.suffix.iter())
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join(" ")
    }
}

/// Telephone number or e-mail address (HL7 XTN).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Telecom {
    pub value: String,
    /// `phone`, `mobile`, `email`, `other`.
    pub system: String,
    /// HL7 table 0201 (`PRN`, `WPN` …).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub use_code: Option<String>,
}

/// Postal address (HL7 XAD).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Address {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub city: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub district: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postal_code: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
}

/// Administrative sex (HL7 table 0001, FHIR administrative-gender).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Sex {
    Male,
    Female,
    Other,
    Unknown,
}

impl Sex {
    /// The value as it is stored and shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Male => "male",
            Self::Female => "female",
            Self::Other => "other",
            Self::Unknown => "unknown",
        }
    }
}

/// How much the sender's word on demographics counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Assertion {
    /// An ADT message: registers or updates the person.
    Asserted,
    /// An order or a result names the person: registers a flagged person if unknown, updates nothing.
    Mentioned,
}

/// `patients.patient.reported`: a source system told us who a person is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PatientReported {
    pub assertion: Assertion,
    /// All identifiers sent; the first is the primary one and decides the lane. Never empty.
    pub identifiers: Vec<Identifier>,
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub name: Patch<HumanName>,
    /// Further names: aliases, maiden name, the name in another script.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub other_names: Vec<HumanName>,
    /// ISO 8601 date, possibly partial: `1980`, `1980-05`, `1980-05-17`.
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
    /// Time the fact held at the sender (EVN-6, EVN-2, MSH-7), RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub occurred_at: Option<String>,
}

impl Body for PatientReported {
    const NAME: &'static str = "patients.patient.reported";
}

/// `patients.patient.merge_reported`: a source system joined two records of one person (ADT A40, A34).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PatientMergeReported {
    /// Identifiers of the record that stays (PID).
    pub survivor: Vec<Identifier>,
    /// Identifiers of the record that is retired (MRG-1).
    pub retired: Vec<Identifier>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub occurred_at: Option<String>,
}

impl Body for PatientMergeReported {
    const NAME: &'static str = "patients.patient.merge_reported";
}

/// `patients.patient.registered`: the index has a new person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PatientRegistered {
    pub patient_id: Uuid,
    pub identifiers: Vec<Identifier>,
    /// True when only an order or a result mentioned the person; a person must complete the record.
    pub provisional: bool,
    /// Records that may be the same person.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub possible_duplicates: Vec<Uuid>,
}

impl Body for PatientRegistered {
    const NAME: &'static str = "patients.patient.registered";
}

/// `patients.patient.updated`: demographics or identifiers changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PatientUpdated {
    pub patient_id: Uuid,
    pub version: i32,
    /// Names of the fields that changed; never their values.
    pub changed: Vec<String>,
}

impl Body for PatientUpdated {
    const NAME: &'static str = "patients.patient.updated";
}

/// `patients.patient.merged`: one record now leads to another; both keep their identifiers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PatientMerged {
    pub survivor: Uuid,
    pub retired: Uuid,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Body for PatientMerged {
    const NAME: &'static str = "patients.patient.merged";
}

/// `patients.patient.unmerged`: a merge was taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PatientUnmerged {
    pub survivor: Uuid,
    pub restored: Uuid,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Body for PatientUnmerged {
    const NAME: &'static str = "patients.patient.unmerged";
}
