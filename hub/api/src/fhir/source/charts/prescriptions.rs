//! Prescriptions: each line is one MedicationRequest, `[prescription].[line]`.

use hub_fhir::{Dosage, Meta, Prescription, Resource};
use schemas::care::Code;
use schemas::chart;

use super::{Context, staff};

pub(super) fn lines(of: &Context<'_>, content: &chart::Prescription) -> Vec<Resource> {
    content
        .lines
        .iter()
        .enumerate()
        .map(|(index, line)| one(of, content, index + 1, line))
        .collect()
}

fn one(
    of: &Context<'_>,
    content: &chart::Prescription,
    number: usize,
    line: &chart::PrescriptionLine,
) -> Resource {
    let row = of.row;
    let status = match row.state.as_str() {
        "signed" => "active",
        // what was asked for is done; whether it is still taken is not this resource's to say
        "dispensed" => "completed",
        other => other,
    };
    let ended = matches!(
        row.state.as_str(),
        "cancelled" | "stopped" | "entered_in_error"
    );
    let prescriber = content
        .signature
        .as_ref()
        .map_or(row.recorded_by.as_str(), |signature| signature.by.as_str());
    Prescription {
        id: format!("{}.{number}", row.id),
        meta: Meta::new(row.version, row.updated_at),
        patient: of.patient,
        encounter: of.encounter,
        group: Some(row.id.to_string()),
        status: status.to_owned(),
        status_reason: row.reason.clone().filter(|_| ended),
        medication: line.drug.clone(),
        dosage: vec![Dosage {
            text: words(line),
            frequency: Some(line.frequency.clone()),
            days: line.days,
            route: line.route.clone().map(|route| Code {
                text: Some(route),
                ..Code::default()
            }),
            as_needed: line.as_needed,
            dose: line.dose.as_deref().and_then(amount),
            instruction: None,
        }],
        prescribed_at: Some(row.recorded_at),
        prescribed_by: staff(prescriber),
        quantity: line.quantity.map(|units| (units.to_string(), None)),
        repeats: None,
        notes: [&line.remark, &content.remark]
            .into_iter()
            .flatten()
            .cloned()
            .collect(),
    }
    .resource()
}

/// As it is printed: `500 mg, 1-0-1, 5 days`.
fn words(line: &chart::PrescriptionLine) -> String {
    let mut parts: Vec<String> = line.dose.iter().cloned().collect();
    parts.push(line.frequency.clone());
    parts.extend(line.route.clone());
    parts.extend(line.as_needed.then(|| "as needed".to_owned()));
    parts.extend(line.days.map(|days| format!("{days} days")));
    parts.join(", ")
}

/// Number and unit of a dose, where it is plainly those two: of `1/2 tablet` and `500 mg/5 ml` only the words are told.
fn amount(dose: &str) -> Option<(String, Option<String>)> {
    let dose = dose.trim();
    let end = dose
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(dose.len());
    let (number, unit) = dose.split_at(end);
    let unit = unit.trim();
    let plain = !number.is_empty()
        && unit.chars().next().is_none_or(char::is_alphabetic)
        && !unit.contains(|c: char| c.is_ascii_digit());
    plain.then(|| {
        (
            number.to_owned(),
            Some(unit.to_owned()).filter(|unit| !unit.is_empty()),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dose_is_a_number_only_where_it_is_nothing_else() {
        let unit = |number: &str, unit: &str| Some((number.to_owned(), Some(unit.to_owned())));
        for (dose, expected) in [
            ("500 mg", unit("500", "mg")),
            ("0.50mg", unit("0.50", "mg")),
            ("2 tablets", unit("2", "tablets")),
            ("3", Some(("3".to_owned(), None))),
            ("1/2 tablet", None),
            ("1-2 tablets", None),
            ("1,000 mg", None),
            ("500 mg/5 ml", None),
            ("2 x 500 mg", None),
            ("half a tablet", None),
            ("", None),
        ] {
            assert_eq!(amount(dose), expected, "{dose}");
        }
    }
}
