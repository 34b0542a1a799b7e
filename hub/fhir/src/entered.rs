//! Observation, in: one value that staff measured or saw, and its correction. Several values of one time are a round: each is
//! sent as an Observation of its own with the same time.

use schemas::rounds::EnteredValue;
use serde_json::Value;
use uuid::Uuid;

use crate::outcome::Issue;
use crate::reading::{Reader, Subject, code_of, items, owned};
use crate::registered::REASON;
use crate::resource::Kind;
use crate::systems::{LOINC, UCUM};

/// Which oxygen scale of NEWS2 is meant.
pub const OXYGEN_SCALE: &str = "urn:hub:extension:oxygen-scale";
/// That the patient is pregnant, or is not: NEWS2 is not for who is.
pub const PREGNANT: &str = "urn:hub:extension:pregnant";

const QUANTITY: &str = "valueQuantity";
const CONCEPT: &str = "valueCodeableConcept";

/// What somebody enters with an Observation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VitalRequest {
    pub subject: Subject,
    /// Of the score and the task that follow.
    pub encounter: Option<Uuid>,
    /// RFC 3339.
    pub observed_at: String,
    pub value: EnteredValue,
    pub oxygen_scale: Option<i16>,
    pub pregnant: Option<bool>,
}

/// Reads a new Observation that [`crate::check`] found well-formed.
///
/// # Errors
/// Everything in it that the hub would not keep, each with its place.
pub fn read_vital(json: &Value) -> Result<VitalRequest, Vec<Issue>> {
    let taken = [
        "extension",
        "status",
        "category",
        "code",
        "subject",
        "encounter",
        "effectiveDateTime",
        QUANTITY,
        CONCEPT,
    ];
    let mut reader = Reader::new(Kind::Observation, json, &taken);
    if json["status"] != "final" {
        reader.wrong("status", "of what staff measured is final");
    }
    let category = reader.only_one("category");
    if code_of(category) != Some("vital-signs") {
        reader.wrong(
            "category",
            "must be vital-signs, which staff measure: results of the laboratory come in reports",
        );
    }
    let subject = reader.subject("subject");
    let encounter = reader.encounter();
    let observed_at = reader.moment("effectiveDateTime", &json["effectiveDateTime"]);
    if json["effectiveDateTime"].is_null() {
        reader.wrong("effectiveDateTime", "must say when it was measured");
    }
    let [scale, pregnant] =
        reader.extensions([(OXYGEN_SCALE, "valueInteger"), (PREGNANT, "valueBoolean")]);
    let oxygen_scale = scale.as_i64().and_then(|scale| i16::try_from(scale).ok());
    if !scale.is_null() && oxygen_scale.is_none() {
        reader.wrong("extension", "the oxygen scale is 1 or 2");
    }
    let value =
        term(&mut reader)
            .zip(value(&mut reader))
            .map(|((loinc, display), (value, ucum))| EnteredValue {
                loinc,
                display,
                value,
                ucum,
            });
    let read = subject
        .zip(observed_at)
        .zip(value)
        .map(|((subject, observed_at), value)| VitalRequest {
            subject,
            encounter,
            observed_at,
            value,
            oxygen_scale,
            pregnant: pregnant.as_bool(),
        });
    reader.done(read)
}

/// What is right of an Observation, and why it is another. No value: it should not have been entered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VitalCorrection {
    pub value: Option<EnteredValue>,
    pub reason: Option<String>,
}

/// Reads those members of an Observation that a correction may have, and its code.
///
/// # Errors
/// Everything in it that the hub would not keep, each with its place.
pub fn read_correction(json: &Value) -> Result<VitalCorrection, Vec<Issue>> {
    let taken = ["extension", "status", "code", QUANTITY, CONCEPT];
    let mut reader = Reader::new(Kind::Observation, json, &taken);
    let [reason] = reader.extensions([(REASON, "valueString")]);
    let reason = owned(reason);
    if json["status"] == "entered-in-error" {
        let correction = VitalCorrection {
            value: None,
            reason,
        };
        return reader.done(Some(correction));
    }
    // as it went out, beside a code of its source perhaps
    let stands = items(&json["code"]["coding"]).find(|coding| coding["system"] == LOINC);
    let loinc = stands.and_then(|coding| owned(&coding["code"]));
    if loinc.is_none() {
        reader.wrong("code", "has no code of LOINC");
    }
    let read = loinc
        .zip(value(&mut reader))
        .map(|(loinc, (value, ucum))| VitalCorrection {
            value: Some(EnteredValue {
                loinc,
                display: stands.and_then(|coding| owned(&coding["display"])),
                value,
                ucum,
            }),
            reason,
        });
    reader.done(read)
}

/// The code of LOINC, and its name.
fn term(reader: &mut Reader<'_>) -> Option<(String, Option<String>)> {
    let json = reader.json;
    let concept = &json["code"];
    let code = reader.concept("code", concept)?;
    if code.code.is_empty() || code.system.as_deref() != Some("LN") {
        reader.wrong("code", "must have a code of LOINC (http://loinc.org)");
        return None;
    }
    let display = owned(&concept["coding"][0]["display"]);
    if display.is_some() && display != code.text {
        reader.unkept(
            "code.text",
            "one name is kept: send the same as the coding's display, or one of them",
        );
    }
    Some((code.code, code.text))
}

/// The value and its unit of UCUM; a coded value has none.
fn value(reader: &mut Reader<'_>) -> Option<(String, Option<String>)> {
    let json = reader.json;
    let (quantity, coded) = (&json[QUANTITY], &json[CONCEPT]);
    if !quantity.is_null() {
        let (number, unit) = reader.quantity(QUANTITY, quantity)?;
        if quantity["system"] != UCUM || quantity["code"].is_null() {
            reader.wrong(
                QUANTITY,
                "must have its unit as a code of UCUM (http://unitsofmeasure.org)",
            );
        }
        return Some((number, Some(unit)));
    }
    let place = format!("{CONCEPT}.coding");
    // of what was seen the code alone is kept: its term says what it means
    reader.only(CONCEPT, coded, &["coding"]);
    let mut codings = items(&coded["coding"]);
    let first = codings.next();
    if codings.next().is_some() {
        reader.unkept(&place, "one code is kept, not several");
    }
    if let Some(coding) = first {
        reader.only(&place, coding, &["code"]);
    }
    let code = first.and_then(|coding| owned(&coding["code"]));
    if code.is_none() {
        reader.wrong(
            QUANTITY,
            "must be there, or a valueCodeableConcept with a coding of one code",
        );
    }
    code.map(|code| (code, None))
}
