//! Every operation of the OpenAPI document, and whether a value fits what the document says of it.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex};

use serde_json::{Value, json};

/// One operation as the document has it.
pub(crate) struct Operation {
    pub(crate) path: String,
    /// In capitals.
    pub(crate) method: String,
    pub(crate) what: Value,
}

impl Operation {
    pub(crate) fn permission(&self) -> Option<&str> {
        self.what
            .pointer("/security/0/bearer/0")
            .and_then(Value::as_str)
    }

    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// The example of the body that it takes.
    pub(crate) fn example(&self) -> Option<Value> {
        let content = self.what.pointer("/requestBody/content")?.as_object()?;
        let (_, body) = content.iter().next()?;
        let reference = body.pointer("/schema/$ref")?.as_str()?;
        document().pointer(&reference[1..])?.get("example").cloned()
    }

    /// The described answer of a status.
    pub(crate) fn answer(&self, status: u16) -> Option<&Value> {
        self.what["responses"].get(status.to_string())
    }

    pub(crate) fn takes(&self, parameter: &str) -> bool {
        let parameters = self.what["parameters"].as_array();
        parameters
            .into_iter()
            .flatten()
            .any(|one| one["name"] == parameter)
    }
}

/// What nobody needs a token for.
pub(crate) const PUBLIC: [&str; 10] = [
    "/api/v1/auth/login",
    "/api/v1/auth/mfa",
    "/api/v1/auth/refresh",
    "/api/v1/auth/jwks.json",
    "/api/v1/auth/passkey/options",
    "/api/v1/auth/passkey",
    "/api/v1/auth/oidc/providers",
    "/api/v1/auth/oidc/start",
    "/api/v1/auth/oidc/finish",
    "/api/v1/oauth/token",
];

/// What everybody may do who is signed in, and nobody else.
pub(crate) fn is_own_affair(operation: &Operation) -> bool {
    let own = operation.path == "/api/v1/me"
        || operation.path.starts_with("/api/v1/me/")
        || operation.path == "/api/v1/auth/logout";
    own && operation.what.pointer("/security/0/bearer") == Some(&json!([]))
}

static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::to_value(hub_api::openapi()).unwrap());

pub(crate) fn document() -> &'static Value {
    &DOCUMENT
}

pub(crate) fn operations() -> Vec<Operation> {
    let mut operations = Vec::new();
    for (path, item) in document()["paths"].as_object().unwrap() {
        for (method, what) in item.as_object().unwrap() {
            operations.push(Operation {
                path: path.clone(),
                method: method.to_uppercase(),
                what: what.clone(),
            });
        }
    }
    operations.retain(|operation| operation.path.starts_with("/api/v1/"));
    operations
}

/// Validates a value against a component of the document (OpenAPI 3.1 schemas are JSON Schema 2020-12).
#[track_caller]
pub(crate) fn check(name: &str, value: &Value) {
    let reference = json!({ "$ref": format!("#/components/schemas/{name}") });
    let faults = faults(&reference, value);
    assert!(faults.is_empty(), "{name}: {faults:?}\n{value}");
}

static VALIDATORS: LazyLock<Mutex<HashMap<String, &'static jsonschema::Validator>>> =
    LazyLock::new(Mutex::default);

/// What of a value does not fit a schema of the document.
pub(crate) fn faults(schema: &Value, value: &Value) -> Vec<String> {
    let validator = *VALIDATORS
        .lock()
        .unwrap()
        .entry(schema.to_string())
        .or_insert_with(|| {
            let mut whole = schema.clone();
            whole["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
            whole["components"] = json!({ "schemas": document()["components"]["schemas"] });
            Box::leak(Box::new(jsonschema::validator_for(&whole).unwrap()))
        });
    validator
        .iter_errors(value)
        .map(|error| format!("{error} at {}", error.instance_path()))
        .collect()
}
