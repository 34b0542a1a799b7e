//! Encounter.

use schemas::care::{Location, Practitioner};
use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::element::{
    coding, concept_of, element, list, maybe_reference, named, number, period, text, words,
};
use crate::resource::{Kind, Meta, Resource};

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
                (
                    "identifier",
                    list([number("VN", "Visit number", self.visit_number.as_ref())]),
                ),
                ("status", json!(status(&self.status))),
                ("class", class(self.class.as_deref())),
                ("serviceType", words(self.service.as_ref())),
                ("subject", maybe_reference(Kind::Patient, self.patient)),
                (
                    "participant",
                    list([
                        participant("ATND", "attender", self.attending.as_ref()),
                        participant("REF", "referrer", self.referring.as_ref()),
                    ]),
                ),
                ("period", period(self.started_at, self.ended_at)),
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
    const ACT: &str = "http://terminology.hl7.org/CodeSystem/v3-ActCode";
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
