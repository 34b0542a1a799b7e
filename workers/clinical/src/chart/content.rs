//! The content of an entry: what is looked at before it is filed, what it is found by, and what a signature is of. Pure.

use hub_core::Refusal;
use schemas::care::Code;
use schemas::chart::{Content, PrescriptionLine, Signature};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::states::Kind;

pub(super) fn kind_of(content: &Content) -> Kind {
    match content {
        Content::Allergy(_) => Kind::Allergy,
        Content::Condition(_) => Kind::Condition,
        Content::Note(_) => Kind::Note,
        Content::Prescription(_) => Kind::Prescription,
        Content::Document(_) => Kind::Document,
    }
}

/// What an entry is found by.
pub(super) struct About {
    pub(super) system: Option<String>,
    pub(super) code: Option<String>,
    pub(super) title: Option<String>,
}

pub(super) fn described(content: &Content) -> About {
    match content {
        Content::Allergy(allergy) => About {
            system: allergy.substance.system.clone(),
            // words alone are the code: one substance stands once, however it is named
            code: Some(name_of(&allergy.substance).to_owned()),
            title: Some(shown(&allergy.substance).to_owned()),
        },
        Content::Condition(condition) => About {
            system: condition.code.as_ref().and_then(|code| code.system.clone()),
            code: condition.code.as_ref().map(|code| code.code.clone()),
            title: Some(condition.text.clone()),
        },
        Content::Note(note) => About {
            system: None,
            code: Some(note.note_kind.clone()),
            title: Some(note.title.clone()),
        },
        Content::Prescription(prescription) => About {
            system: None,
            code: None,
            title: Some(
                prescription
                    .lines
                    .iter()
                    .map(|line| shown(&line.drug))
                    .collect::<Vec<_>>()
                    .join(", "),
            ),
        },
        Content::Document(document) => About {
            system: None,
            code: Some(document.document_kind.clone()),
            title: Some(document.title.clone()),
        },
    }
}

/// The code, or the words where there is none.
pub(super) fn name_of(code: &Code) -> &str {
    if code.code.is_empty() {
        code.text.as_deref().unwrap_or_default()
    } else {
        &code.code
    }
}

/// The words, or the code where there are none.
fn shown(code: &Code) -> &str {
    code.text.as_deref().unwrap_or(&code.code)
}

/// Words that a member may have; others are a caller's mistake, and would never be found again.
fn known(member: &str, word: &str, words: &[&str]) -> Result<(), Refusal> {
    if words.contains(&word) {
        return Ok(());
    }
    Err(Refusal::new(
        "clinical.entry_word",
        format!("`{member}` is one of: {}", words.join(", ")),
    ))
}

/// Kinds of notes, and of documents.
const NOTES: &[&str] = &[
    "progress",
    "admission",
    "consultation",
    "nursing",
    "procedure",
    "discharge_summary",
    "other",
];
const DOCUMENTS: &[&str] = &["referral", "consent", "scan", "photo", "report", "other"];

fn words(content: &Content) -> Result<(), Refusal> {
    match content {
        Content::Allergy(allergy) => {
            known(
                "category",
                &allergy.category,
                &["drug", "food", "environment", "other"],
            )?;
            known(
                "severity",
                &allergy.severity,
                &["mild", "moderate", "severe", "unknown"],
            )?;
            known(
                "certainty",
                &allergy.certainty,
                &["confirmed", "unconfirmed"],
            )
        }
        Content::Note(note) => known("note_kind", &note.note_kind, NOTES),
        Content::Document(document) => known("document_kind", &document.document_kind, DOCUMENTS),
        Content::Condition(_) | Content::Prescription(_) => Ok(()),
    }
}

