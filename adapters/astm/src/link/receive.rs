//! The receiver: sessions, frames, what is answered, and when a message ends.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::assembly::{Assembly, is_record};
use super::frame::{Frame, Sum};
use super::session::{Part, Pending, Phase, Reading, Receiving, Session};
use super::{CR, ENQ, EOT, ETB, ETX, LF, Note, Output, SOH, STX, Unit, reason};
use crate::settings::{Mode, Strictness};

/// ENQ or EOT in the midst of a frame is line noise, unless the line is silent after it.
const CONTROL_QUIET: Duration = Duration::from_millis(300);
/// More is not kept of what came outside of a session.
const STRAY_LIMIT: usize = 64 * 1024;

impl Receiving {
    fn new(until: Instant) -> Self {
        Self {
            expect: 1,
            last: None,
            assembly: Assembly::default(),
            reading: Reading::Between,
            control: None,
            until,
            refused: false,
            oversize: false,
            notes: BTreeMap::new(),
        }
    }

    pub(super) fn count(&mut self, note: Note) {
        *self.notes.entry(note).or_default() += 1;
    }
}

impl Session {
    fn patience(&self) -> Duration {
        if self.settings.mode == Mode::Bare {
            self.settings.quiet_end()
        } else {
            self.settings.receive_timeout()
        }
    }

    /// ENQ: a session begins.
    pub(super) fn begin(&mut self, now: Instant) {
        self.stray_end();
        if self.is_choked() {
            self.acknowledge(false);
            self.note(Note::Busy);
            self.phase = Phase::Idle;
            return;
        }
        self.phase = Phase::Receiving(Box::new(Receiving::new(now + self.patience())));
        self.acknowledge(true);
    }

    pub(super) fn idle_byte(&mut self, now: Instant, byte: u8) {
        let bare = self.settings.mode == Mode::Bare;
        match byte {
            ENQ => self.begin(now),
            STX | SOH if bare => self.begin_bare(now, byte),
            _ if !self.stray.is_empty() => {
                if self.stray.len() < STRAY_LIMIT {
                    self.stray.push(byte);
                }
            }
            STX => {
                self.note(Note::Noise);
                self.stray.push(byte);
            }
            // a record without a frame; anything else can't be told from noise
            b'H' if bare => self.begin_bare(now, byte),
            CR | LF | EOT | super::ACK | super::NAK | 0 => {}
            _ => self.note(Note::Noise),
        }
    }

    fn begin_bare(&mut self, now: Instant, byte: u8) {
        let mut rx = Receiving::new(now + self.patience());
        match byte {
            SOH => rx.reading = Reading::Block(vec![SOH]),
            STX => rx.reading = Reading::Text(vec![STX]),
            _ => {
                rx.reading = Reading::Bare;
                rx.assembly.append_text(byte);
            }
        }
        self.phase = Phase::Receiving(Box::new(rx));
    }

    pub(super) fn receiving_byte(&mut self, now: Instant, byte: u8) {
        let Phase::Receiving(rx) = &mut self.phase else {
            return;
        };
        rx.control = None;
        // silence counts, not length: a frame of 64,000 bytes takes a minute on a slow line
        if self.settings.mode == Mode::Bare {
            rx.until = now + self.settings.quiet_end();
        } else if matches!(rx.reading, Reading::Text(_) | Reading::Sum { .. }) {
            rx.until = now + self.settings.receive_timeout();
        }
        match std::mem::take(&mut rx.reading) {
            Reading::Between => self.between(now, byte),
            Reading::Block(raw) => self.in_block(now, raw, byte),
            Reading::Bare => self.in_bare(now, byte),
            Reading::Text(raw) => self.in_text(now, raw, byte),
            Reading::Sum { raw, end } => self.in_sum(now, raw, end, byte),
            Reading::Tail { frame, .. } => {
                match byte {
                    LF => {}
                    CR => {
                        let until = now + Duration::from_millis(self.settings.tail_wait_ms);
                        rx.reading = Reading::Tail { frame, until };
                        return;
                    }
                    _ => self.no_tail = true,
                }
                self.accept(now, frame);
                if byte != LF {
                    self.again(now, byte);
                }
            }
        }
    }

