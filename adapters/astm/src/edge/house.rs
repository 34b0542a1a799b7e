//! What a line needs of the hub. [`ChannelContext`] is the real one; tests bring a store that is slow or refuses.

use async_trait::async_trait;
use hub_core::channel::AskError;
use hub_core::{ChannelContext, Received};
use schemas::worklist::{WorklistAnswer, WorklistQuestion};

/// The hub, as far as a line sees it.
#[async_trait]
pub trait House: Send + Sync + 'static {
    /// Keeps what was received; `Ok` when it is on disk.
    async fn store(&self, received: Received) -> Result<(), String>;

    /// Which tests are to be done?
    async fn worklist(&self, question: WorklistQuestion) -> Result<WorklistAnswer, AskError>;
}

#[async_trait]
impl House for ChannelContext {
    async fn store(&self, received: Received) -> Result<(), String> {
        match self.ingest(received).await {
            Ok(_) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }

    async fn worklist(&self, question: WorklistQuestion) -> Result<WorklistAnswer, AskError> {
        ChannelContext::worklist(self, question).await
    }
}
