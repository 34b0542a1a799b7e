//! Patient.

use schemas::patients::{Address, HumanName, Telecom};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use crate::element::{
    coding, concept_of, date, element, extension, list, maybe, moment, reference, text, token,
};
use crate::resource::{Kind, Meta, Resource};
use crate::systems::{IDENTIFIER_TYPE, identifier_system};

/// The extension that holds the name a person's mother was born with.
pub(crate) const MAIDEN_NAME: &str =
    "http://hl7.org/fhir/StructureDefinition/patient-mothersMaidenName";
pub(crate) const V2_MARITAL: &str = "http://terminology.hl7.org/CodeSystem/v2-0002";
pub(crate) const V3_MARITAL: &str = "http://terminology.hl7.org/CodeSystem/v3-MaritalStatus";
/// Codes of table 0002 that have one of FHIR's: theirs, FHIR's, and its words.
pub(crate) const MARITAL_STATES: [(&str, &str, &str); 8] = [
    ("A", "L", "Legally Separated"),
    ("D", "D", "Divorced"),
    ("I", "I", "Interlocutory"),
    ("M", "M", "Married"),
    ("S", "S", "Never Married"),
    ("W", "W", "Widowed"),
    ("P", "T", "Domestic partner"),
    ("U", "U", "unmarried"),
];

/// A person as the patient index knows him.
#[derive(Debug, Clone)]
pub struct Patient {
    pub id: Uuid,
    pub meta: Meta,
    /// False: merged into another record, or entered in error.
    pub active: bool,
    pub identifiers: Vec<PatientIdentifier>,
    pub name: Option<HumanName>,
    pub other_names: Vec<HumanName>,
    pub telecoms: Vec<Telecom>,
    /// `male`, `female`, `other`, `unknown`.
    pub sex: Option<String>,
    /// ISO 8601, possibly partial.
    pub birth_date: Option<String>,
    /// RFC 3339, or empty when only the fact is known.
    pub deceased: Option<String>,
    pub addresses: Vec<Address>,
    /// HL7 table 0002.
    pub marital_status: Option<String>,
    pub mother_maiden_name: Option<String>,
    /// The record that stands for this one.
    pub merged_into: Option<Uuid>,
    /// Records that lead to this one.
    pub merged: Vec<Uuid>,
    /// The customer.
    pub organization: Option<Uuid>,
}

/// An identifier of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatientIdentifier {
    /// Assigning authority.
    pub system: String,
    pub value: String,
    /// HL7 table 0203.
    pub kind: Option<String>,
    /// It was registered on a record that leads to this one.
    pub old: bool,
}

impl Patient {
    #[must_use]
    pub fn resource(&self) -> Resource {
        let links = self
            .merged_into
            .iter()
            .map(|id| ("replaced-by", id))
            .chain(self.merged.iter().map(|id| ("replaces", id)))
            .map(|(kind, id)| {
                element([
                    ("other", reference(Kind::Patient, id)),
                    ("type", Value::from(kind)),
                ])
            });
        let (deceased, died) = match self.deceased.as_deref() {
            None => (Value::Null, Value::Null),
            Some(at) => match OffsetDateTime::parse(at, &Rfc3339) {
                // of a time that FHIR can't write the fact is left
                Ok(at) => match moment(at) {
                    Value::Null => (json!(true), Value::Null),
                    at => (Value::Null, at),
                },
                Err(_) => (json!(true), Value::Null),
            },
        };
        Resource::new(
            Kind::Patient,
            self.id,
            self.meta.clone(),
            [
                ("extension", list([self.maiden_name()])),
                ("identifier", list(self.identifiers.iter().map(identifier))),
                ("active", json!(self.active)),
                (
                    "name",
                    list(self.name.iter().chain(&self.other_names).map(human_name)),
                ),
                ("telecom", list(self.telecoms.iter().map(telecom))),
                ("gender", self.sex.as_deref().map_or(Value::Null, token)),
                (
                    "birthDate",
                    self.birth_date.as_deref().map_or(Value::Null, date),
                ),
                ("_birthDate", self.birth_time()),
                ("deceasedBoolean", deceased),
                ("deceasedDateTime", died),
                ("address", list(self.addresses.iter().map(address))),
                (
                    "maritalStatus",
                    self.marital_status
                        .as_deref()
                        .map_or(Value::Null, marital_status),
                ),
                (
                    "managingOrganization",
                    crate::element::maybe_reference(Kind::Organization, self.organization),
                ),
                ("link", list(links)),
            ],
        )
    }

