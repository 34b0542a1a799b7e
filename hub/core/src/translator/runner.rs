//! Runs one channel's translator: RAW in, EVENTS out, exactly once.
//!
//! The checkpoint is the channel's newest ledger message in EVENTS: it carries the RAW sequence up to which
//! everything is translated, and it is published in one atomic batch with the events themselves, on
//! condition that the checkpoint before it is still the newest. So a crash repeats nothing and skips
//! nothing, order holds, and of two processes that translate the same channel one wins and the other stands by.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use schemas::integration::DesiredState;
use schemas::{ChannelId, RawId, TenantId};
use time::OffsetDateTime;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::batch::Made;
use super::stored::{ReadError, read_raw};
use super::{RawMessage, Translator};
use crate::backbone::reader::{Reader, StoredMessage};
use crate::backbone::{Backbone, PublishError, ToPublish};
use crate::claim;
use crate::envelope::Position;
use crate::governor::Governor;
use crate::mappings::MappingStore;
use crate::retry::Pauses;
use crate::subject::{self, StreamName};
use crate::telemetry::export;

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
