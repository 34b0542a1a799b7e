//! Encounter.

use schemas::care::{Location, Practitioner};
use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::element::{
    coding, concept_of, element, extension, list, maybe, maybe_moment, maybe_reference, named,
    number, period, text, words,
};
use crate::resource::{Kind, Meta, Resource};

/// The department of the house, by its id.
pub const DEPARTMENT: &str = "urn:hub:extension:department";
/// Who pays: `self` or `insurer`.
pub const PAYER: &str = "urn:hub:extension:payer";
/// The kind of ward that an admission asks for.
pub const WARD_CLASS: &str = "urn:hub:extension:ward-class";
pub const MEDICO_LEGAL: &str = "urn:hub:extension:medico-legal";
/// When the patient is expected to leave.
pub const EXPECTED_AT: &str = "urn:hub:extension:expected-at";

pub(crate) const ACT: &str = "http://terminology.hl7.org/CodeSystem/v3-ActCode";
const ACT_PRIORITY: &str = "http://terminology.hl7.org/CodeSystem/v3-ActPriority";

/// A visit or stay.
#[derive(Debug, Clone)]
pub struct Encounter {
    pub id: Uuid,
    pub meta: Meta,
    pub patient: Option<Uuid>,
    pub visit_number: Option<String>,
    /// HL7 table 0004.
    pub class: Option<String>,
    /// `planned`, `in_progress`, `finished`, `cancelled`, `entered_in_error`, `unknown`.
    pub status: String,
    pub stays: Vec<Stay>,
    pub attending: Option<Practitioner>,
    pub referring: Option<Practitioner>,
    pub service: Option<String>,
    pub disposition: Option<String>,
    /// Of the house, that it was opened in.
    pub department: Option<Uuid>,
    /// In a person's words.
    pub reason: Option<String>,
    /// `routine`, `urgent`, `emergency`.
    pub priority: Option<String>,
    /// `self`, `insurer`.
    pub payer: Option<String>,
    /// What kind of ward was asked for.
    pub ward_class: Option<String>,
    pub medico_legal: Option<bool>,
    /// When the patient is expected to leave.
    pub expected_at: Option<OffsetDateTime>,
    pub started_at: Option<OffsetDateTime>,
    pub ended_at: Option<OffsetDateTime>,
    /// The customer.
    pub organization: Option<Uuid>,
}

/// A place during an encounter.
#[derive(Debug, Clone)]
pub struct Stay {
    pub place: Location,
    /// The Location, where there is one.
    pub location: Option<String>,
    /// `active`, `completed`; `cancelled` ones are no part of it.
    pub status: String,
    pub from: Option<OffsetDateTime>,
    pub to: Option<OffsetDateTime>,
}

impl Encounter {
    #[must_use]
    pub fn resource(&self) -> Resource {
        let participant = |code: &str, display: &str, person: Option<&Practitioner>| {
            let who = named(person);
            if who.is_null() {
                return Value::Null;
            }
            element([
                (
                    "type",
                    list([concept_of(
                        [coding(
                            "http://terminology.hl7.org/CodeSystem/v3-ParticipationType",
                            code,
                            Some(display),
                        )],
                        None,
                    )]),
                ),
                ("individual", who),
            ])
        };
        Resource::new(
            Kind::Encounter,
            self.id,
            self.meta.clone(),
            [
                ("extension", list(self.extensions())),
                (
                    "identifier",
                    list([number("VN", "Visit number", self.visit_number.as_ref())]),
                ),
                ("status", json!(status(&self.status))),
                ("class", class(self.class.as_deref())),
                ("serviceType", words(self.service.as_ref())),
                ("priority", priority(self.priority.as_deref())),
                ("subject", maybe_reference(Kind::Patient, self.patient)),
                (
                    "participant",
                    list([
                        participant("ATND", "attender", self.attending.as_ref()),
                        participant("REF", "referrer", self.referring.as_ref()),
                    ]),
                ),
                ("period", period(self.started_at, self.ended_at)),
                ("reasonCode", list([words(self.reason.as_ref())])),
                (
                    "hospitalization",
                    element([("dischargeDisposition", words(self.disposition.as_ref()))]),
                ),
                ("location", list(self.stays.iter().map(stay))),
                (
                    "serviceProvider",
                    maybe_reference(Kind::Organization, self.organization),
                ),
            ],
        )
    }

