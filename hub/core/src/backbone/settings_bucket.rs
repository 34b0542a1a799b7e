//! The bucket `hub_settings`: what people set while the hub runs (state of channels, mappings), watched by
//! every process. Written through the outbox, so it agrees with the state in Postgres.

use std::future::Future;

use async_nats::jetstream::kv;
use futures::StreamExt as _;
use tokio_util::sync::CancellationToken;

use super::{Backbone, BackboneError};
use crate::retry::Pauses;

/// Name of the bucket; its stream is `KV_hub_settings`, its subjects `$KV.hub_settings.<key>`.
pub const BUCKET: &str = "hub_settings";

/// Subject that puts `key`.
#[must_use]
pub fn subject(key: &str) -> String {
    format!("$KV.{BUCKET}.{key}")
}

/// Makes the bucket if it is missing.
///
/// # Errors
/// JetStream refused.
pub async fn ensure(backbone: &Backbone, replicas: usize) -> Result<kv::Store, BackboneError> {
    if let Ok(store) = backbone.jetstream().get_key_value(BUCKET).await {
        return Ok(store);
    }
    backbone
        .jetstream()
        .create_key_value(kv::Config {
            bucket: BUCKET.to_owned(),
            history: 1,
            num_replicas: replicas,
            ..kv::Config::default()
        })
        .await
        .map_err(|error| BackboneError::JetStream(error.to_string()))
}

/// Calls `on_entry(key, value)` for every entry there is and then for every change, until `stop`.
pub async fn watch<F, Fut>(backbone: Backbone, stop: CancellationToken, mut on_entry: F)
where
    F: FnMut(String, bytes::Bytes) -> Fut + Send,
    Fut: Future<Output = ()> + Send,
{
    let mut pauses = Pauses::for_backbone();
    loop {
        let opened = async {
            let store = backbone
                .jetstream()
                .get_key_value(BUCKET)
                .await
                .map_err(|error| BackboneError::JetStream(error.to_string()))?;
            store
                .watch_with_history(">")
                .await
                .map_err(|error| BackboneError::JetStream(error.to_string()))
        };
        let opened = tokio::select! {
            () = stop.cancelled() => return,
            opened = opened => opened,
        };
        match opened {
            Ok(mut entries) => loop {
                let entry = tokio::select! {
                    () = stop.cancelled() => return,
                    entry = entries.next() => entry,
                };
                match entry {
                    Some(Ok(entry)) if entry.operation == kv::Operation::Put => {
                        pauses.reset();
                        on_entry(entry.key, entry.value).await;
                    }
                    Some(Ok(_)) => {}
                    Some(Err(error)) => {
                        tracing::debug!(%error, "watching the settings anew");
                        break;
                    }
                    None => break,
                }
            },
            Err(error) => tracing::debug!(%error, "can't watch the settings yet"),
        }
        if !pauses.wait(&stop).await {
            return;
        }
    }
}