    /// The connection ended: a frame that only waits for its CR LF is whole.
    pub(super) fn whole_at_last(&mut self, now: Instant) {
        if self.pending.is_none()
            && let Phase::Receiving(rx) = &mut self.phase
            && matches!(rx.reading, Reading::Tail { .. })
            && let Reading::Tail { frame, .. } = std::mem::take(&mut rx.reading)
        {
            self.accept(now, frame);
        }
    }

    /// A byte that ended something and belongs to what follows.
    fn again(&mut self, now: Instant, byte: u8) {
        self.push(now, &[byte]);
    }

    pub(super) fn between(&mut self, now: Instant, byte: u8) {
        let Phase::Receiving(rx) = &mut self.phase else {
            return;
        };
        match byte {
            STX => rx.reading = Reading::Text(vec![STX]),
            SOH if self.settings.mode == Mode::Bare => rx.reading = Reading::Block(vec![SOH]),
            ENQ => {
                let begun = rx.last.is_some() || !rx.assembly.is_empty() || rx.refused;
                if begun {
                    self.note(Note::Restarted);
                }
                self.end_session(now, reason::RESTARTED);
                self.begin(now);
            }
            EOT => self.end_session(now, reason::CUT_SHORT),
            // it does end its frames so: what looked otherwise was noise or a slow line
            CR | LF => self.no_tail = false,
            0 => {}
            _ => {
                // the first byte of a burst tells; the log must not grow with the noise
                if !rx.notes.contains_key(&Note::Noise) {
                    self.note(Note::Noise);
                }
                if let Phase::Receiving(rx) = &mut self.phase {
                    rx.count(Note::Noise);
                }
            }
        }
    }

    fn in_text(&mut self, now: Instant, mut raw: Vec<u8>, byte: u8) {
        let limit = self.settings.limit;
        let checks = self.settings.checksum() != Strictness::Off;
        let Phase::Receiving(rx) = &mut self.phase else {
            return;
        };
        match byte {
            STX => {
                rx.count(Note::Interrupted);
                rx.reading = Reading::Text(vec![STX]);
                self.note(Note::Interrupted);
            }
            ETX | ETB => {
                raw.push(byte);
                let end = raw.len() - 1;
                if checks {
                    rx.reading = Reading::Sum { raw, end };
                } else {
                    self.accept(now, Frame::new(raw, end));
                }
            }
            _ => {
                raw.push(byte);
                if raw.len() + rx.assembly.raw.len() > limit {
                    self.too_large(&raw);
                    return;
                }
                if matches!(byte, ENQ | EOT) {
                    rx.control = Some((byte, now + CONTROL_QUIET));
                }
                rx.reading = Reading::Text(raw);
            }
        }
    }

    fn in_sum(&mut self, now: Instant, mut raw: Vec<u8>, end: usize, byte: u8) {
        if matches!(byte, CR | LF | STX | ENQ | EOT) {
            // fewer than two characters: as good as none
            raw.truncate(end + 1);
            self.accept(now, Frame::new(raw, end));
            self.again(now, byte);
            return;
        }
        raw.push(byte);
        let whole = raw.len() == end + 3;
        let no_tail = self.no_tail;
        let until = now + Duration::from_millis(self.settings.tail_wait_ms);
        let Phase::Receiving(rx) = &mut self.phase else {
            return;
        };
        if !whole {
            rx.reading = Reading::Sum { raw, end };
        } else if no_tail {
            self.accept(now, Frame::new(raw, end));
        } else {
            rx.reading = Reading::Tail {
                frame: Frame::new(raw, end),
                until,
            };
        }
    }

