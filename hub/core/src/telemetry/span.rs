//! A finished piece of work, as it is exported. A value can only be something that is never a patient's: there is no
//! way to put text of a message into a span (design.md §4.8).

use schemas::{CatalogueEntry, ChannelId, TenantId};
use time::OffsetDateTime;
use uuid::Uuid;

use super::SpanContext;

/// What kind of work it was (OTLP `SpanKind`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Answers somebody outside.
    Server = 2,
    /// Hands a message to NATS.
    Producer = 4,
    /// Works on a message that came from NATS.
    Consumer = 5,
}

/// Value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A word of the program: an outcome, a worker, a code.
    Word(&'static str),
    /// A number of bytes, milliseconds, messages.
    Whole(i64),
    /// An id that the hub made: a digest or a random number.
    Id(Uuid),
    Channel(ChannelId),
    Tenant(TenantId),
    /// A route's pattern as the program declares it, with its parameters unfilled.
    Route(String),
}

impl Value {
    /// A number that may be larger than the wire's.
    pub fn whole(number: impl TryInto<i64>) -> Self {
        Self::Whole(number.try_into().unwrap_or(i64::MAX))
    }

    /// A message type by its name, if the catalogue knows it: names of others are somebody's words.
    #[must_use]
    pub fn message_type(name: &str) -> Self {
        Self::Word(CatalogueEntry::find(name).map_or("unknown", |entry| entry.name))
    }
}

/// One finished span.
#[derive(Debug, Clone)]
pub struct Span {
    pub(super) context: SpanContext,
    pub(super) parent: Option<u64>,
    pub(super) kind: Kind,
    pub(super) name: &'static str,
    /// Second word of the name.
    pub(super) what: Option<Value>,
    /// Nanoseconds since 1970.
    pub(super) start: u64,
    pub(super) end: u64,
    /// Why it failed: a stable code.
    pub(super) failed: Option<&'static str>,
    pub(super) attributes: Vec<(&'static str, Value)>,
}

impl Span {
    /// Work that began at `start` and is done now. `parent` is the id of the span that caused it.
    #[must_use]
    pub fn new(
        context: SpanContext,
        parent: Option<u64>,
        kind: Kind,
        name: &'static str,
        start: OffsetDateTime,
    ) -> Self {
        let start = nanoseconds(start);
        Self {
            context,
            parent,
            kind,
            name,
            what: None,
            start,
            end: nanoseconds(OffsetDateTime::now_utc()).max(start),
            failed: None,
            attributes: Vec::with_capacity(8),
        }
    }

    /// What the work was on: the second word of the name. One of few, as names are counted.
    #[must_use]
    pub fn on(mut self, what: Value) -> Self {
        self.what = Some(what);
        self
    }

    #[must_use]
    pub fn with(mut self, key: &'static str, value: Value) -> Self {
        self.attributes.push((key, value));
        self
    }

    /// It did not come to what was wanted; `code` says why.
    #[must_use]
    pub fn failed(mut self, code: &'static str) -> Self {
        self.failed = Some(code);
        self
    }

    /// It is done only now.
    #[must_use]
    pub fn ended_now(mut self) -> Self {
        self.end = nanoseconds(OffsetDateTime::now_utc()).max(self.start);
        self
    }
}

/// Milliseconds from `earlier` to `later`; clocks that disagree say 0.
#[must_use]
pub(crate) fn waited_ms(earlier: OffsetDateTime, later: OffsetDateTime) -> Value {
    Value::whole((later - earlier).whole_milliseconds().max(0))
}

fn nanoseconds(at: OffsetDateTime) -> u64 {
    u64::try_from(at.unix_timestamp_nanos()).unwrap_or(0)
}
