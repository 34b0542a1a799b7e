//! What the OpenAPI document says of each route, for the layers that hold for all of them: so no layer has a list of its own,
//! and a new route is under all of them by being described.

use std::collections::{BTreeSet, HashMap};
use std::sync::LazyLock;

use axum::extract::{MatchedPath, Request};
use axum::http::Method;
use serde_json::Value;
use time::format_description::FormatItem;
use time::macros::{format_description, time};
use time::{Date, OffsetDateTime};

use crate::openapi;

/// One operation.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Operation {
    /// `resource:action`; none where everybody who is signed in may, or everybody.
    pub(crate) permission: Option<String>,
    /// Names that its query may have.
    pub(crate) query: BTreeSet<String>,
    /// Members of its answer, or of the items of its page, that `fields` may name.
    pub(crate) members: BTreeSet<String>,
    pub(crate) deprecated: Option<Deprecated>,
}

/// Values of `Deprecation` (RFC 9745) and `Sunset` (RFC 8594).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Deprecated {
    pub(crate) since: String,
    pub(crate) sunset: String,
}

static OPERATIONS: LazyLock<HashMap<(Method, String), Operation>> =
    LazyLock::new(|| read(&openapi::whole()));

/// The operation that a request is for; none for what the document does not describe (`/metrics`, nothing at all).
pub(crate) fn of(request: &Request) -> Option<&'static Operation> {
    let route = request.extensions().get::<MatchedPath>()?.as_str();
    let route = match route {
        "/oauth/token" | "/.well-known/jwks.json" => return None,
        route => route.to_owned(),
    };
    let method = match *request.method() {
        Method::HEAD => Method::GET,
        ref method => method.clone(),
    };
    OPERATIONS.get(&(method, route))
}

fn read(document: &Value) -> HashMap<(Method, String), Operation> {
    let mut operations = HashMap::new();
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        for (method, what) in item.as_object().into_iter().flatten() {
            let Ok(method) = Method::from_bytes(method.to_uppercase().as_bytes()) else {
                continue;
            };
            let names = what["parameters"].as_array().into_iter().flatten();
            operations.insert(
                (method, path.clone()),
                Operation {
                    permission: what
                        .pointer("/security/0/bearer/0")
                        .and_then(Value::as_str)
                        .map(str::to_owned),
                    query: names
                        .filter(|one| one["in"] == "query")
                        .filter_map(|one| one["name"].as_str().map(str::to_owned))
                        .collect(),
                    members: openapi::members(what, document),
                    deprecated: deprecated(what),
                },
            );
        }
    }
    operations
}

const HTTP_DATE: &[FormatItem<'_>] = format_description!(
    "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
);

/// `deprecated: true`, with the days in `x-deprecated-at` and `x-sunset`; that a deprecated operation has both is tested.
fn deprecated(what: &Value) -> Option<Deprecated> {
    if what["deprecated"] != true {
        return None;
    }
    let day = |name: &str| {
        let text = what[name].as_str()?;
        let date = Date::parse(text, format_description!("[year]-[month]-[day]")).ok()?;
        Some(OffsetDateTime::new_utc(date, time!(0:00)))
    };
    Some(Deprecated {
        since: format!("@{}", day("x-deprecated-at")?.unix_timestamp()),
        sunset: day("x-sunset")?.format(HTTP_DATE).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_deprecated_operation_says_since_when_and_until_when() {
        let document = json!({ "paths": { "/api/v1/old": {
            "get": { "deprecated": true, "x-deprecated-at": "2026-01-01", "x-sunset": "2026-07-01" },
            "post": {},
        } } });
        let operations = read(&document);
        let old = &operations[&(Method::GET, "/api/v1/old".to_owned())];
        assert_eq!(
            old.deprecated,
            Some(Deprecated {
                since: "@1767225600".to_owned(),
                sunset: "Wed, 01 Jul 2026 00:00:00 GMT".to_owned(),
            })
        );
        let other = &operations[&(Method::POST, "/api/v1/old".to_owned())];
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
        let list = &OPERATIONS[&(Method::GET, "/api/v1/users".to_owned())];
        assert_eq!(list.permission.as_deref(), Some("users:read"));
        assert!(list.members.contains("username"), "{:?}", list.members);
        for name in ["state", "name", "cursor", "limit", "fields"] {
            assert!(list.query.contains(name), "{name}");
        }
        let one = &OPERATIONS[&(Method::GET, "/api/v1/users/{id}".to_owned())];
        assert_eq!(one.members, list.members);
    }
}
