//! What workers said, in the order in which it was stored: the position in EVENTS is the position of a change, the same for
//! every process and every reader. Pages for who asks what changed, and a reader without end for who looks on.
//!
//! One tenant's facts only: the tenant stands in every filter. Nothing is acknowledged and nothing is consumed.

use std::collections::VecDeque;
use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, ReplayPolicy, pull};
use bytes::Bytes;
use futures::StreamExt as _;
use schemas::TenantId;

use crate::Position;
use crate::backbone::reader::Reader;
use crate::backbone::{Backbone, BackboneError};
use crate::record::Record;
use crate::subject::{self, StreamName};
use crate::vault::VaultError;

/// Records read for one page, at most.
const RECORDS: usize = 256;
/// How long a page may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// One fact as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    pub position: Position,
    /// Name in the catalogue.
    pub name: String,
    /// `ce-time`, RFC 3339.
    pub at: String,
    /// Canonical JSON.
    pub body: Bytes,
}

/// Facts after a position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FactPage {
    pub facts: Vec<Fact>,
    /// Up to here everything was read: where the next page begins.
    pub reached: Position,
    /// Nothing of these facts stands behind `reached` now.
    pub is_last: bool,
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum FactsError {
    /// What stood after that position is no longer kept, or the position is none of this stream.
    #[error("the position is not one that is kept")]
    Gone,
    #[error("{0}")]
    Backbone(#[from] BackboneError),
}

fn failed(error: impl std::fmt::Display) -> FactsError {
    FactsError::Backbone(BackboneError::JetStream(error.to_string()))
}

fn filters(tenant: &TenantId, names: &[&str]) -> Vec<String> {
    names
        .iter()
        .map(|name| format!("event.{tenant}.*.{name}"))
        .collect()
}

/// Where the newest stored event stands, of whatever tenant.
///
/// # Errors
/// The stream is out of reach.
pub async fn newest(backbone: &Backbone) -> Result<Position, FactsError> {
    let bounds = tokio::time::timeout(DEADLINE, backbone.bounds(StreamName::Events))
        .await
        .map_err(failed)??;
    Ok(end_of(bounds.last_sequence))
}

/// After everything of one record.
fn end_of(seq: u64) -> Position {
    Position {
        seq,
        index: u16::MAX,
    }
}

/// At most about `limit` facts of these names after `after`, oldest first: a record is never split.
///
/// # Errors
/// [`FactsError`].
pub async fn page(
    backbone: &Backbone,
    tenant: &TenantId,
    names: &[&str],
    after: Position,
    limit: usize,
) -> Result<FactPage, FactsError> {
    tokio::time::timeout(DEADLINE, read_page(backbone, tenant, names, after, limit))
        .await
        .map_err(failed)?
}

async fn read_page(
    backbone: &Backbone,
    tenant: &TenantId,
    names: &[&str],
    after: Position,
    limit: usize,
) -> Result<FactPage, FactsError> {
    // asked first: what is stored after this is on the next page, and nothing is passed over
    let bounds = backbone.bounds(StreamName::Events).await?;
    let lost = after.seq + 1 < bounds.first_sequence && after.seq > 0;
    if lost || after.seq > bounds.last_sequence {
        return Err(FactsError::Gone);
    }
    let mut page = FactPage {
        facts: Vec::new(),
        reached: after,
        is_last: true,
    };
    if names.is_empty() || after >= end_of(bounds.last_sequence) {
        return Ok(page);
    }
    let stream = backbone
        .jetstream()
        .get_stream_no_info(StreamName::Events.as_str())
        .await
        .map_err(failed)?;
    let consumer = stream
        .create_consumer(pull::Config {
            name: Some(format!("p-{}", uuid::Uuid::now_v7().simple())),
            deliver_policy: DeliverPolicy::ByStartSequence {
                // the record that the page before ended in may hold more
                start_sequence: after.seq.max(1),
            },
            ack_policy: AckPolicy::None,
            replay_policy: ReplayPolicy::Instant,
            filter_subjects: filters(tenant, names),
            inactive_threshold: Duration::from_secs(5),
            memory_storage: true,
            num_replicas: 1,
            ..pull::Config::default()
        })
        .await
        .map_err(failed)?;
    let mut pending = consumer.cached_info().num_pending;
    let mut messages = if pending > 0 {
        consumer
            .fetch()
            .max_messages(RECORDS)
            .messages()
            .await
            .map_err(failed)?
            .boxed()
    } else {
        futures::stream::empty().boxed()
    };
    while page.facts.len() < limit {
        let Some(message) = messages.next().await else {
            break;
        };
        let message = message.map_err(failed)?;
        let (seq, behind) = message
            .info()
            .map(|info| (info.stream_sequence, info.pending))
            .map_err(failed)?;
        pending = behind;
        let mut record = message.message;
        let opened = backbone
            .vault()
            .open(
                backbone,
                &record.subject,
                &mut record.headers,
                &mut record.payload,
            )
            .await;
        match opened {
            // of one that is damaged there is nothing to tell, as of any other that can't be read
            Ok(()) | Err(VaultError::Damaged(_)) => {}
            // to go on without its key would be to pass it over
            Err(error) => return Err(failed(error)),
        }
        let found = facts_of(seq, record.headers, record.payload);
        page.facts
            .extend(found.into_iter().filter(|fact| fact.position > after));
        page.reached = page.reached.max(end_of(seq));
    }
    page.is_last = pending == 0;
    if page.is_last {
        page.reached = page.reached.max(end_of(bounds.last_sequence));
    }
    Ok(page)
}

/// The facts of a stored record; none of one that can't be read (workers say so, each record once).
fn facts_of(seq: u64, headers: Option<async_nats::HeaderMap>, payload: Bytes) -> Vec<Fact> {
    let Ok(record) = Record::decode(headers, payload) else {
        return Vec::new();
    };
    record
        .parts
        .iter()
        .enumerate()
        .filter_map(|(index, part)| {
            Some(Fact {
                position: Position {
                    seq,
                    index: u16::try_from(index).ok()?,
                },
                name: record.attribute(part, "ce-type")?.to_owned(),
                at: record
                    .attribute(part, "ce-time")
                    .unwrap_or_default()
                    .to_owned(),
                body: part.body.clone(),
            })
        })
        .collect()
}

/// Reads a tenant's facts as they are stored, without end.
pub struct Following {
    reader: Reader,
    tenant: TenantId,
    waiting: VecDeque<Fact>,
}

impl Following {
    /// What comes after `after`.
    #[must_use]
    pub fn after(backbone: &Backbone, tenant: &TenantId, names: &[&str], after: Position) -> Self {
        Self {
            reader: Reader::new(
                backbone.clone(),
                StreamName::Events,
                filters(tenant, names),
                after.seq,
            ),
            tenant: tenant.clone(),
            waiting: VecDeque::new(),
        }
    }

    /// The next fact; waits for it, and for the backbone, as long as it takes. Cancel-safe.
    pub async fn next(&mut self) -> Fact {
        loop {
            if let Some(fact) = self.waiting.pop_front() {
                return fact;
            }
            let stored = self.reader.next().await;
            // the filter says so already; what another tenant may not see is worth a second look
            if subject::tenant_of_subject(&stored.subject).as_ref() == Some(&self.tenant) {
                self.waiting
                    .extend(facts_of(stored.seq, stored.headers, stored.payload));
            }
        }
    }
}
