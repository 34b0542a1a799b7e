//! The committer: one durable write in flight per channel; whoever waits meanwhile rides on the next.
//! No linger: a message that finds nothing in flight is written at once.

use std::time::Duration;

use bytes::Bytes;
use schemas::{ChannelId, RawId, TenantId};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::{IngestError, Received, Stored};
use crate::backbone::{Backbone, PublishError};
use crate::envelope::Position;
use crate::governor::Governor;
use crate::record::{self, Part};
use crate::telemetry::{Kind, Span, SpanContext, Value, export};
use crate::{claim, subject};

/// Type of a raw arrival (`ce-type`).
pub const RAW_TYPE: &str = "integration.message.received";

/// Limits of one channel's committer.
#[derive(Debug, Clone, Copy)]
pub struct IngestOptions {
    /// Messages that may wait; one more is refused with "busy".
    pub queue: usize,
    /// How long a message may wait for its durable write.
    pub deadline: Duration,
}

impl Default for IngestOptions {
    fn default() -> Self {
        // 3 s is the latency budget of an acknowledgement (lab-devices §1.3: instruments give up after 5-15 s)
        Self {
            queue: 2048,
            deadline: Duration::from_secs(3),
        }
    }
}

struct Waiting {
    received: Received,
    id: RawId,
    /// Of the span that ends when the peer can be answered.
    trace: SpanContext,
    answer: oneshot::Sender<Result<Stored, IngestError>>,
}

/// Handle by which connections of one channel store messages. Cheap to clone.
#[derive(Clone)]
pub struct Ingest {
    tenant: TenantId,
    channel: ChannelId,
    queue: mpsc::Sender<Waiting>,
    options: IngestOptions,
}

impl Ingest {
    /// Starts a channel's committer on `tasks`; it ends after `stop` when its queue is empty.
    #[must_use]
    pub fn start(
        backbone: Backbone,
        tenant: TenantId,
        channel: ChannelId,
        options: IngestOptions,
        governor: Governor,
        stop: CancellationToken,
        tasks: &tokio_util::task::TaskTracker,
    ) -> Self {
        let (queue, waiting) = mpsc::channel(options.queue);
        let committer = Committer {
            backbone,
            tenant: tenant.clone(),
            channel: channel.clone(),
            waiting,
            governor,
            stop,
        };
        tasks.spawn(committer.run());
        Self {
            tenant,
            channel,
            queue,
            options,
        }
    }

    /// Stores one message; see [`crate::ChannelContext::ingest`].
    ///
    /// # Errors
    /// See [`IngestError`].
    pub async fn store(&self, received: Received) -> Result<Stored, IngestError> {
        let id = match (received.id, received.child_of) {
            (Some(id), _) => id,
            (None, Some((parent, request))) => RawId::child(parent, request, &received.bytes),
            (None, None) => RawId::of(&self.tenant, &self.channel, &received.bytes),
        };
        let trace = SpanContext::root(id.0);
        let (received_at, bytes) = (received.received_at, received.bytes.len());
        let outcome = self.wait_for_storage(received, id, trace).await;
        export::record(trace, || {
            let span = Span::new(trace, None, Kind::Server, "receive", received_at)
                .with("hub.tenant", Value::Tenant(self.tenant.clone()))
                .with("hub.channel", Value::Channel(self.channel.clone()))
                .with("hub.message_id", Value::Id(id.0))
                .with("hub.bytes", Value::whole(bytes));
            match &outcome {
                Ok(_) => span.with("hub.outcome", Value::Word("stored")),
                Err(error) => span
                    .with("hub.outcome", Value::Word("not_stored"))
                    .failed(error.code()),
            }
        });
        outcome
    }

    async fn wait_for_storage(
        &self,
        received: Received,
        id: RawId,
        trace: SpanContext,
    ) -> Result<Stored, IngestError> {
        let (answer, stored) = oneshot::channel();
        match self.queue.try_send(Waiting {
            received,
            id,
            trace,
            answer,
        }) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(_)) => {
                metrics::counter!("hub_ingest_refused_total", "channel" => self.channel.to_string(), "reason" => "busy").increment(1);
                return Err(IngestError::Busy(self.options.queue));
            }
            Err(mpsc::error::TrySendError::Closed(_)) => return Err(IngestError::Stopping),
        }
        match tokio::time::timeout(self.options.deadline, stored).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(IngestError::Stopping),
            Err(_) => {
                metrics::counter!("hub_ingest_refused_total", "channel" => self.channel.to_string(), "reason" => "timeout").increment(1);
                Err(IngestError::Timeout(self.options.deadline.as_millis()))
            }
        }
    }
}

struct Committer {
    backbone: Backbone,
    tenant: TenantId,
    channel: ChannelId,
    waiting: mpsc::Receiver<Waiting>,
    governor: Governor,
    stop: CancellationToken,
}

