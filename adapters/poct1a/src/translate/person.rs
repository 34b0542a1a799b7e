//! Who a PT object is about, as far as a number of the hospital's own says so.

use hub_core::translator::Event;
use schemas::Patch;
use schemas::patients::{Assertion, HumanName, Identifier, PatientReported, Sex};

use super::report::first_of;
use super::scope::{Output, Scope};
use super::time::{self, Moment};
use crate::document::Element;

/// The patient's identifier; an event says who it is, so that an unknown person is registered and marked.
pub(super) fn subject(
    scope: &Scope<'_>,
    service: &Element,
    patient: &Element,
    occurred: Option<&Moment>,
    output: &mut Output,
) -> Option<Identifier> {
    let number = first_of(scope, &scope.dialect.patient, service, patient)?;
    let subject = scope.identifier(number);
    output.keys.about_patient(&subject.value);
    output.events.push(Event::new(
        subject.key.0.to_string(),
        occurred.map(|m| m.at),
        &reported(scope, patient, subject.clone(), occurred),
    ));
    Some(subject)
}

fn reported(
    scope: &Scope<'_>,
    patient: &Element,
    subject: Identifier,
    occurred: Option<&Moment>,
) -> PatientReported {
    let birth_date = patient.child("PT.birth_date").and_then(|element| {
        let date = element.value().and_then(|said| time::date(&said));
        if date.is_none() && element.value().is_some() {
            scope.bad("PT.birth_date", "not a date of birth");
        }
        date
    });
    let sex = patient.said("PT.gender_cd").and_then(|said| {
        let sex = sex(&said);
        if sex.is_none() {
            scope.bad("PT.gender_cd", "not M, F or U");
        }
        sex
    });
    PatientReported {
        assertion: Assertion::Mentioned,
        identifiers: vec![subject],
        name: name(patient).into(),
        other_names: Vec::new(),
        birth_date: birth_date.into(),
        sex: sex.into(),
        telecoms: Patch::Keep,
        addresses: Patch::Keep,
        mother_maiden_name: Patch::Keep,
        marital_status: Patch::Keep,
        deceased: Patch::Keep,
        occurred_at: occurred.map(|m| m.text.clone()),
    }
}

/// The parts FAM and GIV of PT.name; its whole is one of many spellings and is not taken apart.
fn name(patient: &Element) -> Option<HumanName> {
    let element = patient.child("PT.name")?;
    let name = HumanName {
        family: element.said("FAM"),
        given: element
            .named("GIV")
            .chain(element.named("MID"))
            .filter_map(Element::value)
            .collect(),
        prefix: element.said("PFX"),
        suffix: element.said("SFX"),
        use_code: None,
    };
    if name == HumanName::default() {
        return None;
    }
    element.pass();
    Some(name)
}

fn sex(said: &str) -> Option<Sex> {
    match said.to_ascii_lowercase().as_str() {
        "m" | "male" => Some(Sex::Male),
        "f" | "female" => Some(Sex::Female),
        "o" | "other" | "un" => Some(Sex::Other),
        "u" | "unknown" => Some(Sex::Unknown),
        _ => None,
    }
}
