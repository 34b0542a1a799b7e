//! What a worker reads: its message types in the three streams, for the lanes it owns.

use std::time::Duration;

use schemas::{CatalogueEntry, MessageKind, TenantId};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use super::Worker;
use super::lanes::{Owned, SOURCES};
use crate::backbone::Backbone;
use crate::backbone::reader::{Reader, StoredMessage};
use crate::claim;
use crate::envelope::{Envelope, Position};
use crate::lane::LANES;
use crate::record::Record;
use crate::retry::Pauses;
use crate::subject::{self, StreamName};

/// Messages applied in one transaction, at most (a record is never split, so a few more are possible).
pub(crate) const BATCH: usize = 384;
/// How long a batch waits for company while the worker is busy. It costs nobody an acknowledgement, only that long
/// until an effect is seen, and it shares transactions where few connections send. Commands never wait, and an event that
/// comes alone only where its worker says so ([`super::Worker::LINGERS`]).
const LINGER: Duration = Duration::from_millis(80);
/// A batch of this many messages says that the worker is busy.
const BUSY: usize = 4;
/// Bytes in one batch.
const BATCH_BYTES: usize = 2 * 1024 * 1024;

/// One stored record on its way to a worker.
pub(crate) struct Arrived {
    pub(crate) source: usize,
    pub(crate) lane: u16,
    /// Of its subject.
    pub(crate) tenant: Option<TenantId>,
    pub(crate) seq: u64,
    pub(crate) messages: Vec<Envelope>,
}

/// Readers of one worker.
pub(crate) struct Sources {
    backbone: Backbone,
    readers: [Option<Reader>; 3],
    /// Records that stand behind the newest one read, by source.
    pub(crate) behind: [u64; 3],
    /// Read and not decoded yet.
    collected: Vec<(usize, StoredMessage)>,
    count: usize,
    bytes: usize,
    /// Messages of the batch before.
    last_batch: usize,
    /// Of the worker: which events wait also when they come alone, and how long.
    lingers: (&'static [&'static str], Duration),
}

impl Sources {
    /// Readers from where each lane stands.
    pub(crate) fn open<W: Worker>(backbone: &Backbone, owned: &Owned) -> Self {
        let mut readers = [None, None, None];
        for (index, source) in SOURCES.iter().enumerate() {
            let filters = filters(*source, W::CONSUMES, owned);
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
            collected: Vec::new(),
            count: 0,
            bytes: 0,
            last_batch: 0,
            lingers: W::LINGERS,
        }
    }

    /// Waits for the first record and then for what comes within [`LINGER`]. Cancel-safe: what was read stays
    /// here until [`Sources::decode`] takes it.
    pub(crate) async fn collect(&mut self) {
        if self.collected.is_empty() {
            let [events, commands, dead] = &mut self.readers;
            let first = tokio::select! {
                first = next_of(commands) => (1, first),
                first = next_of(events) => (0, first),
                first = next_of(dead) => (2, first),
            };
            self.keep(first);
        }
        let patience = match (self.last_batch >= BUSY, self.can_wait()) {
            (true, true) => LINGER,
            (false, true) => self.lingers.1,
            (_, false) => Duration::ZERO,
        };
        let left = self
            .collected
            .first()
            .map_or(patience, |(_, first)| first.left_of(patience));
        let linger = tokio::time::Instant::now() + left;
        loop {
            for source in [1, 0, 2] {
                while !self.is_full() {
                    let Some(next) = self.readers[source].as_mut().and_then(Reader::try_next)
                    else {
                        break;
                    };
                    self.keep((source, next));
                }
            }
            let command = self.collected.iter().any(|(source, _)| *source == 1);
            if command || self.is_full() {
                return;
            }
            let [events, commands, dead] = &mut self.readers;
            let next = tokio::select! {
                biased;
                next = next_of(commands) => (1, next),
                next = next_of(events) => (0, next),
                next = next_of(dead) => (2, next),
                () = tokio::time::sleep_until(linger) => return,
            };
            let waits = self.waits(&next.1);
            self.keep(next);
            if !waits {
                return;
            }
        }
    }

    /// Whether all that was collected may wait.
    fn can_wait(&self) -> bool {
        self.collected.iter().all(|(_, stored)| self.waits(stored))
    }

    /// A worker that names the events that wait has others that somebody wants to see at once, busy or not.
    fn waits(&self, stored: &StoredMessage) -> bool {
        if self.lingers.0.is_empty() {
            return true;
        }
        let headers = stored.headers.as_ref();
        let name = headers.and_then(|headers| headers.get("ce-type"));
        name.is_some_and(|name| self.lingers.0.contains(&name.as_str()))
    }

