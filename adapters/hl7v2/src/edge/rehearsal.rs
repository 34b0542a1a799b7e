//! A capture of a device, played through the framing of a channel without I/O: which messages would be stored, and how each
//! would be answered if the store takes it. It must never change a byte without saying so.

use std::time::{Duration, Instant};

use bytes::Bytes;
use hub_core::rehearsal::{Rehearsal, Step};

use super::answer::{self, Fate, Refused};
use super::connection::note_text;
use crate::batch;
use crate::charset;
use crate::frame::{self, Broken, FS, FrameEvent, FrameKind, LineReader, VT};
use crate::header::Header;
use crate::settings::Hl7v2Settings;

/// Longer than any silence that ends a frame.
const SILENCE: Duration = Duration::from_hours(2);

/// Plays a capture. With `repair` control characters that a logger wrote as words are made bytes first.
#[must_use]
pub fn rehearse(settings: &Hl7v2Settings, capture: &[u8], repair: bool) -> Rehearsal {
    let mut rehearsal = Rehearsal::default();
    let bytes = prepared(settings, capture, repair, &mut rehearsal);
    let mut reader = LineReader::new(settings.frame.kind, settings.frame_settings());
    let now = Instant::now();
    reader.push(&bytes);
    while let Some(event) = reader.next(now) {
        take(settings, event, &mut rehearsal);
    }
    reader.eof();
    while let Some(event) = reader.next(now + SILENCE) {
        take(settings, event, &mut rehearsal);
    }
    rehearsal
}

/// The bytes to play. A capture without whole frames is cut at its message headers and framed here.
fn prepared(
    settings: &Hl7v2Settings,
    capture: &[u8],
    repair: bool,
    rehearsal: &mut Rehearsal,
) -> Vec<u8> {
    let mut bytes = rehearsal.unspelled(capture, repair, "<VT>");
    let whole = bytes.contains(&VT) && bytes.contains(&FS);
    if whole || settings.frame.kind == FrameKind::Hybrid || settings.frame.bare {
        return bytes;
    }
    rehearsal.note("the capture has no whole frames (0x0B … 0x1C 0x0D): it is cut at its message headers and framed here");
    bytes.retain(|b| !matches!(*b, VT | FS));
    let split = batch::split(&bytes);
    if split.batches > 0 || split.messages.is_empty() {
        return frame::encode(&bytes).to_vec();
    }
    split
        .messages
        .iter()
        .filter_map(|range| bytes.get(range.clone()))
        .flat_map(|message| {
            let message = message.trim_ascii_end();
            frame::encode(&[message, b"\r"].concat())
        })
        .collect()
}

fn take(settings: &Hl7v2Settings, event: FrameEvent, rehearsal: &mut Rehearsal) {
    let mut notes = Vec::new();
    let mut answered = true;
    let (bytes, quarantine, refused) = match event {
        FrameEvent::KeepAlive => {
            rehearsal.steps.push(Step::Odd(
                "an empty frame: a keep-alive, not answered".to_owned(),
            ));
            return;
        }
        FrameEvent::Commit(_) => {
            rehearsal.steps.push(Step::Odd("a commit block".to_owned()));
            return;
        }
        FrameEvent::Repeat(fault) => {
            let what = format!(
                "the device asks for our last block again: {}",
                fault.as_str()
            );
            rehearsal.steps.push(Step::Odd(what));
            return;
        }
        FrameEvent::Message {
            bytes,
            noise_before,
            notes: oddities,
        } => {
            if noise_before > 0 {
                notes.push(format!(
                    "{noise_before} bytes before the frame were skipped"
                ));
            }
            notes.extend(oddities.iter().map(|note| note_text(*note).to_owned()));
            let refused = (!is_readable(settings, &bytes)).then_some(Refused::NoHeader);
            answered = answer::header_of(&bytes).is_none_or(|header| header.code() != b"ACK");
            (bytes, refused.map(|one| one.reason().to_owned()), refused)
        }
        FrameEvent::Quarantined { bytes, reason, .. } => {
            let refused = (reason == Broken::Unframed).then_some(Refused::Unframed);
            answered = refused.is_some();
            (bytes, Some(reason.as_str().to_owned()), refused)
        }
        FrameEvent::BadBlock { bytes, fault, .. } => {
            rehearsal
                .steps
                .push(stored(bytes, Some(fault.as_str().to_owned()), notes));
            rehearsal.steps.push(Step::Written {
                what: format!("NAK ({})", fault.as_str()),
                refusal: true,
            });
            return;
        }
        FrameEvent::Oversize { head, .. } => (
            head,
            Some(Refused::TooLarge.reason().to_owned()),
            Some(Refused::TooLarge),
        ),
    };
    let fate = refused.map_or(Fate::Stored, Fate::Refused);
    let answers = if answered {
        answers(settings, &bytes, &fate)
    } else {
        Vec::new()
    };
    rehearsal.steps.push(stored(bytes, quarantine, notes));
    for content in answers {
        rehearsal.steps.push(Step::Written {
            what: said(&content),
            refusal: refused.is_some(),
        });
    }
}

fn stored(bytes: Bytes, quarantine: Option<String>, notes: Vec<String>) -> Step {
    Step::Stored {
        bytes,
        quarantine,
        notes,
    }
}

fn is_readable(settings: &Hl7v2Settings, bytes: &[u8]) -> bool {
    let decoded = || charset::decode(bytes, settings.charset()).text.into_owned();
    answer::header_of(bytes).is_some()
        || answer::is_batch(bytes)
        || Header::read(decoded().as_bytes()).is_ok()
}

fn answers(settings: &Hl7v2Settings, bytes: &[u8], fate: &Fate) -> Vec<Bytes> {
    if let Some(header) = answer::header_of(bytes) {
        return answer::write(Some(&header), fate, settings);
    }
    let decoded = charset::decode(bytes, settings.charset()).text.into_owned();
    answer::write(
        Header::read(decoded.as_bytes()).ok().as_ref(),
        fate,
        settings,
    )
}

/// What matters of an answer: its MSA, and ERR where there is one. Times and our own numbers differ each time.
fn said(content: &[u8]) -> String {
    let text = String::from_utf8_lossy(content);
    let lines: Vec<&str> = text
        .split('\r')
        .filter(|line| line.starts_with("MSA") || line.starts_with("ERR"))
        .collect();
    if lines.is_empty() {
        "a commit block".to_owned()
    } else {
        lines.join("  ")
    }
}
