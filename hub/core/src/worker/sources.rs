//! What a worker reads: its message types in the three streams, for the lanes it owns.

use schemas::{CatalogueEntry, MessageKind, TenantId};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use super::lanes::{Owned, SOURCES};
use crate::backbone::Backbone;
use crate::backbone::reader::{Reader, StoredMessage};
use crate::claim;
use crate::envelope::{Envelope, Position};
use crate::lane::LANES;
use crate::record::Record;
use crate::subject::{self, StreamName};

/// Messages applied in one transaction, at most (a record is never split, so a few more are possible).
pub(crate) const BATCH: usize = 512;
/// Bytes in one batch.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// One stored record on its way to a worker.
pub(crate) struct Arrived {
    pub(crate) source: usize,
    pub(crate) lane: u16,
    pub(crate) seq: u64,
    pub(crate) messages: Vec<Envelope>,
}

/// Readers of one worker.
pub(crate) struct Sources {
    backbone: Backbone,
    readers: [Option<Reader>; 3],
    /// Records that stand behind the newest one read, by source.
    pub(crate) behind: [u64; 3],
}

impl Sources {
    /// Readers from where each lane stands.
    pub(crate) fn open(backbone: &Backbone, consumes: &[&'static str], owned: &Owned) -> Self {
        let mut readers = [None, None, None];
        for (index, source) in SOURCES.iter().enumerate() {
            let filters = filters(*source, consumes, owned);
            if filters.is_empty() {
                continue;
            }
            let after = owned
                .values()
                .map(|grant| grant.applied[index])
                .min()
                .unwrap_or(0);
            readers[index] = Some(Reader::new(backbone.clone(), *source, filters, after));
        }
        Self {
            backbone: backbone.clone(),
            readers,
            behind: [0; 3],
        }
    }

    /// The next batch: waits for the first record, then takes what is here. Cancel-safe until the first
    /// record has come.
    pub(crate) async fn next_batch(&mut self, owned: &Owned) -> Vec<Arrived> {
        let [events, commands, dead] = &mut self.readers;
        let (source, first) = tokio::select! {
            first = next_of(commands) => (1, first),
            first = next_of(events) => (0, first),
            first = next_of(dead) => (2, first),
        };
        let mut batch = Vec::new();
        let mut count = 0;
        let mut bytes = 0;
        self.take(source, first, owned, &mut batch, &mut count, &mut bytes)
            .await;
        for source in [1, 0, 2] {
            while count < BATCH && bytes < BATCH_BYTES {
                let Some(next) = self.readers[source].as_mut().and_then(Reader::try_next) else {
                    break;
                };
                self.take(source, next, owned, &mut batch, &mut count, &mut bytes)
                    .await;
            }
        }
        batch
    }

    async fn take(
        &mut self,
        source: usize,
        stored: StoredMessage,
        owned: &Owned,
        batch: &mut Vec<Arrived>,
        count: &mut usize,
        bytes: &mut usize,
    ) {
        self.behind[source] = stored.pending;
        let Some(lane) = subject::lane_of_subject(&stored.subject) else {
            return;
        };
        // lanes stand at different places; what a lane has applied is passed over
        let Some(grant) = owned.get(&lane) else {
            return;
        };
        if stored.seq <= grant.applied[source] {
            return;
        }
        *bytes += stored.payload.len();
        let seq = stored.seq;
        let messages = match envelopes(&self.backbone, stored, lane).await {
            Ok(messages) => messages,
            Err(error) => {
                // a record that no release of ours wrote: it stays in the stream, and the operator is told
                metrics::counter!("hub_records_unreadable_total", "stream" => SOURCES[source].as_str()).increment(1);
                tracing::error!(stream = SOURCES[source].as_str(), seq, %error, "a stored record can't be read; it is kept in the stream and passed over");
                Vec::new()
            }
        };
        *count += messages.len();
        batch.push(Arrived {
            source,
            lane,
            seq,
            messages,
        });
    }
}

async fn next_of(reader: &mut Option<Reader>) -> StoredMessage {
    match reader {
        Some(reader) => reader.next().await,
        None => std::future::pending().await,
    }
}

fn filters(source: StreamName, consumes: &[&'static str], owned: &Owned) -> Vec<String> {
    if source == StreamName::Dead {
        let all = consumes.contains(&<schemas::integration::DeadLettered as schemas::Body>::NAME);
        return if all {
            vec!["dead.>".to_owned()]
        } else {
            Vec::new()
        };
    }
    let kind = if source == StreamName::Events {
        MessageKind::Event
    } else {
        MessageKind::Command
    };
    let names = consumes.iter().filter(|name| {
        **name != <schemas::integration::DeadLettered as schemas::Body>::NAME
            && CatalogueEntry::find(name).is_some_and(|entry| entry.kind == kind)
    });
    if owned.len() == usize::from(LANES) {
        return names
            .map(|name| subject::filter(kind, None, name))
            .collect();
    }
    names
        .flat_map(|name| {
            owned
                .keys()
                .map(move |lane| subject::filter(kind, Some(*lane), name))
        })
        .collect()
}

/// Reads the envelopes of a stored record.
///
/// # Errors
/// The record is damaged, or a body in the object store is out of reach or gone.
pub(crate) async fn envelopes(
    backbone: &Backbone,
    stored: StoredMessage,
    lane: u16,
) -> Result<Vec<Envelope>, String> {
    let seq = stored.seq;
    let tenant =
        subject::tenant_of_subject(&stored.subject).ok_or("the subject names no tenant")?;
    let record =
        Record::decode(stored.headers, stored.payload).map_err(|error| error.to_string())?;
    let mut messages = Vec::with_capacity(record.parts.len());
    for (index, part) in record.parts.iter().enumerate() {
        let attribute = |name| record.attribute(part, name);
        let body = match attribute(claim::HEADER) {
            None => part.body.clone(),
            Some(name) => claim::get(backbone, name)
                .await
                .map_err(|error| error.to_string())?
                .ok_or_else(|| format!("object {name} is gone"))?,
        };
        let name = attribute("ce-type").ok_or("no ce-type")?.to_owned();
        let version = attribute("dataschema")
            .and_then(|schema| schema.rsplit_once(".v"))
            .and_then(|(_, v)| v.parse().ok())
            .unwrap_or(1);
        let time = |name| attribute(name).and_then(|at| OffsetDateTime::parse(at, &Rfc3339).ok());
        let causation = attribute("hub-causation").and_then(|id| Uuid::parse_str(id).ok());
        messages.push(Envelope {
            id: attribute("ce-id")
                .and_then(|id| Uuid::parse_str(id).ok())
                .ok_or("no ce-id")?,
            name,
            version,
            source: attribute("ce-source").unwrap_or_default().to_owned(),
            aggregate: attribute("ce-subject").unwrap_or_default().to_owned(),
            occurred_at: time("ce-time").unwrap_or(OffsetDateTime::UNIX_EPOCH),
            recorded_at: time("hub-recorded-at").unwrap_or(OffsetDateTime::UNIX_EPOCH),
            tenant: attribute("hub-tenant")
                .and_then(|t| TenantId::new(t).ok())
                .unwrap_or_else(|| tenant.clone()),
            lane,
            causation,
            correlation: attribute("hub-correlation")
                .and_then(|id| Uuid::parse_str(id).ok())
                .or(causation),
            traceparent: attribute("traceparent").map(str::to_owned),
            reply_to: attribute("hub-reply-to").map(str::to_owned),
            position: Position {
                seq,
                index: u16::try_from(index).unwrap_or(u16::MAX),
            },
            body,
        });
    }
    Ok(messages)
}
