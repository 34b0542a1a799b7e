//! Condition and AllergyIntolerance.

use schemas::care::{Code, Practitioner};
use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::element::{
    coding, coding_of, concept, concept_of, date_time, element, list, maybe_moment,
    maybe_reference, named, notes, text, whose,
};
use crate::resource::{Kind, Meta, Resource};

/// A diagnosis or problem.
#[derive(Debug, Clone)]
pub struct Condition {
    pub id: Uuid,
    pub meta: Meta,
    pub patient: Option<Uuid>,
    pub encounter: Option<Uuid>,
    pub code: Option<Code>,
    /// In a person's words; absent: those of the code.
    pub text: Option<String>,
    /// `active`, `recurrence`, `relapse`, `inactive`, `remission`, `resolved`.
    pub clinical_status: Option<String>,
    /// `unconfirmed`, `provisional`, `differential`, `confirmed`, `refuted`, `entered_in_error`.
    pub verification: Option<String>,
    /// `problem_list_item` or `encounter_diagnosis`.
    pub category: Option<String>,
    /// A date of any precision, RFC 3339, or words.
    pub onset: Option<String>,
    pub abated: Option<String>,
    pub recorded_at: Option<OffsetDateTime>,
    pub recorded_by: Option<Practitioner>,
    pub notes: Vec<String>,
}

const CLINICAL: [&str; 6] = [
    "active",
    "recurrence",
    "relapse",
    "inactive",
    "remission",
    "resolved",
];

/// A code of a status system, where it is one of those it has. Ours have underscores, FHIR's have hyphens.
fn status(system: &str, known: &[&str], given: Option<&String>) -> Value {
    let Some(code) = given.map(|given| given.replace('_', "-")) else {
        return Value::Null;
    };
    if known.contains(&code.as_str()) {
        concept_of([coding(system, &code, None)], None)
    } else {
        Value::Null
    }
}

/// A time of any precision, or, where it is none, the words that stand for it.
fn when(given: Option<&String>) -> (Value, Value) {
    let Some(given) = given else {
        return (Value::Null, Value::Null);
    };
    match date_time(given) {
        Value::Null => (Value::Null, text(given)),
        at => (at, Value::Null),
    }
}

impl Condition {
    #[must_use]
    pub fn resource(&self) -> Resource {
        let in_error = self.verification.as_deref() == Some("entered_in_error");
        // con-5: what was entered in error has no clinical status; con-4: what abated has one, and is not active
        let (abated, abated_words) = when(self.abated.as_ref().filter(|_| !in_error));
        let is_over = !abated.is_null() || !abated_words.is_null();
        let (onset, onset_words) = when(self.onset.as_ref());
        let words = self
            .text
            .as_deref()
            .or_else(|| self.code.as_ref().and_then(|code| code.text.as_deref()));
        let clinical = match self.clinical_status.as_deref() {
            _ if in_error => Value::Null,
            Some("active" | "recurrence" | "relapse") | None if is_over => {
                status(CONDITION_CLINICAL, &CLINICAL, Some(&"resolved".to_owned()))
            }
            // con-3: it should have one
            None => status(CONDITION_CLINICAL, &CLINICAL, Some(&"active".to_owned())),
            Some(_) => status(CONDITION_CLINICAL, &CLINICAL, self.clinical_status.as_ref()),
        };
        Resource::new(
            Kind::Condition,
            self.id,
            self.meta.clone(),
            [
                ("clinicalStatus", clinical),
                (
                    "verificationStatus",
                    status(
                        "http://terminology.hl7.org/CodeSystem/condition-ver-status",
                        &[
                            "unconfirmed",
                            "provisional",
                            "differential",
                            "confirmed",
                            "refuted",
                            "entered-in-error",
                        ],
                        self.verification.as_ref(),
                    ),
                ),
                (
                    "category",
                    list([status(
                        "http://terminology.hl7.org/CodeSystem/condition-category",
                        &["problem-list-item", "encounter-diagnosis"],
                        self.category.as_ref(),
                    )]),
                ),
                (
                    "code",
                    concept_of([self.code.as_ref().map_or(Value::Null, coding_of)], words),
                ),
                ("subject", whose(self.patient)),
                (
                    "encounter",
                    maybe_reference(Kind::Encounter, self.encounter),
                ),
                ("onsetDateTime", onset),
                ("onsetString", onset_words),
                ("abatementDateTime", abated),
                ("abatementString", abated_words),
                ("recordedDate", maybe_moment(self.recorded_at)),
                ("recorder", named(self.recorded_by.as_ref())),
                ("note", notes(&self.notes)),
            ],
        )
    }
}

