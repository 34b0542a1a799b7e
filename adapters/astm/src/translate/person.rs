//! Who a P record is about, as far as a number of the hospital's own says so.

use hub_core::translator::Event;
use schemas::Patch;
use schemas::patients::{Assertion, HumanName, Identifier, PatientReported, Sex};

use super::scope::{Place, Scope};
use super::time::Moment;
use super::{Output, time};
use crate::records::{Record, Value};

/// The patient's identifier; an event says who it is, so that an unknown person is registered and marked.
pub(super) fn subject(
    scope: &Scope<'_>,
    place: Place<'_>,
    occurred: Option<&Moment>,
    output: &mut Output,
) -> Option<Identifier> {
    let number = scope.first_of(place, &scope.dialect.patient)?;
    let subject = scope.identifier(number);
    let reported = place.patient.map_or_else(
        || mentioned(subject.clone(), occurred),
        |record| reported(scope, record, subject.clone(), occurred),
    );
    output.keys.about_patient(&subject.value);
    output.events.push(Event::new(
        subject.key.0.to_string(),
        occurred.map(|m| m.at),
        &reported,
    ));
    Some(subject)
}

fn mentioned(subject: Identifier, occurred: Option<&Moment>) -> PatientReported {
    PatientReported {
        assertion: Assertion::Mentioned,
        identifiers: vec![subject],
        name: Patch::Keep,
        other_names: Vec::new(),
        birth_date: Patch::Keep,
        sex: Patch::Keep,
        telecoms: Patch::Keep,
        addresses: Patch::Keep,
        mother_maiden_name: Patch::Keep,
        marital_status: Patch::Keep,
        deceased: Patch::Keep,
        occurred_at: occurred.map(|m| m.text.clone()),
    }
}

/// P.6 name, P.8 birth, P.9 sex (LIS02-A2 §7).
fn reported(
    scope: &Scope<'_>,
    record: &Record<'_>,
    subject: Identifier,
    occurred: Option<&Moment>,
) -> PatientReported {
    let birth = record.field(8);
    let birth_date = birth.string().and_then(|said| {
        let date = time::date(&said);
        if date.is_none() {
            scope.bad("P.8", "not a date of birth");
        }
        date
    });
    let said = record.field(9);
    let sex = said.string().and_then(|text| {
        let sex = sex(&text);
        if sex.is_none() {
            scope.bad("P.9", "not M, F or U");
        }
        sex
    });
    PatientReported {
        name: name(record.field(6)).into(),
        birth_date: birth_date.into(),
        sex: sex.into(),
        ..mentioned(subject, occurred)
    }
}

/// family ^ given ^ middle ^ suffix ^ title.
fn name(field: Value<'_>) -> Option<HumanName> {
    let part = |n| field.component(n).string();
    let name = HumanName {
        family: part(1),
        given: [part(2), part(3)].into_iter().flatten().collect(),
        prefix: part(5),
        suffix: part(4),
        use_code: None,
    };
    (name != HumanName::default()).then_some(name)
}

fn sex(said: &str) -> Option<Sex> {
    match said.to_ascii_lowercase().as_str() {
        "m" | "male" => Some(Sex::Male),
        "f" | "female" => Some(Sex::Female),
        "o" | "other" | "t" | "transgender" => Some(Sex::Other),
        "u" | "unknown" => Some(Sex::Unknown),
        _ => None,
    }
}
