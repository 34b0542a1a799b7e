//! What a connection needs of the hub. [`ChannelContext`] is the real one; tests bring one that is slow or refuses.

use hub_core::channel::AskError;
use hub_core::ingest::IngestError;
use hub_core::{ChannelContext, Received, Stored};
use schemas::sending::{OrderSent, QueryAnswered};
use schemas::worklist::{WorklistAnswer, WorklistQuestion};

/// The hub, as far as a connection sees it.
pub(super) trait House: Sync {
    /// Keeps what was received; returns when it is durable.
    fn store(
        &self,
        received: Received,
    ) -> impl Future<Output = Result<Stored, IngestError>> + Send + '_;

    /// Which tests are to be done?
    fn worklist(
        &self,
        question: WorklistQuestion,
    ) -> impl Future<Output = Result<WorklistAnswer, AskError>> + Send + '_;

    /// Keeps what an instrument is about to be told; `Ok` when it is on disk.
    fn tell_first(
        &self,
        aggregate: String,
        fact: OrderSent,
    ) -> impl Future<Output = Result<(), String>> + Send + '_;

    /// Keeps what an instrument was told and how it took it. Never waits.
    fn told(&self, aggregate: &str, fact: &OrderSent);

    /// Keeps how a query was answered. Never waits.
    fn answered(&self, fact: &QueryAnswered);
}

impl House for ChannelContext {
    async fn store(&self, received: Received) -> Result<Stored, IngestError> {
        self.ingest(received).await
    }

    async fn worklist(&self, question: WorklistQuestion) -> Result<WorklistAnswer, AskError> {
        ChannelContext::worklist(self, question).await
    }

    async fn tell_first(&self, aggregate: String, fact: OrderSent) -> Result<(), String> {
        self.teller()
            .tell_now(&aggregate, &fact)
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
