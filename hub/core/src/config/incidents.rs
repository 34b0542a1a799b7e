//! `[incidents]`: when what the hub found wrong is told again.

use serde::Deserialize;

/// `[incidents]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IncidentSettings {
    /// What nobody has acknowledged after this time is escalated, seconds.
    pub escalate_after_seconds: u32,
}

impl Default for IncidentSettings {
    fn default() -> Self {
        Self {
            escalate_after_seconds: 900,
        }
    }
}
