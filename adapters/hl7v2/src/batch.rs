//! Splits what arrived in one piece into messages: FHS/BHS/BTS/FTS batches and bare concatenations
//! (HL7 v2.5.1 §2.10.3).
//!
//! Works on bytes, because every message of a batch may have delimiters and a character set of its own. Only line
//! starts are looked at: in no character set that MLLP or a file can carry is a byte of a character a line end (text
//! in UTF-16 has to be decoded first). Every byte between two headers belongs to the message before; a bad message
//! is cut out like a good one and does not disturb the others.

use std::ops::Range;

use crate::{Header, header};

/// The messages of a batch, and what is odd about it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Batch {
    /// Where each message is, in order; from its `MSH` to the next header or trailer.
    pub messages: Vec<Range<usize>>,
    /// Number of BHS segments (or of BTS, should the headers be missing).
    pub batches: usize,
    /// True when an FHS, BHS, BTS or FTS is there: a batch by the standard rather than a concatenation.
    pub enveloped: bool,
    /// What is odd.
    pub notes: Vec<BatchNote>,
}

/// Something wrong with a batch. Its messages can be used all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchNote {
    /// BTS-1 says another number of messages than there are.
    MessageCount {
        /// Number of the batch, from 1.
        batch: usize,
        /// What BTS-1 says.
        declared: usize,
        /// How many there are.
        found: usize,
    },
    /// FTS-1 says another number of batches than there are.
    BatchCount {
        /// What FTS-1 says.
        declared: usize,
        /// How many there are.
        found: usize,
    },
    /// A BHS without BTS: the rest may be missing.
    NoBatchTrailer {
        /// Number of the batch, from 1.
        batch: usize,
    },
    /// An FHS without FTS: the rest may be missing.
    NoFileTrailer,
    /// A trailer without its header.
    NoHeader {
        /// Position of the trailer.
        at: usize,
    },
    /// Bytes outside any segment we know: before the first header, or after a trailer.
    Stray {
        /// Where.
        at: usize,
        /// How many.
        length: usize,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    FileHeader,
    BatchHeader,
    Message,
    BatchTrailer,
    FileTrailer,
}

/// True when `bytes` hold anything but exactly one message from start to end: the quick question of the edge.
#[must_use]
pub fn is_batch(bytes: &[u8]) -> bool {
    let mut marks = Marks::new(bytes);
    match marks.next() {
        None => false,
        Some((at, kind)) => {
            kind != Kind::Message || at != header::content_start(bytes) || marks.next().is_some()
        }
    }
}

/// Finds the messages. Total: anything without a header segment is an empty batch with a note.
#[must_use]
pub fn split(bytes: &[u8]) -> Batch {
    let mut splitter = Splitter {
        bytes,
        batch: Batch::default(),
        open_file: None,
        open_batch: None,
        message: None,
        stray: header::content_start(bytes),
    };
    for (at, kind) in Marks::new(bytes) {
        splitter.mark(at, kind);
    }
    splitter.finish()
}

struct Splitter<'b> {
    bytes: &'b [u8],
    batch: Batch,
    /// Batches before the open file.
    open_file: Option<usize>,
    /// Messages before the open batch.
    open_batch: Option<usize>,
    /// Start of the open message.
    message: Option<usize>,
    /// Where bytes begin that belong to nothing yet.
    stray: usize,
}

impl Splitter<'_> {
    fn mark(&mut self, at: usize, kind: Kind) {
        self.end_message(at);
        match kind {
            Kind::Message => self.message = Some(at),
            Kind::FileHeader => {
                self.end_batch();
                self.end_file();
                self.open_file = Some(self.batch.batches);
            }
            Kind::BatchHeader => {
                self.end_batch();
                self.batch.batches += 1;
                self.open_batch = Some(self.batch.messages.len());
            }
            Kind::BatchTrailer => self.batch_trailer(at),
            Kind::FileTrailer => self.file_trailer(at),
        }
        if kind != Kind::Message {
            self.batch.enveloped = true;
            self.stray = self.line_end(at);
        }
    }

    fn end_message(&mut self, at: usize) {
        if let Some(start) = self.message.take() {
            self.batch.messages.push(start..at);
            return;
        }
        // Empty lines between segments are nobody's loss.
        let between = self.bytes.get(self.stray..at).unwrap_or_default();
        let length = between.trim_ascii().len();
        if length > 0 && between.iter().any(|b| *b > b' ') {
            self.batch.notes.push(BatchNote::Stray {
                at: self.stray,
                length,
            });
        }
    }

    fn batch_trailer(&mut self, at: usize) {
        let first = self.open_batch.take().unwrap_or_else(|| {
            self.batch.notes.push(BatchNote::NoHeader { at });
            self.batch.batches += 1;
            0
        });
        let found = self.batch.messages.len() - first;
        if let Some(declared) = self.count(at)
            && declared != found
        {
            self.batch.notes.push(BatchNote::MessageCount {
                batch: self.batch.batches,
                declared,
                found,
            });
        }
    }

    fn file_trailer(&mut self, at: usize) {
        self.end_batch();
        let first = self.open_file.take().unwrap_or_else(|| {
            self.batch.notes.push(BatchNote::NoHeader { at });
            0
        });
        let found = self.batch.batches - first;
        if let Some(declared) = self.count(at)
            && declared != found
        {
            self.batch
                .notes
                .push(BatchNote::BatchCount { declared, found });
        }
    }

    fn end_batch(&mut self) {
        if self.open_batch.take().is_some() {
            self.batch.notes.push(BatchNote::NoBatchTrailer {
                batch: self.batch.batches,
            });
        }
    }

    fn end_file(&mut self) {
        if self.open_file.take().is_some() {
            self.batch.notes.push(BatchNote::NoFileTrailer);
        }
    }

    fn finish(mut self) -> Batch {
        self.end_message(self.bytes.len());
        self.end_batch();
        self.end_file();
        self.batch
    }

    /// The number in field 1 of a trailer, whatever separates its fields.
    fn count(&self, at: usize) -> Option<usize> {
        let line = self.bytes.get(at + 4..self.line_end(at))?;
        let digits = line.iter().take_while(|b| b.is_ascii_digit()).count();
        std::str::from_utf8(line.get(..digits)?).ok()?.parse().ok()
    }

    fn line_end(&self, at: usize) -> usize {
        let rest = self.bytes.get(at..).unwrap_or_default();
        at + memchr::memchr2(b'\r', b'\n', rest).unwrap_or(rest.len())
    }
}

