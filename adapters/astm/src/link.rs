//! One line to an instrument as a machine without I/O: bytes, time and "it is stored" go in; bytes to write, messages to
//! store and news about what was sent come out.
//!
//! [`Line`] is receiver and sender of one line together, because the two share it (LIS01-A2 §6, half duplex, stop and
//! wait). The acknowledgement of the frame that completes a message is written only after [`Line::settle`] said that the
//! message is on disk; a refusal becomes NAK, and the instrument sends the frame again.
//!
//! **What is stored** is the message's frames as they were on the wire, each from STX to its checksum, once each; the
//! CR LF between frames, ENQ, EOT and repeated frames are the line's business and are not part of it. [`join`] makes the
//! text of it again. So the same message has the same bytes however often the line failed and whatever the chunks were.

use std::time::Instant;

use bytes::Bytes;

use crate::settings::{LinkSettings, Mode};

mod assembly;
mod bare;
mod blocks;
mod dialogue;
mod frame;
mod quiet;
mod receive;
mod session;
mod transmit;

pub use frame::{Joined, checksum, encode, frames_of, join};

pub(crate) const SOH: u8 = 0x01;
pub(crate) const STX: u8 = 0x02;
pub(crate) const ETX: u8 = 0x03;
pub(crate) const EOT: u8 = 0x04;
pub(crate) const ENQ: u8 = 0x05;
pub(crate) const ACK: u8 = 0x06;
pub(crate) const LF: u8 = 0x0A;
pub(crate) const CR: u8 = 0x0D;
pub(crate) const NAK: u8 = 0x15;
pub(crate) const ETB: u8 = 0x17;
pub(crate) const FS: u8 = 0x1C;

/// What the machine wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// To be written, in one call.
    Write(Bytes),
    /// To be stored; [`Line::settle`] must follow.
    Store(Unit),
    /// What became of a message that was to be sent.
    Sent { id: u64, fate: Fate },
    /// For the log and the counters.
    Note(Note),
}

/// Bytes to be stored as one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// To be given back to [`Line::settle`].
    pub ticket: u64,
    pub bytes: Bytes,
    /// Reason code when the bytes are no whole message.
    pub quarantine: Option<&'static str>,
    pub notes: Vec<String>,
    /// Somebody waits for an answer that depends on it.
    pub awaited: bool,
}

/// A message for the instrument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    pub id: u64,
    /// Records without CR; for block protocols one block's content.
    pub records: Vec<Vec<u8>>,
    /// Sessions that failed so far.
    pub failed: u32,
    /// It answers a query; on block lines nothing else may.
    pub answers: bool,
}

impl Outgoing {
    /// A message that was not tried yet.
    #[must_use]
    pub fn new(id: u64, records: Vec<Vec<u8>>) -> Self {
        Self {
            id,
            records,
            failed: 0,
            answers: false,
        }
    }

    /// The same, as the answer to a query.
    #[must_use]
    pub fn in_answer(self) -> Self {
        Self {
            answers: true,
            ..self
        }
    }
}

/// What became of a message that was to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Every frame was acknowledged.
    Delivered,
    /// The instrument would not take it, however often it was offered.
    GivenUp,
    /// The instrument took its bytes and refused what they say, for this reason.
    Refused(&'static str),
}

/// Something odd, without any of the message's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Note {
    /// Bytes that belong to nothing.
    Noise,
    /// A frame's checksum is wrong.
    Checksum,
    /// A frame has no checksum.
    NoChecksum,
    /// A frame's number is not the next one.
    FrameNumber,
    /// A frame came again and was not kept twice.
    Repeated,
    /// A frame began inside a frame.
    Interrupted,
    /// Both sides bid for the line.
    Contention,
    /// ENQ inside a session: the sender began again.
    Restarted,
    /// The other side interrupted our message.
    ReceiverInterrupt,
    /// The instrument did not answer.
    NoReply,
    /// The instrument was not ready.
    Busy,
    /// A message was not stored and refused.
    NotStored,
    /// The sender went on before its answer was ready; the late answer was not written.
    LateAnswer,
    /// The instrument refused work that was sent to it.
    WorkRefused,
}

