//! One observation (OBS).

use hub_core::mappings::SpecimenType;
use schemas::care::{Code, Comparator, Observation, Value as Measured};

use super::report::texts;
use super::scope::Scope;
use super::time::Moment;
use super::{number, value};
use crate::document::Element;

pub(super) fn translate(
    scope: &Scope<'_>,
    obs: &Element,
    specimen_type: &SpecimenType,
    service_time: Option<&Moment>,
    edited: bool,
    no_patient: bool,
) -> Observation {
    let mut code = obs
        .child("OBS.observation_id")
        .map_or_else(Code::default, |element| scope.code(element));
    if !code.code.is_empty() {
        code.system = specimen_type.system(code.system.take());
    }
    let acceptance = obs.said("OBS.status_cd");
    let cancelled = acceptance.as_deref().is_some_and(is_withdrawn);
    let flags: Vec<String> = obs
        .named("OBS.interpretation_cd")
        .filter_map(Element::value)
        .collect();
    let read = value::read(scope, obs, cancelled, off_scale(&flags));
    let unit = read.unit;
    let (mapped, held) = scope.meaning(
        &code,
        unit.as_deref().unwrap_or_default(),
        &read.value,
        no_patient,
    );
    let range = obs.child("OBS.normal_lo-hi_limit").and_then(|element| {
        let same_unit = element.mark("U").is_none_or(|u| Some(&u) == unit.as_ref());
        number::range(&element.value()?, scope.dialect.decimal_comma, same_unit)
    });
    let own_time = obs
        .child("OBS.observation_dttm")
        .and_then(|element| scope.moment(element));
    Observation {
        alternate: None,
        sub_id: None,
        value_type: None,
        raw_value: read.raw,
        range,
        status: Some(status(cancelled, edited).to_owned()),
        observed_at: own_time.as_ref().or(service_time).map(|m| m.text.clone()),
        device: scope.device.clone(),
        notes: notes(
            scope,
            obs,
            &read.value,
            acceptance.as_deref(),
            read.qualitative,
        ),
        value: read.value,
        code,
        unit,
        flags,
        mapped,
        held,
    }
}

/// OBS.status_cd: the operator discarded (D) or rejected (R) what the device measured; A is accepted.
fn is_withdrawn(acceptance: &str) -> bool {
    matches!(acceptance.trim().to_ascii_uppercase().as_str(), "D" | "R")
}

/// In letters of HL7 table 0085. POCT1-A sends nothing before it is measured; an edited observation (SVC.reason_cd EDT)
/// corrects the one before.
fn status(cancelled: bool, edited: bool) -> &'static str {
    match (cancelled, edited) {
        (true, _) => "X",
        (false, true) => "C",
        (false, false) => "F",
    }
}

/// `<` and `>` of HL7 table 0078: the number is the end of the scale, not the measurement.
fn off_scale(flags: &[String]) -> Option<Comparator> {
    flags.iter().find_map(|flag| match flag.as_str() {
        "<" => Some(Comparator::Less),
        ">" => Some(Comparator::Greater),
        _ => None,
    })
}

fn notes(
    scope: &Scope<'_>,
    obs: &Element,
    value: &Measured,
    acceptance: Option<&str>,
    qualitative: Option<String>,
) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(method) = obs.said("OBS.method_cd") {
        let words = match method.as_str() {
            "M" => "measured",
            "C" => "calculated",
            "I" => "entered by hand",
            "E" => "estimated",
            "D" => "default value",
            other => other,
        };
        notes.push(format!("method: {words}"));
    }
    match acceptance.map(str::trim) {
        Some("D" | "d") => notes.push("discarded on the device".to_owned()),
        Some("R" | "r") => notes.push("rejected on the device".to_owned()),
        None | Some("A" | "a") => {}
        Some(other) => notes.push(format!("acceptance: {other}")),
    }
    if let Some(said) = qualitative
        && !matches!(value, Measured::Text { text } if *text == said)
    {
        notes.push(format!("qualitative: {said}"));
    }
    if let Some(critical) = obs.said("OBS.critical_lo-hi_limit") {
        notes.push(format!("critical limits of the device: {critical}"));
    }
    notes.extend(texts(scope, obs));
    notes
}