const CONDITION_CLINICAL: &str = "http://terminology.hl7.org/CodeSystem/condition-clinical";

/// What a patient reacts to.
#[derive(Debug, Clone)]
pub struct Allergy {
    pub id: Uuid,
    pub meta: Meta,
    pub patient: Option<Uuid>,
    pub encounter: Option<Uuid>,
    pub code: Code,
    /// `active`, `inactive`, `resolved`.
    pub clinical_status: Option<String>,
    /// `unconfirmed`, `confirmed`, `refuted`, `entered_in_error`.
    pub verification: Option<String>,
    /// `allergy` or `intolerance`.
    pub kind: Option<String>,
    /// `food`, `medication`, `environment`, `biologic`.
    pub category: Option<String>,
    /// `low`, `high`, `unable_to_assess`.
    pub criticality: Option<String>,
    pub onset: Option<String>,
    pub recorded_at: Option<OffsetDateTime>,
    pub recorded_by: Option<Practitioner>,
    pub reactions: Vec<Reaction>,
    pub notes: Vec<String>,
}

/// What stands for a reaction of which the severity alone is known.
pub(crate) const NOT_DESCRIBED: &str = "not described";

/// How it showed.
#[derive(Debug, Clone)]
pub struct Reaction {
    pub manifestation: Code,
    /// `mild`, `moderate`, `severe`.
    pub severity: Option<String>,
}

fn one_of(known: &[&str], given: Option<&String>) -> Value {
    given
        .map(|given| given.replace('_', "-"))
        .filter(|given| known.contains(&given.as_str()))
        .map_or(Value::Null, Value::from)
}

impl Allergy {
    #[must_use]
    pub fn resource(&self) -> Resource {
        let in_error = self.verification.as_deref() == Some("entered_in_error");
        // ait-1: a clinical status unless entered in error; ait-2: none then
        let clinical = if in_error {
            Value::Null
        } else {
            let given = self
                .clinical_status
                .clone()
                .unwrap_or_else(|| "active".to_owned());
            status(
                "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical",
                &["active", "inactive", "resolved"],
                Some(&given),
            )
        };
        let (onset, onset_words) = when(self.onset.as_ref());
        let reactions = self.reactions.iter().map(|reaction| {
            let manifestation = match concept(&reaction.manifestation) {
                // the element is mandatory
                Value::Null => json!({ "text": NOT_DESCRIBED }),
                concept => concept,
            };
            element([
                ("manifestation", list([manifestation])),
                (
                    "severity",
                    one_of(&["mild", "moderate", "severe"], reaction.severity.as_ref()),
                ),
            ])
        });
        Resource::new(
            Kind::AllergyIntolerance,
            self.id,
            self.meta.clone(),
            [
                ("clinicalStatus", clinical),
                (
                    "verificationStatus",
                    status(
                        "http://terminology.hl7.org/CodeSystem/allergyintolerance-verification",
                        &["unconfirmed", "confirmed", "refuted", "entered-in-error"],
                        self.verification.as_ref(),
                    ),
                ),
                (
                    "type",
                    one_of(&["allergy", "intolerance"], self.kind.as_ref()),
                ),
                (
                    "category",
                    list([one_of(
                        &["food", "medication", "environment", "biologic"],
                        self.category.as_ref(),
                    )]),
                ),
                (
                    "criticality",
                    one_of(
                        &["low", "high", "unable-to-assess"],
                        self.criticality.as_ref(),
                    ),
                ),
                ("code", concept(&self.code)),
                ("patient", whose(self.patient)),
                (
                    "encounter",
                    maybe_reference(Kind::Encounter, self.encounter),
                ),
                ("onsetDateTime", onset),
                ("onsetString", onset_words),
                ("recordedDate", maybe_moment(self.recorded_at)),
                ("recorder", named(self.recorded_by.as_ref())),
                ("note", notes(&self.notes)),
                ("reaction", list(reactions)),
            ],
        )
    }
}
