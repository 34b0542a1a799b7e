//! Codes, practitioners and places as messages write them.

use schemas::care::{Code, Location, Practitioner};

use super::scope::{Scope, string, text};
use crate::message::Value;

/// A coded element (CE, CWE, CNE) and its second triplet.
///
/// The first triplet; where it is empty the second; where both codes are empty the first component that says
/// something, as blood gas analyzers send `^pO2^M`.
pub(super) fn coded(scope: &Scope<'_>, path: &str, value: Value<'_>) -> (Code, Option<Code>) {
    let mut parts: [Option<Value<'_>>; 9] = [None; 9];
    for (part, component) in parts.iter_mut().zip(value.components()) {
        *part = Some(component);
    }
    let [c1, t1, s1, c2, t2, s2, _, _, original] = parts;
    let first = triplet(scope, path, c1, t1.or(original), s1);
    let second = triplet(scope, path, c2, t2, s2);
    match (first, second) {
        (Some(first), second) if !first.code.is_empty() => (first, second),
        (_, Some(second)) if !second.code.is_empty() => (second, None),
        (Some(only_text), _) | (None, Some(only_text)) => {
            let code = only_text.text.clone().unwrap_or_default();
            (Code { code, ..only_text }, None)
        }
        (None, None) => {
            let text = original.and_then(string);
            let code = text.clone().unwrap_or_default();
            (
                Code {
                    code,
                    text,
                    system: None,
                },
                None,
            )
        }
    }
}

fn triplet(
    scope: &Scope<'_>,
    path: &str,
    code: Option<Value<'_>>,
    text: Option<Value<'_>>,
    system: Option<Value<'_>>,
) -> Option<Code> {
    let code = code.and_then(|c| scope.key(path, c));
    let text = text.and_then(string);
    if code.is_none() && text.is_none() {
        return None;
    }
    Some(Code {
        code: code.unwrap_or_default(),
        text,
        system: system.and_then(string),
    })
}

/// A coded element where only its presence counts.
pub(super) fn code(scope: &Scope<'_>, path: &str, value: Value<'_>) -> Option<Code> {
    let (code, _) = coded(scope, path, value);
    (!code.code.is_empty() || code.text.is_some()).then_some(code)
}

/// XCN: number, and the name as one line.
pub(super) fn practitioner(value: Value<'_>) -> Option<Practitioner> {
    let mut parts: [Option<Value<'_>>; 6] = [None; 6];
    for (part, component) in parts.iter_mut().zip(value.components()) {
        *part = Some(component);
    }
    let [id, family, given, middle, suffix, prefix] = parts;
    let family = family.map(|f| f.subcomponent(1));
    let words: Vec<_> = [prefix, given, middle, family, suffix]
        .into_iter()
        .flatten()
        .filter_map(text)
        .collect();
    let id = id.and_then(string);
    let name = (!words.is_empty()).then(|| words.join(" "));
    (id.is_some() || name.is_some()).then_some(Practitioner { id, name })
}

/// PL: point of care, room, bed, facility.
pub(super) fn location(value: Value<'_>) -> Option<Location> {
    let mut parts: [Option<Value<'_>>; 4] = [None; 4];
    for (part, component) in parts.iter_mut().zip(value.components()) {
        *part = Some(component);
    }
    let [point_of_care, room, bed, facility] =
        parts.map(|part| part.and_then(|p| string(p.subcomponent(1))));
    let location = Location {
        point_of_care,
        room,
        bed,
        facility,
    };
    (location != Location::default()).then_some(location)
}
