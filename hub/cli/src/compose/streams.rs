//! Streams and buckets, tried until they stand; and whether NATS syncs what it stores.

use std::time::Duration;

use hub_core::backbone::{Backbone, request_bucket, settings_bucket, sync_check};
use hub_core::claim;
use hub_core::config::NatsSettings;
use hub_core::retry::Pauses;
use hub_core::subject::StreamName;
use tokio_util::sync::CancellationToken;

/// Streams and buckets, tried until they stand.
pub(super) async fn set_up_streams(
    backbone: Backbone,
    settings: NatsSettings,
    stop: CancellationToken,
) {
    let mut pauses = Pauses::for_backbone();
    loop {
        let set_up = async {
            for name in StreamName::ALL {
                backbone.ensure_stream(name, &settings).await?;
            }
            settings_bucket::ensure(&backbone, settings.replicas).await?;
            claim::ensure(&backbone, settings.replicas).await?;
            request_bucket::ensure(&backbone, settings.replicas).await?;
            Ok::<_, hub_core::backbone::BackboneError>(())
        };
        match tokio::time::timeout(Duration::from_secs(10), set_up).await {
            Ok(Ok(())) => break,
            Ok(Err(error)) => tracing::warn!(%error, "the streams do not stand yet"),
            Err(_) => tracing::warn!("the streams do not stand yet: no answer within 10 s"),
        }
        if !pauses.wait(&stop).await {
            return;
        }
    }
    match sync_check::check(settings.monitor_url.as_deref()).await {
        sync_check::SyncSetting::Always => tracing::info!("NATS syncs every write"),
        weak @ sync_check::SyncSetting::Weaker { .. } => {
            metrics::gauge!("hub_nats_sync_weak").set(1.0);
            tracing::error!(
                "NATS durability is {weak}: a power cut can lose acknowledged messages"
            );
        }
        unknown @ sync_check::SyncSetting::NotChecked { .. } => {
            tracing::warn!("NATS durability {unknown}");
        }
    }
}
