//! What the OpenAPI document says of each route, for the layers that hold for all of them: so no layer has a list of its own,
//! and a new route is under all of them by being described.

use std::collections::{BTreeSet, HashMap};
use std::sync::LazyLock;

use axum::extract::{MatchedPath, Request};
use axum::http::Method;
use serde::Deserialize;

#[cfg(test)]
pub(crate) mod table;

/// One operation.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Operation {
    /// `resource:action`; none where everybody who is signed in may, or everybody.
    #[serde(borrow)]
    pub(crate) permission: Option<&'static str>,
    /// Names that its query may have.
    #[serde(borrow)]
    pub(crate) query: BTreeSet<&'static str>,
    /// Members of its answer, or of the items of its page, that `fields` may name.
    #[serde(borrow)]
    pub(crate) members: BTreeSet<&'static str>,
    pub(crate) deprecated: Option<Deprecated>,
}

/// Values of `Deprecation` (RFC 9745) and `Sunset` (RFC 8594).
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Deprecated {
    pub(crate) since: &'static str,
    pub(crate) sunset: &'static str,
}

/// By path, then by method.
type Operations = HashMap<&'static str, HashMap<&'static str, Operation>>;

/// Taken out of the document when that is written (`operations/table.rs`), because the document is thirty times larger.
pub(crate) const TEXT: &str = include_str!("../operations.json");

static OPERATIONS: LazyLock<Operations> = LazyLock::new(|| read(TEXT));

fn read(text: &'static str) -> Operations {
    serde_json::from_str(text).expect("written by a test, which compares")
}

/// The operation that a request is for; none for what the document does not describe (`/metrics`, nothing at all).
pub(crate) fn of(request: &Request) -> Option<&'static Operation> {
    let route = request.extensions().get::<MatchedPath>()?.as_str();
    if matches!(route, "/oauth/token" | "/.well-known/jwks.json") {
        return None;
    }
    let method = match *request.method() {
        Method::HEAD => &Method::GET,
        ref method => method,
    };
    OPERATIONS.get(route)?.get(method.as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use time::Date;
    use time::macros::format_description;

    use super::*;
    use crate::openapi;

    #[test]
    fn a_deprecated_operation_says_since_when_and_until_when() {
        let document = json!({ "paths": { "/api/v1/old": {
            "get": { "deprecated": true, "x-deprecated-at": "2026-01-01", "x-sunset": "2026-07-01" },
            "post": {},
        } } });
        let table = table::table(&document);
        let operations = read(table.to_string().leak());
        let old = &operations["/api/v1/old"]["GET"];
        assert_eq!(
            old.deprecated,
            Some(Deprecated {
                since: "@1767225600",
                sunset: "Wed, 01 Jul 2026 00:00:00 GMT",
            })
        );
        let other = &operations["/api/v1/old"]["POST"];
        assert_eq!(other.deprecated, None);
    }

    /// Nobody's program shall break within half a year of the first word about it.
    #[test]
    fn whatever_is_deprecated_has_both_days_half_a_year_apart() {
        let document = openapi::whole();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, what) in item.as_object().unwrap() {
                if what["deprecated"] != true {
                    continue;
                }
                let day = |name: &str| {
                    let text = what[name].as_str().unwrap_or_default();
                    Date::parse(text, format_description!("[year]-[month]-[day]"))
                        .unwrap_or_else(|_| panic!("{method} {path} is deprecated without {name}"))
                };
                let kept = day("x-sunset") - day("x-deprecated-at");
                assert!(kept.whole_days() >= 180, "{method} {path}: {kept}");
            }
        }
    }

    #[test]
    fn the_members_of_an_answer_and_of_a_page_are_known() {
        let list = &OPERATIONS["/api/v1/users"]["GET"];
        assert_eq!(list.permission, Some("users:read"));
        assert!(list.members.contains("username"), "{:?}", list.members);
        for name in ["state", "name", "cursor", "limit", "fields"] {
            assert!(list.query.contains(name), "{name}");
        }
        let one = &OPERATIONS["/api/v1/users/{id}"]["GET"];
        assert_eq!(one.members, list.members);
    }
}
