//! What a worker is, and what it may say. The runner is in [`runner`].

use std::future::Future;
use std::time::Duration;

use schemas::{Body, CatalogueEntry, MessageKind};
use uuid::Uuid;

use crate::db::Tx;
use crate::envelope::Envelope;
use crate::failure::Refusal;

pub mod lanes;
pub mod runner;
mod sources;
mod spans;
mod transaction;
pub use transaction::CommandOutcome;

/// Owns one domain's state. Runs inside the runner's transaction and says what must follow.
///
/// The runner owns subscription, batches, lanes, inbox, savepoints, outbox, retry, dead letters,
/// metrics and shutdown; a worker holds domain logic only and can be tested with a plain database.
pub trait Worker: Send + Sync + 'static {
    /// Name in tables, metrics and logs.
    const NAME: &'static str;
    /// Names of the events and commands it applies.
    const CONSUMES: &'static [&'static str];
    /// Events that wait for others to share their transaction also when they come alone, and how long: what nobody waits to
    /// see. None, unless the worker says so.
    const LINGERS: (&'static [&'static str], Duration) = (&[], Duration::ZERO);

    /// Applies a batch: messages of one tenant, none applied before, each lane's in its order.
    ///
    /// Returns one verdict a message, in the same order. A message that can never work is
    /// [`Verdict::Refused`] and must leave no trace in the transaction.
    ///
    /// # Errors
    /// [`WorkerError`] when the database failed. The transaction is rolled back; the runner then applies
    /// the messages one by one to find the one that is at fault, so the worker needs no care for it.
    fn apply(
        &self,
        tx: &mut Tx<'_>,
        batch: &[Envelope],
    ) -> impl Future<Output = Result<Vec<Verdict>, WorkerError>> + Send;
}

/// What became of one message.
#[derive(Debug)]
pub enum Verdict {
    /// State changed (or the command was carried out).
    Applied {
        outgoing: Vec<Outgoing>,
        /// What a waiting REST call is told.
        answer: Option<serde_json::Value>,
    },
    /// Understood, and nothing had to change.
    Unchanged,
    /// Will never work: dead letter (an event) or a refusal that the caller is told (a command).
    Refused(Refusal),
}

impl Verdict {
    /// State changed, nothing follows.
    #[must_use]
    pub fn applied() -> Self {
        Self::Applied {
            outgoing: Vec::new(),
            answer: None,
        }
    }

    /// State changed, and this follows.
    #[must_use]
    pub fn with(outgoing: Vec<Outgoing>) -> Self {
        Self::Applied {
            outgoing,
            answer: None,
        }
    }
}

/// The database failed. Whether it is worth another try is read from the error itself.
#[derive(Debug, thiserror::Error)]
#[error("database: {0}")]
pub struct WorkerError(#[from] pub sqlx::Error);

/// A message that must follow, committed with the state through the outbox.
#[derive(Debug, Clone)]
pub struct Outgoing {
    pub id: Uuid,
    pub to: Destination,
    /// Opaque aggregate id: decides the lane.
    pub aggregate: String,
    pub causation: Uuid,
    pub correlation: Option<Uuid>,
    pub traceparent: Option<String>,
    pub body: Vec<u8>,
}

/// Where an outgoing message goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// An event or a command of the catalogue: name and version; the subject follows from it.
    Catalogue {
        name: &'static str,
        version: u16,
        kind: MessageKind,
    },
    /// A key of the `hub_settings` bucket, which every process watches.
    Setting { key: String },
}

impl Outgoing {
    /// The n-th message that follows from `cause` (n makes its id, so a repeat makes the same message).
    ///
    /// # Panics
    /// Never: a canonical type always serialises, and every body stands in the catalogue (tested).
    pub fn new<T: Body>(cause: &Envelope, n: u32, aggregate: impl Into<String>, body: &T) -> Self {
        let kind = CatalogueEntry::find(T::NAME).map_or(MessageKind::Event, |entry| entry.kind);
        Self {
            id: cause.follower_id(n),
            to: Destination::Catalogue {
                name: T::NAME,
                version: T::VERSION,
                kind,
            },
            aggregate: aggregate.into(),
            causation: cause.id,
            correlation: cause.correlation.or(Some(cause.id)),
            traceparent: cause.traceparent.clone(),
            body: serde_json::to_vec(body).expect("canonical types have string keys and serialise"),
        }
    }

    /// Puts a value into the settings bucket.
    pub fn setting(cause: &Envelope, n: u32, key: impl Into<String>, value: Vec<u8>) -> Self {
        Self {
            id: cause.follower_id(n),
            to: Destination::Setting { key: key.into() },
            aggregate: String::new(),
            causation: cause.id,
            correlation: cause.correlation.or(Some(cause.id)),
            traceparent: cause.traceparent.clone(),
            body: value,
        }
    }
}
