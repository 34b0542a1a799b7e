//! One connection: reads frames, has them stored, answers in order.
//!
//! Several messages may wait for their durable write at once (the sender did not wait for our answers);
//! answers leave in the order of the messages. Each answer is one write.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::StreamExt as _;
use futures::future::OptionFuture;
use futures::stream::FuturesOrdered;
use hub_core::Received;
use hub_core::channel::{AskError, SendingBook};
use schemas::ChannelId;
use time::OffsetDateTime;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio_util::sync::CancellationToken;

use super::answer::{self, Fate, Refused};
use super::download::{Looked, Looks};
use super::exchange::Exchange;
use super::house::House;
use super::outlet::Ways;
use super::query::Follow;
use super::reply::{Reply, Said};
use crate::ack::ReceivedAck;
use crate::charset;
use crate::frame::{BlockFault, Broken, FrameEvent, FrameKind, FrameNote, LineReader};
use crate::header::Header;
use crate::orders::{Question, question};
use crate::settings::Hl7v2Settings;

#[cfg(test)]
mod tests;

/// Bytes read at once.
const READ: usize = 4 * 1024;
/// A peer that does not take an answer for this long is gone.
const WRITE_DEADLINE: Duration = Duration::from_secs(10);

/// One connection of a channel.
pub(super) struct Connection<'a, K> {
    pub(super) settings: &'a Hl7v2Settings,
    pub(super) store: &'a K,
    /// Orders on their way, of all connections of the channel.
    pub(super) book: &'a SendingBook,
    /// Where messages of ours go.
    pub(super) ways: Ways<'a>,
    pub(super) channel: &'a ChannelId,
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
    Answer {
        close: bool,
    },
    /// The peer answers a message of ours.
    Hear,
    /// The peer asks what is to be done.
    Ask(Box<Question>),
    Nak(BlockFault),
}

impl<K: House> Connection<'_, K> {
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
        let mut said = Said::new(self.channel.as_str(), &self.peer);
        let mut exchange = Exchange::new(settings.orders.as_ref());
        let mut looking: OptionFuture<_> = None.into();
        let mut looks = Looks::new(self.downloads());
        self.fetch(&mut exchange);
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
            while reading
                && peer_hears
                && let Some(own) = exchange.next(Instant::now())
            {
                let (content, done) = own;
                match reader.wrap(&content) {
                    Some(block) => {
                        said.own(&block);
                        peer_hears = write(&mut output, &block).await;
                        done.into_iter().for_each(|done| self.finished(done));
                    }
                    None => exchange
                        .unwritable("the message is too long for a block")
                        .into_iter()
                        .for_each(|lost| self.finished(lost)),
                }
                if !peer_hears {
                    reading = false;
                    reader.eof();
                }
            }
            if !reading && pending.is_empty() {
                break;
            }
            let room = pending.len() < settings.frame.pipeline;
            let deadline = reader.deadline();
            tokio::select! {
                biased;
                Some(mut reply) = pending.next(), if !pending.is_empty() => {
                    let close = reply.closes();
                    let follow = reply.take_follow();
                    let mut heard = false;
                    if let Some(bytes) = said.next(reply, &reader) {
                        peer_hears = peer_hears && write(&mut output, &bytes).await;
                        heard = peer_hears;
                        if !peer_hears {
                            // the message is stored; the peer will repeat it and the repeat is recognised
                            said.undelivered();
                            reading = false;
                            reader.eof();
                        }
                    }
                    if let Some((follow, written)) = follow {
                        self.follow(follow, heard || !written, &mut exchange);
                    }
                    if close {
                        let _ = tokio::time::timeout(WRITE_DEADLINE, output.shutdown()).await;
                        break;
                    }
                }
                read = input.read(&mut buffer), if reading && room => match read {
                    Ok(0) | Err(_) => {
                        reading = false;
                        reader.eof();
                    }
                    Ok(count) => reader.push(&buffer[..count]),
                },
                Some(found) = &mut looking => {
                    looking = None.into();
                    looks.done(self.found(found, &mut exchange), settings);
                }
                () = until(deadline), if reading && room => {}
                () = until(exchange.deadline()), if reading => {
                    if let Some(over) = exchange.tick(Instant::now()) {
                        self.finished(over);
                    }
                }
                () = self.more_to_send(), if reading => self.fetch(&mut exchange),
                () = until(looks.next), if reading => {
                    looks.next = None;
                    looking = Some(Box::pin(self.look(looks.first))).into();
                }
                () = stop.cancelled(), if reading => {
                    // no more reading; what was received whole is stored and answered
                    reading = false;
                    reader.eof();
                }
            }
        }
        for open in exchange.close() {
            self.finished(open);
        }
    }

    /// Whether a look for pending orders came to something.
    fn found(&self, found: Result<Looked<'_>, AskError>, exchange: &mut Exchange) -> bool {
        match found {
            Ok(looked) => {
                self.looked(looked, exchange);
                true
            }
            Err(error) => {
                tracing::warn!(channel = %self.channel, %error, "pending orders could not be read; trying again");
                false
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
                let we_send = self.settings.orders.is_some();
                let is_response = answer::header_of(&bytes)
                    .is_some_and(|header| answer::is_response(&bytes, &header, we_send));
                let then = if is_response {
                    Then::Hear
                } else if let Some(question) = question::of_message(self.settings, &bytes) {
                    Then::Ask(Box::new(question))
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
        metrics::counter!("hub_hl7v2_frames_total", "channel" => channel.to_string(), "kind" => if quarantine.is_some() { "quarantined" } else { "message" }).increment(1);
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
        metrics::histogram!("hub_ack_seconds", "channel" => self.channel.to_string())
            .record(started.elapsed().as_secs_f64());
        let fate = match (&stored, kept.refused) {
            (Err(error), _) => Fate::NotStored(error.to_string()),
            (Ok(_), Some(refused)) => Fate::Refused(refused),
            (Ok(_), None) => Fate::Stored,
        };
        let (contents, close, follow) = match (kept.then, stored) {
            (Then::Nothing, _) => return Reply::Nothing,
            (Then::Nak(fault), _) => return Reply::Nak(fault),
            (Then::Hear, _) => self.hear(bytes, &fate),
            (Then::Ask(question), Ok(stored)) => {
                let (contents, follow) = self.ask(&question, &bytes, stored, started).await;
                (contents, false, Some(follow))
            }
            // not stored is not answered: the instrument may ask again
            (Then::Ask(_), Err(_)) => (self.answers(&bytes, &fate), false, None),
            (Then::Answer { close }, _) => (self.answers(&bytes, &fate), close, None),
        };
        Reply::Answers {
            contents,
            close,
            follow,
        }
    }

    /// An answer to a message of ours counts also when it could not be stored: the instrument will not say it again.
    fn hear(&self, bytes: Bytes, fate: &Fate) -> (Vec<Bytes>, bool, Option<Follow>) {
        let contents = answer::header_of(&bytes)
            .map(|header| answer::of_response(&header, fate, self.settings))
            .unwrap_or_default();
        let follow = ReceivedAck::read(&bytes).ok().map(|ack| Follow::Heard {
            ack,
            content: bytes,
        });
        (contents, false, follow)
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
