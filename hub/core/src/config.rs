//! Configuration: one TOML file plus `HUB_…` environment variables; secrets by reference (`env:`, `file:`).
//! [`Loaded::from_file`] says what is wrong with file, line and what to do, before anything starts.
//!
//! Each section of the file has its settings, with their bounds and forms, in a file of its own; `load` reads, `checks` holds the
//! sections against each other and against what they name.

use serde::Deserialize;

use crate::telemetry::settings::TelemetrySettings;

mod api;
mod checks;
mod encryption;
mod incidents;
mod links;
mod load;
mod secret;
mod sign_in;
mod stores;

pub use api::{ApiSettings, ApiTls};
pub use encryption::{EncryptionSettings, TransitSettings};
pub use incidents::IncidentSettings;
pub use links::{ChannelSettings, MappingSettings, TenantSettings};
pub use load::{Loaded, Problem};
pub use secret::Secret;
pub use sign_in::{GroupRole, OidcSettings, PasskeySettings, is_safe_url};
pub use stores::{NatsSettings, PostgresSettings};

/// The whole file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    #[serde(default)]
    pub nats: NatsSettings,
    pub postgres: PostgresSettings,
    #[serde(default)]
    pub api: ApiSettings,
    #[serde(default)]
    pub mappings: MappingSettings,
    #[serde(default)]
    pub encryption: EncryptionSettings,
    #[serde(default)]
    pub incidents: IncidentSettings,
    #[serde(default)]
    pub telemetry: TelemetrySettings,
    /// One customer each.
    #[serde(rename = "tenant", default)]
    pub tenants: Vec<TenantSettings>,
    /// One link to one outside system each.
    #[serde(rename = "channel", default)]
    pub channels: Vec<ChannelSettings>,
}

/// A small file without a fault.
#[cfg(test)]
const GOOD: &str = "[postgres]\nurl = \"postgres://x\"\n[[tenant]]\nid = \"demo\"\n[[channel]]\nid = \"lab\"\ntenant = \"demo\"\nkind = \"hl7v2\"\n";
