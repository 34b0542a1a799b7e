//! The conversation with one device, as a machine: bytes and time in, answers and documents to store out. No I/O.
//!
//! A device says hello and how it is; then we drive: its results, its events, its clock, the lists that it is given, and either
//! continuous mode or the end. Whatever it sends, and whenever, is stored and answered; nothing is answered AA before it is on disk. Documents are
//! taken one at a time, so that answers keep their order.
//!
//! Acknowledgements and keep-alives are words of the line and carry nothing: they alone are not stored.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::document::{DEEPEST, Document, Unreadable};
use crate::settings::Poct1aSettings;
use crate::split::{Cut, Fault, Piece, Splitter};

mod answers;
mod device;
mod entries;
mod given;
mod lists;
mod output;
mod plan;
mod say;

pub use device::{DEVICE_NOTE, Device};
pub use given::Given;
pub use lists::{List, Wanted};
pub use output::{Ending, Note, Output, Unit};
pub use plan::Step;
pub use say::{Ack, Message, Say};

/// Documents that wait for their turn before reading stops.
const MOST_WAITING: usize = 64;
/// Units that were not stored and that nobody repeats for us; more are given up, and said.
const MOST_OWED: usize = 64;
/// Pause before such a unit is offered to the store again.
const OWED_PAUSE: Duration = Duration::from_secs(2);
/// A device may acknowledge our END.R01; one that hangs up instead is as good.
const ENDING: Duration = Duration::from_secs(1);

/// Where the conversation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Connected; the device says hello first.
    Hello,
    /// Its hello was acknowledged; its status comes next.
    Status,
    /// It was asked for a topic and sends it; EOT.R01 ends it.
    Topic(Step),
    /// It was told something and acknowledges it.
    Told {
        step: Step,
        control_id: u32,
    },
    /// A list for it is looked up.
    Asking(List),
    /// Continuous: it speaks when it has something.
    Continuous,
    /// We ended the conversation.
    Ending,
    Closed,
}

/// What waits for the store.
#[derive(Debug)]
enum Storing {
    /// A readable document.
    Document(Document),
    /// A document that can't be read; its control id, if that could be.
    Unreadable(Option<String>),
    TooLong,
    /// Nobody waits for it: what is broken, junk.
    Kept(Unit),
}

/// The machine.
#[derive(Debug)]
pub struct Conversation {
    settings: Poct1aSettings,
    splitter: Splitter,
    pieces: Vec<Piece>,
    waiting: VecDeque<Piece>,
    storing: Option<(u64, Storing)>,
    owed: VecDeque<Unit>,
    owed_at: Instant,
    outputs: VecDeque<Output>,
    phase: Phase,
    plan: VecDeque<Step>,
    device: Device,
    lists: lists::Lists,
    /// Our control ids.
    said: u32,
    tickets: u64,
    /// The last byte came.
    heard: Instant,
    /// The wait that is under way began.
    since: Instant,
    wrapped: bool,
    junk_kept: bool,
    /// The hub stops, since then.
    stopping: Option<Instant>,
}

impl Conversation {
    /// A connection that was just made.
    #[must_use]
    pub fn new(settings: &Poct1aSettings, now: Instant) -> Self {
        Self {
            splitter: Splitter::new(settings.link.limit, DEEPEST),
            settings: settings.clone(),
            pieces: Vec::new(),
            waiting: VecDeque::new(),
            storing: None,
            owed: VecDeque::new(),
            owed_at: now,
            outputs: VecDeque::new(),
            phase: Phase::Hello,
            plan: VecDeque::new(),
            device: Device::default(),
            lists: lists::Lists::new(now),
            said: 0,
            tickets: 0,
            heard: now,
            since: now,
            wrapped: false,
            junk_kept: false,
            stopping: None,
        }
    }

    /// With what the channel remembers of the lists that its devices have; without it each conversation begins anew.
    #[must_use]
    pub fn with_given(mut self, given: Arc<Given>) -> Self {
        self.lists.given = given;
        self
    }

