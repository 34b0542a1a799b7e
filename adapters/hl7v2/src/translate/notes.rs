//! What was odd about a message, in words. Positions and names only, never content.

use crate::batch::BatchNote;
use crate::charset::CharsetNote;
use crate::message::{Oddity, ParseNote};

pub(super) fn charset(note: &CharsetNote) -> String {
    match note {
        CharsetNote::UnknownName(_) => "charset: the set named in MSH-18 is unknown".to_owned(),
        CharsetNote::Guessed => {
            "charset: none declared and not UTF-8, read as windows-1252".to_owned()
        }
        CharsetNote::NotAsDeclared { declared, first } => {
            format!("charset: byte {first} is not {declared}, read as another set")
        }
        CharsetNote::WrongBytes { first, count } => {
            format!("charset: {count} wrong characters, the first at byte {first}")
        }
    }
}

pub(super) fn oddity(note: &ParseNote) -> String {
    let what = match note.oddity {
        Oddity::BeforeHeader => "something before MSH",
        Oddity::LineEnd => "segments end with LF or CR LF",
        Oddity::BlankLine => "empty lines",
        Oddity::Indented => "blanks before a segment id",
        Oddity::Continuation => "a line without segment id, read as part of the field before",
        Oddity::SegmentId => "a segment id that is not three capitals or digits",
        Oddity::NoFields => "a segment without fields",
        Oddity::EncodingCharacters => "MSH-2 is short, or names its escape character twice",
    };
    format!(
        "form: {what} (segment {}, {} times)",
        note.segment, note.count
    )
}

pub(super) fn batch(note: BatchNote) -> String {
    match note {
        BatchNote::MessageCount {
            batch,
            declared,
            found,
        } => {
            format!("batch {batch}: BTS-1 says {declared} messages, there are {found}")
        }
        BatchNote::BatchCount { declared, found } => {
            format!("batch: FTS-1 says {declared} batches, there are {found}")
        }
        BatchNote::NoBatchTrailer { batch } => {
            format!("batch {batch}: no BTS, the rest may be missing")
        }
        BatchNote::NoFileTrailer => "batch: no FTS, the rest may be missing".to_owned(),
        BatchNote::NoHeader { at } => format!("batch: a trailer without header at byte {at}"),
        BatchNote::Stray { at, length } => {
            format!("batch: {length} bytes outside any message at byte {at}")
        }
    }
}
