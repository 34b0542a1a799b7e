//! What a connection needs of the hub. [`ChannelContext`] is the real one; tests bring a store that is slow or refuses.

use async_trait::async_trait;
use hub_core::{ChannelContext, Received};
use schemas::rosters::{RosterAnswer, RosterQuestion};

/// The hub, as far as a connection sees it.
#[async_trait]
pub trait House: Send + Sync + 'static {
    /// Keeps what was received; `Ok` when it is on disk.
    async fn store(&self, received: Received) -> Result<(), String>;
    /// Who may be at a device; an error where nobody knows now.
    async fn roster(&self, question: RosterQuestion) -> Result<RosterAnswer, String>;
}

#[async_trait]
impl House for ChannelContext {
    async fn store(&self, received: Received) -> Result<(), String> {
        match self.ingest(received).await {
            Ok(_) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }

    async fn roster(&self, question: RosterQuestion) -> Result<RosterAnswer, String> {
        let answer = Self::roster(self, question).await;
        answer.map_err(|error| error.to_string())
    }
}
