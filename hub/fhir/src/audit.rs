//! AuditEvent: an entry of the audit trail.

use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::element::{coding, concept_of, element, list, maybe, moment, text};
use crate::resource::{Kind, Meta, Resource};

/// One entry.
#[derive(Debug, Clone)]
pub struct AuditEvent {
    pub id: i64,
    pub recorded: OffsetDateTime,
    pub actor: String,
    /// `patients.register`, `message.body_read` …
    pub action: String,
    /// What it was done to.
    pub object: String,
    /// Ids of all that was touched.
    pub objects: Vec<Uuid>,
    pub reason: Option<String>,
    /// Events or commands that caused it.
    pub causes: Vec<Uuid>,
    /// The customer.
    pub tenant: String,
}

impl AuditEvent {
    #[must_use]
    pub fn resource(&self) -> Resource {
        let whole = [element([
            ("what", element([("display", text(&self.object))])),
            ("type", Value::Null),
        ])];
        let touched = self.objects.iter().map(|id| identified("urn:uuid:", id));
        let causes = self.causes.iter().map(|id| identified("urn:uuid:", id));
        let emergency = self.action.contains("in_emergency") || self.action.contains("glass");
        Resource::new(
            Kind::AuditEvent,
            self.id,
            // an entry is never changed
            Meta::new(1, self.recorded),
            [
                (
                    "type",
                    coding(
                        "http://terminology.hl7.org/CodeSystem/audit-event-type",
                        "object",
                        Some("Object"),
                    ),
                ),
                (
                    "subtype",
                    list([coding("urn:hub:audit-action", &self.action, None)]),
                ),
                ("action", json!(verb(&self.action))),
                ("recorded", moment(self.recorded)),
                ("outcomeDesc", maybe(self.reason.as_ref())),
                (
                    "purposeOfEvent",
                    if emergency {
                        list([concept_of(
                            [coding(
                                "http://terminology.hl7.org/CodeSystem/v3-ActReason",
                                "BTG",
                                Some("break the glass"),
                            )],
                            None,
                        )])
                    } else {
                        Value::Null
                    },
                ),
                (
                    "agent",
                    list([element([
                        (
                            "who",
                            json!({ "identifier": { "system": "urn:hub:user", "value": text(&self.actor) } }),
                        ),
                        ("requestor", json!(true)),
                    ])]),
                ),
                (
                    "source",
                    json!({ "site": text(&self.tenant), "observer": { "display": "Sangam" } }),
                ),
                (
                    "entity",
                    list(whole.into_iter().chain(touched).chain(causes)),
                ),
            ],
        )
    }
}

fn identified(scheme: &str, id: &Uuid) -> Value {
    json!({ "what": { "identifier": { "system": "urn:ietf:rfc:3986", "value": format!("{scheme}{id}") } } })
}

/// C, R, U, D or E (FHIR audit-event-action), by the word that the action ends in.
fn verb(action: &str) -> &'static str {
    let last = action.rsplit('.').next().unwrap_or(action);
    let says = |words: &[&str]| words.iter().any(|word| last.contains(word));
    if says(&["read", "search", "export", "look"]) {
        "R"
    } else if says(&["register", "create", "place", "filed", "file", "add"]) {
        "C"
    } else if says(&["login", "logout", "verify", "replay", "refused", "run"]) {
        "E"
    } else {
        "U"
    }
}
