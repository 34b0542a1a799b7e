//! The envelope: CloudEvents 1.0 attributes plus the hub's own, in memory.
//!
//! On the wire it is CloudEvents binary mode on NATS headers; several messages that share one stored
//! record use the codec of [`crate::record`].

use bytes::Bytes;
use schemas::{Body, TenantId};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::failure::Refusal;

/// Where a message stands in its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Position {
    /// Stream sequence of the stored record.
    pub seq: u64,
    /// Place inside the record, 0 for a record of one.
    pub index: u16,
}

/// One event or command with what must be known about it.
#[derive(Debug, Clone)]
pub struct Envelope {
    /// `ce-id`: deterministic, the key of the inbox.
    pub id: Uuid,
    /// `ce-type`: the catalogue's name, without version.
    pub name: String,
    pub version: u16,
    /// `ce-source`: `/channel/<tenant>/<channel>`, `/worker/<name>`, `/api`.
    pub source: String,
    /// `ce-subject`: opaque aggregate id; also what the lane is made of.
    pub aggregate: String,
    /// `ce-time`: when the fact happened.
    pub occurred_at: OffsetDateTime,
    /// `hub-recorded-at`.
    pub recorded_at: OffsetDateTime,
    pub tenant: TenantId,
    pub lane: u16,
    /// `hub-causation`: the message that caused this one.
    pub causation: Option<Uuid>,
    /// `hub-correlation`: the raw message or request at the root.
    pub correlation: Option<Uuid>,
    /// W3C trace context.
    pub traceparent: Option<String>,
    /// Where the outcome of a command is awaited (core NATS subject).
    pub reply_to: Option<String>,
    pub position: Position,
    pub body: Bytes,
}

impl Envelope {
    /// The body as its type.
    ///
    /// # Errors
    /// A refusal that names the type and the place in the JSON, never the content.
    pub fn decode<T: Body>(&self) -> Result<T, Refusal> {
        if self.name != T::NAME {
            return Err(Refusal::new(
                "envelope.type",
                format!("expected {}, found {}", T::NAME, self.name),
            ));
        }
        serde_json::from_slice(&self.body).map_err(|error| {
            // serde_json's text can quote the input; line and column can not
            Refusal::new(
                "envelope.body",
                format!(
                    "body of {} v{} does not fit its schema at line {} column {}",
                    self.name,
                    self.version,
                    error.line(),
                    error.column()
                ),
            )
        })
    }

    /// The id of the n-th message that follows from this one.
    #[must_use]
    pub fn follower_id(&self, n: u32) -> Uuid {
        schemas::event_id(self.id, n)
    }
}
