//! One connection: reads frames, has them stored, answers in order.
//!
//! Several messages may wait for their durable write at once (the sender did not wait for our answers);
//! answers leave in the order of the messages. Each answer is one write.

use std::time::{Duration, Instant};

use adapter_link::Link;
use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::FuturesOrdered;
use hub_core::{ChannelContext, Received};
use time::OffsetDateTime;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::answer::{self, Fate, Refused};
use crate::charset;
use crate::frame::FrameReader;
use crate::frame::{FrameEvent, FrameNote};
use crate::header::Header;
use crate::settings::Hl7v2Settings;

/// Bytes read at once.
const READ: usize = 4 * 1024;
/// A peer that does not take an answer for this long is gone.
const WRITE_DEADLINE: Duration = Duration::from_secs(10);

/// An answer, and whether the connection ends with it.
struct Reply {
    bytes: Bytes,
    close: bool,
}

/// Serves a connection until the peer leaves, misbehaves for good, or the channel stops.
pub(super) async fn serve(link: Link, settings: &Hl7v2Settings, ctx: &ChannelContext) {
    let peer = link.peer.to_string();
    let (mut input, mut output) = tokio::io::split(link.stream);
    let mut reader = FrameReader::new(settings.frame_settings());
    let mut buffer = vec![0_u8; READ];
    let mut pending = FuturesOrdered::new();
    let mut reading = true;
    let mut noise_seen = 0_u64;
    loop {
        while pending.len() < settings.frame.pipeline
            && let Some(event) = reader.next(Instant::now())
        {
            if let Some(work) = take(event, &peer, settings, ctx, &mut noise_seen) {
                pending.push_back(work);
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
                let Reply { bytes, close } = reply;
                if !bytes.is_empty() {
                    let written = tokio::time::timeout(WRITE_DEADLINE, async {
                        output.write_all(&bytes).await?;
                        output.flush().await
                    }).await;
                    if !matches!(written, Ok(Ok(()))) {
                        // the message is stored; the peer will repeat it and the repeat is recognised
                        reading = false;
                        metrics::counter!("hub_hl7v2_answers_undelivered_total", "channel" => ctx.channel.to_string()).increment(1);
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
            () = ctx.stop.cancelled(), if reading => {
                // no more reading; what was received whole is stored and answered
                reading = false;
                reader.eof();
            }
        }
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

/// What is to be done about an event; `None` when nothing is kept and nobody is answered.
fn take<'a>(
    event: FrameEvent,
    peer: &str,
    settings: &'a Hl7v2Settings,
    ctx: &'a ChannelContext,
    noise_seen: &mut u64,
) -> Option<impl Future<Output = Reply> + Send + use<'a>> {
    let received_at = OffsetDateTime::now_utc();
    let mut notes = Vec::new();
    let (bytes, quarantine, refused, answer_it, close) = match event {
        FrameEvent::KeepAlive => return None,
        FrameEvent::Commit(_) => return None,
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
                    tracing::info!(channel = %ctx.channel, %peer, bytes = noise_before, "bytes between frames are skipped (told once for this connection)");
                }
                *noise_seen += noise_before;
            }
            notes.extend(oddities.iter().map(|note| note_text(*note).to_owned()));
            let readable = answer::header_of(&bytes).is_some()
                || answer::is_batch(&bytes)
                || decoded_header(&bytes, settings).is_some();
            let refused = (!readable).then_some(Refused::NoHeader);
            // an acknowledgement is never acknowledged (HL7 v2.5.1 §2.9): two hubs would answer each other for ever
            let is_ack = answer::header_of(&bytes).is_some_and(|header| header.code() == b"ACK");
            (
                bytes,
                refused.map(|r| r.reason().to_owned()),
                refused,
                !is_ack,
                false,
            )
        }
        FrameEvent::Quarantined {
            bytes,
            reason,
            offset,
        } => {
            notes.push(format!("began at byte {offset} of the connection"));
            let unframed = reason == crate::frame::Broken::Unframed;
            tracing::warn!(channel = %ctx.channel, %peer, reason = reason.as_str(), bytes = bytes.len(), "an incomplete message is kept, not acknowledged");
            (
                bytes,
                Some(reason.as_str().to_owned()),
                unframed.then_some(Refused::Unframed),
                unframed,
                false,
            )
        }
        FrameEvent::Oversize { head, seen } => {
            notes.push(format!(
                "{seen} bytes were sent, the first {} are kept",
                head.len()
            ));
            tracing::warn!(channel = %ctx.channel, %peer, bytes = seen, limit = settings.frame.limit, "a message above the limit is refused");
            (
                head,
                Some(Refused::TooLarge.reason().to_owned()),
                Some(Refused::TooLarge),
                true,
                true,
            )
        }
    };
    metrics::counter!("hub_hl7v2_frames_total", "channel" => ctx.channel.to_string(), "kind" => if quarantine.is_some() { "quarantined" } else { "message" }).increment(1);
    let received = Received {
        bytes: bytes.clone(),
        peer: Some(peer.to_owned()),
        received_at,
        notes,
        quarantine,
        child_of: None,
        id: None,
    };
    Some(async move {
        let started = Instant::now();
        let stored = ctx.ingest(received).await;
        let fate = match (stored, refused) {
            (Err(error), _) => Fate::NotStored(error.to_string()),
            (Ok(_), Some(refused)) => Fate::Refused(refused),
            (Ok(_), None) => Fate::Stored,
        };
        metrics::histogram!("hub_ack_seconds", "channel" => ctx.channel.to_string())
            .record(started.elapsed().as_secs_f64());
        if !answer_it {
            return Reply {
                bytes: Bytes::new(),
                close,
            };
        }
        Reply {
            bytes: answer_bytes(&bytes, &fate, settings),
            close,
        }
    })
}

fn answer_bytes(bytes: &[u8], fate: &Fate, settings: &Hl7v2Settings) -> Bytes {
    match answer::header_of(bytes) {
        Some(header) => answer::write(Some(&header), fate, settings),
        None => match decoded_header(bytes, settings) {
            Some(text) => {
                answer::write(Header::read(text.as_bytes()).ok().as_ref(), fate, settings)
            }
            None => answer::write(None, fate, settings),
        },
    }
}

/// For character sets in which MSH is not ASCII (UTF-16): the decoded text, if it begins with a header.
fn decoded_header(bytes: &[u8], settings: &Hl7v2Settings) -> Option<String> {
    let text = charset::decode(bytes, settings.charset()).text.into_owned();
    Header::read(text.as_bytes()).is_ok().then_some(text)
}

fn note_text(note: FrameNote) -> &'static str {
    match note {
        FrameNote::EndWithoutCr => "end block without a carriage return",
        FrameNote::FsInside => "a 0x1C stands inside the content",
        FrameNote::NoFinalCr => "no carriage return after the last segment",
        FrameNote::Bare => "no start block",
    }
}