/// Times of a disease are dates as exact as they are known, or words; not the year 9999, which some systems write for "never" and
/// which readers of the chart would take for a date.
fn times(content: &Content) -> Result<(), Refusal> {
    let (since, until) = match content {
        Content::Allergy(allergy) => (&allergy.since, &None),
        Content::Condition(condition) => (&condition.since, &condition.until),
        Content::Note(_) | Content::Prescription(_) | Content::Document(_) => return Ok(()),
    };
    for (member, text) in [("since", since), ("until", until)] {
        if text
            .as_deref()
            .is_some_and(|text| !schemas::moment::may_stand(text))
        {
            return Err(Refusal::new(
                "clinical.entry_time",
                format!(
                    "`{member}` is of no year from {} to {}: leave it out where it is not known",
                    schemas::moment::FIRST_YEAR,
                    schemas::moment::LAST_YEAR
                ),
            ));
        }
    }
    Ok(())
}

/// What makes no sense on a chart, whoever sends it.
pub(super) fn checked(content: &Content) -> Result<(), Refusal> {
    words(content)?;
    times(content)?;
    let empty = |what: &str| {
        Err(Refusal::new(
            "clinical.entry_empty",
            format!("{what} is empty"),
        ))
    };
    match content {
        Content::Allergy(allergy) if name_of(&allergy.substance).trim().is_empty() => {
            empty("the substance")
        }
        Content::Condition(condition) => {
            if condition.text.trim().is_empty() {
                return empty("the text");
            }
            match &condition.code {
                Some(code) if code.system.as_deref() == Some("I10") && !is_icd10(&code.code) => {
                    Err(Refusal::new(
                        "clinical.icd10_form",
                        "this has not the form of an ICD-10 code: a letter, two characters, and at most four after a point",
                    ))
                }
                _ => Ok(()),
            }
        }
        Content::Note(note) if note.title.trim().is_empty() => empty("the title"),
        Content::Prescription(prescription) => {
            if prescription.lines.is_empty() {
                return empty("the prescription");
            }
            if prescription
                .lines
                .iter()
                .any(|line| name_of(&line.drug).trim().is_empty())
            {
                return empty("a drug");
            }
            Ok(())
        }
        Content::Allergy(_) | Content::Note(_) | Content::Document(_) => Ok(()),
    }
}

/// The form of an ICD-10 code (`E11`, `E11.9`, `S72.001A`); whether it exists is not known here.
pub(super) fn is_icd10(code: &str) -> bool {
    let (category, rest) = code.split_once('.').unwrap_or((code, ""));
    let bytes = category.as_bytes();
    let upper = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
    bytes.len() == 3
        && bytes[0].is_ascii_uppercase()
        && bytes[1].is_ascii_digit()
        && upper(&bytes[2])
        && code.contains('.') != rest.is_empty()
        && rest.len() <= 4
        && rest.as_bytes().iter().all(upper)
}

/// Only the worker signs, adds and computes: what a caller says of that is left out.
pub(super) fn unsigned(mut content: Content) -> Content {
    match &mut content {
        Content::Note(note) => {
            note.signature = None;
            note.addenda.clear();
        }
        Content::Prescription(prescription) => {
            prescription.signature = None;
            prescription.checks.clear();
            for line in &mut prescription.lines {
                line.quantity = quantity(line);
            }
        }
        Content::Allergy(_) | Content::Condition(_) | Content::Document(_) => {}
    }
    content
}

pub(super) fn sealed(content: &mut Content, signature: Signature) {
    match content {
        Content::Note(note) => note.signature = Some(signature),
        Content::Prescription(prescription) => prescription.signature = Some(signature),
        Content::Allergy(_) | Content::Condition(_) | Content::Document(_) => {}
    }
}

