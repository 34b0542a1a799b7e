//! The bucket `hub_requests`: what was answered to requests that carry an `Idempotency-Key`, and who creates under which condition
//! of FHIR, for a day. All processes see the same entry, and an entry changes only for who knows its newest revision.
//!
//! What stands in an entry is its writer's affair; this room never looks into it.

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::{kv, stream};
use bytes::Bytes;

use super::{Backbone, BackboneError, PublishError};

/// Name of the bucket; its stream is `KV_hub_requests`, its subjects `$KV.hub_requests.<key>`.
pub const BUCKET: &str = "hub_requests";
/// How long an entry is kept after its last change.
pub const KEPT: Duration = Duration::from_secs(24 * 3600);
/// Largest entry: well under what a server takes in one message by default (1 MiB).
pub const MAX_ENTRY: usize = 768 * 1024;

/// An entry as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub value: Bytes,
    /// To be named by whoever changes it.
    pub revision: u64,
}

/// Makes the bucket if it is missing.
///
/// # Errors
/// JetStream refused.
pub async fn ensure(backbone: &Backbone, replicas: usize) -> Result<(), BackboneError> {
    if backbone.jetstream().get_key_value(BUCKET).await.is_ok() {
        return Ok(());
    }
    backbone
        .jetstream()
        .create_key_value(kv::Config {
            bucket: BUCKET.to_owned(),
            history: 1,
            max_age: KEPT,
            num_replicas: replicas,
            ..kv::Config::default()
        })
        .await
        .map(drop)
        .map_err(|error| BackboneError::JetStream(error.to_string()))
}

fn subject(key: &str) -> String {
    format!("$KV.{BUCKET}.{key}")
}

/// The entry of `key`, asked of the stream's leader: what another process wrote a moment ago is seen.
///
/// # Errors
/// The bucket is out of reach.
pub async fn get(backbone: &Backbone, key: &str) -> Result<Option<Entry>, BackboneError> {
    let failed = |detail: String| BackboneError::JetStream(detail);
    let asked = async {
        let stream = backbone
            .jetstream()
            .get_stream_no_info(format!("KV_{BUCKET}"))
            .await
            .map_err(|error| failed(error.to_string()))?;
        match stream.get_last_raw_message_by_subject(&subject(key)).await {
            Ok(message) => Ok(Some(Entry {
                value: message.payload,
                revision: message.sequence,
            })),
            Err(error) if error.kind() == stream::LastRawMessageErrorKind::NoMessageFound => {
                Ok(None)
            }
            Err(error) => Err(failed(error.to_string())),
        }
    };
    tokio::time::timeout(backbone.publish_timeout, asked)
        .await
        .map_err(|_| failed("no answer in time".to_owned()))?
}

/// Writes an entry whose newest revision is `seen` (0: there is none); its new revision.
///
/// # Errors
/// [`PublishError::Conflict`] when somebody was first.
pub async fn put(
    backbone: &Backbone,
    key: &str,
    seen: u64,
    value: Bytes,
) -> Result<u64, PublishError> {
    let mut headers = HeaderMap::new();
    headers.insert(
        "Nats-Expected-Last-Subject-Sequence",
        seen.to_string().as_str(),
    );
    backbone
        .publish(subject(key), headers, value, None)
        .await
        .map(|published| published.seq)
}