    /// A frame is whole: it is accepted, kept once, or refused.
    pub(super) fn accept(&mut self, now: Instant, frame: Frame) {
        let until = now + self.patience();
        let (sums, numbers) = (self.settings.checksum(), self.settings.frame_number());
        let Phase::Receiving(rx) = &mut self.phase else {
            return;
        };
        rx.until = until;
        if rx.oversize {
            self.acknowledge(false);
            return;
        }
        let mut oddities = Vec::new();
        let sum_is_good = match (frame.sum(), sums) {
            (_, Strictness::Off) | (Sum::Right, _) => true,
            (sum, strictness) => {
                oddities.push(if sum == Sum::Missing {
                    Note::NoChecksum
                } else {
                    Note::Checksum
                });
                strictness == Strictness::Warn
            }
        };
        let may_be_again = numbers != Strictness::Off || rx.assembly.is_empty();
        if sum_is_good && may_be_again && rx.last.as_deref() == Some(&frame.raw) {
            // its acknowledgement was lost
            rx.count(Note::Repeated);
            rx.refused = false;
            self.note(Note::Repeated);
            self.acknowledge(true);
            return;
        }
        let number_is_good =
            numbers == Strictness::Off || frame.number() == Some(b'0' + rx.expect) || {
                oddities.push(Note::FrameNumber);
                numbers == Strictness::Warn
            };
        for note in oddities {
            rx.count(note);
            self.outputs.push_back(Output::Note(note));
        }
        if sum_is_good && number_is_good {
            self.keep(now, frame);
        } else {
            self.refuse();
        }
    }

    fn refuse(&mut self) {
        if let Phase::Receiving(rx) = &mut self.phase {
            rx.refused = true;
        }
        self.acknowledge(false);
    }

    /// Appends an accepted frame. What it completes is stored first and answered then.
    fn keep(&mut self, now: Instant, frame: Frame) {
        let Phase::Receiving(rx) = &mut self.phase else {
            return;
        };
        let first = frame.text().split(|b| matches!(*b, CR | LF)).next();
        let begins = first.is_some_and(|line| is_record(line, b'H'));
        let previous = (begins && !rx.assembly.is_empty() && rx.assembly.at_record_end())
            .then(|| std::mem::take(&mut rx.assembly));
        let mark = rx.assembly.mark();
        rx.assembly.append(&frame);
        let mut units = Vec::new();
        if let Some(previous) = &previous {
            let unit = self.unit_of(previous.clone(), &[], reason::CUT_SHORT);
            units.push((unit, Part::Previous));
        }
        if let Phase::Receiving(rx) = &self.phase
            && rx.assembly.is_terminated()
        {
            let current = rx.assembly.clone();
            units.push((self.unit_of(current, &[], reason::CUT_SHORT), Part::Current));
        }
        let pending = Pending {
            units,
            stored: Vec::new(),
            failed: false,
            previous,
            mark,
            frame: Some(frame),
            block: false,
        };
        self.await_store(now, pending);
    }

    /// Answers when all is stored; at once when nothing is to be stored, or when nobody hears the answer.
    pub(super) fn await_store(&mut self, now: Instant, mut pending: Pending) {
        if self.is_mute() {
            for (unit, part) in pending.units.drain(..) {
                self.owe(unit);
                pending.stored.push(part);
            }
        }
        for (unit, _) in &pending.units {
            self.outputs.push_back(Output::Store(unit.clone()));
        }
        if pending.units.is_empty() {
            self.settled(now, pending, false);
        } else {
            self.pending = Some(pending);
        }
    }