    /// What R4 has no element for.
    fn extensions(&self) -> [Value; 5] {
        let department = self.department.map(|id| id.to_string());
        [
            extension(DEPARTMENT, "valueString", maybe(department.as_ref())),
            extension(PAYER, "valueString", maybe(self.payer.as_ref())),
            extension(WARD_CLASS, "valueString", maybe(self.ward_class.as_ref())),
            extension(
                MEDICO_LEGAL,
                "valueBoolean",
                self.medico_legal.map_or(Value::Null, Value::from),
            ),
            extension(EXPECTED_AT, "valueDateTime", maybe_moment(self.expected_at)),
        ]
    }
}

/// How soon an admission is to be (v3 ActPriority), as the hub says it and as FHIR does.
pub(crate) const PRIORITIES: [(&str, &str, &str); 3] = [
    ("routine", "R", "routine"),
    ("urgent", "UR", "urgent"),
    ("emergency", "EM", "emergency"),
];

fn priority(ours: Option<&str>) -> Value {
    PRIORITIES
        .iter()
        .find(|(word, ..)| Some(*word) == ours)
        .map_or(Value::Null, |(_, code, display)| {
            concept_of([coding(ACT_PRIORITY, code, Some(display))], None)
        })
}

fn status(ours: &str) -> &'static str {
    match ours {
        "planned" => "planned",
        "in_progress" => "in-progress",
        "finished" => "finished",
        "cancelled" => "cancelled",
        "entered_in_error" => "entered-in-error",
        _ => "unknown",
    }
}

/// Table 0004 as ActCode where it has one (specs/hl7-fhir.md §3.4). The element is mandatory: a class that nobody sent says so.
fn class(code: Option<&str>) -> Value {
    match code.map(str::trim).filter(|code| !code.is_empty()) {
        Some("E") => coding(ACT, "EMER", Some("emergency")),
        Some("I") => coding(ACT, "IMP", Some("inpatient encounter")),
        Some("O") => coding(ACT, "AMB", Some("ambulatory")),
        Some("P") => coding(ACT, "PRENC", Some("pre-admission")),
        Some(other) => coding("http://terminology.hl7.org/CodeSystem/v2-0004", other, None),
        None => coding(
            "http://terminology.hl7.org/CodeSystem/v3-NullFlavor",
            "UNK",
            Some("unknown"),
        ),
    }
}

fn stay(stay: &Stay) -> Value {
    let status = match stay.status.as_str() {
        "active" => "active",
        "completed" => "completed",
        _ => return Value::Null,
    };
    let words = place_words(&stay.place);
    let place = element([
        (
            "reference",
            stay.location
                .as_ref()
                .map_or(Value::Null, |id| json!(format!("{}/{id}", Kind::Location))),
        ),
        ("display", text(&words)),
    ]);
    if place.is_null() {
        return Value::Null;
    }
    element([
        ("location", place),
        ("status", json!(status)),
        ("period", period(stay.from, stay.to)),
    ])
}

/// `MAIN, ICU, room 2, bed 4`
pub(crate) fn place_words(place: &Location) -> String {
    let mut words: Vec<String> = Vec::new();
    words.extend(place.facility.clone());
    words.extend(place.point_of_care.clone());
    words.extend(place.room.as_ref().map(|room| format!("room {room}")));
    words.extend(place.bed.as_ref().map(|bed| format!("bed {bed}")));
    words.join(", ")
}
