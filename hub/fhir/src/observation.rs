//! Observation: results of the laboratory, and what bedside devices measured.

use schemas::care::{Code, Comparator, Value as Sent};
use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::element::{
    coding, coding_of, concept_of, date, date_time, decimal, element, list, maybe, maybe_concept,
    maybe_moment, maybe_reference, notes, text, words,
};
use crate::resource::{Kind, Meta, Resource};
use crate::systems::{LOINC, UCUM};

/// What kind of observation it is (code system observation-category).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Category {
    Laboratory,
    VitalSigns,
}

impl Category {
    fn code(self) -> (&'static str, &'static str) {
        match self {
            Self::Laboratory => ("laboratory", "Laboratory"),
            Self::VitalSigns => ("vital-signs", "Vital Signs"),
        }
    }
}

/// The value as it was sent, and what the mapping tables made of it.
#[derive(Debug, Clone)]
pub struct Measured {
    pub value: Sent,
    pub unit: Option<String>,
    /// UCUM unit, and the value in it.
    pub ucum: Option<String>,
    pub ucum_value: Option<String>,
}

/// Reference range, in the sender's unit.
#[derive(Debug, Clone, Default)]
pub struct Range {
    pub text: Option<String>,
    pub low: Option<String>,
    pub high: Option<String>,
}

/// One result or measurement in one version.
#[derive(Debug, Clone)]
pub struct Observation {
    /// The report's id and the result's place in it, `018f….3`; or the measurement's id.
    pub id: String,
    pub meta: Meta,
    /// Of the value set observation-status.
    pub status: &'static str,
    pub category: Category,
    pub code: Code,
    pub alternate: Option<Code>,
    pub loinc: Option<(String, Option<String>)>,
    pub patient: Option<Uuid>,
    pub encounter: Option<Uuid>,
    pub order: Option<Uuid>,
    pub specimen: Option<Uuid>,
    pub observed_at: Option<OffsetDateTime>,
    pub issued_at: Option<OffsetDateTime>,
    pub measured: Measured,
    pub range: Range,
    /// HL7 table 0078.
    pub flags: Vec<String>,
    pub notes: Vec<String>,
    pub device: Option<String>,
    pub method: Option<String>,
    pub site: Option<Code>,
    /// Where it came from.
    pub channel: String,
}

impl Observation {
    #[must_use]
    pub fn resource(&self) -> Resource {
        let (category, category_words) = self.category.code();
        let given = value(&self.measured);
        let loinc = self.loinc.as_ref().map_or(Value::Null, |(code, display)| {
            coding(LOINC, code, display.as_deref())
        });
        let mut codings = vec![loinc, coding_of(&self.code)];
        codings.extend(self.alternate.as_ref().map(coding_of));
        codings.dedup();
        let spoken = self
            .loinc
            .as_ref()
            .and_then(|(_, display)| display.clone())
            .or_else(|| self.code.text.clone())
            .unwrap_or_else(|| self.code.code.clone());
        let code = match concept_of(codings, Some(&spoken)) {
            Value::Null => json!({ "text": "not named by its source" }),
            code => code,
        };
        Resource::new(
            Kind::Observation,
            &self.id,
            self.meta.clone(),
            [
                (
                    "basedOn",
                    list([maybe_reference(Kind::ServiceRequest, self.order)]),
                ),
                ("status", json!(self.status)),
                (
                    "category",
                    list([concept_of(
                        [coding(
                            "http://terminology.hl7.org/CodeSystem/observation-category",
                            category,
                            Some(category_words),
                        )],
                        None,
                    )]),
                ),
                ("code", code),
                ("subject", maybe_reference(Kind::Patient, self.patient)),
                (
                    "encounter",
                    maybe_reference(Kind::Encounter, self.encounter),
                ),
                ("effectiveDateTime", maybe_moment(self.observed_at)),
                ("issued", maybe_moment(self.issued_at)),
                (
                    "performer",
                    list([element([("display", text(&self.channel))])]),
                ),
                (given.name, given.value),
                ("dataAbsentReason", given.absent),
                (
                    "interpretation",
                    list(self.flags.iter().map(|flag| interpretation(flag))),
                ),
                ("note", notes(&self.notes)),
                ("bodySite", maybe_concept(self.site.as_ref())),
                ("method", words(self.method.as_ref())),
                ("specimen", maybe_reference(Kind::Specimen, self.specimen)),
                (
                    "device",
                    element([("display", maybe(self.device.as_ref()))]),
                ),
                ("referenceRange", list([self.reference_range()])),
            ],
        )
    }

    /// A limit has the value's unit only where nothing was converted: the range is as the sender wrote it.
    fn reference_range(&self) -> Value {
        let converted = matches!(
            (&self.measured.value, &self.measured.ucum_value),
            (Sent::Quantity { number, .. }, Some(value)) if value != number
        );
        let limit = |number: Option<&String>| {
            let Some(number) = number else {
                return Value::Null;
            };
            let ucum = self.measured.ucum.as_ref().filter(|_| !converted);
            quantity(number, None, self.measured.unit.as_ref(), ucum)
        };
        element([
            ("low", limit(self.range.low.as_ref())),
            ("high", limit(self.range.high.as_ref())),
            ("text", maybe(self.range.text.as_ref())),
        ])
    }
}

/// The value in the form that it has, under its name.
struct Given {
    name: &'static str,
    value: Value,
    absent: Value,
}

impl Given {
    fn of(name: &'static str, value: Value) -> Self {
        if value.is_null() {
            return Self::none("unknown", "Unknown", None);
        }
        Self {
            name,
            value,
            absent: Value::Null,
        }
    }

