//! CapabilityStatement: what is served, from the table that it is served by.

use serde_json::{Value, json};

use crate::element::{element, list, text};
use crate::resource::Kind;
use crate::{FHIR_VERSION, MEDIA_TYPE};

/// One search parameter.
#[derive(Debug, Clone)]
pub struct ServedParam {
    pub name: &'static str,
    /// Of the value set search-param-type.
    pub kind: &'static str,
    pub words: &'static str,
}

/// One type of resources.
#[derive(Debug, Clone)]
pub struct Served {
    pub kind: Kind,
    /// `read`, `vread`, `search-type` …
    pub interactions: Vec<&'static str>,
    /// Versions before the current one can be read.
    pub keeps_versions: bool,
    /// A change always moves its time, so that `If-Modified-Since` tells; elsewhere only the tag does.
    pub dated: bool,
    pub params: Vec<ServedParam>,
    pub includes: Vec<String>,
    pub revincludes: Vec<String>,
    /// Names of operations on an instance, without `$`, and the definition of each.
    pub operations: Vec<(&'static str, &'static str)>,
    pub words: &'static str,
}

/// All that is served.
#[derive(Debug, Clone)]
pub struct Capability {
    /// `https://hub.example/fhir`
    pub base: String,
    /// Version of the program.
    pub software: &'static str,
    /// Day from which it is so: that of the program's version.
    pub date: &'static str,
    pub served: Vec<Served>,
    /// Search parameters of every type.
    pub common: Vec<ServedParam>,
}

impl Capability {
    #[must_use]
    pub fn json(&self) -> Value {
        json!({
            "resourceType": "CapabilityStatement",
            "status": "active",
            "date": self.date,
            "kind": "instance",
            "software": { "name": "Sangam", "version": self.software },
            "implementation": { "description": "Sangam, a message-driven integration hub", "url": self.base },
            "fhirVersion": FHIR_VERSION,
            "format": [MEDIA_TYPE, "json"],
            "rest": [{
                "mode": "server",
                "documentation": "Reads show what messages and people reported; a write is a command to the worker that owns the \
                    state, and is answered with its outcome. A transaction is taken only where it can be kept: reads alone, or one \
                    write alone.",
                "security": {
                    "cors": false,
                    "service": [{ "text": "OAuth 2.0 client credentials at /oauth/token, or a session of /api/v1/auth/login: a bearer token" }],
                    "description": "Rights are those of the REST API: a chart opens by the places of the caller's grants, or by broken glass."
                },
                "resource": self.served.iter().map(resource).collect::<Vec<_>>(),
                "interaction": [{ "code": "batch" }, { "code": "transaction" }],
                "searchParam": params(&self.common),
            }],
        })
    }
}

fn params(params: &[ServedParam]) -> Value {
    list(params.iter().map(|param| {
        element([
            ("name", json!(param.name)),
            ("type", json!(param.kind)),
            ("documentation", text(param.words)),
        ])
    }))
}

fn resource(served: &Served) -> Value {
    element([
        ("type", json!(served.kind.as_str())),
        ("documentation", text(served.words)),
        (
            "interaction",
            list(
                served
                    .interactions
                    .iter()
                    .map(|code| json!({ "code": code })),
            ),
        ),
        (
            "versioning",
            json!(if served.interactions.contains(&"update") {
                "versioned-update"
            } else {
                "versioned"
            }),
        ),
        ("readHistory", json!(served.keeps_versions)),
        ("updateCreate", json!(false)),
        (
            "conditionalCreate",
            json!(served.interactions.contains(&"create")),
        ),
        (
            "conditionalRead",
            json!(if served.dated {
                "full-support"
            } else {
                "not-match"
            }),
        ),
        ("conditionalUpdate", json!(false)),
        ("conditionalDelete", json!("not-supported")),
        (
            "searchInclude",
            list(served.includes.iter().map(|one| json!(one))),
        ),
        (
            "searchRevInclude",
            list(served.revincludes.iter().map(|one| json!(one))),
        ),
        ("searchParam", params(&served.params)),
        (
            "operation",
            list(
                served
                    .operations
                    .iter()
                    .map(|(name, definition)| json!({ "name": name, "definition": definition })),
            ),
        ),
    ])
}
