//! Runs one channel's translator: RAW in, EVENTS out, exactly once.
//!
//! The checkpoint is the channel's newest ledger message in EVENTS: it carries the RAW sequence up to which
//! everything is translated, and it is published in one atomic batch with the events themselves, on
//! condition that the checkpoint before it is still the newest. So a crash repeats nothing and skips
//! nothing, order holds, and of two processes that translate the same channel one wins and the other stands by.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_nats::HeaderMap;
use bytes::Bytes;
use schemas::integration::{
    DeadLettered, DesiredState, MessageRefused, MessageTranslated, Stage, TranslationOutcome,
};
use schemas::{Body, CatalogueEntry, ChannelId, OrderGroup, RawId, TenantId};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{RawMessage, Translation, Translator};
use crate::backbone::reader::{Reader, StoredMessage};
use crate::backbone::{Backbone, PublishError, ToPublish};
use crate::claim;
use crate::envelope::Position;
use crate::governor::Governor;
use crate::lane::lane_of;
use crate::mappings::{MappingStore, Mappings};
use crate::record::{self, Part, Record};
use crate::retry::Pauses;
use crate::subject::{self, StreamName};
use crate::telemetry::{Kind, Span, SpanContext, Value, export, waited_ms};

/// Header of a checkpoint: everything of the channel up to this RAW sequence is translated.
const CHECKPOINT: &str = "hub-raw-seq";
/// Raw messages translated together: enough to share the durable writes, little enough to be quick.
const BATCH: usize = 256;
/// How long a batch waits for company while the channel is busy: it costs nobody an acknowledgement, and shares
/// durable writes where few connections send. A message that comes alone never waits.
const LINGER: Duration = Duration::from_millis(60);
/// A batch of this many says that the channel is busy.
const BUSY: usize = 4;
/// Bytes translated together.
const BATCH_BYTES: usize = 2 * 1024 * 1024;
/// A process that lost a race looks again after this long without progress of the other.
const STANDBY: Duration = Duration::from_secs(3);

/// One channel's translation.
pub struct TranslatorRunner<T> {
    pub backbone: Backbone,
    pub tenant: TenantId,
    pub channel: ChannelId,
    pub translator: Arc<T>,
    pub mappings: Arc<MappingStore>,
    /// Paused channels receive and store, but are not translated.
    pub desired: watch::Receiver<DesiredState>,
    pub governor: Governor,
    pub stop: CancellationToken,
}

#[derive(Clone, Copy)]
struct Checkpoint {
    raw_seq: u64,
    /// Sequence of the checkpoint's own message in EVENTS, 0 when there is none.
    events_seq: u64,
}

impl<T: Translator> TranslatorRunner<T> {
    /// Runs until `stop`; what is in flight is finished.
    pub async fn run(mut self) {
        let mut pauses = Pauses::for_backbone();
        loop {
            if !self.wait_until_running().await {
                return;
            }
            let Some(checkpoint) = self.checkpoint(&mut pauses).await else {
                return;
            };
            match self.translate_from(checkpoint).await {
                Ended::Stopped => return,
                Ended::Paused => {}
                Ended::LostRace => {
                    metrics::counter!("hub_translator_races_total", "channel" => self.channel.to_string()).increment(1);
                    if !self.stand_by(checkpoint).await {
                        return;
                    }
                }
                Ended::Failed => {
                    if !pauses.wait(&self.stop).await {
                        return;
                    }
                }
            }
        }
    }

    async fn wait_until_running(&mut self) -> bool {
        loop {
            if *self.desired.borrow_and_update() != DesiredState::Paused {
                return !self.stop.is_cancelled();
            }
            tokio::select! {
                () = self.stop.cancelled() => return false,
                changed = self.desired.changed() => if changed.is_err() { return false },
            }
        }
    }

    async fn checkpoint(&self, pauses: &mut Pauses) -> Option<Checkpoint> {
        let subject = subject::translated(&self.tenant, &self.channel);
        loop {
            match self
                .backbone
                .last_of_subject(StreamName::Events, &subject)
                .await
            {
                Ok(Some(message)) => {
                    let raw_seq = message
                        .headers
                        .get(CHECKPOINT)
                        .and_then(|v| v.as_str().parse().ok())
                        .unwrap_or(0);
                    return Some(Checkpoint {
                        raw_seq,
                        events_seq: message.sequence,
                    });
                }
                Ok(None) => {
                    return Some(Checkpoint {
                        raw_seq: 0,
                        events_seq: 0,
                    });
                }
                Err(error) => tracing::debug!(channel = %self.channel, %error, "no checkpoint yet"),
            }
            if !pauses.wait(&self.stop).await {
                return None;
            }
        }
    }

