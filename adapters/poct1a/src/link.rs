//! The conversation with one device, as a machine: bytes and time in, answers and documents to store out. No I/O.
//!
//! A device says hello and how it is; then we drive: its results, its events, its clock, and either continuous mode or the
//! end. Whatever it sends, and whenever, is stored and answered; nothing is answered AA before it is on disk. Documents are
//! taken one at a time, so that answers keep their order.
//!
//! Acknowledgements and keep-alives are words of the line and carry nothing: they alone are not stored.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::document::{DEEPEST, Document, Unreadable};
use crate::settings::{Framing, Poct1aSettings, Unknown};
use crate::split::{Cut, Fault, Piece, Splitter};

mod device;
mod plan;
mod say;

pub use device::{DEVICE_NOTE, Device};
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

/// What the machine wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    Say {
        say: Say,
        /// In a block of MLLP.
        wrapped: bool,
    },
    /// Keep this, and tell [`Conversation::settle`].
    Store(Unit),
    Note(Note),
    /// The connection is over.
    Close(Ending),
}

/// Something to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    pub ticket: u64,
    pub bytes: Bytes,
    /// Why it is no document.
    pub quarantine: Option<&'static str>,
    pub notes: Vec<String>,
    /// The device waits for an answer.
    pub awaited: bool,
}

/// What is odd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Note {
    /// Bytes that are no document, after the first that were kept.
    Noise,
    /// A message before any hello.
    NoHello,
    /// A hello in the middle: the device has started again.
    Restarted,
    /// An answer to nothing that was said.
    LateAnswer,
    /// The device did not do what it was told.
    Refused(Step),
    /// A message of no known type.
    Unknown,
    /// A document could not be stored; the device is asked to send it again.
    NotStored,
    /// Something broken could not be kept.
    Gone,
}

/// Why a conversation is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Either side ended it.
    Ended,
    /// A device connected and did not say who it is.
    NoHello,
    /// A device that owes an answer is silent.
    Silent,
    /// A document was larger than it may be.
    TooLong,
}

impl Note {
    /// A word for metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Noise => "noise",
            Self::NoHello => "no_hello",
            Self::Restarted => "restarted",
            Self::LateAnswer => "late_answer",
            Self::Refused(_) => "refused",
            Self::Unknown => "unknown",
            Self::NotStored => "not_stored",
            Self::Gone => "gone",
        }
    }
}