    fn keep(&mut self, (source, stored): (usize, StoredMessage)) {
        self.behind[source] = stored.pending;
        self.count += stored
            .headers
            .as_ref()
            .and_then(|headers| headers.get("hub-count"))
            .and_then(|count| count.as_str().parse().ok())
            .unwrap_or(1);
        self.bytes += stored.payload.len();
        self.collected.push((source, stored));
    }

    fn is_full(&self) -> bool {
        self.count >= BATCH || self.bytes >= BATCH_BYTES
    }

    /// What was collected, as envelopes. Not to be cancelled.
    pub(crate) async fn decode(&mut self, owned: &Owned) -> Vec<Arrived> {
        self.last_batch = std::mem::take(&mut self.count);
        self.bytes = 0;
        let mut batch = Vec::with_capacity(self.collected.len());
        for (source, stored) in std::mem::take(&mut self.collected) {
            let Some(lane) = subject::lane_of_subject(&stored.subject) else {
                continue;
            };
            // lanes stand at different places; what a lane has applied is passed over
            if owned
                .get(&lane)
                .is_none_or(|grant| stored.seq <= grant.applied[source])
            {
                continue;
            }
            let seq = stored.seq;
            let tenant = subject::tenant_of_subject(&stored.subject);
            let messages = self.read(source, stored, lane).await;
            batch.push(Arrived {
                source,
                lane,
                tenant,
                seq,
                messages,
            });
        }
        batch
    }

    async fn read(&self, source: usize, stored: StoredMessage, lane: u16) -> Vec<Envelope> {
        let stream = SOURCES[source].as_str();
        let seq = stored.seq;
        let mut pauses = Pauses::for_backbone();
        loop {
            match envelopes(&self.backbone, &stored, lane).await {
                Ok(messages) => return messages,
                Err(Unreadable::Now(error)) => {
                    tracing::warn!(
                        stream,
                        seq,
                        error,
                        "a body can't be had now; waiting for it"
                    );
                    let pause = pauses.next_pause();
                    tokio::time::sleep(pause).await;
                }
                Err(Unreadable::Ever(error)) => {
                    // a record that no release of ours wrote, or a body that has aged out: the record stays in the
                    // stream, and the operator is told
                    metrics::counter!("hub_records_unreadable_total", "stream" => stream)
                        .increment(1);
                    tracing::error!(
                        stream,
                        seq,
                        error,
                        "a stored record can't be read; it is kept in the stream and passed over"
                    );
                    return Vec::new();
                }
            }
        }
    }
}

/// Why a record could not be read.
pub(crate) enum Unreadable {
    /// Another try can help.
    Now(String),
    /// None will.
    Ever(String),
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
/// See [`Unreadable`].
pub(crate) async fn envelopes(
    backbone: &Backbone,
    stored: &StoredMessage,
    lane: u16,
) -> Result<Vec<Envelope>, Unreadable> {
    let damaged = |what: &str| Unreadable::Ever(what.to_owned());
    let seq = stored.seq;
    let tenant = subject::tenant_of_subject(&stored.subject)
        .ok_or_else(|| damaged("the subject names no tenant"))?;
    let record = Record::decode(stored.headers.clone(), stored.payload.clone())
        .map_err(|error| damaged(&error.to_string()))?;
    let mut messages = Vec::with_capacity(record.parts.len());
    for (index, part) in record.parts.iter().enumerate() {
        let attribute = |name| record.attribute(part, name);
        let body = match attribute(claim::HEADER) {
            None => part.body.clone(),
            Some(name) => claim::get(backbone, &tenant, name)
                .await
                .map_err(|error| Unreadable::Now(error.to_string()))?
                .ok_or_else(|| damaged(&format!("object {name} is gone")))?,
        };
        let name = attribute("ce-type")
            .ok_or_else(|| damaged("no ce-type"))?
            .to_owned();
        let version = attribute("dataschema")
            .and_then(|schema| schema.rsplit_once(".v"))
            .and_then(|(_, v)| v.parse().ok())
            .unwrap_or(1);
        let time = |name| attribute(name).and_then(|at| OffsetDateTime::parse(at, &Rfc3339).ok());
        let causation = attribute("hub-causation").and_then(|id| Uuid::parse_str(id).ok());
        messages.push(Envelope {
            id: attribute("ce-id")
                .and_then(|id| Uuid::parse_str(id).ok())
                .ok_or_else(|| damaged("no ce-id"))?,
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
