//! POCT1-A: each body takes any bytes and panics when a promise of the protocol layer is broken.
//!
//! Plain functions without fuzzing machinery, so that an ordinary test can run them too.

use std::time::{Duration, Instant};

use adapter_poct1a::document::{DEEPEST, Document, Element};
use adapter_poct1a::link::{Conversation, Output};
use adapter_poct1a::settings::{Give, Poct1aSettings};
use adapter_poct1a::split::{Piece, Splitter};
use schemas::rosters::{RosterAnswer, RosterPatient};
use time::OffsetDateTime;

/// The stream is cut in the same way however it is read, keeps what it holds within its bound, and loses nothing.
pub fn split(bytes: &[u8]) {
    let (mode, stream) = bytes.split_first().unwrap_or((&0, &[]));
    let limit = if mode & 1 == 1 { 64 } else { 1 << 20 };
    let whole = pieces(limit, [stream]);
    assert_eq!(whole, pieces(limit, stream.chunks(1)), "byte by byte");
    let step = usize::from(mode >> 3) + 2;
    assert_eq!(
        whole,
        pieces(limit, stream.chunks(step)),
        "in pieces of {step}"
    );
    let mut rest = stream;
    for piece in &whole {
        let bytes = match piece {
            Piece::Document(cut) => {
                assert!(cut.bytes.ends_with(b">"));
                &cut.bytes
            }
            Piece::Broken(bytes) | Piece::TooLong(bytes) | Piece::Junk(bytes) => bytes,
        };
        assert!(!bytes.is_empty() && bytes.len() <= limit.max(4096));
        let at = rest
            .windows(bytes.len())
            .position(|window| window == &bytes[..])
            .expect("a piece is a part of the stream, in order");
        rest = &rest[at + bytes.len()..];
    }
}

fn pieces<'b>(limit: usize, parts: impl IntoIterator<Item = &'b [u8]>) -> Vec<Piece> {
    let mut splitter = Splitter::new(limit, DEEPEST);
    let mut found = Vec::new();
    for part in parts {
        splitter.push(part, &mut found);
    }
    splitter.end(&mut found);
    assert!(!splitter.is_inside(), "nothing stays behind");
    found
}

/// Any bytes are read as a tree within its limits, or not; every value can be asked for.
pub fn document(bytes: &[u8]) {
    let Ok(document) = Document::read(bytes, None) else {
        return;
    };
    let _ = document.control_id();
    depth(&document.root, 1);
    document.root.pass_all();
    document
        .root
        .unread(&mut |name| panic!("{name} was read and is not"));
}

fn depth(element: &Element, level: usize) {
    assert!(level <= DEEPEST);
    for name in ["V", "U", "SN"] {
        if let Some(said) = element.mark(name) {
            assert!(!said.contains('\0') && said.trim() == said);
        }
    }
    let _ = element.value();
    for child in &element.children {
        depth(child, level + 1);
    }
}

/// Any bytes in any pieces: what comes whole is stored once whatever the pieces, and nothing is acknowledged AA before
/// it is stored.
pub fn conversation(bytes: &[u8]) {
    let (mode, stream) = bytes.split_first().unwrap_or((&0, &[]));
    let stores = mode & 1 == 0;
    let whole = stored([stream], stores);
    assert_eq!(whole, stored(stream.chunks(1), stores), "byte by byte");
    let step = usize::from(mode >> 1) + 2;
    assert_eq!(whole, stored(stream.chunks(step), stores), "in {step}s");
}

/// What is stored of a stream: bytes, and why they are no document.
fn stored<'b>(
    parts: impl IntoIterator<Item = &'b [u8]>,
    stores: bool,
) -> Vec<(Vec<u8>, Option<&'static str>)> {
    let mut settings = Poct1aSettings::listening(([127, 0, 0, 1], 1).into());
    settings.link.limit = 2048;
    settings.lists.operators = Give::Always;
    settings.lists.patients = Give::Always;
    settings.lists.ward = Some("ICU".to_owned());
    settings.lists.incremental = true;
    let now = Instant::now();
    let mut line = Conversation::new(&settings, now);
    let mut kept = Vec::new();
    for part in parts {
        assert!(line.wants_bytes(), "the store keeps up");
        line.push(now, part);
        settle(&mut line, now, stores, &mut kept);
    }
    line.lost(now);
    let mut later = now;
    for _ in 0..200 {
        settle(&mut line, later, true, &mut kept);
        let Some(due) = line.deadline() else {
            break;
        };
        later = later.max(due) + Duration::from_millis(1);
        line.tick(later);
    }
    assert!(line.is_idle(), "nothing stays behind");
    kept
}

fn settle(
    line: &mut Conversation,
    now: Instant,
    stores: bool,
    kept: &mut Vec<(Vec<u8>, Option<&'static str>)>,
) {
    let mut asked = Vec::new();
    let mut tickets = Vec::new();
    loop {
        while let Some(output) = line.next_output() {
            match output {
                Output::Store(unit) => asked.push(unit),
                Output::Ask { ticket, .. } => tickets.push(ticket),
                Output::Say { .. } => {
                    assert!(asked.is_empty(), "an answer waits for its document");
                }
                Output::Without { .. } | Output::Note(_) | Output::Close(_) => {}
            }
        }
        let Some(unit) = asked.pop() else {
            let Some(ticket) = tickets.pop() else {
                return;
            };
            let patients = vec![RosterPatient {
                number: "M<1>".to_owned(),
                ..RosterPatient::default()
            }];
            let answer = Ok(RosterAnswer::Patients { patients });
            line.roster(now, ticket, OffsetDateTime::UNIX_EPOCH, answer);
            continue;
        };
        let stored = stores || !unit.awaited;
        if stored {
            kept.push((unit.bytes.to_vec(), unit.quarantine));
        }
        line.settle(now, unit.ticket, stored);
    }
}
