//! What a line needs of the hub. [`ChannelContext`] is the real one; tests bring a store that is slow or refuses.

use async_trait::async_trait;
use hub_core::channel::AskError;
use hub_core::{ChannelContext, Received, Stored};
use schemas::sending::{OrderSent, QueryAnswered};
use schemas::worklist::{WorklistAnswer, WorklistQuestion};

/// The hub, as far as a line sees it.
#[async_trait]
pub trait House: Send + Sync + 'static {
    /// Keeps what was received; `Ok` when it is on disk.
    async fn store(&self, received: Received) -> Result<Stored, String>;

    /// Which tests are to be done?
    async fn worklist(&self, question: WorklistQuestion) -> Result<WorklistAnswer, AskError>;

    /// Keeps what an instrument is about to be told; `Ok` when it is on disk.
    async fn tell_first(&self, aggregate: &str, fact: &OrderSent) -> Result<(), String>;

    /// Keeps what an instrument was told and how it took it. Never waits.
    fn told(&self, aggregate: &str, fact: &OrderSent);

    /// Keeps how a query was answered. Never waits.
    fn answered(&self, fact: &QueryAnswered);
}

#[async_trait]
impl House for ChannelContext {
    async fn store(&self, received: Received) -> Result<Stored, String> {
        self.ingest(received)
            .await
            .map_err(|error| error.to_string())
    }

    async fn worklist(&self, question: WorklistQuestion) -> Result<WorklistAnswer, AskError> {
        ChannelContext::worklist(self, question).await
    }

    async fn tell_first(&self, aggregate: &str, fact: &OrderSent) -> Result<(), String> {
        self.teller()
            .tell_now(aggregate, fact)
            .await
            .map_err(|error| error.to_string())
    }

    fn told(&self, aggregate: &str, fact: &OrderSent) {
        self.teller().tell(aggregate, fact);
    }

    fn answered(&self, fact: &QueryAnswered) {
        self.teller().tell(self.channel.as_str(), fact);
    }
}
