//! Is this JSON a resource of FHIR? Asked of fhir-sdk's R4B types, which are equal to R4 for all that the hub writes.
//!
//! They are not trusted to say no: a `value[x]` that they cannot read disappears without an error (specs/hl7-fhir.md §2.4). So
//! what they read is written again, and every member of the input must be there.

use fhir_sdk::r4b::resources::Resource;
use serde_json::Value;

use crate::wire::plain;

/// Why something is no resource that the hub takes or sends. Names places, never values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// It is not of the form of its type.
    #[error("it is no valid resource: {0}")]
    Form(String),
    /// A member that the type does not have, or whose value it cannot hold.
    #[error("`{0}` is no element of the resource, or its value is not one that it may have")]
    Lost(String),
}

/// Looks at a resource or a bundle.
///
/// # Errors
/// It is none.
pub fn check(json: &Value) -> Result<(), Unfit> {
    let json = plain(json);
    let read: Resource = serde_json::from_value(json.clone())
        .map_err(|error| Unfit::Form(without_values(&error.to_string())))?;
    let again = serde_json::to_value(&read).map_err(|error| Unfit::Form(error.to_string()))?;
    let kind = json
        .get("resourceType")
        .and_then(Value::as_str)
        .unwrap_or("resource")
        .to_owned();
    match lost(&json, &again, &kind) {
        Some(place) => Err(Unfit::Lost(place)),
        None => Ok(()),
    }
}

/// The first place of `given` that is not in `kept`.
fn lost(given: &Value, kept: &Value, place: &str) -> Option<String> {
    match (given, kept) {
        (Value::Object(given), Value::Object(kept)) => given.iter().find_map(|(name, value)| {
            let place = format!("{place}.{name}");
            match kept.get(name) {
                Some(kept) => lost(value, kept, &place),
                None => Some(place),
            }
        }),
        (Value::Array(given), Value::Array(kept)) => {
            if given.len() != kept.len() {
                return Some(place.to_owned());
            }
            given
                .iter()
                .zip(kept)
                .enumerate()
                .find_map(|(index, (given, kept))| lost(given, kept, &format!("{place}[{index}]")))
        }
        // texts of times and numbers may be written another way
        (Value::Object(_) | Value::Array(_), _) => Some(place.to_owned()),
        (_, Value::Object(_) | Value::Array(_)) => Some(place.to_owned()),
        _ => None,
    }
}

/// The message names the value that was not liked, in more than one form; of what may be about a patient only this is safe.
fn without_values(message: &str) -> String {
    match message
        .split_once("missing field `")
        .and_then(|(_, rest)| rest.split_once('`'))
    {
        Some((name, _)) => format!("the element `{name}` is missing"),
        None => "an element has a form or a code that it may not have".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_types_would_drop_or_do_not_know_is_refused_with_its_place() {
        let fine = json!({ "resourceType": "Observation", "status": "final", "code": { "text": "x" },
            "valueQuantity": { "value": 5.1 } });
        assert_eq!(check(&fine), Ok(()));
        for (member, wrong, place) in [
            (
                "valueQuantity",
                json!({ "value": "5.1" }),
                "Observation.valueQuantity",
            ),
            ("colour", json!("red"), "Observation.colour"),
            (
                "effectiveDateTime",
                json!("yesterday"),
                "Observation.effectiveDateTime",
            ),
        ] {
            let mut resource = fine.clone();
            resource[member] = wrong;
            assert_eq!(
                check(&resource),
                Err(Unfit::Lost(place.to_owned())),
                "{member}"
            );
        }
        let mut coded = fine.clone();
        coded["status"] = json!("done");
        assert!(matches!(check(&coded), Err(Unfit::Form(_))));
        let mut missing = fine;
        missing.as_object_mut().unwrap().remove("code");
        assert!(matches!(check(&missing), Err(Unfit::Form(_))));
        assert!(matches!(
            check(&json!({ "resourceType": "Teapot" })),
            Err(Unfit::Form(_))
        ));
    }

    #[test]
    fn a_message_names_no_value() {
        let form = check(&json!({ "resourceType": "Patient", "gender": "Asha" })).unwrap_err();
        assert!(!form.to_string().contains("Asha"), "{form}");
        let missing = json!({ "resourceType": "Observation", "status": "final" });
        let form = check(&missing).unwrap_err().to_string();
        assert!(form.contains("`code` is missing"), "{form}");
    }
}
