//! Condition and AllergyIntolerance, in: what somebody writes of a chart, in the words of `schemas::chart`.

use schemas::care::Code;
use schemas::chart;
use serde_json::Value;
use uuid::Uuid;

use crate::chart::NOT_DESCRIBED;
use crate::outcome::Issue;
use crate::reading::{Reader, Subject, code_of, items, owned};
use crate::resource::Kind;

/// What somebody writes of a chart with a resource that has a clinical and a verification status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded<T> {
    pub subject: Subject,
    pub encounter: Option<Uuid>,
    pub content: T,
    /// Absent: nothing is said of it.
    pub clinical_status: Option<String>,
    pub verification: Option<String>,
}

/// What somebody writes with a Condition.
pub type ConditionRequest = Recorded<chart::Condition>;
/// What somebody writes with an AllergyIntolerance.
pub type AllergyRequest = Recorded<chart::Allergy>;

/// What both have around their content.
struct Frame {
    subject: Option<Subject>,
    encounter: Option<Uuid>,
    clinical_status: Option<String>,
    verification: Option<String>,
}

impl Frame {
    /// `whose` is the member that names the patient.
    fn read(reader: &mut Reader<'_>, whose: &str) -> Self {
        Self {
            subject: reader.subject(whose),
            encounter: reader.encounter(),
            clinical_status: reader.status("clinicalStatus").map(str::to_owned),
            verification: reader.status("verificationStatus").map(str::to_owned),
        }
    }

    fn around<T>(self, content: Option<T>, reader: Reader<'_>) -> Result<Recorded<T>, Vec<Issue>> {
        let Self {
            subject,
            encounter,
            clinical_status,
            verification,
        } = self;
        let read = subject.zip(content).map(|(subject, content)| Recorded {
            subject,
            encounter,
            content,
            clinical_status,
            verification,
        });
        reader.done(read)
    }
}

/// Reads a Condition that [`crate::check`] found well-formed, new or changed.
///
/// # Errors
/// Everything in it that the hub would not keep, each with its place.
pub fn read_condition(json: &Value) -> Result<ConditionRequest, Vec<Issue>> {
    let taken = [
        "clinicalStatus",
        "verificationStatus",
        "category",
        "code",
        "subject",
        "encounter",
        "onsetDateTime",
        "onsetString",
        "abatementDateTime",
        "abatementString",
        "note",
    ];
    let mut reader = Reader::new(Kind::Condition, json, &taken);
    let frame = Frame::read(&mut reader, "subject");
    let category = reader.only_one("category");
    if !category.is_null() && code_of(category) != Some("problem-list-item") {
        reader.unkept(
            "category",
            "what is recorded here stands on the problem list: send problem-list-item, or none",
        );
    }
    let code = reader.concept("code", &json["code"]);
    let content = code.map(|code| chart::Condition {
        text: code.text.clone().unwrap_or_else(|| code.code.clone()),
        code: (!code.code.is_empty()).then(|| Code {
            text: display(&json["code"]),
            ..code
        }),
        since: reader.when("onset"),
        until: reader.when("abatement"),
        remark: reader.notes(),
        code_check: None,
    });
    frame.around(content, reader)
}

/// What the code says of itself, beside what a person says.
fn display(concept: &Value) -> Option<String> {
    items(&concept["coding"]).find_map(|coding| owned(&coding["display"]))
}

/// Reads an AllergyIntolerance that [`crate::check`] found well-formed, new or changed.
///
/// # Errors
/// Everything in it that the hub would not keep, each with its place.
pub fn read_allergy(json: &Value) -> Result<AllergyRequest, Vec<Issue>> {
    let taken = [
        "clinicalStatus",
        "verificationStatus",
        "category",
        "code",
        "patient",
        "encounter",
        "onsetDateTime",
        "onsetString",
        "note",
        "reaction",
    ];
    let mut reader = Reader::new(Kind::AllergyIntolerance, json, &taken);
    let frame = Frame::read(&mut reader, "patient");
    let category = match reader.only_one("category").as_str() {
        None => "other",
        Some("medication") => "drug",
        Some("food") => "food",
        Some("environment") => "environment",
        Some(_) => {
            reader.unkept(
                "category",
                "must be medication, food or environment, or none",
            );
            "other"
        }
    };
    let (reactions, severity) = reactions(&mut reader);
    let substance = reader.concept("code", &json["code"]);
    let content = substance.map(|substance| chart::Allergy {
        substance,
        category: category.to_owned(),
        reactions,
        severity,
        certainty: match frame.verification.as_deref() {
            Some("confirmed") => "confirmed",
            _ => "unconfirmed",
        }
        .to_owned(),
        since: reader.when("onset"),
        remark: reader.notes(),
    });
    frame.around(content, reader)
}

/// What happened, in words, and how bad it was; the hub keeps one severity of them all.
fn reactions(reader: &mut Reader<'_>) -> (Vec<String>, String) {
    let json = reader.json;
    let mut all = Vec::new();
    let mut severities: Vec<&str> = Vec::new();
    for (index, reaction) in items(&json["reaction"]).enumerate() {
        let place = format!("reaction[{index}]");
        reader.only(&place, reaction, &["manifestation", "severity"]);
        for manifestation in items(&reaction["manifestation"]) {
            let words = reader.words(&format!("{place}.manifestation"), manifestation);
            all.extend(words.filter(|words| words != NOT_DESCRIBED));
        }
        severities.push(reaction["severity"].as_str().unwrap_or("unknown"));
    }
    severities.sort_unstable();
    severities.dedup();
    if severities.len() > 1 {
        reader.unkept(
            "reaction",
            "the hub keeps one severity of all reactions: send the same in each",
        );
    }
    let severity = severities.first().copied().unwrap_or("unknown");
    (all, severity.to_owned())
}