/// The header and trailer segments, by their ids at line starts.
struct Marks<'b> {
    bytes: &'b [u8],
    /// The next line start to look at.
    next: Option<usize>,
}

impl<'b> Marks<'b> {
    fn new(bytes: &'b [u8]) -> Self {
        Self {
            bytes,
            next: Some(header::content_start(bytes)),
        }
    }
}

impl Iterator for Marks<'_> {
    type Item = (usize, Kind);

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(at) = self.next {
            let line = self.bytes.get(at..).unwrap_or_default();
            self.next = memchr::memchr2(b'\r', b'\n', line).map(|end| at + end + 1);
            // After a byte order mark in the middle, as concatenated files have it, a message starts too.
            let mark = line.starts_with(b"\xEF\xBB\xBF");
            let line = line.get(if mark { 3 } else { 0 }..).unwrap_or_default();
            let kind = match line.get(..3) {
                Some(b"MSH") => Kind::Message,
                Some(b"FHS") => Kind::FileHeader,
                Some(b"BHS") => Kind::BatchHeader,
                Some(b"BTS") => Kind::BatchTrailer,
                Some(b"FTS") => Kind::FileTrailer,
                _ => continue,
            };
            let trailer = matches!(kind, Kind::BatchTrailer | Kind::FileTrailer);
            let separated = match line.get(3) {
                Some(&b) => crate::separators::usable(b) || (trailer && matches!(b, b'\r' | b'\n')),
                None => trailer,
            };
            if separated {
                return Some((at, kind));
            }
        }
        None
    }
}

/// The headers of the batch and file, if there are any: FHS and BHS have the form of MSH.
#[must_use]
pub fn envelope(bytes: &[u8]) -> Option<Header<'_>> {
    let (at, kind) = Marks::new(bytes).next()?;
    if !matches!(kind, Kind::FileHeader | Kind::BatchHeader) {
        return None;
    }
    Header::read_segment(bytes.get(at..)?, at).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "MSH|^~\\&|A||||2026||ADT^A01|1|P|2.5\rPID|1\r";
    const B: &str = "MSH$%!?#$B$$$$2026$$ADT%A01$2$P$2.5\rPID$1\r";

    fn texts<'b>(batch: &Batch, bytes: &'b str) -> Vec<&'b str> {
        batch.messages.iter().map(|m| &bytes[m.clone()]).collect()
    }

    #[test]
    fn a_single_message_is_no_batch() {
        assert!(!is_batch(A.as_bytes()));
        assert!(!is_batch(b""));
        let batch = split(A.as_bytes());
        assert_eq!((texts(&batch, A), batch.notes.len()), (vec![A], 0));
    }

    #[test]
    fn messages_keep_their_own_separators() {
        let all = format!("FHS|^~\\&|X\rBHS|^~\\&|X\r{A}{B}BTS|2\rFTS|1\r");
        let batch = split(all.as_bytes());
        assert_eq!(texts(&batch, &all), [A, B]);
        assert_eq!(
            (batch.batches, batch.enveloped, batch.notes.as_slice()),
            (1, true, &[][..])
        );
        assert!(is_batch(all.as_bytes()));
        assert_eq!(
            envelope(all.as_bytes()).map(|h| h.field(3)),
            Some(&b"X"[..])
        );
    }

    #[test]
    fn counts_and_trailers_are_checked() {
        let all = format!("BHS|^~\\&|X\n{A}{A}BTS|5\nBHS|^~\\&|Y\n{B}FTS|3");
        let batch = split(all.as_bytes());
        assert_eq!(batch.messages.len(), 3);
        assert_eq!(
            batch.notes,
            [
                BatchNote::MessageCount {
                    batch: 1,
                    declared: 5,
                    found: 2
                },
                BatchNote::NoBatchTrailer { batch: 2 },
                BatchNote::NoHeader { at: all.len() - 5 },
                BatchNote::BatchCount {
                    declared: 3,
                    found: 2
                },
            ]
        );
    }

    #[test]
    fn a_bad_message_is_cut_out_and_the_rest_goes_on() {
        let all = format!("{A}MSH|^~\r{B}");
        assert_eq!(texts(&split(all.as_bytes()), &all), [A, "MSH|^~\r", B]);
        let junk = "hello\rworld";
        assert_eq!(
            split(junk.as_bytes()).notes,
            [BatchNote::Stray { at: 0, length: 11 }]
        );
    }
}