    /// Another process translates this channel: wait until it makes no more progress.
    async fn stand_by(&self, mut seen: Checkpoint) -> bool {
        tracing::info!(channel = %self.channel, "another process translates this channel; standing by");
        let mut pauses = Pauses::for_backbone();
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return false,
                () = tokio::time::sleep(STANDBY) => {}
            }
            let Some(now) = self.checkpoint(&mut pauses).await else {
                return false;
            };
            let newest = self
                .backbone
                .last_of_subject(StreamName::Raw, &subject::raw(&self.tenant, &self.channel))
                .await;
            let waiting = matches!(newest, Ok(Some(message)) if message.sequence > now.raw_seq);
            if waiting && now.raw_seq == seen.raw_seq {
                return true;
            }
            seen = now;
        }
    }

    async fn translate_from(&mut self, mut checkpoint: Checkpoint) -> Ended {
        let filter = vec![subject::raw(&self.tenant, &self.channel)];
        let mut reader = Reader::new(
            self.backbone.clone(),
            StreamName::Raw,
            filter,
            checkpoint.raw_seq,
        );
        let label = self.channel.to_string();
        let mut last_batch = 0;
        loop {
            let first = tokio::select! {
                biased;
                () = self.stop.cancelled() => return Ended::Stopped,
                changed = self.desired.changed() => {
                    if changed.is_err() { return Ended::Stopped; }
                    if *self.desired.borrow_and_update() == DesiredState::Paused { return Ended::Paused; }
                    continue;
                }
                first = reader.next() => first,
            };
            let mut last_seq = first.seq;
            let mut behind = first.pending;
            let mut bytes = first.payload.len();
            let patience = if last_batch >= BUSY {
                first.left_of(LINGER)
            } else {
                Duration::ZERO
            };
            let mut batch = Vec::with_capacity(BATCH);
            if !self.unpack(first, &mut batch).await {
                return Ended::Failed;
            }
            let linger = tokio::time::Instant::now() + patience;
            while batch.len() < BATCH && bytes < BATCH_BYTES {
                let next = match reader.try_next() {
                    Some(next) => next,
                    None => tokio::select! {
                        biased;
                        next = reader.next() => next,
                        () = tokio::time::sleep_until(linger) => break,
                    },
                };
                last_seq = next.seq;
                behind = next.pending;
                bytes += next.payload.len();
                if !self.unpack(next, &mut batch).await {
                    return Ended::Failed;
                }
            }
            last_batch = batch.len();
            metrics::gauge!("hub_translator_lag_records", "channel" => label.clone())
                .set(behind as f64);
            metrics::histogram!("hub_translator_batch_size", "channel" => label.clone())
                .record(batch.len() as f64);
            let _turn = self.governor.turn().await;
            let started = std::time::Instant::now();
            let maps = self.mappings.current();
            let (made, dead, spans) = self.translate_batch(&batch, &maps);
            metrics::histogram!("hub_translate_seconds", "channel" => label.clone())
                .record(started.elapsed().as_secs_f64());
            match self.publish(made, dead, last_seq, checkpoint).await {
                Ok(events_seq) => {
                    for (trace, span) in spans {
                        export::record(trace, || span.ended_now());
                    }
                    checkpoint = Checkpoint {
                        raw_seq: last_seq,
                        events_seq,
                    };
                    metrics::counter!("hub_messages_translated_total", "channel" => label.clone())
                        .increment(batch.len() as u64);
                    if let Some(last) = batch.last() {
                        self.governor.translated(lag_since(last.received_at));
                    }
                }
                Err(PublishError::Conflict) => return Ended::LostRace,
                Err(error) => {
                    tracing::warn!(channel = %self.channel, %error, "events could not be stored; trying again");
                    return Ended::Failed;
                }
            }
        }
    }

    async fn unpack(&self, stored: StoredMessage, batch: &mut Vec<RawMessage>) -> bool {
        let seq = stored.seq;
        match read_raw(&self.backbone, stored, &self.tenant, &self.channel).await {
            Ok(messages) => {
                batch.extend(messages);
                true
            }
            Err(ReadError::Now(error)) => {
                tracing::warn!(channel = %self.channel, seq, %error, "a stored body can't be had now; trying again");
                false
            }
            Err(ReadError::Ever(error)) => {
                // the channel goes on; the operator finds the place as a dead letter
                tracing::error!(channel = %self.channel, seq, %error, "a stored record can't be read; it is a dead letter now");
                batch.push(RawMessage {
                    id: RawId(Uuid::new_v5(
                        &Uuid::NAMESPACE_OID,
                        format!("{}.{seq}", self.channel).as_bytes(),
                    )),
                    tenant: self.tenant.clone(),
                    channel: self.channel.clone(),
                    bytes: Bytes::new(),
                    peer: None,
                    received_at: OffsetDateTime::now_utc(),
                    notes: vec![error],
                    quarantine: Some("the stored record can't be read".to_owned()),
                    parent: None,
                    position: Position { seq, index: 0 },
                    traceparent: None,
                });
                true
            }
        }
    }

    fn translate_batch(
        &self,
        batch: &[RawMessage],
        maps: &Mappings,
    ) -> (Made, Vec<ToPublish>, Vec<(SpanContext, Span)>) {
        let mut made = Made::default();
        let mut dead = Vec::new();
        let mut spans = Vec::new();
        for raw in batch {
            let parent = SpanContext::of(raw.traceparent.as_deref());
            let trace = translation_of(raw, parent);
            let began = OffsetDateTime::now_utc();
            let (translation, refusal) = self.translate_one(raw, maps);
            if export::records(trace) {
                let span = Span::new(
                    trace,
                    parent.map(|p| p.span()),
                    Kind::Consumer,
                    "translate",
                    began,
                )
                .with("hub.tenant", Value::Tenant(self.tenant.clone()))
                .with("hub.channel", Value::Channel(self.channel.clone()))
                .with("hub.message_id", Value::Id(raw.id.0))
                .with("hub.queue_ms", waited_ms(raw.received_at, began))
                .with("hub.outcome", Value::Word(translation.outcome.as_str()))
                .with("hub.events", Value::whole(translation.events.len()));
                let span = match &refusal {
                    Some((_, refusal)) => span.failed(refusal.code),
                    None => span,
                };
                spans.push((trace, span));
            }
            let refused = refusal.map(|(stage, refusal)| self.refused(stage, refusal));
            if let Some(refused) = &refused {
                dead.push(self.dead_letter(raw, refused, trace));
            }
            made.add(raw, translation, refused, &self.channel, trace);
        }
        (made, dead, spans)
    }

    fn translate_one(
        &self,
        raw: &RawMessage,
        maps: &Mappings,
    ) -> (Translation, Option<(Stage, crate::Refusal)>) {
        let empty = |keys, notes| Translation {
            outcome: TranslationOutcome::Refused,
            keys,
            events: Vec::new(),
            attachments: Vec::new(),
            unmapped: Vec::new(),
            notes,
        };
        // a translator is total by contract; a defect in one must stop one message and not the channel
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            self.translator.translate(raw, maps)
        }));
        match (outcome, &raw.quarantine) {
            (Ok(Ok(translation)), None) => (translation, None),
            (Ok(Ok(translation)), Some(reason)) => {
                let refusal = crate::Refusal::new(
                    "edge.quarantined",
                    format!("the edge could not take it for a message: {reason}"),
                );
                (
                    empty(translation.keys, translation.notes),
                    Some((Stage::Edge, refusal)),
                )
            }
            (Ok(Err(refused)), quarantine) => {
                let (stage, refusal) = match quarantine {
                    Some(reason) => (
                        Stage::Edge,
                        crate::Refusal::new(
                            "edge.quarantined",
                            format!("the edge could not take it for a message: {reason}"),
                        ),
                    ),
                    None => (Stage::Translate, refused.refusal),
                };
                (empty(refused.keys, refused.notes), Some((stage, refusal)))
            }
            (Err(_), _) => {
                metrics::counter!("hub_translator_panics_total", "channel" => self.channel.to_string()).increment(1);
                let refusal = crate::Refusal::new(
                    "translator.defect",
                    "the translator failed on this message; report it with the message's id"
                        .to_owned(),
                );
                (
                    empty(schemas::integration::SearchKeys::default(), Vec::new()),
                    Some((Stage::Translate, refusal)),
                )
            }
        }
    }

    fn refused(&self, stage: Stage, refusal: crate::Refusal) -> MessageRefused {
        MessageRefused {
            stage,
            by: format!("translator.{}", self.channel),
            reason: refusal.code.to_owned(),
            detail: refusal.detail,
        }
    }

    fn dead_letter(
        &self,
        raw: &RawMessage,
        refused: &MessageRefused,
        trace: SpanContext,
    ) -> ToPublish {
        let stage = refused.stage;
        let body = DeadLettered {
            stage,
            by: refused.by.clone(),
            reason: refused.reason.clone(),
            detail: refused.detail.clone(),
            event_id: None,
            event_type: None,
            raw_id: Some(raw.id),
            channel: Some(self.channel.clone()),
            stream: StreamName::Raw.as_str().to_owned(),
            stream_seq: raw.position.seq,
            index: raw.position.index,
            attempts: 1,
            in_ledger: true,
        };
        let lane = lane_of(raw.id.0.as_bytes());
        let mut part = Part::new(
            serde_json::to_vec(&body)
                .expect("canonical types serialise")
                .into(),
        );
        part.attribute("ce-id", &arrival_id(raw, "dead").to_string());
        part.attribute("ce-subject", &raw.id.to_string());
        part.attribute("ce-time", &rfc3339(raw.received_at));
        part.attribute("hub-causation", &raw.id.to_string());
        part.attribute("traceparent", &trace.traceparent());
        let (headers, payload) = record::encode(
            &shared_attributes::<DeadLettered>(
                &self.tenant,
                &format!("/translator/{}", self.channel),
                &rfc3339(OffsetDateTime::now_utc()),
            )
            .each(),
            &[part],
        );
        ToPublish {
            subject: subject::dead(&self.tenant, lane, stage.as_str()),
            headers,
            payload,
        }
    }

    async fn publish(
        &self,
        made: Made,
        dead: Vec<ToPublish>,
        last_seq: u64,
        checkpoint: Checkpoint,
    ) -> Result<u64, PublishError> {
        for (name, bytes) in &made.attachments {
            let stored = claim::put(&self.backbone, &self.tenant, bytes)
                .await
                .map_err(|error| PublishError::Unreachable(error.to_string()))?;
            if stored != *name {
                tracing::warn!(channel = %self.channel, "an attachment's digest differs from the one its event names");
            }
        }
        // dead letters first: should the events fail, the same dead letter is published again. The table's row is made from the
        // event, together with the ledger's
        for message in dead {
            let id = message.headers.get("ce-id").map(|v| v.as_str().to_owned());
            self.backbone
                .publish(
                    message.subject,
                    message.headers,
                    message.payload,
                    id.as_deref(),
                )
                .await?;
        }
        let (mut messages, mut ledger) = made
            .into_messages(&self.backbone, &self.tenant, &self.channel)
            .await?;
        if let Some(last) = ledger.last_mut() {
            last.headers
                .insert(CHECKPOINT, last_seq.to_string().as_str());
        }
        // what does not fit goes first, without the checkpoint: a crash in between repeats it, and the inbox
        // stops the repeats
        let room = crate::backbone::MAX_ATOMIC / 2;
        while messages.len() > room {
            let rest = messages.split_off(room);
            self.backbone
                .publish_atomic(std::mem::replace(&mut messages, rest), None)
                .await?;
        }
        let first_of_ledger = messages.len();
        messages.append(&mut ledger);
        self.backbone
            .publish_atomic(messages, Some((first_of_ledger, checkpoint.events_seq)))
            .await
            .map(|published| published.seq)
    }
}

