//! The committer: one durable write in flight per channel; whoever waits meanwhile rides on the next.
//!
//! A message of a sender that is alone is written at once. Where several send without a pause, those who were just answered
//! send again in a moment: the next write waits for them ([`Company`]), or they would fall into two groups that take turns,
//! with twice the writes.

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

/// Who is likely to be there in the next moment: those who were just answered, beside those who came during the write.
#[derive(Default)]
struct Company {
    expected: usize,
    /// Groups to pass without waiting: who was expected did not come.
    alone: u32,
}

impl Company {
    /// How long the next write waits for them at most; a sender that has its answer sends again within less.
    const PATIENCE: Duration = Duration::from_millis(1);
    /// Groups that do not wait after one that waited in vain.
    const DISAPPOINTED: u32 = 32;

    /// A group was written while others came.
    fn written(&mut self, group: usize, came_meanwhile: usize) {
        self.expected = (group + came_meanwhile).min(record::MAX_PARTS);
        if self.alone > 0 {
            self.alone -= 1;
            self.expected = 0;
        }
    }

    /// So many were together at last.
    fn met(&mut self, group: usize) {
        if group < self.expected - self.expected / 4 {
            self.alone = Self::DISAPPOINTED;
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
        let mut company = Company::default();
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
            let patience = tokio::time::Instant::now() + Company::PATIENCE;
            while group.len() < record::MAX_PARTS {
                let next = match self.waiting.try_recv() {
                    Ok(next) => next,
                    Err(_) if group.len() < company.expected => {
                        match tokio::time::timeout_at(patience, self.waiting.recv()).await {
                            Ok(Some(next)) => next,
                            Ok(None) | Err(_) => break,
                        }
                    }
                    Err(_) => break,
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
            company.met(group.len());
            let together = group.len();
            self.commit(&subject, &source, group).await;
            company.written(together, self.waiting.len());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lone_sender_never_waits_and_two_groups_become_one() {
        let mut company = Company::default();
        assert_eq!(company.expected, 0, "nobody was answered");
        for _ in 0..3 {
            company.met(1);
            company.written(1, 0);
            assert!(company.expected <= 1, "nobody else is there");
        }
        // four are written while four come: eight are there
        company.met(4);
        company.written(4, 4);
        assert_eq!(company.expected, 8);
        company.met(8);
        company.written(8, 0);
        assert_eq!(company.expected, 8);
    }

    #[test]
    fn who_waited_in_vain_does_not_wait_for_a_while() {
        let mut company = Company::default();
        company.written(10, 10);
        assert_eq!(company.expected, 20);
        company.met(9);
        for _ in 0..Company::DISAPPOINTED {
            company.written(10, 10);
            assert_eq!(company.expected, 0);
            company.met(10);
        }
        company.written(10, 10);
        assert_eq!(company.expected, 20);
    }
}
