//! A line on a bench: time is an argument, the store does what the test wants.

use std::time::{Duration, Instant};

use adapter_astm::link::{Fate, Line, Note, Outgoing, Output, Unit, encode};
use adapter_astm::settings::LinkSettings;

/// Nothing is written.
pub(crate) const SILENCE: [u8; 0] = [];
pub(crate) const ENQ: u8 = 5;
pub(crate) const ACK: u8 = 6;
pub(crate) const NAK: u8 = 21;
pub(crate) const EOT: u8 = 4;

/// What the store does with the next unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Store {
    Willing,
    Refusing,
    /// Answers when the test says so.
    Slow,
}

pub(crate) struct Bench {
    pub(crate) line: Line,
    pub(crate) now: Instant,
    pub(crate) store: Store,
    /// Stored units, in order.
    pub(crate) stored: Vec<Unit>,
    pub(crate) waiting: Vec<Unit>,
    pub(crate) notes: Vec<Note>,
    pub(crate) sent: Vec<(u64, Fate)>,
    written: Vec<u8>,
}

impl Bench {
    pub(crate) fn new(settings: &LinkSettings) -> Self {
        let now = Instant::now();
        Self {
            line: Line::new(settings, now),
            now,
            store: Store::Willing,
            stored: Vec::new(),
            waiting: Vec::new(),
            notes: Vec::new(),
            sent: Vec::new(),
            written: Vec::new(),
        }
    }

    pub(crate) fn plain() -> Self {
        Self::new(&LinkSettings::default())
    }

    fn settle(&mut self) {
        while let Some(output) = self.line.next_output() {
            match output {
                Output::Write(bytes) => self.written.extend_from_slice(&bytes),
                Output::Store(unit) => match self.store {
                    Store::Willing => {
                        let ticket = unit.ticket;
                        self.stored.push(unit);
                        self.line.settle(self.now, ticket, true);
                    }
                    Store::Refusing => self.line.settle(self.now, unit.ticket, false),
                    Store::Slow => self.waiting.push(unit),
                },
                Output::Sent { id, fate } => self.sent.push((id, fate)),
                Output::Note(note) => self.notes.push(note),
            }
        }
    }

    fn written(&mut self) -> Vec<u8> {
        self.settle();
        std::mem::take(&mut self.written)
    }

    /// Bytes arrive; what is written at once.
    pub(crate) fn say(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.line.push(self.now, bytes);
        self.written()
    }

    /// Time passes; what is written meanwhile.
    pub(crate) fn wait(&mut self, ms: u64) -> Vec<u8> {
        let until = self.now + Duration::from_millis(ms);
        let mut written = self.written();
        while let Some(due) = self.line.deadline().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            self.line.tick(self.now);
            written.extend(self.written());
        }
        self.now = until;
        self.line.tick(self.now);
        written.extend(self.written());
        written
    }

    /// The slow store answers for its oldest unit.
    pub(crate) fn answer(&mut self, good: bool) -> Vec<u8> {
        let unit = self.waiting.remove(0);
        let ticket = unit.ticket;
        if good {
            self.stored.push(unit);
        }
        self.line.settle(self.now, ticket, good);
        self.written()
    }

    pub(crate) fn lost(&mut self) {
        self.line.lost(self.now);
        self.settle();
    }

    pub(crate) fn send(&mut self, id: u64, records: &[&str]) -> Vec<u8> {
        let records = records.iter().map(|r| r.as_bytes().to_vec()).collect();
        self.line.send(self.now, Outgoing::new(id, records));
        self.written()
    }

    /// Sends an answer to a query.
    pub(crate) fn answer_with(&mut self, id: u64, records: &[&str]) -> Vec<u8> {
        let records = records.iter().map(|r| r.as_bytes().to_vec()).collect();
        self.line
            .send(self.now, Outgoing::new(id, records).in_answer());
        self.written()
    }

    /// Reasons of what was stored: `message`, or why it is none.
    pub(crate) fn kinds(&self) -> Vec<&'static str> {
        self.stored
            .iter()
            .map(|u| u.quarantine.unwrap_or("message"))
            .collect()
    }

    /// Text of the stored messages.
    pub(crate) fn texts(&self) -> Vec<String> {
        self.stored
            .iter()
            .map(|u| String::from_utf8(adapter_astm::link::join(&u.bytes).text).unwrap())
            .collect()
    }
}

/// A frame with ETX; the record gets its CR.
pub(crate) fn frame(number: u8, record: &str) -> Vec<u8> {
    encode(number, format!("{record}\r").as_bytes(), true)
}

pub(crate) const RECORDS: [&str; 5] = [
    "H|\\^&|||XN",
    "P|1",
    "O|1|S1||^^^WBC",
    "R|1|^^^WBC|7.4|10*3/uL||N||F||||20240731120334",
    "L|1|N",
];

/// The frames of [`RECORDS`].
pub(crate) fn message() -> Vec<Vec<u8>> {
    RECORDS
        .iter()
        .zip(1..)
        .map(|(record, number)| frame(number, record))
        .collect()
}

/// A whole session of [`RECORDS`], acknowledged frame by frame.
pub(crate) fn play(bench: &mut Bench) {
    assert_eq!(bench.say(&[ENQ]), [ACK]);
    for frame in message() {
        assert_eq!(bench.say(&frame), [ACK]);
    }
    assert_eq!(bench.say(&[EOT]), SILENCE);
}
