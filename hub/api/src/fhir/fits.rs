//! Does a resource fit a condition? The resource as it is sent is what is looked at, so a search finds what a reader would see.

use hub_fhir::{Resource, identifier_asked};
use serde_json::Value;
use time::OffsetDateTime;

use super::asked::{Criterion, Modifier, split};
use super::dates;
use super::table::{How, Param};

/// True when every condition has a value that fits.
pub(crate) fn all(criteria: &[Criterion], resource: &Resource, now: OffsetDateTime) -> bool {
    criteria
        .iter()
        .all(|criterion| one(criterion, resource, now))
}

fn one(criterion: &Criterion, resource: &Resource, now: OffsetDateTime) -> bool {
    let found = found(criterion.param, resource.json());
    match criterion.modifier {
        Some(Modifier::Missing) => criterion
            .values
            .iter()
            .any(|value| (value == "true") == found.is_empty()),
        Some(Modifier::Not) => !criterion
            .values
            .iter()
            .any(|value| found.iter().any(|found| token(value, found))),
        modifier => criterion.values.iter().any(|value| {
            found.iter().any(|found| match criterion.param.how {
                How::Token => token(value, found),
                How::Date => date(value, found, now),
                How::Text => text(value, found, modifier),
                How::Reference => reference(value, found, modifier),
            })
        }),
    }
}

/// What the parameter's elements hold.
pub(crate) fn found<'a>(param: &Param, json: &'a Value) -> Vec<&'a Value> {
    let mut all = Vec::new();
    for path in param.paths {
        let mut here = vec![json];
        for name in path.split('.') {
            here = here
                .into_iter()
                .flat_map(flat)
                .filter_map(|value| value.get(name))
                .collect();
        }
        all.extend(here.into_iter().flat_map(flat));
    }
    all
}

fn flat(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        other => vec![other],
    }
}

/// `code`, `system|code`, `|code`, `system|`, against whatever carries a code (FHIR R4 §3.1.1.4.10).
fn token(asked: &str, found: &Value) -> bool {
    let parts = split(asked, '|');
    let clean = |text: &str| text.replace("\\|", "|").replace("\\$", "$");
    let (system, code) = match parts.as_slice() {
        [code] => (None, clean(code)),
        [system, code] => (Some(clean(system)), clean(code)),
        _ => return false,
    };
    codes(found).into_iter().any(|(of, value)| {
        let same_code = code.is_empty() || value == code;
        let same_system = match &system {
            None => true,
            Some(system) if system.is_empty() => of.is_none(),
            // an authority may be asked for by its own name too
            Some(system) => of
                .is_some_and(|of| of == system || identifier_asked(of) == identifier_asked(system)),
        };
        same_code && same_system
    })
}

/// System and code of a coding, a concept, an identifier, a contact point, or a plain code.
fn codes(value: &Value) -> Vec<(Option<&str>, String)> {
    match value {
        Value::String(code) => vec![(None, code.clone())],
        Value::Bool(truth) => vec![(None, truth.to_string())],
        Value::Object(fields) => {
            if let Some(Value::Array(codings)) = fields.get("coding") {
                return codings.iter().flat_map(codes).collect();
            }
            let text = |name: &str| fields.get(name).and_then(Value::as_str);
            text("code")
                .or_else(|| text("value"))
                .map(|code| (text("system"), code.to_owned()))
                .into_iter()
                .collect()
        }
        _ => Vec::new(),
    }
}

fn date(asked: &str, found: &Value, now: OffsetDateTime) -> bool {
    let Some((prefix, interval)) = dates::asked(asked) else {
        return false;
    };
    match found {
        Value::String(at) => dates::interval(at)
            .is_some_and(|at| dates::holds(prefix, interval, Some(at.from), Some(at.to), now)),
        Value::Object(period) => {
            let end = |name: &str| {
                period
                    .get(name)
                    .and_then(Value::as_str)
                    .and_then(dates::interval)
            };
            let (from, to) = (end("start").map(|at| at.from), end("end").map(|at| at.to));
            dates::holds(prefix, interval, from, to, now)
        }
        _ => false,
    }
}

