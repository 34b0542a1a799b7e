//! ASTM: each body takes any bytes and panics when a promise of the protocol layer is broken.
//!
//! Plain functions without fuzzing machinery, so that an ordinary test can run them too.

use std::time::{Duration, Instant};

use adapter_astm::link::{Line, Output, join};
use adapter_astm::records::{decode, split};
use adapter_astm::settings::{LinkSettings, Mode};

/// What is stored of a stream: bytes, and why they are no message.
type Stored = Vec<(Vec<u8>, Option<&'static str>)>;

/// The stream is read in pieces: the same is stored as when it is read at once, and the line recovers.
pub fn line(bytes: &[u8]) {
    let (mode, stream) = bytes.split_first().unwrap_or((&0, &[]));
    let settings = LinkSettings {
        mode: match mode & 3 {
            0 => Mode::E1381,
            1 => Mode::Bare,
            2 => Mode::Au,
            _ => Mode::Dimension,
        },
        limit: if mode & 4 == 4 { 64 } else { 1 << 20 },
        bcc: mode & 8 == 8,
        ..LinkSettings::default()
    };
    let now = Instant::now();
    let whole = stored(&settings, now, [stream]);
    assert_eq!(
        whole,
        stored(&settings, now, stream.chunks(1)),
        "byte by byte"
    );
    let step = usize::from(mode >> 4) + 1;
    assert_eq!(
        whole,
        stored(&settings, now, stream.chunks(step)),
        "in pieces of {step}"
    );
}

fn stored<'b>(
    settings: &LinkSettings,
    now: Instant,
    pieces: impl IntoIterator<Item = &'b [u8]>,
) -> Stored {
    let mut line = Line::new(settings, now);
    let mut stored = Vec::new();
    for piece in pieces {
        line.push(now, piece);
        settle(&mut line, now, &mut stored);
    }
    // whatever is in the air ends by itself, without a connection's end to help
    let mut later = now;
    for _ in 0..64 {
        let Some(due) = line.deadline() else {
            break;
        };
        later = later.max(due) + Duration::from_millis(1);
        line.tick(later);
        settle(&mut line, later, &mut stored);
    }
    line.lost(later);
    settle(&mut line, later, &mut stored);
    assert!(line.is_idle(), "nothing stays behind");
    stored
}

fn settle(line: &mut Line, now: Instant, stored: &mut Stored) {
    while let Some(output) = line.next_output() {
        if let Output::Store(unit) = output {
            stored.push((unit.bytes.to_vec(), unit.quarantine));
            line.settle(now, unit.ticket, true);
        }
    }
}

/// Any bytes are joined, decoded and split; every field can be read.
pub fn records(bytes: &[u8]) {
    let joined = join(bytes);
    let decoded = decode(&joined.text, None);
    for message in split(&decoded.text).messages {
        assert!(message.header().is_some(), "a message begins with H");
        for record in message.records() {
            for n in 0..record.len() + 2 {
                let value = record.field(n);
                // what is read is remembered of the first 128 fields; no instrument writes more
                assert!(n >= 128 || record.was_read(n));
                let parts: usize = value.repeats().map(|r| r.components().count()).sum();
                // a part may read longer than the whole when an escape reaches over its delimiter; never longer than what was sent,
                // U+FFFD for NUL and a blank between parts counted
                assert!(parts >= 1 && value.words().len() <= value.raw().len() * 3 + 3);
                assert!(record.line().contains(value.raw()), "a view, not a copy");
            }
        }
    }
}