    fn maiden_name(&self) -> Value {
        extension(
            MAIDEN_NAME,
            "valueString",
            maybe(self.mother_maiden_name.as_ref()),
        )
    }

    /// The hour of birth, where it was sent.
    fn birth_time(&self) -> Value {
        let at = self
            .birth_date
            .as_deref()
            .and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok());
        at.map_or(Value::Null, |at| {
            json!({ "extension": [{
                "url": "http://hl7.org/fhir/StructureDefinition/patient-birthTime",
                "valueDateTime": moment(at),
            }] })
        })
    }
}

fn identifier(one: &PatientIdentifier) -> Value {
    let kind = one.kind.as_deref().map_or(Value::Null, |kind| {
        concept_of([coding(IDENTIFIER_TYPE, kind, None)], None)
    });
    let value = text(&one.value);
    if value.is_null() {
        return Value::Null;
    }
    element([
        ("use", if one.old { json!("old") } else { Value::Null }),
        ("type", kind),
        ("system", text(&identifier_system(&one.system))),
        ("value", value),
    ])
}

pub(crate) fn human_name(name: &HumanName) -> Value {
    let used = match name.use_code.as_deref() {
        Some("L") => json!("official"),
        Some("D") => json!("usual"),
        Some("M") => json!("maiden"),
        Some("N") => json!("nickname"),
        Some("S") => json!("anonymous"),
        Some("T" | "TEMP") => json!("temp"),
        Some("BAD" | "NOUSE") => json!("old"),
        _ => Value::Null,
    };
    element([
        ("use", used),
        ("text", text(&name.display())),
        ("family", maybe(name.family.as_ref())),
        ("given", list(name.given.iter().map(|given| text(given)))),
        ("prefix", list([maybe(name.prefix.as_ref())])),
        ("suffix", list([maybe(name.suffix.as_ref())])),
    ])
}

pub(crate) fn telecom(one: &Telecom) -> Value {
    let system = match one.system.as_str() {
        "phone" | "mobile" => "phone",
        "email" => "email",
        _ => "other",
    };
    let used = match (one.system.as_str(), one.use_code.as_deref()) {
        ("mobile", _) => json!("mobile"),
        (_, Some("PRN" | "ORN" | "VHN" | "PRS")) => json!("home"),
        (_, Some("WPN")) => json!("work"),
        _ => Value::Null,
    };
    let value = text(&one.value);
    if value.is_null() {
        return Value::Null;
    }
    element([("system", json!(system)), ("value", value), ("use", used)])
}

pub(crate) fn address(one: &Address) -> Value {
    element([
        ("line", list(one.lines.iter().map(|line| text(line)))),
        ("city", maybe(one.city.as_ref())),
        ("district", maybe(one.district.as_ref())),
        ("state", maybe(one.state.as_ref())),
        ("postalCode", maybe(one.postal_code.as_ref())),
        ("country", maybe(one.country.as_ref())),
    ])
}

/// Table 0002 in FHIR's words (HL7 v2-to-FHIR IG, ConceptMap 0002); others keep their own.
fn marital_status(code: &str) -> Value {
    let (system, code, display) = MARITAL_STATES
        .iter()
        .find(|(v2, _, _)| *v2 == code)
        .map_or((V2_MARITAL, code, None), |(_, v3, display)| {
            (V3_MARITAL, *v3, Some(*display))
        });
    concept_of([coding(system, code, display)], None)
}
