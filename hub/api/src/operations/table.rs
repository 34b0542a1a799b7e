//! Makes `operations.json` out of the document: only the test that writes and compares both needs it.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use time::format_description::FormatItem;
use time::macros::{format_description, time};
use time::{Date, OffsetDateTime};

use crate::openapi;

/// What is known here of each operation of the document, as `operations.json` has it.
pub(crate) fn table(document: &Value) -> Value {
    let mut operations = Map::new();
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        let mut methods = Map::new();
        for (method, what) in item.as_object().into_iter().flatten() {
            let names = what["parameters"].as_array().into_iter().flatten();
            let query: BTreeSet<&str> = names
                .filter(|one| one["in"] == "query")
                .filter_map(|one| one["name"].as_str())
                .collect();
            methods.insert(
                method.to_uppercase(),
                json!({
                    "permission": what.pointer("/security/0/bearer/0"),
                    "query": query,
                    "members": openapi::members(what, document),
                    "deprecated": deprecated(what),
                }),
            );
        }
        operations.insert(path.clone(), methods.into());
    }
    operations.into()
}

const HTTP_DATE: &[FormatItem<'_>] = format_description!(
    "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
);

/// `deprecated: true`, with the days in `x-deprecated-at` and `x-sunset`; that a deprecated operation has both is tested.
fn deprecated(what: &Value) -> Option<Value> {
    if what["deprecated"] != true {
        return None;
    }
    let day = |name: &str| {
        let text = what[name].as_str()?;
        let date = Date::parse(text, format_description!("[year]-[month]-[day]")).ok()?;
        Some(OffsetDateTime::new_utc(date, time!(0:00)))
    };
    Some(json!({
        "since": format!("@{}", day("x-deprecated-at")?.unix_timestamp()),
        "sunset": day("x-sunset")?.format(HTTP_DATE).ok()?,
    }))
}