    /// The device's name, by its hello.
    #[must_use]
    pub fn device(&self) -> Option<&str> {
        self.device.name.as_deref()
    }

    /// Takes bytes.
    pub fn push(&mut self, now: Instant, bytes: &[u8]) {
        self.heard = now;
        let mut pieces = std::mem::take(&mut self.pieces);
        self.splitter.push(bytes, &mut pieces);
        self.waiting.extend(pieces.drain(..));
        self.pieces = pieces;
        self.proceed(now);
    }

    /// What became of a [`Unit`].
    pub fn settle(&mut self, now: Instant, ticket: u64, stored: bool) {
        match self.storing.take() {
            Some((current, storing)) if current == ticket => {
                self.since = now;
                self.settled(now, storing, stored);
            }
            other => self.storing = other,
        }
        self.proceed(now);
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Instant) {
        if self.incomplete().is_some_and(|due| now >= due) {
            self.cut(now);
        }
        self.proceed(now);
        if self.storing.is_some() {
            return;
        }
        if self.look_due().is_some_and(|due| now >= due) {
            return self.look_again(now);
        }
        if self.patience().is_none_or(|due| now < due) {
            return;
        }
        match self.phase {
            Phase::Hello => self.close(Ending::NoHello),
            // not every device acknowledges the end of a topic
            Phase::Told {
                step: Step::EndOfList(list),
                ..
            } => self.list_given(now, list),
            Phase::Continuous => self.tell(now, Step::KeepAlive),
            Phase::Ending => self.close(Ending::Ended),
            Phase::Status | Phase::Topic(_) | Phase::Told { .. } => self.close(Ending::Silent),
            Phase::Asking(_) | Phase::Closed => {}
        }
    }

    /// The connection is gone: what has come of a document is kept, what came whole is stored.
    pub fn lost(&mut self, now: Instant) {
        self.phase = Phase::Closed;
        self.cut(now);
        self.proceed(now);
    }

    /// The hub stops: what was received is stored and answered, then the conversation is ended.
    pub fn stop(&mut self, now: Instant) {
        self.stopping = Some(now);
        self.proceed(now);
    }