    fn none(code: &str, display: &str, words: Option<&str>) -> Self {
        Self {
            name: "valueString",
            value: Value::Null,
            absent: concept_of(
                [coding(
                    "http://terminology.hl7.org/CodeSystem/data-absent-reason",
                    code,
                    Some(display),
                )],
                words,
            ),
        }
    }
}

fn value(measured: &Measured) -> Given {
    let unit = measured.unit.as_ref();
    match &measured.value {
        Sent::Quantity { comparator, number } => {
            let quantity = match (&measured.ucum, &measured.ucum_value) {
                (Some(ucum), Some(value)) => quantity(value, *comparator, None, Some(ucum)),
                _ => quantity(number, *comparator, unit, None),
            };
            if quantity.get("value").is_some() {
                Given::of("valueQuantity", quantity)
            } else {
                // no number of FHIR: as it stands, with its sign and unit
                let sign = comparator.map_or("", Comparator::as_str);
                let unit = unit.map_or("", String::as_str);
                Given::of("valueString", text(&format!("{sign}{number} {unit}")))
            }
        }
        Sent::Range { low, high } => {
            let (low_end, high_end) = (
                quantity(low, None, unit, None),
                quantity(high, None, unit, None),
            );
            if low_end.get("value").is_some() && high_end.get("value").is_some() {
                Given::of(
                    "valueRange",
                    element([("low", low_end), ("high", high_end)]),
                )
            } else {
                Given::of("valueString", text(&format!("{low}-{high}")))
            }
        }
        Sent::Ratio {
            numerator,
            denominator,
        } => {
            let (above, below) = (
                quantity(numerator, None, None, None),
                quantity(denominator, None, None, None),
            );
            if above.is_null() || below.is_null() {
                Given::of("valueString", text(&format!("{numerator}:{denominator}")))
            } else {
                Given::of(
                    "valueRatio",
                    element([("numerator", above), ("denominator", below)]),
                )
            }
        }
        Sent::Coded { codes } => {
            let spoken = codes.iter().find_map(|code| code.text.as_deref());
            Given::of(
                "valueCodeableConcept",
                concept_of(codes.iter().map(coding_of), spoken),
            )
        }
        Sent::Text { text: said } => Given::of("valueString", text(said)),
        Sent::DateTime { value } => match (date_time(value), date(value)) {
            (Value::Null, Value::Null) => Given::of("valueString", text(value)),
            (Value::Null, day) if !value.contains('T') => Given::of("valueDateTime", day),
            (Value::Null, _) => Given::of("valueString", text(value)),
            (moment, _) => Given::of("valueDateTime", moment),
        },
        // R4 has no attachment as a value: the report has the document
        Sent::Attachment { attachment } => Given::of(
            "valueString",
            text(&format!(
                "document of {} bytes, {}: see presentedForm of the report",
                attachment.bytes, attachment.media_type
            )),
        ),
        Sent::Absent { reason } => Given::none("unknown", "Unknown", Some(reason)),
    }
}

fn quantity(
    number: &str,
    comparator: Option<Comparator>,
    unit: Option<&String>,
    ucum: Option<&String>,
) -> Value {
    let value = decimal(number);
    if value.is_null() {
        return Value::Null;
    }
    element([
        ("value", value),
        (
            "comparator",
            comparator.map_or(Value::Null, |sign| json!(sign.as_str())),
        ),
        ("unit", maybe(unit.or(ucum))),
        ("system", ucum.map_or(Value::Null, |_| json!(UCUM))),
        ("code", maybe(ucum)),
    ])
}

/// Table 0078 as it stands in v3 ObservationInterpretation; a flag of a maker's own stays a word.
fn interpretation(flag: &str) -> Value {
    const SYSTEM: &str = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation";
    let known = match flag.trim() {
        "L" => Some("Low"),
        "H" => Some("High"),
        "LL" => Some("Critical low"),
        "HH" => Some("Critical high"),
        "N" => Some("Normal"),
        "A" => Some("Abnormal"),
        "AA" => Some("Critical abnormal"),
        "U" => Some("Significant change up"),
        "D" => Some("Significant change down"),
        "B" => Some("Better"),
        "W" => Some("Worse"),
        "S" => Some("Susceptible"),
        "R" => Some("Resistant"),
        "I" => Some("Intermediate"),
        "POS" => Some("Positive"),
        "NEG" => Some("Negative"),
        "IND" => Some("Indeterminate"),
        "<" => Some("Off scale low"),
        ">" => Some("Off scale high"),
        _ => None,
    };
    match known {
        Some(display) => concept_of([coding(SYSTEM, flag.trim(), Some(display))], None),
        None => concept_of([], Some(flag)),
    }
}

/// OBX-11 (table 0085) as observation-status (specs/hl7-fhir.md §3.4).
#[must_use]
pub fn result_status(sent: Option<&str>) -> &'static str {
    match sent.map(str::trim) {
        Some("F" | "U" | "V") => "final",
        Some("C") => "corrected",
        Some("A" | "B") => "amended",
        Some("P" | "R" | "S" | "M") => "preliminary",
        Some("I" | "O") => "registered",
        Some("X" | "N") => "cancelled",
        Some("D" | "W") => "entered-in-error",
        _ => "unknown",
    }
}

/// The status of a result that needs a verification here: nobody may take for final what nobody has released.
#[must_use]
pub fn verified_status(verification: &str, released: bool, sent: Option<&str>) -> &'static str {
    match verification {
        "released" if released => match result_status(sent) {
            "unknown" | "preliminary" | "registered" => "final",
            status => status,
        },
        "rejected" => "entered-in-error",
        _ => match result_status(sent) {
            status @ ("cancelled" | "entered-in-error" | "registered") => status,
            _ => "preliminary",
        },
    }
}
