//! Group commit at the edge: messages that wait at the same moment share one durable write.

use bytes::Bytes;
use schemas::RawId;
use time::OffsetDateTime;

use crate::envelope::Position;

mod committer;
pub use committer::{Ingest, IngestOptions, RAW_TYPE};

/// What an adapter hands in.
#[derive(Debug, Clone)]
pub struct Received {
    pub bytes: Bytes,
    pub peer: Option<String>,
    pub received_at: OffsetDateTime,
    pub notes: Vec<String>,
    /// Reason code when the bytes are not a message but must be kept (see `RawMessage::quarantine`).
    pub quarantine: Option<String>,
    /// Parent message and the request that asked for the child.
    pub child_of: Option<(RawId, uuid::Uuid)>,
    /// Set by a replay: the message keeps the id it had.
    pub id: Option<RawId>,
}

/// On disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    pub id: RawId,
    pub position: Position,
}

/// Not known to be on disk: the peer must get a retryable refusal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IngestError {
    /// The queue in front of the disk is full: the peer should send again later.
    #[error("the channel has more messages waiting than it may ({0}); send again later")]
    Busy(usize),
    /// JetStream did not confirm in time.
    #[error("the message store did not confirm within {0} ms; send again later")]
    Timeout(u128),
    /// JetStream refused: disk full, stream missing, not connected.
    #[error("the message store refused: {0}; send again later")]
    Refused(String),
    /// The hub is shutting down.
    #[error("the hub is stopping; send again later")]
    Stopping,
}

impl IngestError {
    /// One word for traces: what the store says of itself stays out of them.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Busy(_) => "edge.busy",
            Self::Timeout(_) => "edge.timeout",
            Self::Refused(_) => "edge.store",
            Self::Stopping => "edge.stopping",
        }
    }
}
