//! What sources send that FHIR has no place for: nothing of it may make a resource that is none, and no number may be guessed.

use hub_fhir::{Measured, Resource, result_status, verified_status};
use schemas::care::{Attachment, Code, Comparator, Value};
use serde_json::{Value as Json, json};

use super::samples::{code, observation, patient};

fn valued(value: Value, unit: Option<&str>) -> Resource {
    let mut observation = observation(value.clone());
    observation.measured = Measured {
        value,
        unit: unit.map(str::to_owned),
        ucum: None,
        ucum_value: None,
    };
    observation.resource()
}

fn sent(resource: &Resource) -> Json {
    assert_eq!(resource.check(), Ok(()), "{}", resource.json());
    serde_json::from_slice(&hub_fhir::to_bytes(resource.json())).unwrap()
}

fn number(number: &str, comparator: Option<Comparator>) -> Value {
    Value::Quantity {
        comparator,
        number: number.to_owned(),
    }
}

#[test]
fn a_value_of_each_kind_has_its_form() {
    let text = |text: &str| text.to_owned();
    for (value, name, expected) in [
        (
            number("1e5", Some(Comparator::Greater)),
            "valueString",
            json!(">1e5 mg/dl"),
        ),
        (
            Value::Range {
                low: text("1"),
                high: text("2.5"),
            },
            "valueRange",
            json!({ "low": { "value": 1, "unit": "mg/dl" }, "high": { "value": 2.5, "unit": "mg/dl" } }),
        ),
        (
            Value::Range {
                low: text("few"),
                high: text("many"),
            },
            "valueString",
            json!("few-many"),
        ),
        (
            Value::Ratio {
                numerator: text("1"),
                denominator: text("128"),
            },
            "valueRatio",
            json!({ "numerator": { "value": 1 }, "denominator": { "value": 128 } }),
        ),
        (
            Value::Coded {
                codes: vec![code("POS", "Positive", "L")],
            },
            "valueCodeableConcept",
            json!({ "coding": [{ "system": "urn:hub:code:L", "code": "POS", "display": "Positive" }], "text": "Positive" }),
        ),
        (
            Value::Text {
                text: text("line one\nline two\u{1}"),
            },
            "valueString",
            json!("line one\nline two"),
        ),
        (
            Value::DateTime {
                value: text("2026-03-01"),
            },
            "valueDateTime",
            json!("2026-03-01"),
        ),
        (
            Value::DateTime {
                value: text("14:30"),
            },
            "valueString",
            json!("14:30"),
        ),
        (
            Value::DateTime {
                value: text("2026-03-01T14:30"),
            },
            "valueString",
            json!("2026-03-01T14:30"),
        ),
    ] {
        let json = sent(&valued(value, Some("mg/dl")));
        assert_eq!(json[name], expected, "{json}");
        let others = json
            .as_object()
            .unwrap()
            .keys()
            .filter(|key| key.starts_with("value"));
        assert_eq!(others.count(), 1);
        assert!(json["dataAbsentReason"].is_null());
    }
}

#[test]
fn what_has_no_value_says_so() {
    for value in [
        Value::Absent {
            reason: "no sample".to_owned(),
        },
        Value::Text {
            text: "  ".to_owned(),
        },
        Value::Coded {
            codes: vec![Code::default()],
        },
    ] {
        let json = sent(&valued(value, None));
        assert_eq!(
            json["dataAbsentReason"]["coding"][0]["code"], "unknown",
            "{json}"
        );
        assert!(json["valueString"].is_null());
    }
    let attachment = Attachment {
        sha256: "ab".repeat(32),
        bytes: 9,
        media_type: "image/png".to_owned(),
        label: None,
    };
    let json = sent(&valued(Value::Attachment { attachment }, None));
    assert!(
        json["valueString"]
            .as_str()
            .unwrap()
            .contains("presentedForm")
    );
}

#[test]
fn a_limit_has_the_value_s_unit_only_where_nothing_was_converted() {
    let converted = sent(&observation(number("92", None)).resource());
    assert_eq!(converted["valueQuantity"]["code"], "mg/dL");
    let low = &converted["referenceRange"][0]["low"];
    assert_eq!((&low["unit"], &low["code"]), (&json!("mg/dl"), &Json::Null));
    let same = sent(&observation(number("5.10", None)).resource());
    assert_eq!(same["referenceRange"][0]["low"]["code"], "mg/dL");
}

#[test]
fn the_digits_that_were_sent_are_sent_on() {
    let bytes = hub_fhir::to_bytes(observation(number("5.10", None)).resource().json());
    let text = String::from_utf8(bytes).unwrap();
    assert!(
        text.contains("\"value\":5.10,") || text.contains("\"value\":5.10}"),
        "{text}"
    );
    assert!(text.contains("\"value\":100.0"), "{text}");
}

#[test]
fn a_patient_of_whom_only_odd_things_are_known_is_one_all_the_same() {
    let mut odd = patient();
    odd.birth_date = Some("unknown".to_owned());
    odd.sex = None;
    odd.marital_status = Some("??".to_owned());
    odd.identifiers[0].value = " \u{0}".to_owned();
    odd.telecoms[0].value = String::new();
    odd.name = Some(schemas::patients::HumanName::default());
    odd.addresses.push(schemas::patients::Address::default());
    let json = sent(&odd.resource());
    assert!(json["birthDate"].is_null());
    assert_eq!(json["identifier"].as_array().unwrap().len(), 1);
    assert_eq!(json["telecom"].as_array().unwrap().len(), 1);
    assert_eq!(json["address"].as_array().unwrap().len(), 1);
    assert_eq!(json["name"].as_array().unwrap().len(), 1);
}

#[test]
fn nobody_takes_for_final_what_nobody_has_released() {
    for (sent, status) in [
        (Some("F"), "final"),
        (Some("C"), "corrected"),
        (Some("P"), "preliminary"),
        (Some("X"), "cancelled"),
        (Some("W"), "entered-in-error"),
        (Some("?"), "unknown"),
        (None, "unknown"),
    ] {
        assert_eq!(result_status(sent), status, "{sent:?}");
    }
    for (verification, released, sent, status) in [
        ("released", true, Some("F"), "final"),
        ("released", true, Some("C"), "corrected"),
        ("released", true, None, "final"),
        ("released", false, Some("F"), "preliminary"),
        ("verified", false, Some("F"), "preliminary"),
        ("needs_review", false, Some("F"), "preliminary"),
        ("received", false, Some("P"), "preliminary"),
        ("needs_review", false, Some("X"), "cancelled"),
        ("rejected", false, Some("F"), "entered-in-error"),
    ] {
        assert_eq!(
            verified_status(verification, released, sent),
            status,
            "{verification} {sent:?}"
        );
    }
}
