//! The OpenAPI 3.1 document: made from the handlers, completed here with what is the same for all, so that no
//! handler has to repeat it and none can forget it.

use std::collections::BTreeSet;

use axum::http::header;
use axum::response::IntoResponse;
use serde_json::{Value, json};
use utoipa::PartialSchema as _;
use utoipa::openapi::OpenApi;

use crate::problem::{Alternative, FieldProblem, Lookalike, ProblemDocument};
use crate::routes;

mod operation;
mod types;

use operation::{complete_operation, plain};
use types::{name_canonical_types, refer_to_items};

const ABOUT: &str = "The REST API of a hospital's integration hub. Sign in at `POST /api/v1/auth/login` (programs: \
    `POST /oauth/token`) and send the token as `Authorization: Bearer …`; it lives for fifteen minutes, `POST /api/v1/auth/refresh` gives \
    the next. Every write is a command: it is answered with its outcome, or with 202 and a place to \
    ask when its worker is busy. Lists are pages by key: ask for the next with `cursor=<next_cursor>`. Absent members are \
    left out; `fields=` narrows an answer to members. A POST with an `Idempotency-Key` can be sent again without harm; an update \
    names with `If-Match` the version that was seen. Times are RFC 3339 in UTC. What is going to end is marked `deprecated`, says `Deprecation` and `Sunset` in its answers, and goes on for 180 days at \
    least. Errors are RFC 9457 problems with a stable `code` and a `trace_id`. A W3C \
    `traceparent` is continued and returned.";

const TAGS: &[(&str, &str)] = &[
    ("sign-in", "Tokens, and one's own affairs."),
    (
        "users",
        "Who may come in and what he may do: users, roles, grants, API clients.",
    ),
    (
        "emergencies",
        "Charts opened without a relationship with the patient.",
    ),
    (
        "patients",
        "Who people are, and which records are one person.",
    ),
    (
        "portal",
        "What patients see of themselves with a log-in of their own.",
    ),
    (
        "house",
        "Facilities, departments, wards and beds. A place is its code, which never changes: grants and HL7 messages name it by that.",
    ),
    (
        "stays",
        "Visits from token to done, stays from request to closed: whether a hospital system reported them or staff lead them here. \
         Which step is possible stands with each encounter; anything else is 409 and names from, to and what is allowed.",
    ),
    (
        "charts",
        "What staff write: allergies, conditions, notes, prescriptions, documents, observations with their score, tasks.",
    ),
    (
        "codes",
        "Code systems that were imported, and codes to choose from. A system's notice is to be shown where its codes are.",
    ),
    ("results", "Encounters, orders, reports and results."),
    (
        "bedside",
        "What bedside devices measured, and their alarms. Alarms are secondary notification only: the bedside is the alarm of \
         record, and no patient may depend on what is read here.",
    ),
    (
        "appointments",
        "Schedules, slots, appointments, waiting lists and queues.",
    ),
    ("messages", "Everything that arrived, and what it did."),
    ("held", "What waits for a person."),
    ("worklists", "What the laboratory must look at."),
    ("dead letters", "What could not be processed."),
    ("channels", "Links to outside systems."),
    (
        "commands",
        "Outcomes of writes that were answered with 202.",
    ),
    ("audit", "Who did what to what."),
    (
        "changes",
        "What changed, for live boards and for programs that keep a copy.",
    ),
    (
        "privacy",
        "What patients agree to and ask about their data.",
    ),
    (
        "platform",
        "Customers of the installation, for those who run it.",
    ),
    ("incidents", "What the backbone found wrong with itself."),
];

/// Stands in a description for the names of all topics.
const TOPICS: &str = "{topics}";

/// The whole description.
///
/// # Panics
/// Never: that the completed document is one is tested.
#[must_use]
pub fn openapi() -> OpenApi {
    serde_json::from_value(whole()).expect("the completed document is OpenAPI (tested)")
}

/// As it is served and as it lies in the repository: written from the handlers (`UPDATE_SCHEMAS=1 cargo test -p hub-api openapi`),
/// and a test compares. A hub does not make it: that takes more memory than all its other work.
pub(crate) const TEXT: &str = include_str!("../openapi.json");

/// Made from the handlers.
pub(crate) fn whole() -> Value {
    let mut document = serde_json::to_value(routes::described()).unwrap_or_default();
    complete(&mut document);
    document
}

pub(crate) async fn document() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], TEXT)
}

