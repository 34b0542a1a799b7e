//! Plays one capture through the line and the translator of a channel, and says what came of it.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use hub_core::Position;
use hub_core::mappings::Lookup;
use hub_core::rehearsal::Step;
use hub_core::translator::{RawMessage, Translation, Translator as _};
use schemas::care::{HoldReason, Observation, ResultReceived, Value};
use schemas::integration::TranslationOutcome;
use schemas::{RawId, TenantId};
use serde::Serialize;
use time::OffsetDateTime;

use super::Bench;

/// What a file would become.
#[derive(Debug, Serialize)]
pub(super) struct Tried {
    pub(super) file: String,
    pub(super) with: String,
    pub(super) notes: Vec<String>,
    /// What is written to the device and what is odd on the line, in order; runs are counted.
    pub(super) line: Vec<Said>,
    pub(super) messages: Vec<Message>,
    pub(super) results: usize,
    pub(super) coded: usize,
    /// Results that would wait, by reason.
    pub(super) held: BTreeMap<&'static str, usize>,
    /// Frames, bytes and messages that would be refused.
    pub(super) refused: usize,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Said {
    pub(super) what: String,
    pub(super) times: usize,
    pub(super) refusal: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct Message {
    pub(super) bytes: usize,
    /// `translated`, `kept` (stored, nothing to file), `broken` (kept as a dead letter) or `refused`.
    pub(super) outcome: &'static str,
    /// Why, with a stable code first.
    pub(super) reason: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) control_id: Option<String>,
    pub(super) specimen: Option<String>,
    pub(super) reports: Vec<Report>,
    /// Other events, by name.
    pub(super) events: Vec<&'static str>,
    pub(super) notes: Vec<String>,
    /// Fields that carry a value and that nothing reads.
    pub(super) not_read: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) patient: Option<String>,
    pub(super) specimen: Option<String>,
    /// `control` or `calibration`: kept apart from patients.
    pub(super) apart: Option<&'static str>,
    pub(super) results: Vec<Line>,
    pub(super) notes: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct Line {
    pub(super) code: String,
    pub(super) name: Option<String>,
    pub(super) system: Option<String>,
    pub(super) value: String,
    pub(super) unit: Option<String>,
    pub(super) flags: Vec<String>,
    /// What the pack says of the flags.
    pub(super) flag_words: Vec<String>,
    pub(super) status: Option<String>,
    pub(super) loinc: Option<String>,
    pub(super) display: Option<String>,
    pub(super) ucum: Option<String>,
    pub(super) factor: Option<String>,
    /// Why it would wait, whoever the patient is.
    pub(super) held: Option<&'static str>,
}

pub(super) fn play(bench: &Bench, file: &Path, capture: &[u8], repair: bool) -> Tried {
    let rehearsal = bench.kind.rehearse(capture, repair);
    let mut tried = Tried {
        file: file.display().to_string(),
        with: bench.name.clone(),
        notes: rehearsal.notes,
        line: Vec::new(),
        messages: Vec::new(),
        results: 0,
        coded: 0,
        held: BTreeMap::new(),
        refused: 0,
    };
    for step in rehearsal.steps {
        match step {
            Step::Written { what, refusal } => {
                tried.refused += usize::from(refusal);
                say(&mut tried.line, what, refusal);
            }
            Step::Odd(what) => say(&mut tried.line, format!("odd: {what}"), false),
            Step::Stored {
                bytes,
                quarantine,
                notes,
            } => {
                let message = message(bench, bytes, quarantine, notes);
                tried.count(&message);
                tried.messages.push(message);
            }
        }
    }
    if tried.messages.is_empty() {
        tried.notes.push(format!(
            "there is no message for {} in this file: is it the right pack, and a capture of the instrument's side of the line?",
            bench.name
        ));
    }
    tried
}

impl Tried {
    /// Something was understood, and nothing would be refused.
    pub(super) fn is_good(&self) -> bool {
        self.refused == 0 && !self.messages.is_empty()
    }

