//! The OpenAPI 3.1 document: made from the handlers, completed here with what is the same for all, so that no
//! handler has to repeat it and none can forget it.

use std::collections::BTreeSet;

use axum::http::header;
use axum::response::IntoResponse;
use serde_json::{Map, Value, json};
use utoipa::PartialSchema as _;
use utoipa::openapi::OpenApi;

use crate::problem::{Alternative, FieldProblem, Lookalike, PROBLEM_JSON, ProblemDocument};
use crate::views::canonical;
use crate::{routes, shape};

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

/// A page's items are described where the item is, not once more in each page.
fn refer_to_items(schemas: &mut Value) {
    let mut found = Map::new();
    for (name, schema) in object(schemas) {
        let Some(item) = name.strip_prefix("Page_") else {
            continue;
        };
        let Some(items) = schema.pointer_mut("/properties/items/items") else {
            continue;
        };
        let reference = json!({ "$ref": format!("#/components/schemas/{item}") });
        let described = std::mem::replace(items, reference);
        if described.get("$ref").is_none() {
            found.insert(item.to_owned(), described);
        }
    }
    for (name, schema) in found {
        schemas[name.as_str()] = schema;
    }
}

/// Canonical types stand once: a client that is made of this document has one `Code`, and not one for each place where a code
/// stands.
fn name_canonical_types(schemas: &mut Value) {
    let mut types = canonical::all();
    // no other component may have the name of one; that is tested
    types.retain(|(name, _)| schemas.get(name).is_none());
    let mut used = BTreeSet::new();
    refer_to_types(schemas, &types, &mut used);
    let named: Vec<(&'static str, Value)> = types
        .iter()
        .map(|(name, schema)| {
            let mut schema = schema.clone();
            for (_, part) in object(&mut schema) {
                refer_to_types(part, &types, &mut used);
            }
            (*name, schema)
        })
        .collect();
    for (name, schema) in named {
        if used.contains(name) {
            schemas[name] = schema;
        }
    }
}

fn refer_to_types(
    value: &mut Value,
    types: &[(&'static str, Value)],
    used: &mut BTreeSet<&'static str>,
) {
    if let Value::Object(members) = value {
        let title = members.remove("title");
        let found = types
            .iter()
            .find(|(_, schema)| schema.as_object().is_some_and(|schema| schema == members));
        if let Some((name, _)) = found {
            used.insert(name);
            *value = json!({ "$ref": format!("#/components/schemas/{name}") });
            return;
        }
        if let Some(title) = title {
            members.insert("title".to_owned(), title);
        }
    }
    match value {
        Value::Object(members) => members
            .iter_mut()
            .for_each(|(_, member)| refer_to_types(member, types, used)),
        Value::Array(items) => items
            .iter_mut()
            .for_each(|item| refer_to_types(item, types, used)),
        _ => {}
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

/// Parameters that no handler names because a layer takes them.
fn complete_parameters(method: &str, operation: &mut Value, members: bool) {
    let given = operation
        .get_mut("parameters")
        .and_then(Value::as_array_mut);
    for parameter in given.into_iter().flatten() {
        if parameter["in"] == "header" {
            parameter["schema"] = json!({ "type": "string" });
            // a PATCH without it is refused
            if parameter["name"] == "If-Match" && method == "patch" {
                parameter["required"] = json!(true);
            }
        }
    }
    let mut parameters = Vec::new();
    if method == "get" && members {
        parameters.push(json!({
            "name": shape::FIELDS, "in": "query", "required": false, "schema": { "type": "string" },
            "description": "Members that are wanted, with commas; of a page, members of its items. Absent: all.",
        }));
    }
    if method == "post" && operation.pointer("/security/0/bearer").is_some() {
        parameters.push(json!({
            "name": "Idempotency-Key", "in": "header", "required": false,
            "schema": { "type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$" },
            "description": "A word of your own for this request, a UUID for instance. The same key and body within 24 hours is \
                answered as the first time, with `Idempotent-Replayed: true`, and does nothing more.",
        }));
    }
    if parameters.is_empty() {
        return;
    }
    match operation["parameters"].as_array_mut() {
        Some(given) => given.append(&mut parameters),
        None => operation["parameters"] = json!(parameters),
    }
}

fn has_parameter(operation: &Value, name: &str) -> bool {
    operation["parameters"]
        .as_array()
        .into_iter()
        .flatten()
        .any(|one| one["name"] == name)
}

fn complete_operation(path: &str, method: &str, operation: &mut Value, document: &Value) {
    let schemas = &document["components"]["schemas"];
    operation["operationId"] = json!(operation_id(path, method));
    let is_object = !members(operation, document).is_empty();
    complete_parameters(method, operation, is_object);
    let permission = operation
        .pointer("/security/0/bearer/0")
        .and_then(Value::as_str)
        .map(str::to_owned);
    let needs = permission.as_ref().map_or_else(
        || "No permission is needed.".to_owned(),
        |permission| format!("Permission: `{permission}`."),
    );
    let description = operation["description"].as_str().unwrap_or_default();
    operation["description"] = json!(format!("{description}\n\n{needs}").trim());

    let has_body = operation.get("requestBody").is_some();
    let mut errors = vec![
        (
            500,
            "internal",
            "the hub failed; its log has the reason under the trace id",
        ),
        (
            400,
            "request.invalid",
            "a parameter or a member of the body is wrong, or is none of this operation; `errors` names it",
        ),
        (
            429,
            "rate.address",
            "too many requests of this address, caller or hospital; Retry-After tells how long, RateLimit how many are left",
        ),
    ];
    if path.contains('{') {
        errors.push((
            404,
            "request.no_route",
            "what stands in the path is no id of this kind",
        ));
    }
    if has_parameter(operation, "Idempotency-Key") {
        errors.push((
            409,
            "idempotency.in_flight",
            "the request with this key has not been answered yet (`idempotency.in_flight`)",
        ));
        errors.push((
            422,
            "idempotency.reused",
            "the key was used for another body (`idempotency.reused`)",
        ));
        errors.push((
            413,
            "request.too_large",
            "the body is larger than this operation takes",
        ));
    }
    if has_parameter(operation, "If-Match") {
        errors.push((
            412,
            "request.stale",
            "somebody changed it since the version that `If-Match` names",
        ));
        if method != "post" {
            errors.push((
                428,
                "request.if_match",
                "say with `If-Match` which version you saw, or `*` for whichever it is",
            ));
        }
    }
    if has_body {
        errors.push((
            413,
            "request.too_large",
            "the body is larger than this operation takes",
        ));
        errors.push((415, "request.media_type", "the body is not JSON"));
    }
    if permission.is_some() {
        errors.push((
            401,
            "auth.token",
            "no token, or one that is not valid any more",
        ));
        errors.push((
            403,
            "auth.permission",
            "the permission is missing; `permission` names it",
        ));
    }
    errors.push((
        503,
        "database.unavailable",
        "the database or the message store is not available; try again",
    ));
    for (status, code, text) in errors {
        let responses = &mut operation["responses"];
        if responses.get(status.to_string()).is_none() {
            responses[status.to_string()] = problem(status, code, text, path);
        }
    }
    for (status, response) in object(&mut operation["responses"]) {
        let status: u16 = status.parse().unwrap_or_default();
        if status >= 400 {
            describe_error(status, response, path);
        } else {
            for (_, content) in object(&mut response["content"]) {
                if content.get("example").is_none()
                    && let Some(example) = example_of(&content["schema"], schemas)
                {
                    content["example"] = example;
                }
            }
        }
    }
}

/// `GET /api/v1/patients/{id}/orders` is `get_patients_by_id_orders`: unique as paths are.
fn operation_id(path: &str, method: &str) -> String {
    path.trim_start_matches("/api/v1")
        .split('/')
        .filter(|part| !part.is_empty())
        .fold(method.to_owned(), |id, part| {
            let part = match part.strip_prefix('{').and_then(|p| p.strip_suffix('}')) {
                Some(name) => format!("by_{name}"),
                None => part.replace('-', "_"),
            };
            format!("{id}_{part}")
        })
}

/// The schema's own example; of a page, a page of one item.
fn example_of(schema: &Value, schemas: &Value) -> Option<Value> {
    let schema = match schema.get("$ref").and_then(Value::as_str) {
        Some(reference) => schemas.get(reference.rsplit('/').next()?)?,
        None => schema,
    };
    if let Some(example) = schema.get("example") {
        return Some(example.clone());
    }
    let item = example_of(schema.pointer("/properties/items/items")?, schemas)?;
    Some(json!({ "items": [item], "next_cursor": "MTczODMxMjIwMA" }))
}

/// An error that a handler described in words gets its form; its code is the first one that the words name.
fn describe_error(status: u16, response: &mut Value, path: &str) {
    if response.get("content").is_some() {
        return;
    }
    let text = response["description"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let code = text
        .split('`')
        .nth(1)
        .filter(|word| word.contains('.'))
        .unwrap_or("worker.reason")
        .to_owned();
    *response = problem(status, &code, &text, path);
}

fn problem(status: u16, code: &str, text: &str, path: &str) -> Value {
    let title = axum::http::StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or("Error");
    json!({
        "description": text,
        "content": { PROBLEM_JSON: {
            "schema": { "$ref": "#/components/schemas/Problem" },
            "example": {
                "type": format!("urn:hub:problem:{code}"), "title": title, "status": status, "detail": text,
                "instance": path, "code": code, "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
            }
        } }
    })
}

fn plain(summary: &str, example: &Value, errors: &[(u16, &str, &str)]) -> Value {
    let mut get = json!({
        "tags": ["health"], "summary": summary, "security": [{}],
        "responses": { "200": {
            "description": "yes",
            "content": { "application/json": { "schema": { "type": "object" }, "example": example } }
        } }
    });
    for (status, code, text) in errors {
        get["responses"][status.to_string()] = problem(*status, code, text, "/readyz");
    }
    json!({ "get": get })
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
