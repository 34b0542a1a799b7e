//! `[[tenant]]`, `[[channel]]` and `[mappings]`: whose messages come, by which way, and how they are read.

use std::path::PathBuf;

use schemas::{ChannelId, TenantId};
use serde::Deserialize;
use serde_spanned::Spanned;

use super::OidcSettings;

/// `[[tenant]]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TenantSettings {
    /// Stands in subjects and rows; never changes.
    pub id: Spanned<TenantId>,
    /// Name for people.
    #[serde(default)]
    pub name: String,
    /// Who vouches for its people at sign-in.
    #[serde(default)]
    pub oidc: Vec<OidcSettings>,
}

/// `[[channel]]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelSettings {
    pub id: Spanned<ChannelId>,
    pub tenant: Spanned<TenantId>,
    /// Which adapter: `hl7v2` …
    pub kind: Spanned<String>,
    /// The instrument pack whose settings and codes are this channel's defaults; `hub packs` lists them.
    #[serde(default)]
    pub pack: Option<Spanned<String>>,
    /// The adapter's own settings; `hub check` lists them.
    #[serde(default)]
    pub settings: Option<Spanned<toml::Table>>,
}

/// `[mappings]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MappingSettings {
    /// Folder with `tables/` and `site/`; relative to the configuration file.
    pub folder: PathBuf,
}

impl Default for MappingSettings {
    fn default() -> Self {
        Self {
            folder: PathBuf::from("mappings"),
        }
    }
}
