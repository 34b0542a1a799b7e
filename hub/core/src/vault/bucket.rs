//! The bucket of wrapped keys: one entry a tenant, a list that only grows.

use async_nats::jetstream::context::GetStreamErrorKind;
use async_nats::jetstream::{ErrorCode, kv};
use futures::TryStreamExt as _;
use schemas::TenantId;
use serde::{Deserialize, Serialize};

use super::{BUCKET, VaultError, away};
use crate::backbone::Backbone;

/// One wrapped key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Wrapped {
    pub(super) number: u32,
    /// Which master key wrapped it.
    pub(super) master: String,
    /// Base64.
    pub(super) key: String,
    /// RFC 3339.
    pub(super) made_at: String,
}

/// `None`: there is none, so nothing was ever encrypted here.
pub(super) async fn bucket(backbone: &Backbone) -> Result<Option<kv::Store>, VaultError> {
    match backbone
        .jetstream()
        .get_stream(format!("KV_{BUCKET}"))
        .await
    {
        Ok(_) => backbone
            .jetstream()
            .get_key_value(BUCKET)
            .await
            .map(Some)
            .map_err(away),
        Err(error) => match error.kind() {
            GetStreamErrorKind::JetStream(said)
                if said.error_code() == ErrorCode::STREAM_NOT_FOUND =>
            {
                Ok(None)
            }
            _ => Err(away(error)),
        },
    }
}

pub(super) async fn ensure(backbone: &Backbone) -> Result<kv::Store, VaultError> {
    let replicas = backbone.replicas();
    backbone
        .jetstream()
        .create_key_value(kv::Config {
            bucket: BUCKET.to_owned(),
            history: 8,
            num_replicas: replicas,
            ..kv::Config::default()
        })
        .await
        .map_err(away)
}

pub(super) async fn entry(
    store: &kv::Store,
    name: &str,
) -> Result<Option<(Vec<Wrapped>, u64)>, VaultError> {
    let Some(entry) = store.entry(name).await.map_err(away)? else {
        return Ok(None);
    };
    if entry.operation != kv::Operation::Put {
        return Ok(None);
    }
    let wrapped = serde_json::from_slice(&entry.value).map_err(away)?;
    Ok(Some((wrapped, entry.revision)))
}

/// What all tenants have.
pub(super) async fn stored(
    backbone: &Backbone,
) -> Result<Vec<(TenantId, Vec<Wrapped>)>, VaultError> {
    let Some(store) = bucket(backbone).await? else {
        return Ok(Vec::new());
    };
    let names: Vec<String> = store
        .keys()
        .await
        .map_err(away)?
        .try_collect()
        .await
        .map_err(away)?;
    let mut all = Vec::new();
    for name in names {
        if let Ok(tenant) = TenantId::new(name.as_str())
            && let Some((wrapped, _)) = entry(&store, &name).await?
        {
            all.push((tenant, wrapped));
        }
    }
    Ok(all)
}