/// Context of a translation: its own for each arrival, and the same when it is repeated after a crash.
fn translation_of(raw: &RawMessage, parent: Option<SpanContext>) -> SpanContext {
    let arrival = (u128::from(raw.position.seq) << 16) | u128::from(raw.position.index);
    parent.map_or_else(
        || SpanContext::root(raw.id.0),
        |parent| parent.child("translate", raw.id.0.as_u128() ^ arrival),
    )
}

/// How long ago something was stored; a clock that went back says zero.
fn lag_since(at: OffsetDateTime) -> Duration {
    (OffsetDateTime::now_utc() - at)
        .try_into()
        .unwrap_or_default()
}

enum Ended {
    Stopped,
    Paused,
    LostRace,
    Failed,
}

/// Why a stored record could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Another try can help.
    #[error("{0}")]
    Now(String),
    /// None will: damaged, or a body that has aged out.
    #[error("{0}")]
    Ever(String),
}

/// Reads the raw messages of a stored record.
///
/// # Errors
/// See [`ReadError`].
pub async fn read_raw(
    backbone: &Backbone,
    stored: StoredMessage,
    tenant: &TenantId,
    channel: &ChannelId,
) -> Result<Vec<RawMessage>, ReadError> {
    let seq = stored.seq;
    let record = Record::decode(stored.headers, stored.payload)
        .map_err(|error| ReadError::Ever(error.to_string()))?;
    let mut messages = Vec::with_capacity(record.parts.len());
    for (index, part) in record.parts.iter().enumerate() {
        let attribute = |name| record.attribute(part, name);
        let bytes = match attribute(claim::HEADER) {
            None => part.body.clone(),
            Some(name) => claim::get(backbone, tenant, name)
                .await
                .map_err(|error| ReadError::Now(error.to_string()))?
                .ok_or_else(|| ReadError::Ever(format!("object {name} is gone")))?,
        };
        let id = attribute("ce-id")
            .and_then(|id| Uuid::parse_str(id).ok())
            .map_or_else(|| RawId::of(tenant, channel, &bytes), RawId);
        messages.push(RawMessage {
            id,
            tenant: tenant.clone(),
            channel: channel.clone(),
            bytes,
            peer: attribute("hub-peer").map(str::to_owned),
            received_at: attribute("ce-time")
                .and_then(|at| OffsetDateTime::parse(at, &Rfc3339).ok())
                .unwrap_or(OffsetDateTime::UNIX_EPOCH),
            notes: record
                .attributes(part, "hub-note")
                .map(str::to_owned)
                .collect(),
            quarantine: attribute("hub-quarantine").map(str::to_owned),
            parent: attribute("hub-parent")
                .and_then(|id| Uuid::parse_str(id).ok())
                .map(RawId),
            position: Position {
                seq,
                index: u16::try_from(index).unwrap_or(u16::MAX),
            },
            traceparent: attribute("traceparent").map(str::to_owned),
        });
    }
    Ok(messages)
}