/// From the beginning, whatever the case (FHIR R4 §3.1.1.4.9).
fn text(asked: &str, found: &Value, modifier: Option<Modifier>) -> bool {
    let Some(found) = found.as_str() else {
        return false;
    };
    match modifier {
        Some(Modifier::Exact) => found == asked,
        Some(Modifier::Contains) => found.to_lowercase().contains(&asked.to_lowercase()),
        _ => {
            let asked = asked.to_lowercase();
            let found = found.to_lowercase();
            found.starts_with(&asked)
                || found
                    .split_whitespace()
                    .any(|word| word.starts_with(&asked))
        }
    }
}

/// `Patient/1`, `1`, or the address of it here.
fn reference(asked: &str, found: &Value, modifier: Option<Modifier>) -> bool {
    if modifier == Some(Modifier::Identifier) {
        return found
            .get("identifier")
            .is_some_and(|identifier| token(asked, identifier));
    }
    let Some(found) = found.get("reference").and_then(Value::as_str) else {
        return false;
    };
    match target(asked) {
        (Some(kind), id) => found == format!("{kind}/{id}"),
        (None, id) => {
            let Some((kind, of)) = found.split_once('/') else {
                return false;
            };
            let wanted = match modifier {
                Some(Modifier::Type(wanted)) => kind == wanted.as_str(),
                _ => true,
            };
            of == id && wanted
        }
    }
}

/// Type, of whatever FHIR has, and id that a reference names; of an address its last two parts.
pub(crate) fn target(reference: &str) -> (Option<&str>, &str) {
    let reference = reference.split("/_history/").next().unwrap_or(reference);
    let Some((rest, id)) = reference.rsplit_once('/') else {
        return (None, reference);
    };
    let kind = rest.rsplit('/').next().unwrap_or(rest);
    (Some(kind), id)
}

/// What a resource is sorted by.
pub(crate) fn sort_key(param: &Param, resource: &Resource) -> Option<String> {
    found(param, resource.json())
        .into_iter()
        .filter_map(|value| match param.how {
            How::Date => {
                let text = value.as_str().or_else(|| value.get("start")?.as_str())?;
                // of one width, so that texts sort as times do
                let micros = dates::interval(text)?.from.unix_timestamp_nanos() / 1_000;
                Some(format!("{:020}", micros + 1_000_000_000_000_000_000))
            }
            How::Token => codes(value).into_iter().next().map(|(_, code)| code),
            How::Text => value.as_str().map(str::to_lowercase),
            How::Reference => None,
        })
        .min()
}

#[cfg(test)]
mod tests {
    use hub_fhir::Kind;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_token_fits_by_code_and_system() {
        let concept = json!({ "coding": [{ "system": "http://loinc.org", "code": "2345-7" }, { "code": "GLU" }] });
        for (asked, fits) in [
            ("2345-7", true),
            ("http://loinc.org|2345-7", true),
            ("http://loinc.org|", true),
            ("|GLU", true),
            ("|2345-7", false),
            ("http://snomed.info/sct|2345-7", false),
            ("2345", false),
        ] {
            assert_eq!(token(asked, &concept), fits, "{asked}");
        }
        let identifier = json!({ "system": "urn:hub:identifier:HOSP", "value": "12345" });
        assert!(token("HOSP|12345", &identifier));
        assert!(token("urn:hub:identifier:HOSP|12345", &identifier));
        assert!(!token("OTHER|12345", &identifier));
        assert!(token("true", &json!(true)));
    }

    #[test]
    fn a_reference_is_asked_for_in_each_of_its_forms() {
        let found = json!({ "reference": "Specimen/7" });
        for (asked, fits) in [
            ("7", true),
            ("Specimen/7", true),
            ("http://hub.example/fhir/Specimen/7", true),
            ("Patient/7", false),
            ("8", false),
        ] {
            assert_eq!(reference(asked, &found, None), fits, "{asked}");
        }
        assert!(!reference("7", &found, Some(Modifier::Type(Kind::Patient))));
        let named = json!({ "type": "Practitioner", "identifier": { "value": "D-7" } });
        assert!(reference("D-7", &named, Some(Modifier::Identifier)));
        assert!(!reference("D-7", &found, Some(Modifier::Identifier)));
        assert!(!reference("D-7", &named, None));
    }

    #[test]
    fn a_text_fits_from_the_beginning_of_a_word() {
        let name = json!("Asha Sharma");
        assert!(text("ash", &name, None) && text("SHAR", &name, None));
        assert!(!text("arma", &name, None));
        assert!(text("arma", &name, Some(Modifier::Contains)));
        assert!(!text("asha", &name, Some(Modifier::Exact)));
    }
}
