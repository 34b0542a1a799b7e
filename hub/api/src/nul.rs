//! NUL characters. Postgres keeps and compares no text that has one, so no name, reason, code or id has: what holds one is refused
//! where it comes in, and never reaches a query.

use serde_json::Value;

/// As JSON must write it.
const ESCAPED: &[u8] = br"\u0000";

/// The place of the first one in a value (`name.given[0]`; empty: the value itself); `None`: it has none.
pub(crate) fn within(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => text.contains('\0').then(String::new),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .find_map(|(index, item)| Some(join(&format!("[{index}]"), &within(item)?))),
        Value::Object(fields) => fields.iter().find_map(|(name, value)| {
            if name.contains('\0') {
                return Some(name.replace('\0', ""));
            }
            Some(join(name, &within(value)?))
        }),
        _ => None,
    }
}

/// The same of JSON that was not read yet. Only a body with the escape can hold one, and hardly any has it.
pub(crate) fn in_json(body: &[u8]) -> Option<String> {
    if !body.windows(ESCAPED.len()).any(|part| part == ESCAPED) {
        return None;
    }
    within(&serde_json::from_slice(body).ok()?)
}

fn join(outer: &str, inner: &str) -> String {
    if inner.is_empty() || inner.starts_with('[') {
        format!("{outer}{inner}")
    } else {
        format!("{outer}.{inner}")
    }
}

/// True of a path as it came that has one in any of its segments.
pub(crate) fn in_path(path: &str) -> bool {
    path.contains("%00") || path.contains('\0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_found_wherever_it_stands() {
        for (body, place) in [
            (r#"{"a":"x\u0000"}"#, Some("a")),
            (r#"{"name":{"family":"A\u0000"}}"#, Some("name.family")),
            (
                r#"{"name":{"given":["A","\u0000"]}}"#,
                Some("name.given[1]"),
            ),
            (
                r#"{"telecoms":[{"value":"1"},{"value":"\u0000"}]}"#,
                Some("telecoms[1].value"),
            ),
            (r#"{"x":{"a\u0000b":1}}"#, Some("x.ab")),
            (r#"{"a":"\\u0000"}"#, None),
            (r#"{"a":"\u0001"}"#, None),
            (r#"{"a":"\u0000"#, None),
        ] {
            assert_eq!(in_json(body.as_bytes()).as_deref(), place, "{body}");
        }
        assert!(in_path("/roles/%00") && in_path("/roles/a%00b/x"));
        assert!(!in_path("/roles/%2500") && !in_path("/roles/a"));
    }
}
