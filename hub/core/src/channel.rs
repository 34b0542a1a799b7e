//! What an adapter is, and what it may touch: its channel's context.

use std::future::Future;

use schemas::integration::LinkState;
use schemas::{ChannelId, TenantId};
use tokio_util::sync::CancellationToken;

use crate::ingest::{Ingest, IngestError, Received, Stored};

/// The edge: owns a connection to one outside system. Everything it receives goes through
/// [`ChannelContext::ingest`], which returns only when the message is durable.
pub trait Adapter: Send + 'static {
    /// Runs until `ctx.stop` is cancelled, then drains what is in flight and returns.
    ///
    /// # Errors
    /// The channel can't go on (address taken, certificate unreadable); the runner reports it and tries again.
    fn run(self, ctx: ChannelContext) -> impl Future<Output = Result<(), AdapterError>> + Send;
}

/// Why a channel could not run: what, where, what to do.
#[derive(Debug, thiserror::Error)]
#[error("channel {channel}: {detail}")]
pub struct AdapterError {
    pub channel: ChannelId,
    pub detail: String,
}

/// What an adapter has of the hub.
#[derive(Clone)]
pub struct ChannelContext {
    pub tenant: TenantId,
    pub channel: ChannelId,
    /// Cancelled when the channel must stop.
    pub stop: CancellationToken,
    ingest: Ingest,
    reports: tokio::sync::mpsc::Sender<LinkReport>,
}

/// What an adapter says of its link.
#[derive(Debug, Clone)]
pub struct LinkReport {
    pub channel: ChannelId,
    pub state: LinkState,
    pub connections: u32,
    pub address: String,
    pub error: Option<String>,
}

impl ChannelContext {
    /// Wires a context; `hub/cli` and tests do this.
    #[must_use]
    pub fn new(
        tenant: TenantId,
        channel: ChannelId,
        stop: CancellationToken,
        ingest: Ingest,
        reports: tokio::sync::mpsc::Sender<LinkReport>,
    ) -> Self {
        Self {
            tenant,
            channel,
            stop,
            ingest,
            reports,
        }
    }

    /// Keeps what was received; returns when it is on disk.
    ///
    /// # Errors
    /// [`IngestError`]: answer the peer with a retryable refusal, never with a yes.
    pub async fn ingest(&self, received: Received) -> Result<Stored, IngestError> {
        self.ingest.store(received).await
    }

    /// Says how the link is. Never waits: a report that finds the queue full is dropped, the next one tells.
    pub fn report(&self, state: LinkState, connections: u32, address: &str, error: Option<String>) {
        let report = LinkReport {
            channel: self.channel.clone(),
            state,
            connections,
            address: address.to_owned(),
            error,
        };
        if self.reports.try_send(report).is_err() {
            metrics::counter!("hub_link_reports_dropped_total").increment(1);
        }
    }
}
