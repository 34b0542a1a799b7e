//! `[nats]` and `[postgres]`: where everything lies.

use std::path::PathBuf;

use serde::Deserialize;

use super::Secret;
use crate::subject::StreamName;

/// `[nats]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NatsSettings {
    /// `nats://host:port` or `nats://user:password@host:port`, several separated by commas.
    pub url: String,
    /// Monitoring endpoint (`http://host:port`), where the hub checks that every write is synced.
    pub monitor_url: Option<String>,
    /// NATS credentials file.
    pub credentials_file: Option<PathBuf>,
    /// Certificate authority of the servers (PEM); switches TLS on.
    pub ca_file: Option<PathBuf>,
    /// Our certificate (PEM), where the servers ask for one; with `key_file`.
    pub certificate_file: Option<PathBuf>,
    /// The private key of `certificate_file` (PEM).
    pub key_file: Option<PathBuf>,
    /// Copies of each stream: 1 for one server, 3 for a cluster.
    pub replicas: usize,
    /// How long a durable write may take before the peer is asked to repeat, milliseconds.
    pub publish_timeout_ms: u64,
    /// S2 compression of RAW and EVENTS on disk.
    pub compress: bool,
    /// Days that received bytes are kept.
    pub raw_days: u64,
    /// Days that events and commands are kept.
    pub events_days: u64,
    /// Days that dead letters are kept.
    pub dead_days: u64,
}

impl Default for NatsSettings {
    fn default() -> Self {
        Self {
            url: "nats://127.0.0.1:4222".into(),
            monitor_url: None,
            credentials_file: None,
            ca_file: None,
            certificate_file: None,
            key_file: None,
            replicas: 1,
            publish_timeout_ms: 2500,
            compress: false,
            raw_days: 365,
            events_days: 90,
            dead_days: 365,
        }
    }
}

impl NatsSettings {
    /// Age after which a stream drops messages, days.
    #[must_use]
    pub fn max_age_days(&self, stream: StreamName) -> u64 {
        match stream {
            StreamName::Raw => self.raw_days,
            StreamName::Events | StreamName::Commands => self.events_days,
            StreamName::Dead => self.dead_days,
        }
    }
}

/// `[postgres]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PostgresSettings {
    /// `postgres://hub_app:…@host/hub`, or a reference: `env:NAME`, `file:/path`. A role that owns nothing.
    pub url: Secret,
    /// The same for the role that owns the tables; needed by `hub migrate` only.
    pub owner_url: Option<Secret>,
    /// Connections of one process.
    #[serde(default = "twenty")]
    pub max_connections: u32,
}

fn twenty() -> u32 {
    20
}
