//! What a translator is: a pure function from a raw message to canonical events.

use bytes::Bytes;
use schemas::integration::{SearchKeys, TranslationOutcome};
use schemas::{Body, ChannelId, RawId, TenantId};
use time::OffsetDateTime;

use crate::envelope::Position;
use crate::failure::Refusal;
use crate::mappings::Mappings;

pub mod aggregate;
mod batch;
pub mod meaning;
pub mod number;
pub mod runner;
pub mod stored;

/// Bytes exactly as received, with what the edge knew about them.
#[derive(Debug, Clone)]
pub struct RawMessage {
    pub id: RawId,
    pub tenant: TenantId,
    pub channel: ChannelId,
    pub bytes: Bytes,
    /// `host:port` of the peer, or the path of its serial port.
    pub peer: Option<String>,
    /// When the edge had the last byte.
    pub received_at: OffsetDateTime,
    /// What the edge found odd (noise before the frame, no trailing CR …).
    pub notes: Vec<String>,
    /// Set when the edge itself could not take it for a message: the reason code. Such bytes are kept and
    /// become a dead letter without translation.
    pub quarantine: Option<String>,
    /// The message of which this is a deliberate child.
    pub parent: Option<RawId>,
    pub position: Position,
    pub traceparent: Option<String>,
}

/// Pure and total: no clock, no I/O, no panic. Same bytes + same mappings = same result.
pub trait Translator: Send + Sync + 'static {
    /// Translates one message. A type it does not know is `Ok` with
    /// [`TranslationOutcome::NotTranslated`].
    ///
    /// # Errors
    /// A refusal when the bytes can't be read: they become a dead letter.
    fn translate(&self, raw: &RawMessage, maps: &Mappings) -> Result<Translation, Box<Refused>>;
}

/// A translator whose kind is known at run time only.
impl Translator for std::sync::Arc<dyn Translator> {
    fn translate(&self, raw: &RawMessage, maps: &Mappings) -> Result<Translation, Box<Refused>> {
        (**self).translate(raw, maps)
    }
}

/// A refusal, with the keys that could still be read so that the operator finds the message.
#[derive(Debug)]
pub struct Refused {
    pub refusal: Refusal,
    pub keys: SearchKeys,
    pub notes: Vec<String>,
}

impl From<Refusal> for Box<Refused> {
    fn from(refusal: Refusal) -> Self {
        Box::new(Refused {
            refusal,
            keys: SearchKeys::default(),
            notes: Vec::new(),
        })
    }
}

/// What a message says, in canonical form.
#[derive(Debug)]
pub struct Translation {
    pub outcome: TranslationOutcome,
    pub keys: SearchKeys,
    pub events: Vec<Event>,
    /// Decoded bytes of documents and images, by the lower-case hex SHA-256 that the events name.
    pub attachments: Vec<(String, Bytes)>,
    /// Paths of fields that carry a value and that nothing reads.
    pub unmapped: Vec<String>,
    pub notes: Vec<String>,
}

/// One canonical event, before it has an envelope. Its id is `event_id(raw.id, position in the list)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub name: &'static str,
    pub version: u16,
    /// Opaque aggregate id: decides the lane. The patient's identifier key where there is one.
    pub aggregate: String,
    /// When the fact happened at the sender; the arrival time when absent.
    pub occurred_at: Option<OffsetDateTime>,
    /// Canonical JSON.
    pub body: Bytes,
}

impl Event {
    /// Serialises a body.
    ///
    /// # Panics
    /// Never: a canonical type always serialises.
    pub fn new<T: Body>(
        aggregate: impl Into<String>,
        occurred_at: Option<OffsetDateTime>,
        body: &T,
    ) -> Self {
        Self {
            name: T::NAME,
            version: T::VERSION,
            aggregate: aggregate.into(),
            occurred_at,
            body: serde_json::to_vec(body)
                .expect("canonical types have string keys and serialise")
                .into(),
        }
    }
}
