//! One connection: reads frames, has them stored, answers in order.
//!
//! Several messages may wait for their durable write at once (the sender did not wait for our answers);
//! answers leave in the order of the messages. Each answer is one write.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::FuturesOrdered;
use hub_core::ingest::IngestError;
use hub_core::{ChannelContext, Received};
use time::OffsetDateTime;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio_util::sync::CancellationToken;

use super::answer::{self, Fate, Refused};
use super::reply::{Reply, Said};
use crate::charset;
use crate::frame::{BlockFault, Broken, FrameEvent, FrameKind, FrameNote, LineReader};
use crate::header::Header;
use crate::settings::Hl7v2Settings;

#[cfg(test)]
mod tests;

/// Bytes read at once.
const READ: usize = 4 * 1024;
/// A peer that does not take an answer for this long is gone.
const WRITE_DEADLINE: Duration = Duration::from_secs(10);

/// Where a connection keeps what it receives; returns when it is durable.
pub(super) trait Store: Sync {
    fn store(
        &self,
        received: Received,
    ) -> impl Future<Output = Result<(), IngestError>> + Send + '_;
}

impl Store for ChannelContext {
    async fn store(&self, received: Received) -> Result<(), IngestError> {
        self.ingest(received).await.map(drop)
    }
}

/// One connection of a channel.
pub(super) struct Connection<'a, K> {
    pub(super) settings: &'a Hl7v2Settings,
    pub(super) store: &'a K,
    /// Names logs and metrics.
    pub(super) channel: &'a str,
    pub(super) peer: String,
    /// A serial line: closing it would tell the device nothing.
    pub(super) serial: bool,
}

/// What is to be done about an event.
enum Work {
    Keep(Box<Kept>),
    /// The peer wants our last block again.
    Repeat(BlockFault),
}

struct Kept {
    received: Received,
    refused: Option<Refused>,
    then: Then,
}

/// What the peer hears once the bytes are stored, or could not be.
enum Then {
    Nothing,
    Answer { close: bool },
    Nak(BlockFault),
}