    fn count(&mut self, message: &Message) {
        self.refused += usize::from(matches!(message.outcome, "refused" | "broken"));
        for line in message.reports.iter().flat_map(|report| &report.results) {
            self.results += 1;
            self.coded += usize::from(line.loinc.is_some());
            if let Some(reason) = line.held {
                *self.held.entry(reason).or_default() += 1;
            }
        }
        for report in message
            .reports
            .iter()
            .filter(|report| report.apart.is_none())
        {
            if report.patient.is_none() && report.specimen.is_none() {
                *self.held.entry("no_patient_and_no_specimen").or_default() += report.results.len();
            }
        }
    }
}

fn say(line: &mut Vec<Said>, what: String, refusal: bool) {
    match line.last_mut() {
        Some(last) if last.what == what => last.times += 1,
        _ => line.push(Said {
            what,
            times: 1,
            refusal,
        }),
    }
}

fn message(bench: &Bench, bytes: Bytes, quarantine: Option<String>, notes: Vec<String>) -> Message {
    let mut message = Message {
        bytes: bytes.len(),
        outcome: "broken",
        reason: quarantine.clone(),
        kind: None,
        control_id: None,
        specimen: None,
        reports: Vec::new(),
        events: Vec::new(),
        notes: notes.clone(),
        not_read: Vec::new(),
    };
    if quarantine.is_some() {
        return message;
    }
    let tenant = TenantId::new("try").expect("a good name");
    let raw = RawMessage {
        id: RawId::of(&tenant, &bench.channel, &bytes),
        tenant,
        channel: bench.channel.clone(),
        bytes,
        peer: None,
        received_at: OffsetDateTime::now_utc(),
        notes,
        quarantine,
        parent: None,
        position: Position::default(),
        traceparent: None,
    };
    let keys = match bench.kind.translator().translate(&raw, &bench.maps) {
        Ok(done) => {
            message.outcome = if done.outcome == TranslationOutcome::Translated {
                "translated"
            } else {
                "kept"
            };
            message.reason = None;
            fill(bench, &mut message, &done);
            done.keys
        }
        Err(refused) => {
            message.outcome = "refused";
            message.reason = Some(format!(
                "{}: {}",
                refused.refusal.code, refused.refusal.detail
            ));
            message.notes.extend(refused.notes.iter().cloned());
            refused.keys
        }
    };
    message.kind = keys.message_type;
    message.control_id = keys.control_id;
    message.specimen = keys.accession;
    message
}

fn fill(bench: &Bench, message: &mut Message, done: &Translation) {
    message.notes.extend(done.notes.iter().cloned());
    message.not_read.clone_from(&done.unmapped);
    for event in &done.events {
        let result = (event.name == <ResultReceived as schemas::Body>::NAME)
            .then(|| serde_json::from_slice::<ResultReceived>(&event.body).ok())
            .flatten();
        match result {
            Some(result) => message.reports.push(report(bench, &result)),
            None => message.events.push(event.name),
        }
    }
}

fn report(bench: &Bench, result: &ResultReceived) -> Report {
    let specimen = result.specimen.as_ref();
    let role = specimen.and_then(|specimen| specimen.role.as_deref());
    Report {
        patient: result.subject.as_ref().map(|subject| subject.value.clone()),
        specimen: specimen.and_then(|specimen| specimen.number.clone()),
        // HL7 table 0369
        apart: match role {
            Some("Q") => Some("control"),
            Some("C") => Some("calibration"),
            _ => None,
        },
        results: result.results.iter().map(|one| line(bench, one)).collect(),
        notes: result.notes.clone(),
    }
}

fn line(bench: &Bench, one: &Observation) -> Line {
    let mapped = one.mapped.as_ref();
    Line {
        code: one.code.code.clone(),
        name: one.code.text.clone(),
        system: one.code.system.clone(),
        value: value(one),
        unit: one.unit.clone(),
        flags: one.flags.clone(),
        flag_words: one
            .flags
            .iter()
            .filter_map(|flag| Some(format!("{flag}: {}", bench.flags.get(flag)?)))
            .collect(),
        status: one.status.clone(),
        loinc: mapped.map(|mapped| mapped.loinc.clone()),
        display: mapped.and_then(|mapped| mapped.display.clone()),
        ucum: mapped.and_then(|mapped| mapped.ucum.clone()),
        factor: mapped.and_then(|mapped| mapped.factor.clone()),
        held: held(bench, one),
    }
}

/// Why a result would wait when its patient is known: the translator names the missing patient first, and behind that the
/// code or the unit may be unknown as well.
fn held(bench: &Bench, one: &Observation) -> Option<&'static str> {
    match one.held {
        None => None,
        Some(reason) if !reason.is_about_patient() => Some(reason.as_str()),
        Some(_) if one.mapped.is_some() || says_nothing(&one.value) => None,
        Some(_) => {
            let numeric = matches!(one.value, Value::Quantity { .. } | Value::Range { .. });
            let system = one.code.system.as_deref().unwrap_or_default();
            let unit = one.unit.as_deref().unwrap_or_default();
            let reason =
                match bench
                    .maps
                    .code(&bench.channel, system, &one.code.code, unit, numeric)
                {
                    Lookup::UnknownUnit => HoldReason::UnknownUnit,
                    _ => HoldReason::UnknownCode,
                };
            Some(reason.as_str())
        }
    }
}

fn says_nothing(value: &Value) -> bool {
    matches!(value, Value::Absent { .. } | Value::Attachment { .. })
}

fn value(one: &Observation) -> String {
    match &one.value {
        Value::Quantity { comparator, number } => {
            format!("{}{number}", comparator.map_or("", |sign| sign.as_str()))
        }
        Value::Range { low, high } => format!("{low} - {high}"),
        Value::Ratio {
            numerator,
            denominator,
        } => format!("{numerator}:{denominator}"),
        Value::Coded { codes } => {
            let words: Vec<&str> = codes
                .iter()
                .map(|code| code.text.as_deref().unwrap_or(&code.code))
                .collect();
            words.join(", ")
        }
        Value::Text { text } => text.clone(),
        Value::DateTime { value } => value.clone(),
        Value::Attachment { attachment } => {
            format!("<{}, {} bytes>", attachment.media_type, attachment.bytes)
        }
        Value::Absent { reason } => format!("<{reason}>"),
    }
}
