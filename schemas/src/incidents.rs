//! Incidents: what is wrong with the hub's own work, once each, until a person has seen it or it is over.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Body;

/// `integration.incident.acknowledge`: a person has seen it and looks after it. It stays open until it is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AcknowledgeIncident {
    pub incident_id: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    pub actor: String,
}

impl Body for AcknowledgeIncident {
    const NAME: &'static str = "integration.incident.acknowledge";
}

/// `integration.incident.escalate`: mark the incidents that nobody has seen in time. Sent by the hub itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EscalateIncidents {
    /// RFC 3339; what is open since before it, and was seen by nobody, is escalated.
    pub opened_before: String,
}

impl Body for EscalateIncidents {
    const NAME: &'static str = "integration.incident.escalate";
}

/// `integration.incident.escalated`: nobody has seen it in time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IncidentEscalated {
    pub incident_id: i64,
    /// `ledger_gap`, `repeated_failures` …
    pub kind: String,
    /// How often it was seen until now.
    pub count: i32,
}

impl Body for IncidentEscalated {
    const NAME: &'static str = "integration.incident.escalated";
}