    /// When [`Conversation::tick`] is due.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let document = self.incomplete();
        let owed = (self.storing.is_none() && !self.owed.is_empty()).then_some(self.owed_at);
        let patience = self.storing.is_none().then(|| self.patience()).flatten();
        let look = self.storing.is_none().then(|| self.look_due()).flatten();
        [document, owed, patience, look].into_iter().flatten().min()
    }

    /// Whether reading may go on: what waits for the store has a bound.
    #[must_use]
    pub fn wants_bytes(&self) -> bool {
        self.waiting.len() < MOST_WAITING
    }

    /// Nothing waits for the store.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.storing.is_none() && self.waiting.is_empty() && self.owed.is_empty()
    }

    /// What the machine wants next.
    pub fn next_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When a document that has begun is given up.
    fn incomplete(&self) -> Option<Instant> {
        let due = self.heard + self.settings.link.document_timeout();
        let due = self.stopping.map_or(due, |at| due.min(at + ENDING));
        self.splitter.is_inside().then_some(due)
    }

    /// The end of the wait that is under way.
    fn patience(&self) -> Option<Instant> {
        let settings = &self.settings.conversation;
        match self.phase {
            Phase::Hello => Some(self.since + settings.hello_timeout()),
            Phase::Told {
                step: Step::EndOfList(_),
                ..
            } => Some(self.since + self.settings.lists.end_of_topic_wait()),
            Phase::Status | Phase::Topic(_) | Phase::Told { .. } => {
                Some(self.since.max(self.heard) + settings.reply_timeout())
            }
            Phase::Continuous => settings
                .keep_alive()
                .map(|silence| self.since.max(self.heard) + silence),
            Phase::Ending => Some(self.since + ENDING),
            Phase::Asking(_) | Phase::Closed => None,
        }
    }

    /// What is incomplete is complete no more.
    fn cut(&mut self, now: Instant) {
        let mut pieces = std::mem::take(&mut self.pieces);
        self.splitter.end(&mut pieces);
        self.waiting.extend(pieces.drain(..));
        self.pieces = pieces;
        self.heard = now;
    }

    /// Takes what waits, one at a time.
    fn proceed(&mut self, now: Instant) {
        while self.storing.is_none() {
            let Some(piece) = self.waiting.pop_front() else {
                break;
            };
            self.take(now, piece);
        }
        if self.storing.is_some() {
            return;
        }
        if now >= self.owed_at
            && let Some(mut unit) = self.owed.pop_front()
        {
            unit.ticket = self.ticket();
            self.storing = Some((unit.ticket, Storing::Kept(unit.clone())));
            self.outputs.push_back(Output::Store(unit));
            return;
        }
        if self.stopping.is_some() && !self.splitter.is_inside() {
            match self.phase {
                Phase::Hello => self.close(Ending::Ended),
                Phase::Ending | Phase::Closed => {}
                _ => self.tell(now, Step::End),
            }
        }
    }

    fn take(&mut self, now: Instant, piece: Piece) {
        match piece {
            Piece::Document(cut) => self.document(now, cut),
            Piece::Broken(bytes) => self.keep(bytes, "poct1a_incomplete"),
            Piece::TooLong(bytes) => {
                self.store(bytes, Some("poct1a_too_long"), Storing::TooLong, true);
            }
            Piece::Junk(_) if self.junk_kept => self.note(Note::Noise),
            Piece::Junk(bytes) => {
                self.junk_kept = true;
                self.keep(bytes, "poct1a_noise");
            }
        }
    }

    fn document(&mut self, now: Instant, cut: Cut) {
        self.since = now;
        self.wrapped = cut.wrapped;
        let read = Document::read(&cut.bytes, self.settings.dialect.encoding());
        let document = match (cut.fault, read) {
            (None, Ok(document)) => document,
            (fault, read) => {
                let reason = match (fault, &read) {
                    (Some(Fault::Dtd), _) | (_, Err(Unreadable::Dtd)) => "poct1a_dtd",
                    (Some(Fault::TooDeep), _)
                    | (_, Err(Unreadable::TooDeep | Unreadable::TooMany)) => "poct1a_too_deep",
                    _ => "poct1a_malformed",
                };
                let id = read.ok().and_then(|document| document.control_id());
                return self.store(cut.bytes, Some(reason), Storing::Unreadable(id), true);
            }
        };
        match document.kind() {
            "ACK.R01" => self.acknowledged(now, &document),
            "KPA.R01" => self.ack(document.control_id(), Ack::Accept),
            kind => {
                if kind == "HEL.R01" {
                    self.device = Device::of_hello(&document.root, &self.settings.lists);
                }
                self.store(cut.bytes, None, Storing::Document(document), true);
            }
        }
    }

    fn ticket(&mut self) -> u64 {
        self.tickets += 1;
        self.tickets
    }

    /// Nobody waits for it.
    fn keep(&mut self, bytes: Bytes, reason: &'static str) {
        let unit = Unit {
            ticket: self.ticket(),
            bytes,
            quarantine: Some(reason),
            notes: self.device.notes(),
            awaited: false,
        };
        self.storing = Some((unit.ticket, Storing::Kept(unit.clone())));
        self.outputs.push_back(Output::Store(unit));
    }

    fn store(
        &mut self,
        bytes: Bytes,
        quarantine: Option<&'static str>,
        storing: Storing,
        awaited: bool,
    ) {
        let ticket = self.ticket();
        self.storing = Some((ticket, storing));
        self.outputs.push_back(Output::Store(Unit {
            ticket,
            bytes,
            quarantine,
            notes: self.device.notes(),
            awaited,
        }));
    }
}