    /// Everything that an answer waited for is known.
    pub(super) fn settled(&mut self, now: Instant, pending: Pending, late: bool) {
        let until = now + self.patience();
        let Phase::Receiving(rx) = &mut self.phase else {
            return;
        };
        rx.until = until;
        rx.refused = pending.failed;
        if pending.failed {
            rx.assembly.back_to(pending.mark);
            if let Some(previous) = pending.previous
                && !pending.stored.contains(&Part::Previous)
            {
                rx.assembly = previous;
            }
            self.note(Note::NotStored);
        } else {
            if pending.stored.contains(&Part::Current) {
                rx.assembly = Assembly::default();
            }
            if let Some(frame) = pending.frame {
                rx.expect = match frame.number() {
                    // after a number that was only warned of, the sender's own count goes on
                    Some(said @ b'0'..=b'7') => (said - b'0' + 1) % 8,
                    _ => (rx.expect + 1) % 8,
                };
                rx.last = Some(frame.raw);
            }
        }
        if pending.block {
            // a session of its own, stored or refused
            self.phase = Phase::Idle;
        }
        if late {
            self.note(Note::LateAnswer);
        } else {
            self.acknowledge(!pending.failed);
        }
    }

    pub(super) fn too_large(&mut self, partial: &[u8]) {
        let Phase::Receiving(rx) = &mut self.phase else {
            return;
        };
        let assembly = std::mem::take(&mut rx.assembly);
        rx.oversize = true;
        rx.refused = true;
        rx.reading = Reading::Between;
        let unit = self.unit_of(assembly, partial, reason::OVERSIZE);
        let unit = Unit {
            quarantine: Some(reason::OVERSIZE),
            awaited: false,
            ..unit
        };
        self.owe(unit);
    }

    /// The session is over: what is whole is a message, what is not is kept as such.
    pub(super) fn end_session(&mut self, now: Instant, why: &'static str) {
        let Phase::Receiving(rx) = std::mem::replace(&mut self.phase, Phase::Idle) else {
            return;
        };
        self.not_before = now + Duration::from_millis(self.settings.turnaround_ms);
        let mut rx = *rx;
        // a frame that waits for its CR LF is whole, but nobody acknowledged it
        let partial = rx.reading.partial().to_vec();
        if rx.assembly.is_empty() && partial.is_empty() {
            return;
        }
        let broken = rx.refused || why == reason::RESTARTED || !partial.is_empty();
        let why = if rx.refused && why == reason::CUT_SHORT {
            reason::ABORTED
        } else {
            why
        };
        let assembly = std::mem::take(&mut rx.assembly);
        self.phase = Phase::Receiving(Box::new(rx));
        let mut unit = self.unit_of(assembly, &partial, why);
        self.phase = Phase::Idle;
        if broken {
            unit.quarantine = Some(why);
        }
        unit.awaited = false;
        self.owe(unit);
    }

    /// A unit of what was assembled, with what was odd about it.
    pub(super) fn unit_of(
        &mut self,
        assembly: Assembly,
        partial: &[u8],
        why: &'static str,
    ) -> Unit {
        let mut notes = Vec::new();
        let terminated = assembly.is_terminated();
        let whole = terminated || (assembly.has_group() && !self.settings.require_terminator);
        if let Phase::Receiving(rx) = &mut self.phase {
            notes.extend(
                std::mem::take(&mut rx.notes)
                    .into_iter()
                    .map(|(note, count)| sentence(note, count)),
            );
        }
        if whole && !terminated && partial.is_empty() {
            notes.push("the message ended without an L record".to_owned());
        }
        let mut raw = assembly.raw;
        raw.extend_from_slice(partial);
        Unit {
            ticket: self.ticket(),
            bytes: raw.into(),
            quarantine: (!whole || !partial.is_empty()).then_some(why),
            notes,
            awaited: true,
        }
    }
}

fn sentence(note: Note, count: u32) -> String {
    let what = match note {
        Note::Noise => "bytes between frames were skipped",
        Note::Checksum => "frames had a wrong checksum",
        Note::NoChecksum => "frames had no checksum",
        Note::FrameNumber => "frames had not the number that was due",
        Note::Repeated => "frames came again and are kept once",
        Note::Interrupted => "frames were broken off by another",
        other => other.as_str(),
    };
    format!("{count} {what}")
}