impl Ending {
    /// A word for metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ended => "ended",
            Self::NoHello => "no_hello",
            Self::Silent => "silent",
            Self::TooLong => "too_long",
        }
    }
}

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
            said: 0,
            tickets: 0,
            heard: now,
            since: now,
            wrapped: false,
            junk_kept: false,
            stopping: None,
        }
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
        if self.patience().is_none_or(|due| now < due) {
            return;
        }
        match self.phase {
            Phase::Hello => self.close(Ending::NoHello),
            Phase::Continuous => self.tell(now, Step::KeepAlive),
            Phase::Ending => self.close(Ending::Ended),
            Phase::Status | Phase::Topic(_) | Phase::Told { .. } => self.close(Ending::Silent),
            Phase::Closed => {}
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
        [document, owed, patience].into_iter().flatten().min()
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
            Phase::Status | Phase::Topic(_) | Phase::Told { .. } => {
                Some(self.since.max(self.heard) + settings.reply_timeout())
            }
            Phase::Continuous => settings
                .keep_alive()
                .map(|silence| self.since.max(self.heard) + silence),
            Phase::Ending => Some(self.since + ENDING),
            Phase::Closed => None,
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
                    self.device = Device::of_hello(&document.root);
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

    fn settled(&mut self, now: Instant, storing: Storing, stored: bool) {
        if !stored && !matches!(storing, Storing::Kept(_)) {
            self.note(Note::NotStored);
        }
        match storing {
            Storing::Kept(_) if stored => {}
            Storing::Kept(unit) => {
                if self.owed.len() >= MOST_OWED {
                    self.note(Note::Gone);
                } else {
                    self.owed.push_back(unit);
                }
                self.owed_at = now + OWED_PAUSE;
            }
            // it may keep its data and show an alarm; repeating the same does not help
            Storing::Unreadable(id) => self.escape(id, "this document can't be read"),
            Storing::TooLong => {
                self.escape(None, "this document is too long");
                self.close(Ending::TooLong);
            }
            Storing::Document(document) => self.answer(now, &document, stored),
        }
    }

    /// A document is on disk, or could not be brought there.
    fn answer(&mut self, now: Instant, document: &Document, stored: bool) {
        let id = document.control_id();
        let ack = if stored { Ack::Accept } else { Ack::Error };
        if self.phase == Phase::Hello && document.kind() != "HEL.R01" {
            self.note(Note::NoHello);
        }
        match document.kind() {
            "HEL.R01" => {
                self.ack(id, ack);
                if stored {
                    if !matches!(self.phase, Phase::Hello | Phase::Closed) {
                        self.note(Note::Restarted);
                    }
                    self.plan.clear();
                    self.turn_to(now, Phase::Status);
                }
            }
            "DST.R01" => {
                self.ack(id, ack);
                if stored && matches!(self.phase, Phase::Hello | Phase::Status) {
                    self.plan = plan::after_status(
                        &self.settings.conversation,
                        &self.device,
                        &document.root,
                    );
                    self.next_step(now);
                }
            }
            "OBS.R01" | "OBS.R02" | "EVS.R01" => {
                self.ack(id, ack);
                // it does not wait to be asked
                if stored && matches!(self.phase, Phase::Hello | Phase::Status) {
                    self.turn_to(now, Phase::Continuous);
                }
            }
            "EOT.R01" => {
                if self.settings.conversation.acknowledge_eot {
                    self.ack(id, ack);
                }
                // it says nothing that could be lost: the next request is its answer
                if matches!(self.phase, Phase::Topic(_)) {
                    self.next_step(now);
                }
            }
            "END.R01" => {
                self.ack(id, ack);
                self.close(Ending::Ended);
            }
            "ESC.R01" => {
                if self.settings.conversation.acknowledge_escape {
                    self.ack(id, ack);
                }
                self.escaped(now);
            }
            // what devices ask of us (patients, operators) is not known here: never "there is none"
            "REQ.R01" => self.escape(id, "requests are not answered here"),
            _ => {
                self.note(Note::Unknown);
                match self.settings.conversation.unknown {
                    _ if !stored => self.ack(id, Ack::Error),
                    Unknown::Accept => self.ack(id, Ack::Accept),
                    Unknown::Error => self.ack(id, Ack::Error),
                    Unknown::Escape => self.escape(id, "this message is not known here"),
                }
            }
        }
    }

    /// ACK.R01: of what we told it, or of nothing.
    fn acknowledged(&mut self, now: Instant, document: &Document) {
        let body = document.root.child("ACK");
        // a vendor's spellings: ACK.type_id; ACK.control_id
        let said = |names: [&str; 2]| {
            let body = body?;
            names.into_iter().find_map(|name| body.said(name))
        };
        let of = said(["ACK.ack_control_id", "ACK.control_id"]);
        let accepted = said(["ACK.type_cd", "ACK.type_id"])
            .is_none_or(|kind| kind.trim().eq_ignore_ascii_case("AA"));
        match self.phase {
            Phase::Told { step, control_id } if names(of.as_deref(), control_id) => {
                if accepted {
                    self.done(now, step);
                } else {
                    self.refused(now, step);
                }
            }
            Phase::Ending => self.close(Ending::Ended),
            _ => self.note(Note::LateAnswer),
        }
    }

    /// ESC.R01: the device breaks off whatever was going on.
    fn escaped(&mut self, now: Instant) {
        match self.phase {
            Phase::Told { step, .. } | Phase::Topic(step) => self.refused(now, step),
            Phase::Ending => self.close(Ending::Ended),
            Phase::Hello | Phase::Status | Phase::Continuous | Phase::Closed => {}
        }
    }

    fn done(&mut self, now: Instant, step: Step) {
        match step {
            Step::Continuous | Step::KeepAlive => self.turn_to(now, Phase::Continuous),
            Step::Observations | Step::Events | Step::SetTime | Step::End => self.next_step(now),
        }
    }

    fn refused(&mut self, now: Instant, step: Step) {
        self.note(Note::Refused(step));
        match step {
            // whoever answers is alive
            Step::KeepAlive => self.turn_to(now, Phase::Continuous),
            Step::Continuous => self.tell(now, Step::End),
            Step::Observations | Step::Events | Step::SetTime | Step::End => self.next_step(now),
        }
    }

    fn next_step(&mut self, now: Instant) {
        let step = self.plan.pop_front().unwrap_or(Step::End);
        self.tell(now, step);
    }

    fn tell(&mut self, now: Instant, step: Step) {
        let control_id = self.say(step.message());
        self.turn_to(
            now,
            match step {
                Step::Observations | Step::Events => Phase::Topic(step),
                Step::SetTime | Step::Continuous | Step::KeepAlive => {
                    Phase::Told { step, control_id }
                }
                Step::End => Phase::Ending,
            },
        );
    }

    fn turn_to(&mut self, now: Instant, phase: Phase) {
        if self.phase != Phase::Closed {
            self.phase = phase;
        }
        self.since = now;
    }

    fn ack(&mut self, of: Option<String>, ack: Ack) {
        self.say(Message::Ack {
            of: of.unwrap_or_default(),
            ack,
        });
    }

    fn escape(&mut self, of: Option<String>, note: &'static str) {
        self.say(Message::Escape {
            of: of.unwrap_or_default(),
            note,
        });
    }

    fn say(&mut self, message: Message) -> u32 {
        self.said = self.said % 999_999 + 1;
        let wrapped = match self.settings.link.framing {
            Framing::Auto => self.wrapped,
            Framing::Plain => false,
            Framing::Mllp => true,
        };
        let say = Say {
            control_id: self.said,
            message,
        };
        self.outputs.push_back(Output::Say { say, wrapped });
        self.said
    }

    fn note(&mut self, note: Note) {
        self.outputs.push_back(Output::Note(note));
    }

    fn close(&mut self, ending: Ending) {
        if self.phase != Phase::Closed {
            self.phase = Phase::Closed;
            self.outputs.push_back(Output::Close(ending));
        }
    }
}

/// Whether an acknowledgement means what we said: by its number, with or without leading zeros; one without a number means
/// the last.
fn names(of: Option<&str>, control_id: u32) -> bool {
    of.is_none_or(|of| of.parse() == Ok(control_id))
}