/// SHA-256, lower-case hex, of what is signed: the canonical JSON without signature and addenda.
pub(super) fn digest(content: &Content) -> String {
    use std::fmt::Write as _;
    let mut signed = content.clone();
    match &mut signed {
        Content::Note(note) => {
            note.signature = None;
            note.addenda.clear();
        }
        Content::Prescription(prescription) => prescription.signature = None,
        Content::Allergy(_) | Content::Condition(_) | Content::Document(_) => {}
    }
    let bytes = serde_json::to_vec(&signed).unwrap_or_default();
    Sha256::digest(&bytes)
        .iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// Units to dispense: `1-0-1` for five days are ten. `None` where frequency or days do not say it.
pub(super) fn quantity(line: &PrescriptionLine) -> Option<u32> {
    if line.as_needed {
        return None;
    }
    let parts: Vec<&str> = line.frequency.split('-').map(str::trim).collect();
    if !(3..=4).contains(&parts.len()) {
        return None;
    }
    let day: u32 = parts
        .iter()
        .map(|part| part.parse::<u32>().ok().filter(|units| *units <= 100))
        .sum::<Option<u32>>()?;
    Some(day * u32::from(line.days?)).filter(|units| *units > 0)
}

pub(super) fn to_stored(content: &Content) -> Value {
    // the kind stands in its own column
    serde_json::to_value(content)
        .ok()
        .and_then(|mut whole| whole.get_mut("content").map(Value::take))
        .unwrap_or_default()
}

pub(super) fn from_stored(kind: &str, body: &Value) -> Option<Content> {
    serde_json::from_value(serde_json::json!({ "kind": kind, "content": body })).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(frequency: &str, days: Option<u16>, as_needed: bool) -> PrescriptionLine {
        PrescriptionLine {
            drug: Code::default(),
            dose: None,
            route: None,
            frequency: frequency.to_owned(),
            days,
            as_needed,
            quantity: None,
            remark: None,
        }
    }

    /// RX6 and its neighbours.
    #[test]
    fn one_nought_one_for_five_days_are_ten() {
        for (frequency, days, as_needed, expected) in [
            ("1-0-1", Some(5), false, Some(10)),
            ("1-1-1-1", Some(3), false, Some(12)),
            ("0-0-1", Some(30), false, Some(30)),
            ("1-0-1", None, false, None),
            ("1-0-1", Some(5), true, None),
            ("twice a day", Some(5), false, None),
            ("0-0-0", Some(5), false, None),
            ("1-x-1", Some(5), false, None),
            ("1-4294967295-1", Some(5), false, None),
        ] {
            assert_eq!(
                quantity(&line(frequency, days, as_needed)),
                expected,
                "{frequency} {days:?} {as_needed}"
            );
        }
    }

    #[test]
    fn an_icd_10_code_has_a_form() {
        for (code, good) in [
            ("E11", true),
            ("E11.9", true),
            ("S72.001A", true),
            ("U07.1", true),
            ("C7A.0", true),
            ("e11.9", false),
            ("E1", false),
            ("E11.", false),
            ("E11.12345", false),
            ("250.00", false),
            ("", false),
        ] {
            assert_eq!(is_icd10(code), good, "{code}");
        }
    }

    #[test]
    fn a_year_that_nobody_lived_in_stands_on_no_chart() {
        let condition = |since: &str, until: Option<&str>| {
            Content::Condition(schemas::chart::Condition {
                code: None,
                text: "Asthma".to_owned(),
                since: Some(since.to_owned()),
                until: until.map(str::to_owned),
                remark: None,
                code_check: None,
            })
        };
        for good in ["2019", "2019-04-12T10:00:00Z", "since childhood"] {
            assert_eq!(checked(&condition(good, None)), Ok(()), "{good}");
        }
        for (wrong, member) in [
            (condition("9999-12-31T23:59:59-01:00", None), "since"),
            (condition("2019", Some("9999-12-31")), "until"),
        ] {
            let refusal = checked(&wrong).unwrap_err();
            assert_eq!(refusal.code, "clinical.entry_time");
            assert!(refusal.detail.contains(member), "{}", refusal.detail);
        }
    }

    #[test]
    fn what_is_stored_comes_back() {
        let content = Content::Prescription(schemas::chart::Prescription {
            lines: vec![line("1-0-1", Some(5), false)],
            remark: None,
            signature: None,
            checks: vec![],
        });
        let stored = to_stored(&content);
        assert!(stored.get("lines").is_some(), "{stored}");
        assert_eq!(from_stored("prescription", &stored), Some(content));
    }
}
