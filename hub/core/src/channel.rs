//! What an adapter is, and what it may touch: its channel's context.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use schemas::integration::LinkState;
use schemas::rosters::{RosterAnswer, RosterQuestion, roster_subject};
use schemas::worklist::{WorklistAnswer, WorklistQuestion, worklist_subject};
use schemas::{ChannelId, TenantId};
use tokio_util::sync::CancellationToken;

use crate::backbone::Backbone;
use crate::ingest::{Ingest, IngestError, Received, Stored};

mod facts;
mod presence;
mod sendings;

pub use facts::{Carrier, Facts, Teller};
pub use presence::Presence;
pub use sendings::SendingBook;

/// An instrument that asks waits 5 to 10 s at most, and its answer still has to be sent (lab-devices §2.4).
const ASK_DEADLINE: Duration = Duration::from_secs(1);

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
    worklist: Arc<dyn Worklist>,
    teller: Teller,
}

/// Who knows which tests are to be done, and who may be at a device.
#[async_trait]
pub trait Worklist: Send + Sync + 'static {
    /// Answers within the deadline of a host query.
    ///
    /// # Errors
    /// See [`AskError`].
    async fn ask(&self, question: &WorklistQuestion) -> Result<WorklistAnswer, AskError>;

    /// Answers within the same time.
    ///
    /// # Errors
    /// See [`AskError`].
    async fn roster(&self, question: &RosterQuestion) -> Result<RosterAnswer, AskError>;
}

/// Why a question has no answer. Never an empty answer instead: an instrument would run nothing, or its default.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// Nobody listens: no worker runs, or none that knows orders.
    #[error("nobody answers questions of instruments; is a process with workers running?")]
    NoResponder,
    /// No answer in time.
    #[error("no answer within {0} ms")]
    Timeout(u128),
    /// The answer can't be read, or says that it could not be made.
    #[error("the answer can't be used: {0}")]
    Unusable(String),
    /// NATS is away.
    #[error("not reachable: {0}")]
    Unreachable(String),
}

/// Nobody was named who knows.
struct NoWorklist;

#[async_trait]
impl Worklist for NoWorklist {
    async fn ask(&self, _question: &WorklistQuestion) -> Result<WorklistAnswer, AskError> {
        Err(AskError::NoResponder)
    }

    async fn roster(&self, _question: &RosterQuestion) -> Result<RosterAnswer, AskError> {
        Err(AskError::NoResponder)
    }
}

/// The worklist and the rosters of a tenant, asked by NATS request and reply (design.md §5): JSON both ways on
/// [`worklist_subject`] and [`roster_subject`]. An empty answer is an error of the responder.
#[derive(Clone)]
pub struct NatsWorklist {
    backbone: Backbone,
    tenant: TenantId,
}

impl NatsWorklist {
    #[must_use]
    pub fn new(backbone: Backbone, tenant: TenantId) -> Self {
        Self { backbone, tenant }
    }
}

impl NatsWorklist {
    async fn request<A: serde::de::DeserializeOwned>(
        &self,
        subject: String,
        question: &(impl serde::Serialize + Sync),
    ) -> Result<A, AskError> {
        let body =
            serde_json::to_vec(question).map_err(|error| AskError::Unusable(error.to_string()))?;
        let request = self.backbone.client().request(subject, body.into());
        let reply = tokio::time::timeout(ASK_DEADLINE, request)
            .await
            .map_err(|_| AskError::Timeout(ASK_DEADLINE.as_millis()))?
            .map_err(|error| match error.kind() {
                async_nats::RequestErrorKind::NoResponders => AskError::NoResponder,
                async_nats::RequestErrorKind::TimedOut => {
                    AskError::Timeout(ASK_DEADLINE.as_millis())
                }
                _ => AskError::Unreachable(error.to_string()),
            })?;
        serde_json::from_slice(&reply.payload)
            .map_err(|error| AskError::Unusable(error.to_string()))
    }
}

#[async_trait]
impl Worklist for NatsWorklist {
    async fn ask(&self, question: &WorklistQuestion) -> Result<WorklistAnswer, AskError> {
        self.request(worklist_subject(&self.tenant), question).await
    }

    async fn roster(&self, question: &RosterQuestion) -> Result<RosterAnswer, AskError> {
        self.request(roster_subject(&self.tenant), question).await
    }
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
        let teller = Teller::mute(tenant.clone(), channel.clone());
        Self {
            tenant,
            channel,
            stop,
            ingest,
            reports,
            worklist: Arc::new(NoWorklist),
            teller,
        }
    }

    /// Names who keeps what the edge tells of its own doing; without it nobody does.
    #[must_use]
    pub fn with_teller(mut self, teller: Teller) -> Self {
        self.teller = teller;
        self
    }

    /// By which the edge tells what it did.
    #[must_use]
    pub fn teller(&self) -> &Teller {
        &self.teller
    }

    /// Names who answers [`ChannelContext::worklist`]; without it nobody does.
    #[must_use]
    pub fn with_worklist(mut self, worklist: Arc<dyn Worklist>) -> Self {
        self.worklist = worklist;
        self
    }

    /// Which tests are to be done, for an instrument that asks or is told. Answers within a second.
    ///
    /// # Errors
    /// [`AskError`]: tell the instrument of an error, never that there is nothing.
    pub async fn worklist(&self, question: WorklistQuestion) -> Result<WorklistAnswer, AskError> {
        self.worklist.ask(&question).await
    }

    /// Who may be at a device: its operators, the patients of its ward. Answers within a second.
    ///
    /// # Errors
    /// [`AskError`]: the device keeps the list that it has; it is never given an empty one instead.
    pub async fn roster(&self, question: RosterQuestion) -> Result<RosterAnswer, AskError> {
        self.worklist.roster(&question).await
    }

    /// Keeps what was received; returns when it is on disk.
    ///
    /// # Errors
    /// [`IngestError`]: answer the peer with a retryable refusal, never with a yes.
    pub async fn ingest(&self, received: Received) -> Result<Stored, IngestError> {
        self.ingest.store(received).await
    }

    /// Why the channel can't go on, as its runner reports it.
    pub fn failed(&self, error: &impl fmt::Display) -> AdapterError {
        AdapterError {
            channel: self.channel.clone(),
            detail: error.to_string(),
        }
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
