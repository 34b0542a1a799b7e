//! Raw messages read back from their stored records: by the translator, and by whoever replays or exports them.

use schemas::{ChannelId, RawId, TenantId};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use super::RawMessage;
use crate::backbone::Backbone;
use crate::backbone::reader::StoredMessage;
use crate::claim;
use crate::envelope::Position;
use crate::record::Record;

/// Why a stored record could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Another try can help.
    #[error("{0}")]
    Now(String),
    /// None will: damaged, or a body that has aged out.
    #[error("{0}")]
    Ever(String),
}

/// Reads the raw messages of a stored record.
///
/// # Errors
/// See [`ReadError`].
pub async fn read_raw(
    backbone: &Backbone,
    stored: StoredMessage,
    tenant: &TenantId,
    channel: &ChannelId,
) -> Result<Vec<RawMessage>, ReadError> {
    let seq = stored.seq;
    let record = Record::decode(stored.headers, stored.payload)
        .map_err(|error| ReadError::Ever(error.to_string()))?;
    let mut messages = Vec::with_capacity(record.parts.len());
    for (index, part) in record.parts.iter().enumerate() {
        let attribute = |name| record.attribute(part, name);
        let bytes = match attribute(claim::HEADER) {
            None => part.body.clone(),
            Some(name) => claim::get(backbone, tenant, name)
                .await
                .map_err(|error| ReadError::Now(error.to_string()))?
                .ok_or_else(|| ReadError::Ever(format!("object {name} is gone")))?,
        };
        let id = attribute("ce-id")
            .and_then(|id| Uuid::parse_str(id).ok())
            .map_or_else(|| RawId::of(tenant, channel, &bytes), RawId);
        messages.push(RawMessage {
            id,
            tenant: tenant.clone(),
            channel: channel.clone(),
            bytes,
            peer: attribute("hub-peer").map(str::to_owned),
            received_at: attribute("ce-time")
                .and_then(|at| OffsetDateTime::parse(at, &Rfc3339).ok())
                .unwrap_or(OffsetDateTime::UNIX_EPOCH),
            notes: record
                .attributes(part, "hub-note")
                .map(str::to_owned)
                .collect(),
            quarantine: attribute("hub-quarantine").map(str::to_owned),
            parent: attribute("hub-parent")
                .and_then(|id| Uuid::parse_str(id).ok())
                .map(RawId),
            position: Position {
                seq,
                index: u16::try_from(index).unwrap_or(u16::MAX),
            },
            traceparent: attribute("traceparent").map(str::to_owned),
        });
    }
    Ok(messages)
}
