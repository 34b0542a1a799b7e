//! The stream of documents: how large, how framed, how long one may take.

use std::time::Duration;

use adapter_link::{Fault, Faults};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What stands around our documents. What devices put around theirs is always tolerated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Framing {
    /// As the device did around its last document.
    #[default]
    Auto,
    /// Nothing.
    Plain,
    /// 0x0B before, 0x1C 0x0D after (PixCell HemoScreen).
    Mllp,
}

/// `[channel.settings.link]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LinkSettings {
    /// Largest document, in bytes, 1024 to 16777216; of a larger one the first part is kept, and the connection closed.
    /// Default: 1048576.
    pub limit: usize,
    /// What stands around our documents: `auto`, `plain` or `mllp`. Default: `auto`.
    pub framing: Framing,
    /// Silence inside a document after which it is given up and kept as broken, in milliseconds. Default: 30000.
    pub document_timeout_ms: u64,
}

impl Default for LinkSettings {
    fn default() -> Self {
        Self {
            limit: 1024 * 1024,
            framing: Framing::Auto,
            document_timeout_ms: 30_000,
        }
    }
}

impl LinkSettings {
    /// Everything wrong with these settings. Empty when nothing is.
    #[must_use]
    pub fn validate(&self) -> Vec<Fault> {
        let mut faults = Faults::default();
        faults.check(
            "limit",
            (1024..=16 * 1024 * 1024).contains(&self.limit),
            "must be between 1024 and 16777216 bytes",
        );
        faults.check(
            "document_timeout_ms",
            (100..=600_000).contains(&self.document_timeout_ms),
            "must be between 100 and 600000 ms",
        );
        faults.into_vec()
    }

    pub(crate) fn document_timeout(&self) -> Duration {
        Duration::from_millis(self.document_timeout_ms)
    }
}
