//! JSON as it is sent. A number of a laboratory keeps its digits: `5.10` is not `5.1` (FHIR R4 §2.24.0.1, decimal). A
//! `serde_json::Value` holds an `f64` only, and `arbitrary_precision` would change every crate of the program (and makes
//! fhir-sdk drop values, specs/hl7-fhir.md §2.4); so a decimal stands in the tree as a text with a mark that no string of FHIR
//! may contain, and becomes a number when it is written.

use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// Begins the text of a decimal. FHIR strings hold no control characters, and `element::text` lets none through.
const MARK: char = '\u{1}';

/// Longest number that is believed to be one: more digits than any measurement has.
const LONGEST: usize = 40;

/// The decimal with the digits of the text; `None` when it is none.
pub(crate) fn decimal(text: &str) -> Option<Value> {
    let text = text.trim();
    if text.len() > LONGEST {
        return None;
    }
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = rest.split_once('.').unwrap_or((rest, ""));
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    let whole = match whole.trim_start_matches('0') {
        "" => "0",
        whole => whole,
    };
    let point = if fraction.is_empty() { "" } else { "." };
    Some(Value::from(format!("{MARK}{sign}{whole}{point}{fraction}")))
}

/// The digits, where the value is a decimal.
fn digits(value: &str) -> Option<&str> {
    value.strip_prefix(MARK)
}

/// A document that is written already, to stand inside another as it is: read and written again its numbers would lose digits.
#[must_use]
pub fn kept(bytes: &[u8]) -> Option<Value> {
    let text = std::str::from_utf8(bytes).ok()?;
    serde_json::from_str::<&RawValue>(text).ok()?;
    Some(Value::from(format!("{MARK}{text}")))
}

/// The same tree with plain numbers, for whoever reads it as JSON.
pub(crate) fn plain(value: &Value) -> Value {
    match value {
        Value::String(text) => match digits(text) {
            Some(number) => number
                .parse::<f64>()
                .ok()
                .and_then(serde_json::Number::from_f64)
                .map_or(Value::Null, Value::Number),
            None => value.clone(),
        },
        Value::Array(items) => items.iter().map(plain).collect(),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| (name.clone(), plain(value)))
            .collect(),
        other => other.clone(),
    }
}

/// The bytes of a resource or a bundle.
#[must_use]
pub fn to_bytes(value: &Value) -> Vec<u8> {
    serde_json::to_vec(&Sent(value)).unwrap_or_default()
}

struct Sent<'a>(&'a Value);

impl Serialize for Sent<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::String(text) => match digits(text) {
                Some(number) => RawValue::from_string(number.to_owned())
                    .map_err(serde::ser::Error::custom)?
                    .serialize(serializer),
                None => serializer.serialize_str(text),
            },
            Value::Array(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    list.serialize_element(&Sent(item))?;
                }
                list.end()
            }
            Value::Object(fields) => {
                let mut object = serializer.serialize_map(Some(fields.len()))?;
                for (name, value) in fields {
                    object.serialize_entry(name, &Sent(value))?;
                }
                object.end()
            }
            other => other.serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_decimal_keeps_its_digits_on_the_wire_and_is_a_number() {
        for (given, sent) in [
            ("5.10", "5.10"),
            ("104", "104"),
            ("-0.50", "-0.50"),
            ("+7", "7"),
            ("007.0", "7.0"),
            (".5", "0.5"),
            ("5.", "5"),
            ("0", "0"),
            ("12345678901234567890.123", "12345678901234567890.123"),
        ] {
            let value = json!({ "value": decimal(given).unwrap() });
            let bytes = to_bytes(&value);
            assert_eq!(
                String::from_utf8(bytes).unwrap(),
                format!("{{\"value\":{sent}}}")
            );
            assert!(plain(&value)["value"].is_number(), "{given}");
        }
        for given in [
            "",
            "-",
            ".",
            "1e5",
            "1,5",
            "0x1",
            "1.2.3",
            "٣",
            &"1".repeat(41),
        ] {
            assert_eq!(decimal(given), None, "{given}");
        }
    }

    #[test]
    fn a_written_document_stands_inside_another_as_it_is() {
        let inner = kept(br#"{"value":5.10}"#).unwrap();
        let outer = to_bytes(&json!({ "resource": inner }));
        assert_eq!(
            String::from_utf8(outer).unwrap(),
            r#"{"resource":{"value":5.10}}"#
        );
        assert_eq!(kept(b"{"), None);
    }

    #[test]
    fn the_workspace_does_not_turn_on_arbitrary_precision() {
        // with it fhir-sdk drops a valid valueQuantity without a word (specs/hl7-fhir.md §0)
        assert_eq!(serde_json::to_string(&json!(5.10)).unwrap(), "5.1");
        let value: Value = serde_json::from_str("5.10").unwrap();
        assert_eq!(value.to_string(), "5.1");
    }
}