/// What a batch became, grouped for few durable writes with the order of each lane kept.
#[derive(Default)]
struct Made {
    /// Per lane and order group, runs of messages of the same type.
    lanes: BTreeMap<(u16, OrderGroup), Vec<Run>>,
    ledger: Vec<Part>,
    attachments: Vec<(String, Bytes)>,
}

struct Run {
    name: &'static str,
    version: u16,
    parts: Vec<Part>,
    bytes: usize,
    /// Body too large for a record: goes to the object store.
    large: Option<Bytes>,
}

impl Made {
    fn add(
        &mut self,
        raw: &RawMessage,
        translation: Translation,
        refused: Option<MessageRefused>,
        channel: &ChannelId,
        trace: SpanContext,
    ) {
        let traceparent = trace.traceparent();
        let received_at = rfc3339(raw.received_at);
        let raw_id = raw.id.to_string();
        let mut types = Vec::with_capacity(translation.events.len());
        for (index, event) in translation.events.into_iter().enumerate() {
            let id = schemas::event_id(raw.id.0, u32::try_from(index).unwrap_or(u32::MAX));
            types.push(event.name.to_owned());
            let lane = lane_of(event.aggregate.as_bytes());
            let group =
                CatalogueEntry::find(event.name).map_or(OrderGroup::Care, |entry| entry.group);
            let large = (event.body.len() > claim::LIMIT).then(|| event.body.clone());
            let mut part = Part::new(if large.is_some() {
                Bytes::new()
            } else {
                event.body
            });
            part.attribute("ce-id", &id.to_string());
            part.attribute("ce-subject", &event.aggregate);
            match event.occurred_at {
                Some(at) => part.attribute("ce-time", &rfc3339(at)),
                None => part.attribute("ce-time", &received_at),
            }
            part.attribute("hub-causation", &raw_id);
            part.attribute("traceparent", &traceparent);
            let runs = self.lanes.entry((lane, group)).or_default();
            let fits = runs.last().is_some_and(|run| {
                run.name == event.name
                    && run.version == event.version
                    && run.large.is_none()
                    && large.is_none()
                    && run.parts.len() < record::MAX_PARTS
                    && run.bytes + part.len() <= record::MAX_BYTES
            });
            if !fits {
                runs.push(Run {
                    name: event.name,
                    version: event.version,
                    parts: Vec::new(),
                    bytes: 0,
                    large,
                });
            }
            if let Some(run) = runs.last_mut() {
                run.bytes += part.len();
                run.parts.push(part);
            }
        }
        self.attachments.extend(translation.attachments);
        let mut notes = raw.notes.clone();
        notes.extend(translation.notes);
        let body = MessageTranslated {
            raw_id: raw.id,
            channel: channel.clone(),
            stream_seq: raw.position.seq,
            index: raw.position.index,
            received_at: received_at.clone(),
            size: u32::try_from(raw.bytes.len()).unwrap_or(u32::MAX),
            peer: raw.peer.clone(),
            outcome: translation.outcome,
            keys: translation.keys,
            events: types,
            unmapped: translation.unmapped,
            notes,
            parent: raw.parent,
            refused,
        };
        let mut part = Part::new(
            serde_json::to_vec(&body)
                .expect("canonical types serialise")
                .into(),
        );
        part.attribute("ce-id", &arrival_id(raw, "ledger").to_string());
        part.attribute("ce-subject", channel.as_str());
        part.attribute("ce-time", &received_at);
        part.attribute("hub-causation", &raw_id);
        // a row for every message of the hub: these bytes are written only where somebody sees them
        if export::records(trace) {
            part.attribute("traceparent", &traceparent);
        }
        self.ledger.push(part);
    }

