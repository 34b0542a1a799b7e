//! A line with sessions: the state that receiver and sender share, and the order in which things happen.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::assembly::{Assembly, Mark};
use super::frame::Frame;
use super::{ACK, ENQ, NAK, Note, Outgoing, Output, STX, Unit};
use crate::settings::{LinkSettings, Mode};

/// What may at least wait behind an answer that is due: a sender that does not wait for answers is heard all the same.
const HELD_BACK: usize = 1024 * 1024;
/// A unit that could not be stored is offered again after this long.
const STORE_AGAIN: Duration = Duration::from_secs(1);

/// Puts bytes behind those that wait. False where they do not fit: more than a message's worth (`limit`) while one answer is due is
/// no ASTM any more.
pub(super) fn hold_back(held_back: &mut Vec<u8>, limit: usize, bytes: &[u8]) -> bool {
    let room = HELD_BACK
        .max(limit)
        .saturating_sub(held_back.len())
        .min(bytes.len());
    held_back.extend_from_slice(&bytes[..room]);
    room == bytes.len()
}

#[derive(Debug)]
pub(super) struct Session {
    pub(super) settings: LinkSettings,
    pub(super) outputs: VecDeque<Output>,
    tickets: u64,
    pub(super) phase: Phase,
    /// The frame whose answer waits for the store.
    pub(super) pending: Option<Pending>,
    /// Bytes that arrived meanwhile.
    held_back: Vec<u8>,
    /// Units that nobody waits for, until they are stored.
    owed: BTreeMap<u64, Owed>,
    /// The sender ends frames with the second checksum character: no CR LF to wait for.
    pub(super) no_tail: bool,
    /// What came outside of any session and looks like frames.
    pub(super) stray: Vec<u8>,
    pub(super) queue: VecDeque<Outgoing>,
    /// Our ENQ must not come before.
    pub(super) not_before: Instant,
    /// When the newest byte came.
    pub(super) heard: Instant,
}

#[derive(Debug)]
pub(super) enum Phase {
    Idle,
    Receiving(Box<Receiving>),
    /// ENQ is sent.
    Bidding {
        until: Instant,
    },
    /// The other side bid too; its ENQ will come again.
    Yielding {
        until: Instant,
    },
    Transmitting(Transmitting),
}

/// A session in which we receive.
#[derive(Debug)]
pub(super) struct Receiving {
    /// Number that the next frame should have, 0 to 7.
    pub(super) expect: u8,
    /// The newest accepted frame.
    pub(super) last: Option<Vec<u8>>,
    pub(super) assembly: Assembly,
    pub(super) reading: Reading,
    /// ENQ or EOT in the midst of a frame, and until when silence makes it meant.
    pub(super) control: Option<(u8, Instant)>,
    /// What is incomplete then is given up.
    pub(super) until: Instant,
    /// Our newest answer was NAK.
    pub(super) refused: bool,
    /// Too large: everything is refused until the session ends.
    pub(super) oversize: bool,
    pub(super) notes: BTreeMap<Note, u32>,
}

/// Where in a frame the next byte belongs.
#[derive(Debug, Default)]
pub(super) enum Reading {
    #[default]
    Between,
    /// After STX.
    Text(Vec<u8>),
    /// After ETX or ETB, which stands at `end`.
    Sum { raw: Vec<u8>, end: usize },
    /// Whole but for CR LF.
    Tail { frame: Frame, until: Instant },
    /// After SOH (mode bare).
    Block(Vec<u8>),
    /// A record without a frame (mode bare).
    Bare,
}

impl Reading {
    /// The bytes of a frame that is not whole.
    pub(super) fn partial(&self) -> &[u8] {
        match self {
            Self::Text(raw) | Self::Sum { raw, .. } | Self::Block(raw) => raw,
            Self::Tail { frame, .. } => &frame.raw,
            Self::Between | Self::Bare => &[],
        }
    }
}

/// A session in which we send the first message of the queue.
#[derive(Debug)]
pub(super) struct Transmitting {
    pub(super) frames: Vec<Vec<u8>>,
    pub(super) at: usize,
    pub(super) sends: u32,
    pub(super) until: Instant,
}

/// Part of what an answer waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// The message before, which had no L.
    Previous,
    Current,
}

#[derive(Debug)]
pub(super) struct Pending {
    /// Not stored yet.
    pub(super) units: Vec<(Unit, Part)>,
    pub(super) stored: Vec<Part>,
    pub(super) failed: bool,
    pub(super) previous: Option<Assembly>,
    pub(super) mark: Mark,
    /// The frame that is answered; none for a block without numbers.
    pub(super) frame: Option<Frame>,
    /// A message without frames.
    pub(super) block: bool,
}

#[derive(Debug)]
struct Owed {
    unit: Unit,
    again: Option<Instant>,
}

impl Session {
    pub(super) fn new(settings: LinkSettings, now: Instant) -> Self {
        Self {
            settings,
            outputs: VecDeque::new(),
            tickets: 0,
            phase: Phase::Idle,
            pending: None,
            held_back: Vec::new(),
            owed: BTreeMap::new(),
            no_tail: false,
            stray: Vec::new(),
            queue: VecDeque::new(),
            not_before: now,
            heard: now,
        }
    }

    pub(super) fn push(&mut self, now: Instant, bytes: &[u8]) {
        self.tick(now);
        if !bytes.is_empty() {
            self.heard = now;
        }
        for (at, byte) in bytes.iter().enumerate() {
            if self.pending.is_some() {
                let rest = bytes.get(at..).unwrap_or_default();
                if !hold_back(&mut self.held_back, self.settings.limit, rest) {
                    self.note(Note::Noise);
                }
                return;
            }
            self.byte(now, *byte);
        }
        self.bid(now);
    }

