//! Reads a stream from a position onward, without end: an ephemeral pull consumer that acknowledges
//! nothing, made anew after every gap, silence, error or reconnection. Positions are kept by the caller, with the
//! effect; so a crash or a fail-over begins exactly where the effect ended, in order.

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, ReplayPolicy, pull};
use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _};
use time::OffsetDateTime;
use tokio::sync::watch;

use super::Backbone;
use crate::retry::Pauses;
use crate::subject::StreamName;
use crate::vault::VaultError;

/// Messages asked for at once; with the byte limit below it bounds what waits in memory.
const BATCH: usize = 256;
/// Bytes asked for at once.
const BATCH_BYTES: usize = 1024 * 1024;
/// The server says that it is alive this often; two missed beats make the consumer anew.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// A stored message.
#[derive(Debug)]
pub struct StoredMessage {
    pub seq: u64,
    pub subject: String,
    pub headers: Option<HeaderMap>,
    pub payload: Bytes,
    /// Messages that match the filters and stand behind this one.
    pub pending: u64,
    /// When the server stored it.
    pub stored_at: OffsetDateTime,
}

impl StoredMessage {
    /// What is left of `patience` since it was stored: company is waited for by who keeps up, never by who is behind.
    pub(crate) fn left_of(&self, patience: Duration) -> Duration {
        let age = OffsetDateTime::now_utc() - self.stored_at;
        // clocks may disagree: never longer than `patience`
        patience.saturating_sub(age.try_into().unwrap_or_default())
    }
}

/// Reads what matches the filters, in stream order.
pub struct Reader {
    backbone: Backbone,
    stream: StreamName,
    filters: Vec<String>,
    /// Sequence after which to read on.
    after: u64,
    headers_only: bool,
    consumer_seq: u64,
    messages: Option<pull::Stream>,
    connections: watch::Receiver<u64>,
    pauses: Pauses,
    /// A key that the record to come needs, and that is not at hand.
    wants: Option<String>,
}

impl Reader {
    /// A reader of what comes after sequence `after` (0: from the first).
    #[must_use]
    pub fn new(backbone: Backbone, stream: StreamName, filters: Vec<String>, after: u64) -> Self {
        Self {
            connections: backbone.connections(),
            backbone,
            stream,
            filters,
            after,
            headers_only: false,
            consumer_seq: 0,
            messages: None,
            pauses: Pauses::for_backbone(),
            wants: None,
        }
    }

    /// The same without payloads: for who counts.
    #[must_use]
    pub fn headers_only(self) -> Self {
        Self {
            headers_only: true,
            ..self
        }
    }

    /// The next message; waits for it, and for the backbone, as long as it takes. Cancel-safe.
    pub async fn next(&mut self) -> StoredMessage {
        loop {
            if self.messages.is_none() {
                self.open().await;
            }
            let Some(messages) = self.messages.as_mut() else {
                continue;
            };
            let item = tokio::select! {
                biased;
                // a server that was started anew knows no consumer of ours: not to wait for two missed beats
                Ok(()) = self.connections.changed() => {
                    self.messages = None;
                    continue;
                }
                item = messages.next() => item,
            };
            if let Some(message) = self.accept(item) {
                return message;
            }
        }
    }

    /// The next message if it is here already.
    pub fn try_next(&mut self) -> Option<StoredMessage> {
        loop {
            let item = self.messages.as_mut()?.next().now_or_never()?;
            if let Some(message) = self.accept(item) {
                return Some(message);
            }
        }
    }