    async fn into_messages(
        self,
        backbone: &Backbone,
        tenant: &TenantId,
        channel: &ChannelId,
    ) -> Result<(Vec<ToPublish>, Vec<ToPublish>), PublishError> {
        let source = format!("/channel/{tenant}/{channel}");
        let now = rfc3339(OffsetDateTime::now_utc());
        let mut messages = Vec::new();
        for ((lane, _), runs) in self.lanes {
            for mut run in runs {
                if let Some(body) = run.large.take() {
                    let name = claim::put(backbone, tenant, &body)
                        .await
                        .map_err(|error| PublishError::Unreachable(error.to_string()))?;
                    for part in &mut run.parts {
                        part.attribute(claim::HEADER, &name);
                    }
                }
                let shared = Shared::new(run.name, run.version, tenant, &source, &now);
                let (headers, payload) = record::encode_packed(&shared.each(), &run.parts);
                messages.push(ToPublish {
                    subject: subject::message(schemas::MessageKind::Event, tenant, lane, run.name),
                    headers,
                    payload,
                });
            }
        }
        let shared = shared_attributes::<MessageTranslated>(tenant, &source, &now);
        let subject = subject::translated(tenant, channel);
        let mut ledger = Vec::new();
        let mut parts: Vec<Part> = Vec::new();
        let mut bytes = 0;
        for part in self.ledger {
            if bytes + part.len() > record::MAX_BYTES {
                ledger.push(ledger_message(&subject, &shared, &parts));
                parts.clear();
                bytes = 0;
            }
            bytes += part.len();
            parts.push(part);
        }
        if !parts.is_empty() {
            ledger.push(ledger_message(&subject, &shared, &parts));
        }
        Ok((messages, ledger))
    }
}

