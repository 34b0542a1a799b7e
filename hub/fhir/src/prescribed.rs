//! MedicationRequest, in: one drug that somebody prescribes.

use schemas::chart::PrescriptionLine;
use serde_json::Value;
use uuid::Uuid;

use crate::outcome::Issue;
use crate::reading::{Reader, Subject, items, owned};
use crate::resource::Kind;

/// What somebody writes with a MedicationRequest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrugRequest {
    pub subject: Subject,
    pub encounter: Option<Uuid>,
    /// `draft`, `active`, `completed` …
    pub status: String,
    pub line: PrescriptionLine,
}

/// That the prescriber looked himself at what the hub could not check; with the update that signs.
pub const ACCEPT_UNCHECKED: &str = "urn:hub:extension:accept-unchecked";
/// Why it is signed in spite of an alert; with the update that signs.
pub const OVERRIDE_REASON: &str = "urn:hub:extension:override-reason";

/// Reads a MedicationRequest that [`crate::check`] found well-formed, new or changed.
///
/// # Errors
/// Everything in it that the hub would not keep, each with its place.
pub fn read_drug(json: &Value) -> Result<DrugRequest, Vec<Issue>> {
    let taken = [
        "status",
        "intent",
        "medicationCodeableConcept",
        "subject",
        "encounter",
        "dosageInstruction",
        "note",
    ];
    let mut reader = Reader::new(Kind::MedicationRequest, json, &taken);
    if json["intent"] != "order" {
        reader.wrong("intent", "is `order`");
    }
    let subject = reader.subject("subject");
    let encounter = reader.encounter();
    let drug = reader.concept(
        "medicationCodeableConcept",
        &json["medicationCodeableConcept"],
    );
    let remark = reader.notes();
    let dosage = reader.only_one("dosageInstruction");
    let line = drug
        .zip(frequency(&mut reader, dosage))
        .map(|(drug, frequency)| PrescriptionLine {
            drug,
            dose: dose(&mut reader, dosage),
            route: reader.words("dosageInstruction[0].route", &dosage["route"]),
            frequency,
            days: days(&mut reader, dosage),
            as_needed: dosage["asNeededBoolean"] == true,
            quantity: None,
            remark,
        });
    let status = json["status"].as_str().unwrap_or_default().to_owned();
    let read = subject.zip(line).map(|(subject, line)| DrugRequest {
        subject,
        encounter,
        status,
        line,
    });
    reader.done(read)
}

/// How often: the words of the timing, or, where there is none, those of the whole.
fn frequency(reader: &mut Reader<'_>, dosage: &Value) -> Option<String> {
    let at = "dosageInstruction[0]";
    reader.only(
        at,
        dosage,
        &["text", "timing", "asNeededBoolean", "route", "doseAndRate"],
    );
    let timing = &dosage["timing"];
    reader.only(&format!("{at}.timing"), timing, &["repeat", "code"]);
    let code = reader.words(&format!("{at}.timing.code"), &timing["code"]);
    let text = owned(&dosage["text"]);
    match (code, text) {
        (Some(_), Some(_)) => {
            reader.unkept(
                &format!("{at}.text"),
                "the hub writes the text of the whole itself: send how often as timing.code.text and no text, or the text alone",
            );
            None
        }
        (Some(words), None) | (None, Some(words)) => Some(words),
        (None, None) => {
            reader.wrong(
                at,
                "must say how often: timing.code.text (`1-0-1`, or words), or text",
            );
            None
        }
    }
}

/// `500 mg`
fn dose(reader: &mut Reader<'_>, dosage: &Value) -> Option<String> {
    let at = "dosageInstruction[0].doseAndRate";
    let mut all = items(&dosage["doseAndRate"]);
    let rate = all.next()?;
    if all.next().is_some() {
        reader.unkept(at, "one dose is kept, not several");
    }
    reader.only(at, rate, &["doseQuantity"]);
    let (number, unit) = reader.quantity(&format!("{at}.doseQuantity"), &rate["doseQuantity"])?;
    Some(format!("{number} {unit}"))
}

/// For how many days.
fn days(reader: &mut Reader<'_>, dosage: &Value) -> Option<u16> {
    let repeat = &dosage["timing"]["repeat"];
    if repeat.is_null() {
        return None;
    }
    let at = "dosageInstruction[0].timing.repeat";
    reader.only(at, repeat, &["boundsDuration"]);
    let bounds = &repeat["boundsDuration"];
    let in_days = match bounds["code"].as_str() {
        Some("d") => Some(1),
        Some("wk") => Some(7),
        _ => None,
    };
    let whole = bounds["value"]
        .as_u64()
        .and_then(|value| u16::try_from(value).ok())
        .filter(|value| (1..=1_000).contains(value));
    match (whole, in_days) {
        (Some(value), Some(days)) => Some(value * days),
        _ => {
            reader.wrong(
                &format!("{at}.boundsDuration"),
                "must be a whole number of days (`d`) or weeks (`wk`)",
            );
            None
        }
    }
}

/// What goes with the update that signs: whether the prescriber looked himself, and why in spite of an alert.
///
/// # Errors
/// An extension that the hub does not know.
pub fn read_signing(json: &Value) -> Result<(bool, Option<String>), Vec<Issue>> {
    let mut accepted = false;
    let mut reason = None;
    let mut wrong = Vec::new();
    for (index, extension) in items(&json["extension"]).enumerate() {
        match extension["url"].as_str() {
            Some(ACCEPT_UNCHECKED) => accepted = extension["valueBoolean"] == true,
            Some(OVERRIDE_REASON) => reason = owned(&extension["valueString"]),
            _ => wrong.push(Issue::not_supported(
                format!("MedicationRequest.extension[{index}]"),
                "the hub does not know this extension",
            )),
        }
    }
    if wrong.is_empty() {
        Ok((accepted, reason))
    } else {
        Err(wrong)
    }
}
