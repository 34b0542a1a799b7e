//! Provenance: which message made a resource what it is.

use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::element::{coding, concept_of, element, list, maybe_reference, moment, text};
use crate::resource::{Kind, Meta, Resource};

/// Where the newest version of a resource came from.
#[derive(Debug, Clone)]
pub struct Provenance {
    /// `Patient/018f…`
    pub target: String,
    pub target_version: String,
    pub recorded: OffsetDateTime,
    /// It is the first version of it.
    pub created: bool,
    /// The event or command that made it.
    pub source: Uuid,
    /// The channel that it came by, where the row knows.
    pub channel: Option<String>,
    /// The customer.
    pub organization: Option<Uuid>,
}

impl Provenance {
    /// `Patient.018f…`: each resource has one.
    #[must_use]
    pub fn id(target: &str) -> String {
        target.replacen('/', ".", 1)
    }

    #[must_use]
    pub fn resource(&self) -> Resource {
        let (activity, words) = if self.created {
            ("CREATE", "create")
        } else {
            ("UPDATE", "revise")
        };
        let agent_type = concept_of(
            [coding(
                "http://terminology.hl7.org/CodeSystem/provenance-participant-type",
                "assembler",
                Some("Assembler"),
            )],
            None,
        );
        let who = match &self.channel {
            Some(channel) => element([("display", text(channel))]),
            None => json!({ "display": "Sangam" }),
        };
        Resource::new(
            Kind::Provenance,
            Self::id(&self.target),
            Meta::new(&self.target_version, self.recorded),
            [
                (
                    "target",
                    list([element([("reference", json!(self.target))])]),
                ),
                ("recorded", moment(self.recorded)),
                (
                    "activity",
                    concept_of(
                        [coding(
                            "http://terminology.hl7.org/CodeSystem/v3-DataOperation",
                            activity,
                            Some(words),
                        )],
                        None,
                    ),
                ),
                (
                    "agent",
                    list([element([
                        ("type", agent_type),
                        ("who", who),
                        (
                            "onBehalfOf",
                            maybe_reference(Kind::Organization, self.organization),
                        ),
                    ])]),
                ),
                (
                    "entity",
                    list([element([
                        ("role", json!("source")),
                        (
                            "what",
                            json!({ "identifier": {
                                "system": "urn:ietf:rfc:3986",
                                "value": format!("urn:uuid:{}", self.source),
                            } }),
                        ),
                    ])]),
                ),
            ],
        )
    }
}
