//! Claim check: a body above the limit goes to the object store, the message carries its reference and
//! digest (design.md §5). Objects are named by their SHA-256, so storing one twice is storing it once.

use async_nats::jetstream::object_store;
use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::io::AsyncReadExt as _;

use crate::backbone::{Backbone, BackboneError};

/// Bodies above this go to the object store.
pub const LIMIT: usize = 256 * 1024;
/// How long one body may take.
const DEADLINE: std::time::Duration = std::time::Duration::from_secs(30);
/// Bucket of the object store.
pub const BUCKET: &str = "hub_bodies";
/// Header that names the object (lower-case hex SHA-256).
pub const HEADER: &str = "hub-claim";

/// Lower-case hex SHA-256.
#[must_use]
pub fn digest(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    Sha256::digest(bytes)
        .iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// Makes the bucket if it is missing.
///
/// # Errors
/// JetStream refused.
pub async fn ensure(
    backbone: &Backbone,
    replicas: usize,
) -> Result<object_store::ObjectStore, BackboneError> {
    if let Ok(store) = backbone.jetstream().get_object_store(BUCKET).await {
        return Ok(store);
    }
    backbone
        .jetstream()
        .create_object_store(object_store::Config {
            bucket: BUCKET.to_owned(),
            num_replicas: replicas,
            ..object_store::Config::default()
        })
        .await
        .map_err(|error| BackboneError::JetStream(error.to_string()))
}

async fn store(backbone: &Backbone) -> Result<object_store::ObjectStore, BackboneError> {
    backbone
        .jetstream()
        .get_object_store(BUCKET)
        .await
        .map_err(|error| BackboneError::JetStream(error.to_string()))
}

/// Stores a body under its digest; returns the digest.
///
/// # Errors
/// Not known to be stored.
pub async fn put(backbone: &Backbone, bytes: &Bytes) -> Result<String, BackboneError> {
    within(write(backbone, bytes)).await
}

async fn write(backbone: &Backbone, bytes: &Bytes) -> Result<String, BackboneError> {
    let name = digest(bytes);
    let store = store(backbone).await?;
    if store.info(&name).await.is_ok() {
        return Ok(name);
    }
    let mut reader: &[u8] = bytes;
    store
        .put(name.as_str(), &mut reader)
        .await
        .map_err(|error| BackboneError::JetStream(error.to_string()))?;
    Ok(name)
}

/// Reads a body back and checks its digest; `None` when it is not there (aged out) or damaged.
///
/// # Errors
/// The store is out of reach, or did not answer within [`DEADLINE`].
pub async fn get(backbone: &Backbone, name: &str) -> Result<Option<Bytes>, BackboneError> {
    within(read(backbone, name)).await
}

async fn within<T>(
    work: impl Future<Output = Result<T, BackboneError>>,
) -> Result<T, BackboneError> {
    tokio::time::timeout(DEADLINE, work).await.map_err(|_| {
        BackboneError::JetStream("the object store did not answer in time".to_owned())
    })?
}

async fn read(backbone: &Backbone, name: &str) -> Result<Option<Bytes>, BackboneError> {
    let store = store(backbone).await?;
    let mut object = match store.get(name).await {
        Ok(object) => object,
        Err(error) if error.kind() == object_store::GetErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(BackboneError::JetStream(error.to_string())),
    };
    let mut bytes = Vec::new();
    object
        .read_to_end(&mut bytes)
        .await
        .map_err(|error| BackboneError::JetStream(error.to_string()))?;
    if digest(&bytes) != name {
        metrics::counter!("hub_objects_damaged_total").increment(1);
        tracing::error!(
            object = name,
            "a stored body is damaged: its digest differs; it counts as gone"
        );
        return Ok(None);
    }
    Ok(Some(bytes.into()))
}
