//! The committer: one durable write in flight per channel; whoever waits meanwhile rides on the next.

use super::{IngestError, Received, Stored};

/// Handle by which connections of one channel store messages.
#[derive(Clone)]
pub struct Ingest {}

/// Limits of one channel's committer.
#[derive(Debug, Clone, Copy)]
pub struct IngestOptions {}

impl Ingest {
    /// Stores one message; see [`crate::ChannelContext::ingest`].
    ///
    /// # Errors
    /// See [`IngestError`].
    pub async fn store(&self, _received: Received) -> Result<Stored, IngestError> {
        Err(IngestError::Stopping)
    }
}
