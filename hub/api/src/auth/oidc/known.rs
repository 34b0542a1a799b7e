//! A provider's metadata and keys (OpenID Connect Discovery): read when they are needed, believed for an hour.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use hub_core::config::is_safe_url;
use jsonwebtoken::jwk::Jwk;
use serde::Deserialize;
use serde_json::Value;

use super::Provider;
use crate::problem::Problem;

/// How long metadata and keys are believed.
pub(super) const FRESH: Duration = Duration::from_secs(60 * 60);

/// What was read of a provider.
pub(super) struct Known {
    pub(super) metadata: Metadata,
    pub(super) keys: Vec<Jwk>,
    read: Instant,
}

/// OpenID Connect Discovery §3.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Metadata {
    issuer: String,
    pub(super) authorization_endpoint: String,
    pub(super) token_endpoint: String,
    jwks_uri: String,
    #[serde(default)]
    pub(super) token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

/// RFC 7517 §5; keys of kinds that are not known here are passed over.
#[derive(Deserialize)]
struct Keys {
    keys: Vec<Value>,
}

impl Provider {
    /// What is known of it; read anew when it is older than that.
    pub(super) async fn known(&self, age: Duration) -> Result<Arc<Known>, Problem> {
        let before = self
            .known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some(known) = before
            && known.read.elapsed() < age
        {
            return Ok(known);
        }
        let known = Arc::new(self.read().await?);
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&known));
        Ok(known)
    }

    async fn read(&self) -> Result<Known, Problem> {
        let url = format!(
            "{}/.well-known/openid-configuration",
            self.settings.issuer.trim_end_matches('/')
        );
        let metadata: Metadata = self
            .wire
            .read(&url)
            .await
            .map_err(|error| self.away("its metadata", &error))?;
        // OpenID Connect Discovery §4.3: or somebody else's metadata were taken for its own
        if metadata.issuer != self.settings.issuer {
            tracing::error!(
                provider = self.settings.id,
                says = metadata.issuer,
                "the metadata of an identity provider are of another issuer"
            );
            return Err(self.unavailable());
        }
        for endpoint in [
            &metadata.authorization_endpoint,
            &metadata.token_endpoint,
            &metadata.jwks_uri,
        ] {
            if !is_safe_url(endpoint) {
                tracing::error!(
                    provider = self.settings.id,
                    endpoint,
                    "an identity provider names an endpoint without TLS"
                );
                return Err(self.unavailable());
            }
        }
        let keys: Keys = self
            .wire
            .read(&metadata.jwks_uri)
            .await
            .map_err(|error| self.away("its keys", &error))?;
        Ok(Known {
            keys: keys
                .keys
                .into_iter()
                .filter_map(|key| serde_json::from_value(key).ok())
                .collect(),
            metadata,
            read: Instant::now(),
        })
    }
}