    fn byte(&mut self, now: Instant, byte: u8) {
        match &self.phase {
            Phase::Idle => self.idle_byte(now, byte),
            Phase::Receiving(_) => self.receiving_byte(now, byte),
            Phase::Bidding { .. } => self.bidding_byte(now, byte),
            Phase::Yielding { .. } => {
                if byte == ENQ {
                    self.begin(now);
                }
            }
            Phase::Transmitting(_) => self.transmitting_byte(now, byte),
        }
    }

    pub(super) fn settle(&mut self, now: Instant, ticket: u64, stored: bool) {
        if let Some(owed) = self.owed.get_mut(&ticket) {
            if stored {
                self.owed.remove(&ticket);
            } else {
                owed.again = Some(now + STORE_AGAIN);
                self.note(Note::NotStored);
            }
            return;
        }
        let Some(pending) = &mut self.pending else {
            return;
        };
        let Some(at) = pending.units.iter().position(|(u, _)| u.ticket == ticket) else {
            return;
        };
        let (_, part) = pending.units.swap_remove(at);
        if stored {
            pending.stored.push(part);
        } else {
            pending.failed = true;
        }
        if !pending.units.is_empty() {
            return;
        }
        let Some(pending) = self.pending.take() else {
            return;
        };
        // a sender that gave up waiting must not take a late answer for the answer to something newer
        let late = self
            .held_back
            .iter()
            .any(|b| matches!(*b, ENQ | STX | super::SOH));
        self.settled(now, pending, late);
        let held_back = std::mem::take(&mut self.held_back);
        self.push(now, &held_back);
    }

    pub(super) fn tick(&mut self, now: Instant) {
        self.store_again(now);
        self.stray_tick(now);
        match &self.phase {
            Phase::Receiving(_) if self.pending.is_none() => self.receiving_tick(now),
            Phase::Bidding { .. } | Phase::Yielding { .. } | Phase::Transmitting(_) => {
                self.sending_tick(now);
            }
            _ => {}
        }
        self.bid(now);
    }

    pub(super) fn lost(&mut self, now: Instant) {
        self.whole_at_last(now);
        if let Some(pending) = self.pending.take() {
            for (unit, part) in pending.units {
                // what was acknowledged frame by frame is ours to keep; the current message will be sent again
                if part == Part::Previous {
                    self.owed.insert(unit.ticket, Owed { unit, again: None });
                }
            }
            if let Phase::Receiving(rx) = &mut self.phase {
                rx.assembly = Assembly::default();
            }
        }
        self.held_back.clear();
        if let Phase::Receiving(_) = self.phase {
            self.end_session(now, super::reason::LINK_LOST);
        }
        self.stray_end();
        self.phase = Phase::Idle;
    }

    pub(super) fn send(&mut self, now: Instant, message: Outgoing) {
        self.queue.push_back(message);
        self.bid(now);
    }

    pub(super) fn take_unsent(&mut self) -> Vec<Outgoing> {
        self.queue.drain(..).collect()
    }

    pub(super) fn next_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    pub(super) fn is_idle(&self) -> bool {
        matches!(self.phase, Phase::Idle)
            && self.pending.is_none()
            && self.owed.is_empty()
            && self.stray.is_empty()
            && self.outputs.is_empty()
            && self.queue.is_empty()
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let phase = match &self.phase {
            Phase::Idle => {
                (!self.queue.is_empty() && self.stray.is_empty() && self.pending.is_none())
                    .then_some(self.not_before)
            }
            Phase::Receiving(rx) if self.pending.is_none() => Some(self.receiving_deadline(rx)),
            Phase::Receiving(_) => None,
            Phase::Bidding { until } | Phase::Yielding { until } => Some(*until),
            Phase::Transmitting(tx) => Some(tx.until),
        };
        let again = self.owed.values().filter_map(|owed| owed.again).min();
        let stray = (!self.stray.is_empty()).then(|| self.stray_deadline());
        [phase, again, stray].into_iter().flatten().min()
    }

    /// Nobody listens for answers: what arrives is kept for as long as it takes to store it.
    pub(super) fn is_mute(&self) -> bool {
        self.settings.mode == Mode::Bare && !self.settings.replies
    }

    /// Writes; a bare line that wants no answers gets none.
    pub(super) fn write(&mut self, bytes: &[u8]) {
        if self.is_mute() {
            return;
        }
        self.outputs
            .push_back(Output::Write(Bytes::copy_from_slice(bytes)));
    }

    pub(super) fn acknowledge(&mut self, good: bool) {
        self.write(&[if good { ACK } else { NAK }]);
    }

    pub(super) fn note(&mut self, note: Note) {
        self.outputs.push_back(Output::Note(note));
    }

    pub(super) fn output(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    pub(super) fn ticket(&mut self) -> u64 {
        self.tickets += 1;
        self.tickets
    }

    /// Stores what nobody waits for, for as long as it takes.
    pub(super) fn owe(&mut self, unit: Unit) {
        self.output(Output::Store(unit.clone()));
        self.owed.insert(unit.ticket, Owed { unit, again: None });
    }

    /// True when something received could not be stored yet: a new message would only be lost later.
    pub(super) fn is_choked(&self) -> bool {
        self.owed.values().any(|owed| owed.again.is_some())
    }

    fn store_again(&mut self, now: Instant) {
        let due: Vec<u64> = self
            .owed
            .iter()
            .filter(|(_, owed)| owed.again.is_some_and(|again| again <= now))
            .map(|(ticket, _)| *ticket)
            .collect();
        for ticket in due {
            if let Some(owed) = self.owed.get_mut(&ticket) {
                owed.again = None;
                let unit = owed.unit.clone();
                self.output(Output::Store(unit));
            }
        }
    }
}
