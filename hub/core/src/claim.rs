//! Claim check: a body above the limit goes to the object store, the message carries its reference and
//! digest (design.md §5). Objects are named by their SHA-256, so storing one twice is storing it once.

use async_nats::jetstream::object_store;
use bytes::Bytes;
use schemas::TenantId;
use sha2::{Digest, Sha256};
use tokio::io::AsyncReadExt as _;

use crate::backbone::{Backbone, BackboneError};
use crate::vault::VaultError;

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
    hex(&Sha256::digest(bytes))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
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

/// Stores a body of a tenant under its digest; returns the digest. Where bodies are encrypted the object is the tenant's own,
/// also when another has the same bytes.
///
/// # Errors
/// Not known to be stored.
pub async fn put(
    backbone: &Backbone,
    tenant: &TenantId,
    bytes: &Bytes,
) -> Result<String, BackboneError> {
    within(write(backbone, tenant, bytes)).await
}

fn sealed_name(tenant: &TenantId, digest: &str) -> String {
    format!("{tenant}.{digest}")
}

async fn write(
    backbone: &Backbone,
    tenant: &TenantId,
    bytes: &Bytes,
) -> Result<String, BackboneError> {
    let name = digest(bytes);
    let store = store(backbone).await?;
    let vault = backbone.vault();
    let object = if vault.seals() {
        sealed_name(tenant, &name)
    } else {
        name.clone()
    };
    if store.info(&object).await.is_ok() {
        return Ok(name);
    }
    let stored = if vault.seals() {
        vault
            .seal_object(backbone, tenant, &object, bytes)
            .await
            .map_err(|error| BackboneError::JetStream(error.to_string()))?
    } else {
        bytes.clone()
    };
    let mut reader: &[u8] = &stored;
    store
        .put(object.as_str(), &mut reader)
        .await
        .map_err(|error| BackboneError::JetStream(error.to_string()))?;
    Ok(name)
}

/// Reads a body back and checks its digest; `None` when it is not there (aged out) or damaged.
///
/// # Errors
/// The store is out of reach, or did not answer within [`DEADLINE`].
pub async fn get(
    backbone: &Backbone,
    tenant: &TenantId,
    name: &str,
) -> Result<Option<Bytes>, BackboneError> {
    within(read(backbone, tenant, name)).await
}

async fn within<T>(
    work: impl Future<Output = Result<T, BackboneError>>,
) -> Result<T, BackboneError> {
    tokio::time::timeout(DEADLINE, work).await.map_err(|_| {
        BackboneError::JetStream("the object store did not answer in time".to_owned())
    })?
}

async fn read(
    backbone: &Backbone,
    tenant: &TenantId,
    name: &str,
) -> Result<Option<Bytes>, BackboneError> {
    let store = store(backbone).await?;
    let object = sealed_name(tenant, name);
    let sealed = if backbone.vault().opens() {
        fetch(&store, &object).await?
    } else {
        None
    };
    let bytes = match sealed {
        Some(sealed) => match backbone
            .vault()
            .open_object(backbone, tenant, &object, &sealed)
            .await
        {
            Ok(bytes) => bytes,
            Err(VaultError::Damaged(_)) => return Ok(damaged(name)),
            Err(error) => return Err(BackboneError::JetStream(error.to_string())),
        },
        // from before, or of an installation that does not encrypt
        None => match fetch(&store, name).await? {
            Some(bytes) => bytes,
            None => return Ok(None),
        },
    };
    if digest(&bytes) != name {
        return Ok(damaged(name));
    }
    Ok(Some(bytes))
}

async fn fetch(
    store: &object_store::ObjectStore,
    name: &str,
) -> Result<Option<Bytes>, BackboneError> {
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
    Ok(Some(bytes.into()))
}

fn damaged(name: &str) -> Option<Bytes> {
    metrics::counter!("hub_objects_damaged_total").increment(1);
    tracing::error!(
        object = name,
        "a stored body is damaged: its digest differs; it counts as gone"
    );
    None
}
