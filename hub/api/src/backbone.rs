//! What the API needs of the backbone, and no more: publish a command, read bytes that were kept, put
//! a message in again. `hub/cli` implements it over NATS; tests implement it in memory.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use hub_core::facts::{Fact, FactPage};
use hub_core::{Position, Stored};
use schemas::{ChannelId, RawId, TenantId};
use uuid::Uuid;

/// The ways through which the API reaches NATS. Every method has its own deadline; none may wait
/// for longer than the request time limit.
#[async_trait]
pub trait Backbone: Send + Sync + 'static {
    /// Publishes a command durably and waits up to `wait` for its outcome. `Pending` means: on disk,
    /// no outcome yet. A zero `wait` returns `Pending` as soon as the command is on disk.
    ///
    /// # Errors
    /// The command is not known to be on disk.
    async fn command(
        &self,
        command: CommandRequest,
        wait: Duration,
    ) -> Result<CommandOutcome, BackboneError>;

    /// The bytes of one message that a stream keeps (record codec and object store resolved).
    /// `None` when the stream no longer holds it, or when it belongs to another tenant.
    ///
    /// # Errors
    /// The store can't be asked now.
    async fn kept_body(
        &self,
        tenant: &TenantId,
        stream: &str,
        position: Position,
    ) -> Result<Option<KeptBody>, BackboneError>;

    /// Stores bytes on a channel as a deliberate child of another message
    /// (`RawId::child(parent, request, bytes)`); returns when they are on disk.
    ///
    /// # Errors
    /// The bytes are not known to be on disk.
    async fn inject(
        &self,
        tenant: &TenantId,
        channel: &ChannelId,
        bytes: Bytes,
        parent: RawId,
        request: Uuid,
    ) -> Result<Stored, BackboneError>;

    /// Processes a refused message once more, as it is and under its own id: a raw message is
    /// translated again, an event or a command goes to the worker that refused it.
    ///
    /// # Errors
    /// Nothing was published; `Gone` when the stream no longer holds the original.
    async fn replay(&self, replay: ReplayRequest) -> Result<(), BackboneError>;

    /// Decoded bytes of a document or an image, by lower-case hex SHA-256.
    ///
    /// # Errors
    /// The object store can't be asked now.
    async fn attachment(
        &self,
        tenant: &TenantId,
        sha256: &str,
    ) -> Result<Option<Bytes>, BackboneError>;

    /// What stands under a key that is kept for a day; what another process wrote a moment ago is seen. Keys are `<tenant>.<hex>`.
    ///
    /// # Errors
    /// The store can't be asked now.
    async fn noted(&self, key: &str) -> Result<Option<Noted>, BackboneError>;

    /// Writes it, if its newest revision is `seen` (0: nothing stands there); its new revision, or `None` when somebody was
    /// first. On disk when it returns.
    ///
    /// # Errors
    /// It is not known to be on disk.
    async fn note(&self, key: &str, seen: u64, value: Bytes) -> Result<Option<u64>, BackboneError>;

    /// Where the newest fact stands, of whatever tenant.
    ///
    /// # Errors
    /// The stream can't be asked now.
    async fn newest_fact(&self) -> Result<Position, BackboneError>;

    /// Facts of one tenant with these names after a position, oldest first, about `limit` at most.
    ///
    /// # Errors
    /// `Gone` when what stood after that position is no longer kept.
    async fn facts(
        &self,
        tenant: &TenantId,
        names: &[&'static str],
        after: Position,
        limit: usize,
    ) -> Result<FactPage, BackboneError>;

    /// The same without end, as they are stored.
    fn follow(&self, tenant: &TenantId, names: &[&'static str], after: Position)
    -> Box<dyn Follow>;

    /// Stores the bytes of a document; returns their lower-case hex SHA-256 when they are on disk. Storing the same twice is
    /// storing it once.
    ///
    /// # Errors
    /// Not known to be stored.
    async fn keep(&self, tenant: &TenantId, bytes: Bytes) -> Result<String, BackboneError>;

    /// What the hub stands on, asked now and within two seconds.
    async fn readiness(&self) -> Readiness;
}

/// Reads a tenant's facts without end.
#[async_trait]
pub trait Follow: Send {
    /// The next one; waits for it as long as it takes. Cancel-safe.
    async fn next(&mut self) -> Fact;
}

/// A small value under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Noted {
    pub value: Bytes,
    /// Has to be named by who changes it.
    pub revision: u64,
}

/// A command on its way to the worker that owns the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandRequest {
    /// Id of the command (`ce-id`), made by the API: the inbox and the status link use it.
    pub id: Uuid,
    pub tenant: TenantId,
    /// Name in the catalogue.
    pub name: &'static str,
    pub version: u16,
    /// Opaque aggregate id: decides the lane.
    pub aggregate: String,
    /// Canonical JSON.
    pub body: Vec<u8>,
    /// Who asks; the body names the same person.
    pub actor: String,
    /// W3C trace context of the request.
    pub traceparent: String,
}

/// What became of a command within the wait.
#[derive(Debug, Clone, PartialEq)]
pub enum CommandOutcome {
    /// Carried out (or nothing had to change); what the worker tells the caller.
    Applied { answer: Option<serde_json::Value> },
    /// The owner refused: stable code and a sentence without patient data.
    Refused { code: String, detail: String },
    /// On disk; the worker is busy or down.
    Pending,
}

/// Bytes as kept, and what is known of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptBody {
    pub bytes: Bytes,
    /// `application/octet-stream` for raw messages, `application/json` for events and commands.
    pub content_type: String,
    /// What the edge found odd.
    pub notes: Vec<String>,
}

/// A refused message that shall be processed once more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayRequest {
    pub tenant: TenantId,
    /// Stream and place of the original.
    pub stream: String,
    pub position: Position,
    /// Worker or translator that refused it.
    pub refused_by: String,
    pub actor: String,
    pub traceparent: String,
}

/// Why the backbone could not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BackboneError {
    /// Worth another try: not connected, no confirmation in time, disk full.
    #[error("the message store is not available: {0}")]
    Unavailable(String),
    /// The original is no longer kept.
    #[error("the original is no longer kept")]
    Gone,
    /// The channel takes no messages now or does not exist.
    #[error("the channel refuses: {0}")]
    Channel(String),
}

/// State of one thing the hub stands on. Not being able to ask is a state of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    Ok,
    /// What is wrong, for an operator.
    Failing(String),
    NotChecked,
}

/// What `/readyz` tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readiness {
    pub nats: Check,
    pub postgres: Check,
    pub migrations: Check,
    /// That what NATS stores is encrypted with: at hand, or nothing is encrypted.
    pub keys: Check,
}

impl Readiness {
    /// True when everything was checked and is well.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        [&self.nats, &self.postgres, &self.migrations, &self.keys]
            .into_iter()
            .all(|check| *check == Check::Ok)
    }
}