fn complete(document: &mut Value) {
    document["info"] = json!({
        "title": "Hub API",
        "version": env!("CARGO_PKG_VERSION"),
        "description": ABOUT,
        "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
    });
    document["servers"] = json!([{ "url": "/" }]);
    document["tags"] = TAGS
        .iter()
        .map(|(name, description)| json!({ "name": name, "description": description }))
        .collect();
    document["components"]["securitySchemes"] = json!({
        "bearer": {
            "type": "http", "scheme": "bearer", "bearerFormat": "JWT",
            "description": "The access token of POST /api/v1/auth/login or POST /oauth/token. Each operation names the permission it needs.",
        }
    });
    refer_to_items(&mut document["components"]["schemas"]);
    document["components"]["schemas"]["Problem"] = problem_schema();
    name_canonical_types(&mut document["components"]["schemas"]);
    let schemas = json!({ "components": { "schemas": document["components"]["schemas"] } });
    for (path, item) in object(&mut document["paths"]) {
        for (method, operation) in object(item) {
            complete_operation(path, method, operation, &schemas);
        }
    }
    name_topics(&mut document["paths"]);
    document["paths"]["/healthz"] =
        plain("Is the process alive?", &json!({ "status": "alive" }), &[]);
    document["paths"]["/readyz"] = plain(
        "Can the hub work?",
        &json!({ "status": "ready", "nats": "ok", "postgres": "ok", "migrations": "ok", "keys": "ok" }),
        &[(
            503,
            "readiness",
            "NATS, Postgres, the migrations or the keys that encrypt are not well; the detail says which",
        )],
    );
}

/// What is told is written in one place, and this is not it.
fn name_topics(paths: &mut Value) {
    let topics = crate::feed::names()
        .into_iter()
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ");
    for path in ["/api/v1/changes", "/api/v1/stream"] {
        let description = &mut paths[path]["get"]["description"];
        if let Some(text) = description.as_str() {
            *description = json!(text.replace(TOPICS, &topics));
        }
    }
}

fn problem_schema() -> Value {
    let mut schema = serde_json::to_value(ProblemDocument::schema()).unwrap_or_default();
    // RFC 9457 names the members; the list of fields is ours
    schema["properties"]["errors"]["items"] =
        serde_json::to_value(FieldProblem::schema()).unwrap_or_default();
    schema["properties"]["alternatives"]["items"] =
        serde_json::to_value(Alternative::schema()).unwrap_or_default();
    schema["properties"]["lookalikes"]["items"] =
        serde_json::to_value(Lookalike::schema()).unwrap_or_default();
    schema
}

/// Members that the answer to this operation has, or, when it is a page, its items.
pub(crate) fn members(operation: &Value, document: &Value) -> BTreeSet<String> {
    let schemas = &document["components"]["schemas"];
    let resolve = |schema: &Value| match schema.get("$ref").and_then(Value::as_str) {
        Some(reference) => schemas
            .get(reference.rsplit('/').next().unwrap_or_default())
            .cloned()
            .unwrap_or_default(),
        None => schema.clone(),
    };
    let answer = operation.pointer("/responses/200/content/application~1json/schema");
    let answer = answer.map(resolve).unwrap_or_default();
    let described = match answer.pointer("/properties/items/items") {
        Some(item) => resolve(item),
        None => answer,
    };
    let own = described["properties"].as_object();
    // what is flattened into it
    let parts = described["allOf"].as_array().into_iter().flatten();
    let inherited = parts
        .map(resolve)
        .filter_map(|part| part["properties"].as_object().cloned());
    own.cloned()
        .into_iter()
        .chain(inherited)
        .flat_map(|members| members.into_iter().map(|(name, _)| name))
        .collect()
}

/// Members of an object; none of anything else.
fn object(value: &mut Value) -> impl Iterator<Item = (&String, &mut Value)> {
    value.as_object_mut().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operations;

    #[test]
    fn every_topic_is_named_where_it_is_followed() {
        let made = whole();
        for path in ["/api/v1/changes", "/api/v1/stream"] {
            let text = made["paths"][path]["get"]["description"].as_str().unwrap();
            assert!(!text.contains(TOPICS), "{path}: {text}");
            for name in crate::feed::names() {
                assert!(text.contains(&format!("`{name}`")), "{path}: {name}");
            }
        }
    }

    #[test]
    fn what_lies_in_the_repository_is_what_the_handlers_say() {
        let made = whole();
        for (name, made, there) in [
            ("openapi.json", format!("{made:#}\n"), TEXT),
            (
                "operations.json",
                format!("{:#}\n", operations::table::table(&made)),
                operations::TEXT,
            ),
        ] {
            if std::env::var_os("UPDATE_SCHEMAS").is_some() {
                let file = format!("{}/{name}", env!("CARGO_MANIFEST_DIR"));
                std::fs::write(file, &made).unwrap();
            } else {
                assert!(
                    made == there,
                    "hub/api/{name} differs from the handlers; run with UPDATE_SCHEMAS=1"
                );
            }
        }
    }
}