impl<K: Store> Connection<'_, K> {
    /// Serves it until the peer leaves, misbehaves for good, or `stop` is cancelled.
    pub(super) async fn serve(
        &self,
        stream: impl AsyncRead + AsyncWrite,
        stop: &CancellationToken,
    ) {
        let settings = self.settings;
        let (mut input, mut output) = tokio::io::split(stream);
        let mut reader = LineReader::new(settings.frame.kind, settings.frame_settings());
        let mut buffer = vec![0_u8; READ];
        let mut pending = FuturesOrdered::new();
        let mut said = Said::new(self.channel, &self.peer);
        let (mut reading, mut peer_hears) = (true, true);
        let mut noise_seen = 0_u64;
        loop {
            while pending.len() < settings.frame.pipeline
                && let Some(event) = reader.next(Instant::now())
            {
                if let Some(work) = self.take(event, &mut noise_seen) {
                    pending.push_back(self.carry_out(work));
                }
            }
            if !reading && pending.is_empty() {
                return;
            }
            let room = pending.len() < settings.frame.pipeline;
            let deadline = reader.deadline();
            tokio::select! {
                biased;
                Some(reply) = pending.next(), if !pending.is_empty() => {
                    let close = reply.closes();
                    if let Some(bytes) = said.next(reply, &reader) {
                        peer_hears = peer_hears && write(&mut output, &bytes).await;
                        if !peer_hears {
                            // the message is stored; the peer will repeat it and the repeat is recognised
                            said.undelivered();
                            reading = false;
                            reader.eof();
                        }
                    }
                    if close {
                        let _ = tokio::time::timeout(WRITE_DEADLINE, output.shutdown()).await;
                        return;
                    }
                }
                read = input.read(&mut buffer), if reading && room => match read {
                    Ok(0) | Err(_) => {
                        reading = false;
                        reader.eof();
                    }
                    Ok(count) => reader.push(&buffer[..count]),
                },
                () = until(deadline), if reading && room => {}
                () = stop.cancelled(), if reading => {
                    // no more reading; what was received whole is stored and answered
                    reading = false;
                    reader.eof();
                }
            }
        }
    }

    /// `None` when nothing is kept and nobody is answered.
    fn take(&self, event: FrameEvent, noise_seen: &mut u64) -> Option<Work> {
        let (channel, peer) = (self.channel, &self.peer);
        let received_at = OffsetDateTime::now_utc();
        let mut notes = Vec::new();
        let (bytes, quarantine, refused, then) = match event {
            FrameEvent::KeepAlive | FrameEvent::Commit(_) => return None,
            FrameEvent::Repeat(fault) => return Some(Work::Repeat(fault)),
            FrameEvent::Message {
                bytes,
                noise_before,
                notes: oddities,
            } => {
                if noise_before > 0 {
                    notes.push(format!(
                        "{noise_before} bytes before the frame were skipped"
                    ));
                    if *noise_seen == 0 {
                        tracing::info!(%channel, %peer, bytes = noise_before, "bytes between frames are skipped (told once for this connection)");
                    }
                    *noise_seen += noise_before;
                }
                notes.extend(oddities.iter().map(|note| note_text(*note).to_owned()));
                let refused = (!self.is_readable(&bytes)).then_some(Refused::NoHeader);
                // an acknowledgement is never acknowledged (HL7 v2.5.1 §2.9): two hubs would answer each other for ever
                let is_ack =
                    answer::header_of(&bytes).is_some_and(|header| header.code() == b"ACK");
                let then = if is_ack {
                    Then::Nothing
                } else {
                    Then::Answer { close: false }
                };
                let reason = refused.map(|refused| refused.reason().to_owned());
                (bytes, reason, refused, then)
            }
            FrameEvent::Quarantined {
                bytes,
                reason,
                offset,
            } => {
                notes.push(format!("began at byte {offset} of the connection"));
                tracing::warn!(%channel, %peer, reason = reason.as_str(), bytes = bytes.len(), "an incomplete message is kept, not acknowledged");
                let (refused, then) = if reason == Broken::Unframed {
                    (Some(Refused::Unframed), Then::Answer { close: false })
                } else {
                    (None, Then::Nothing)
                };
                (bytes, Some(reason.as_str().to_owned()), refused, then)
            }
            FrameEvent::BadBlock {
                bytes,
                fault,
                offset,
            } => {
                notes.push(format!("began at byte {offset} of the connection"));
                tracing::warn!(%channel, %peer, reason = fault.as_str(), bytes = bytes.len(), "a damaged block is kept, and the peer is asked to repeat it");
                let reason = fault.as_str().to_owned();
                (bytes, Some(reason), None, Then::Nak(fault))
            }
            FrameEvent::Oversize { head, seen } => {
                notes.push(format!(
                    "{seen} bytes were sent, the first {} are kept",
                    head.len()
                ));
                tracing::warn!(%channel, %peer, bytes = seen, limit = self.settings.frame.limit, "a message above the limit is refused");
                let then = match self.settings.frame.kind {
                    FrameKind::Mllp => Then::Answer {
                        close: !self.serial,
                    },
                    FrameKind::Hybrid => Then::Nak(BlockFault::TooLong),
                };
                let reason = Refused::TooLarge.reason().to_owned();
                (head, Some(reason), Some(Refused::TooLarge), then)
            }
        };
        metrics::counter!("hub_hl7v2_frames_total", "channel" => channel.to_owned(), "kind" => if quarantine.is_some() { "quarantined" } else { "message" }).increment(1);
        let received = Received {
            bytes,
            peer: Some(peer.clone()),
            received_at,
            notes,
            quarantine,
            child_of: None,
            id: None,
        };
        Some(Work::Keep(Box::new(Kept {
            received,
            refused,
            then,
        })))
    }

    async fn carry_out(&self, work: Work) -> Reply {
        let kept = match work {
            Work::Repeat(fault) => return Reply::Repeat(fault),
            Work::Keep(kept) => *kept,
        };
        let bytes = kept.received.bytes.clone();
        let started = Instant::now();
        let stored = self.store.store(kept.received).await;
        metrics::histogram!("hub_ack_seconds", "channel" => self.channel.to_owned())
            .record(started.elapsed().as_secs_f64());
        let fate = match (stored, kept.refused) {
            (Err(error), _) => Fate::NotStored(error.to_string()),
            (Ok(()), Some(refused)) => Fate::Refused(refused),
            (Ok(()), None) => Fate::Stored,
        };
        match kept.then {
            Then::Nothing => Reply::Nothing,
            Then::Nak(fault) => Reply::Nak(fault),
            Then::Answer { close } => Reply::Answers {
                contents: self.answers(&bytes, &fate),
                close,
            },
        }
    }

    fn answers(&self, bytes: &[u8], fate: &Fate) -> Vec<Bytes> {
        let settings = self.settings;
        match answer::header_of(bytes) {
            Some(header) => answer::write(Some(&header), fate, settings),
            None => match self.decoded_header(bytes) {
                Some(text) => {
                    answer::write(Header::read(text.as_bytes()).ok().as_ref(), fate, settings)
                }
                None => answer::write(None, fate, settings),
            },
        }
    }

    fn is_readable(&self, bytes: &[u8]) -> bool {
        answer::header_of(bytes).is_some()
            || answer::is_batch(bytes)
            || self.decoded_header(bytes).is_some()
    }

    /// For character sets in which MSH is not ASCII (UTF-16): the decoded text, if it begins with a header.
    fn decoded_header(&self, bytes: &[u8]) -> Option<String> {
        let text = charset::decode(bytes, self.settings.charset())
            .text
            .into_owned();
        Header::read(text.as_bytes()).is_ok().then_some(text)
    }
}

/// True when the peer's side of the line has taken it all in time.
async fn write(output: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> bool {
    let written = tokio::time::timeout(WRITE_DEADLINE, async {
        output.write_all(bytes).await?;
        output.flush().await
    });
    matches!(written.await, Ok(Ok(())))
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

/// An oddity of framing, in words.
pub(super) fn note_text(note: FrameNote) -> &'static str {
    match note {
        FrameNote::EndWithoutCr => "end block without a carriage return",
        FrameNote::FsInside => "a 0x1C stands inside the content",
        FrameNote::NoFinalCr => "no carriage return after the last segment",
        FrameNote::Bare => "no start block",
    }
}