fn ledger_message(subject: &str, shared: &Shared<'_>, parts: &[Part]) -> ToPublish {
    let (headers, payload): (HeaderMap, Bytes) = record::encode_packed(&shared.each(), parts);
    ToPublish {
        subject: subject.to_owned(),
        headers,
        payload,
    }
}

/// Attributes that all messages of a record share.
pub(crate) struct Shared<'a> {
    name: &'a str,
    schema: String,
    tenant: &'a str,
    source: &'a str,
    recorded_at: &'a str,
}

impl<'a> Shared<'a> {
    pub(crate) fn new(
        name: &'a str,
        version: u16,
        tenant: &'a TenantId,
        source: &'a str,
        recorded_at: &'a str,
    ) -> Self {
        Self {
            name,
            schema: format!("{name}.v{version}"),
            tenant: tenant.as_str(),
            source,
            recorded_at,
        }
    }

    pub(crate) fn each(&self) -> [(&'static str, &str); 6] {
        [
            ("ce-specversion", "1.0"),
            ("ce-type", self.name),
            ("dataschema", &self.schema),
            ("ce-source", self.source),
            ("hub-tenant", self.tenant),
            ("hub-recorded-at", self.recorded_at),
        ]
    }
}

fn shared_attributes<'a, B: Body>(
    tenant: &'a TenantId,
    source: &'a str,
    now: &'a str,
) -> Shared<'a> {
    Shared::new(B::NAME, B::VERSION, tenant, source, now)
}

/// Identity of one arrival (the same bytes may arrive several times; each arrival has its ledger row).
fn arrival_id(raw: &RawMessage, what: &str) -> Uuid {
    Uuid::new_v5(
        &raw.id.0,
        format!("{what}:{}.{}", raw.position.seq, raw.position.index).as_bytes(),
    )
}

fn rfc3339(at: OffsetDateTime) -> String {
    at.format(&Rfc3339).unwrap_or_default()
}
