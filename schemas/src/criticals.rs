//! Critical values: results that somebody must be called about.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Body;

/// `clinical.critical.acknowledge`: somebody was called, and read the value back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AcknowledgeCritical {
    pub critical_id: i64,
    /// Who was told.
    pub told: String,
    /// What that person read back.
    pub read_back: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    pub actor: String,
}

impl Body for AcknowledgeCritical {
    const NAME: &'static str = "clinical.critical.acknowledge";
}

/// `clinical.critical.escalate`: mark the critical values that nobody was called about in time. Sent by the hub itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EscalateCriticals {
    /// RFC 3339; what was due before it is overdue.
    pub at: String,
}

impl Body for EscalateCriticals {
    const NAME: &'static str = "clinical.critical.escalate";
}

/// `clinical.critical.raised`: a result is beyond its critical limits. Carries no value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CriticalRaised {
    pub critical_id: i64,
    pub report_id: Uuid,
    pub item: i16,
    pub loinc: String,
    /// RFC 3339; by then somebody must have been called.
    pub due_at: String,
}

impl Body for CriticalRaised {
    const NAME: &'static str = "clinical.critical.raised";
}

/// `clinical.critical.overdue`: nobody was called in time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CriticalOverdue {
    pub critical_id: i64,
    pub report_id: Uuid,
}

impl Body for CriticalOverdue {
    const NAME: &'static str = "clinical.critical.overdue";
}
