//! What is the same for all operations: parameters of the layers, ids, examples, errors in their form.

use serde_json::{Value, json};

use super::{members, object};
use crate::problem::PROBLEM_JSON;
use crate::shape;

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

pub(super) fn complete_operation(
    path: &str,
    method: &str,
    operation: &mut Value,
    document: &Value,
) {
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

pub(super) fn plain(summary: &str, example: &Value, errors: &[(u16, &str, &str)]) -> Value {
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