    fn accept(
        &mut self,
        item: Option<Result<async_nats::jetstream::Message, pull::MessagesError>>,
    ) -> Option<StoredMessage> {
        let message = match item {
            Some(Ok(message)) => message,
            Some(Err(error)) => {
                tracing::debug!(stream = self.stream.as_str(), %error, "reading anew");
                metrics::counter!("hub_reader_reopened_total", "stream" => self.stream.as_str())
                    .increment(1);
                self.messages = None;
                return None;
            }
            None => {
                self.messages = None;
                return None;
            }
        };
        let (seq, consumer_seq, pending, stored_at) = match message.info() {
            Ok(info) => (
                info.stream_sequence,
                info.consumer_sequence,
                info.pending,
                info.published,
            ),
            Err(_) => {
                self.messages = None;
                return None;
            }
        };
        // a hole in the consumer's own count: the client dropped something; read it again
        if consumer_seq != self.consumer_seq + 1 {
            tracing::warn!(
                stream = self.stream.as_str(),
                seq,
                "gap in delivery, reading anew"
            );
            metrics::counter!("hub_reader_gaps_total", "stream" => self.stream.as_str())
                .increment(1);
            self.messages = None;
            return None;
        }
        let message = message.message;
        let subject = message.subject.to_string();
        let (mut headers, mut payload) = (message.headers, message.payload);
        if !self.headers_only
            && let Err(error) = self
                .backbone
                .vault()
                .open_now(&subject, &mut headers, &mut payload)
        {
            match error {
                // to be passed over would be to be lost: it is read again when its key is there
                VaultError::Unknown(name) => {
                    self.wants = Some(name);
                    self.messages = None;
                    return None;
                }
                // the record says of itself that it can't be read, as one that is damaged otherwise
                error => {
                    tracing::error!(stream = self.stream.as_str(), seq, %error, "a stored record does not open");
                }
            }
        }
        self.consumer_seq = consumer_seq;
        self.after = seq;
        self.pauses.reset();
        Some(StoredMessage {
            seq,
            subject,
            headers,
            payload,
            pending,
            stored_at,
        })
    }

    /// Asks for the key that is missing. Without it the record comes again, and so does the question, with growing pauses.
    async fn fetch_key(&mut self) {
        let Some(name) = self.wants.clone() else {
            return;
        };
        let asked = tokio::time::timeout(
            Duration::from_secs(10),
            self.backbone.vault().refresh(&self.backbone, &name),
        )
        .await;
        match asked {
            Ok(Ok(())) => self.wants = None,
            // said when it began; the vault says it when it ends
            Ok(Err(error)) if error.is_passing() && self.pauses.tries() > 2 => {
                metrics::counter!("hub_vault_failures_total").increment(1);
                tracing::debug!(stream = self.stream.as_str(), %error, "a stored record still waits for its key");
            }
            Ok(Err(error)) => {
                metrics::counter!("hub_vault_failures_total").increment(1);
                tracing::error!(stream = self.stream.as_str(), %error, "a stored record can't be read without its key; what comes after it waits");
            }
            Err(_) => {
                tracing::debug!(stream = self.stream.as_str(), "the keys can't be had yet");
            }
        }
    }

    async fn open(&mut self) {
        self.connections.mark_unchanged();
        if self.pauses.tries() > 0 {
            let pause = self.pauses.next_pause();
            tokio::time::sleep(pause).await;
        } else {
            // counts as the first try; reset by the first message
            let _ = self.pauses.next_pause();
        }
        self.fetch_key().await;
        let config = pull::Config {
            name: Some(format!("r-{}", uuid::Uuid::now_v7().simple())),
            deliver_policy: DeliverPolicy::ByStartSequence {
                start_sequence: self.after + 1,
            },
            ack_policy: AckPolicy::None,
            replay_policy: ReplayPolicy::Instant,
            filter_subjects: self.filters.clone(),
            inactive_threshold: Duration::from_secs(60),
            memory_storage: true,
            headers_only: self.headers_only,
            num_replicas: 1,
            ..pull::Config::default()
        };
        let opened = async {
            let stream = self
                .backbone
                .jetstream()
                .get_stream_no_info(self.stream.as_str())
                .await
                .map_err(|e| e.to_string())?;
            let consumer = stream
                .create_consumer(config)
                .await
                .map_err(|e| e.to_string())?;
            consumer
                .stream()
                .max_messages_per_batch(BATCH)
                .max_bytes_per_batch(BATCH_BYTES)
                .expires(Duration::from_secs(30))
                .heartbeat(HEARTBEAT)
                .messages()
                .await
                .map_err(|e| e.to_string())
        };
        match tokio::time::timeout(Duration::from_secs(10), opened).await {
            Ok(Ok(messages)) => {
                self.consumer_seq = 0;
                self.messages = Some(messages);
            }
            Ok(Err(error)) => {
                tracing::debug!(stream = self.stream.as_str(), %error, "can't read yet");
            }
            Err(_) => tracing::debug!(
                stream = self.stream.as_str(),
                "can't read yet: no answer within 10 s"
            ),
        }
    }
}