impl Committer {
    async fn run(mut self) {
        let source = format!("/channel/{}/{}", self.tenant, self.channel);
        let subject = subject::raw(&self.tenant, &self.channel);
        let label = self.channel.to_string();
        let mut carried: Option<Waiting> = None;
        loop {
            let first = match carried.take() {
                Some(first) => first,
                None => tokio::select! {
                    biased;
                    first = self.waiting.recv() => match first {
                        Some(first) => first,
                        None => return,
                    },
                    () = self.stop.cancelled() => {
                        self.waiting.close();
                        match self.waiting.recv().await {
                            Some(first) => first,
                            None => return,
                        }
                    }
                },
            };
            let mut group = vec![first];
            let mut bytes = group[0].received.bytes.len();
            while group.len() < record::MAX_PARTS {
                let Ok(next) = self.waiting.try_recv() else {
                    break;
                };
                // nobody waits for this one any more: it was told "send again"
                if next.answer.is_closed() {
                    continue;
                }
                bytes += next.received.bytes.len().min(claim::LIMIT) + 512;
                if bytes > record::MAX_BYTES {
                    carried = Some(next);
                    break;
                }
                group.push(next);
            }
            metrics::histogram!("hub_ingest_group_size", "channel" => label.clone())
                .record(group.len() as f64);
            self.commit(&subject, &source, group).await;
        }
    }

    async fn commit(&self, subject: &str, source: &str, group: Vec<Waiting>) {
        let started = std::time::Instant::now();
        let mut parts = Vec::with_capacity(group.len());
        let mut kept = Vec::with_capacity(group.len());
        for waiting in group {
            match self.part(&waiting).await {
                Ok(part) => {
                    parts.push(part);
                    kept.push(waiting);
                }
                Err(error) => {
                    let _ = waiting.answer.send(Err(error));
                }
            }
        }
        if parts.is_empty() {
            return;
        }
        let shared = [
            ("ce-specversion", "1.0"),
            ("ce-type", RAW_TYPE),
            ("ce-source", source),
            ("hub-tenant", self.tenant.as_str()),
            ("hub-channel", self.channel.as_str()),
        ];
        let (headers, payload) = record::encode(&shared, &parts);
        // a retry of the same group, and only that, has the same id; a message sent twice on purpose is a new arrival
        let outcome = self
            .backbone
            .publish(subject.to_owned(), headers, payload, None)
            .await;
        metrics::histogram!("hub_ingest_commit_seconds", "channel" => self.channel.to_string())
            .record(started.elapsed().as_secs_f64());
        match outcome {
            Ok(published) => {
                let messages = kept.len();
                self.governor.stored(messages);
                metrics::counter!("hub_messages_stored_total", "channel" => self.channel.to_string()).increment(kept.len() as u64);
                for (index, waiting) in kept.into_iter().enumerate() {
                    let index = u16::try_from(index).expect("a record has at most 64 messages");
                    self.trace_write(&waiting, started.elapsed(), messages);
                    let position = Position {
                        seq: published.seq,
                        index,
                    };
                    let _ = waiting.answer.send(Ok(Stored {
                        id: waiting.id,
                        position,
                    }));
                }
            }
            Err(error) => {
                metrics::counter!("hub_ingest_refused_total", "channel" => self.channel.to_string(), "reason" => "store").increment(kept.len() as u64);
                tracing::warn!(channel = %self.channel, messages = kept.len(), %error, "messages could not be stored; their senders are asked to repeat");
                let error = match error {
                    PublishError::Timeout(ms) => IngestError::Timeout(ms),
                    other => IngestError::Refused(other.to_string()),
                };
                for waiting in kept {
                    let _ = waiting.answer.send(Err(error.clone()));
                }
            }
        }
    }

    /// The durable write, which a message shares with those that waited at the same moment.
    fn trace_write(&self, waiting: &Waiting, took: Duration, messages: usize) {
        export::record(waiting.trace, || {
            let began = OffsetDateTime::now_utc() - took;
            let write = waiting.trace.child("store", waiting.id.0.as_u128());
            Span::new(
                write,
                Some(waiting.trace.span()),
                Kind::Producer,
                "store",
                began,
            )
            .with("hub.tenant", Value::Tenant(self.tenant.clone()))
            .with("hub.channel", Value::Channel(self.channel.clone()))
            .with("hub.messages_together", Value::whole(messages))
        });
    }

    async fn part(&self, waiting: &Waiting) -> Result<Part, IngestError> {
        let received = &waiting.received;
        let mut part = if received.bytes.len() > claim::LIMIT {
            let name = claim::put(&self.backbone, &self.tenant, &received.bytes)
                .await
                .map_err(|error| IngestError::Refused(error.to_string()))?;
            let mut part = Part::new(Bytes::new());
            part.attribute(claim::HEADER, &name);
            part
        } else {
            Part::new(received.bytes.clone())
        };
        part.attribute("ce-id", &waiting.id.to_string());
        part.attribute(
            "ce-time",
            &received.received_at.format(&Rfc3339).unwrap_or_default(),
        );
        part.attribute("traceparent", &waiting.trace.traceparent());
        if let Some(peer) = &received.peer {
            part.attribute("hub-peer", peer);
        }
        for note in &received.notes {
            part.attribute("hub-note", note);
        }
        if let Some(reason) = &received.quarantine {
            part.attribute("hub-quarantine", reason);
        }
        if let Some((parent, _)) = received.child_of {
            part.attribute("hub-parent", &parent.to_string());
        }
        Ok(part)
    }
}
