//! MedicationRequest.

use schemas::care::{Code, Practitioner};
use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::element::{
    concept, decimal, element, list, maybe, maybe_concept, maybe_moment, maybe_reference, named,
    text, whose, words,
};
use crate::resource::{Kind, Meta, Resource};
use crate::systems::UCUM;

/// One medicine of a prescription.
#[derive(Debug, Clone)]
pub struct Prescription {
    /// `018f….1`: a line has no id but its place in its prescription.
    pub id: String,
    pub meta: Meta,
    pub patient: Option<Uuid>,
    pub encounter: Option<Uuid>,
    /// The prescription that it is a line of.
    pub group: Option<String>,
    /// `draft`, `active`, `on_hold`, `cancelled`, `completed`, `stopped`, `entered_in_error`.
    pub status: String,
    pub status_reason: Option<String>,
    pub medication: Code,
    pub dosage: Vec<Dosage>,
    pub prescribed_at: Option<OffsetDateTime>,
    pub prescribed_by: Option<Practitioner>,
    /// Decimal text, and the unit.
    pub quantity: Option<(String, Option<String>)>,
    pub repeats: Option<u32>,
    pub notes: Vec<String>,
}

/// How it is to be taken.
#[derive(Debug, Clone, Default)]
pub struct Dosage {
    /// As it is printed: `1-0-1 after food, 5 days`.
    pub text: String,
    /// `1-0-1`, or words.
    pub frequency: Option<String>,
    /// For so many days.
    pub days: Option<u16>,
    pub route: Option<Code>,
    pub as_needed: bool,
    /// Decimal text, and the unit.
    pub dose: Option<(String, Option<String>)>,
    /// For the patient.
    pub instruction: Option<String>,
}

impl Prescription {
    #[must_use]
    pub fn resource(&self) -> Resource {
        let status = match self.status.as_str() {
            "draft" => "draft",
            "active" => "active",
            "on_hold" => "on-hold",
            "cancelled" => "cancelled",
            "completed" => "completed",
            "stopped" => "stopped",
            "entered_in_error" => "entered-in-error",
            _ => "unknown",
        };
        let medication = match concept(&self.medication) {
            Value::Null => json!({ "text": "not named" }),
            concept => concept,
        };
        Resource::new(
            Kind::MedicationRequest,
            &self.id,
            self.meta.clone(),
            [
                ("status", json!(status)),
                (
                    "statusReason",
                    element([("text", maybe(self.status_reason.as_ref()))]),
                ),
                ("intent", json!("order")),
                ("medicationCodeableConcept", medication),
                ("subject", whose(self.patient)),
                (
                    "encounter",
                    maybe_reference(Kind::Encounter, self.encounter),
                ),
                ("authoredOn", maybe_moment(self.prescribed_at)),
                ("requester", named(self.prescribed_by.as_ref())),
                (
                    "groupIdentifier",
                    element([("value", maybe(self.group.as_ref()))]),
                ),
                (
                    "note",
                    list(self.notes.iter().map(|note| words(Some(note)))),
                ),
                (
                    "dosageInstruction",
                    list(self.dosage.iter().map(Dosage::json)),
                ),
                (
                    "dispenseRequest",
                    element([
                        (
                            "numberOfRepeatsAllowed",
                            self.repeats.map_or(Value::Null, Value::from),
                        ),
                        ("quantity", amount(self.quantity.as_ref())),
                    ]),
                ),
            ],
        )
    }
}

fn amount(amount: Option<&(String, Option<String>)>) -> Value {
    amount.map_or(Value::Null, |(number, unit)| match decimal(number) {
        Value::Null => Value::Null,
        value => element([("value", value), ("unit", maybe(unit.as_ref()))]),
    })
}

impl Dosage {
    fn json(&self) -> Value {
        element([
            ("text", text(&self.text)),
            ("patientInstruction", maybe(self.instruction.as_ref())),
            (
                "timing",
                element([
                    (
                        "repeat",
                        element([(
                            "boundsDuration",
                            self.days.map_or(Value::Null, |days| {
                                json!({ "value": days, "unit": "day", "system": UCUM, "code": "d" })
                            }),
                        )]),
                    ),
                    ("code", words(self.frequency.as_ref())),
                ]),
            ),
            (
                "asNeededBoolean",
                if self.as_needed {
                    json!(true)
                } else {
                    Value::Null
                },
            ),
            ("route", maybe_concept(self.route.as_ref())),
            (
                "doseAndRate",
                list([element([("doseQuantity", amount(self.dose.as_ref()))])]),
            ),
        ])
    }
}
