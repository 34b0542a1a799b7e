//! The entries of a list as XML, the smallest form that the standard's DTDs allow, and messages of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use quick_xml::escape::escape;
use schemas::rosters::{RosterOperator, RosterPatient};

use super::lists::List;
use super::say::Message;
use crate::settings::ListSettings;

/// Entries by the number or id that the device knows each by.
pub(super) type Entries = BTreeMap<String, String>;

/// What stands around the entries of a message, and around those of an update.
const HEADER: usize = 360;
const AROUND: usize = 50;

pub(super) fn of_operators(operators: &[RosterOperator], settings: &ListSettings) -> Entries {
    let entry = |one: &RosterOperator| {
        let mut text = String::from("<OPR>");
        put(&mut text, "OPR.operator_id", &one.id);
        if let Some(name) = &one.name {
            put(&mut text, "OPR.name", name);
        }
        for method in &one.methods {
            text.push_str("<ACC>");
            put(&mut text, "ACC.method_cd", method);
            put(&mut text, &settings.permission_level, &one.level);
            if let (Some(element), Some(until)) = (&settings.operator_until, &one.until) {
                put(&mut text, element, until);
            }
            text.push_str("</ACC>");
        }
        text.push_str("</OPR>");
        (one.id.clone(), text)
    };
    operators.iter().map(entry).collect()
}

pub(super) fn of_patients(patients: &[RosterPatient]) -> Entries {
    patients
        .iter()
        .map(|one| (one.number.clone(), of_patient(one)))
        .collect()
}

fn of_patient(one: &RosterPatient) -> String {
    let mut text = String::from("<PT>");
    put(&mut text, "PT.patient_id", &one.number);
    if let Some(place) = &one.place {
        let parts = [
            &place.point_of_care,
            &place.room,
            &place.bed,
            &place.facility,
        ]
        .map(|part| part.as_deref().unwrap_or_default().trim());
        put(
            &mut text,
            "PT.location",
            parts.join("^").trim_end_matches('^'),
        );
    }
    if let Some(name) = &one.name {
        let _ = write!(
            text,
            "<PT.name V=\"{}\">",
            escape(clean(&name.display()).as_str())
        );
        for given in &name.given {
            put(&mut text, "GIV", given);
        }
        if let Some(family) = &name.family {
            put(&mut text, "FAM", family);
        }
        text.push_str("</PT.name>");
    }
    // a year alone is no date to a device
    if let Some(born) = one.birth_date.as_deref().filter(|born| born.len() == 10) {
        put(&mut text, "PT.birth_date", born);
    }
    let gender = match one.sex.as_deref() {
        Some(sex @ ("M" | "F")) => Some(sex),
        Some("O") => Some("UN"),
        _ => None,
    };
    if let Some(gender) = gender {
        put(&mut text, "PT.gender_cd", gender);
    }
    text.push_str("</PT>");
    text
}

/// Only what the device knows it by: to be taken off the list.
fn of_id(list: List, id: &str) -> String {
    let (object, element) = match list {
        List::Operators => ("OPR", "OPR.operator_id"),
        List::Patients => ("PT", "PT.patient_id"),
    };
    let mut text = format!("<{object}>");
    put(&mut text, element, id);
    let _ = write!(text, "</{object}>");
    text
}

fn put(text: &mut String, element: &str, value: &str) {
    let value = clean(value);
    if !value.is_empty() {
        let _ = write!(text, "<{element} V=\"{}\"/>", escape(value.as_str()));
    }
}

/// XML can't carry control characters, not even escaped.
fn clean(value: &str) -> String {
    value
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect::<String>()
        .trim()
        .to_owned()
}

/// The complete list, which takes the place of the one that the device has. At least one message: an empty list is one too.
pub(super) fn complete(
    list: List,
    entries: &Entries,
    settings: &ListSettings,
    most_bytes: Option<usize>,
) -> Vec<Message> {
    let kind = list.complete();
    let mut messages: Vec<Message> = portions(entries.values(), settings, most_bytes, 0)
        .into_iter()
        .map(|body| Message::List { kind, body })
        .collect();
    if messages.is_empty() {
        messages.push(Message::List {
            kind,
            body: String::new(),
        });
    }
    messages
}

/// From the list that the device has to this one: who is gone or has changed goes off, who is new or has changed goes on.
pub(super) fn changes(
    list: List,
    before: &Entries,
    now: &Entries,
    settings: &ListSettings,
    most_bytes: Option<usize>,
) -> Vec<Message> {
    let other = |one: &Entries, two: &Entries| -> Vec<String> {
        one.iter()
            .filter(|(id, entry)| two.get(*id) != Some(entry))
            .map(|(id, _)| id.clone())
            .collect()
    };
    let off: Vec<String> = other(before, now)
        .iter()
        .map(|id| of_id(list, id))
        .collect();
    let on: Vec<&String> = other(now, before)
        .iter()
        .filter_map(|id| now.get(id))
        .collect();
    let update = |action: &str, body: &str| Message::List {
        kind: list.changes(),
        body: format!("<UPD><UPD.action_cd V=\"{action}\"/>{body}</UPD>"),
    };
    let mut messages = Vec::new();
    for body in portions(off.iter(), settings, most_bytes, AROUND) {
        messages.push(update("D", &body));
    }
    for body in portions(on.into_iter(), settings, most_bytes, AROUND) {
        messages.push(update("I", &body));
    }
    messages
}

/// Entries in portions that fit into a message; one that alone is too long goes alone.
fn portions<'e>(
    entries: impl Iterator<Item = &'e String>,
    settings: &ListSettings,
    most_bytes: Option<usize>,
    around: usize,
) -> Vec<String> {
    let room = most_bytes.map_or(usize::MAX, |most| most.saturating_sub(HEADER + around));
    let mut portions: Vec<(usize, String)> = Vec::new();
    for entry in entries {
        match portions.last_mut() {
            Some((count, body))
                if *count < settings.a_message && body.len() + entry.len() <= room =>
            {
                *count += 1;
                body.push_str(entry);
            }
            _ => portions.push((1, entry.clone())),
        }
    }
    portions.into_iter().map(|(_, body)| body).collect()
}