impl Note {
    /// Name in metrics and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Noise => "noise",
            Self::Checksum => "checksum",
            Self::NoChecksum => "no_checksum",
            Self::FrameNumber => "frame_number",
            Self::Repeated => "repeated",
            Self::Interrupted => "interrupted",
            Self::Contention => "contention",
            Self::Restarted => "restarted",
            Self::ReceiverInterrupt => "receiver_interrupt",
            Self::NoReply => "no_reply",
            Self::Busy => "busy",
            Self::NotStored => "not_stored",
            Self::LateAnswer => "late_answer",
            Self::WorkRefused => "work_refused",
        }
    }
}

/// Why bytes are kept that are no message.
pub(crate) mod reason {
    /// Silence in the midst of it.
    pub(crate) const TIMEOUT: &str = "astm_timeout";
    /// The connection ended in the midst of it.
    pub(crate) const LINK_LOST: &str = "astm_link_lost";
    /// The sender ended the session in the midst of it.
    pub(crate) const CUT_SHORT: &str = "astm_cut_short";
    /// The sender gave up after frames that we refused.
    pub(crate) const ABORTED: &str = "astm_aborted";
    /// The sender began again with ENQ.
    pub(crate) const RESTARTED: &str = "astm_restarted";
    /// Larger than the channel's limit.
    pub(crate) const OVERSIZE: &str = "astm_oversize";
    /// A frame came without ENQ.
    pub(crate) const NO_SESSION: &str = "astm_no_session";
}

/// One line, whatever its mode.
#[derive(Debug)]
pub struct Line(Machine);

#[derive(Debug)]
enum Machine {
    Session(Box<session::Session>),
    Blocks(Box<blocks::Blocks>),
}

macro_rules! each {
    ($line:expr, $machine:ident => $call:expr) => {
        match &mut $line.0 {
            Machine::Session($machine) => $call,
            Machine::Blocks($machine) => $call,
        }
    };
}

impl Line {
    /// A line that nothing was said on yet.
    #[must_use]
    pub fn new(settings: &LinkSettings, now: Instant) -> Self {
        Self(match settings.mode {
            Mode::E1381 | Mode::Bare => {
                Machine::Session(Box::new(session::Session::new(settings.clone(), now)))
            }
            Mode::Au | Mode::Dimension => {
                Machine::Blocks(Box::new(blocks::Blocks::new(settings.clone(), now)))
            }
        })
    }

    /// Bytes arrived.
    pub fn push(&mut self, now: Instant, bytes: &[u8]) {
        each!(self, machine => machine.push(now, bytes));
    }

    /// Time passed; to be called at [`Line::deadline`], and harmless at any other time.
    pub fn tick(&mut self, now: Instant) {
        each!(self, machine => machine.tick(now));
    }

    /// A unit is stored, or could not be.
    pub fn settle(&mut self, now: Instant, ticket: u64, stored: bool) {
        each!(self, machine => machine.settle(now, ticket, stored));
    }

    /// Something to send, when the line is free.
    pub fn send(&mut self, now: Instant, message: Outgoing) {
        each!(self, machine => machine.send(now, message));
    }

    /// The connection ended: what is incomplete is kept. Outputs may follow; [`Line::take_unsent`] gives back what was
    /// not sent.
    pub fn lost(&mut self, now: Instant) {
        each!(self, machine => machine.lost(now));
    }

    /// What is to be done next.
    pub fn next_output(&mut self) -> Option<Output> {
        each!(self, machine => machine.next_output())
    }

    /// When [`Line::tick`] is due.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        match &self.0 {
            Machine::Session(machine) => machine.deadline(),
            Machine::Blocks(machine) => machine.deadline(),
        }
    }

    /// Takes the messages that were not sent, in order.
    pub fn take_unsent(&mut self) -> Vec<Outgoing> {
        each!(self, machine => machine.take_unsent())
    }

    /// Nothing is in the air: no session, nothing to store, nothing to send.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        match &self.0 {
            Machine::Session(machine) => machine.is_idle(),
            Machine::Blocks(machine) => machine.is_idle(),
        }
    }
}
