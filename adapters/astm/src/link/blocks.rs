//! Lines of blocks: Beckman AU (`STX .. ETX`, or ENQ and EOT in their place) and Siemens Dimension
//! (`STX type FS .. FS checksum ETX`). One block is one message; every block is answered.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::dialogue::{self, Meaning};
use super::session::hold_back;
use super::{ACK, ENQ, EOT, ETX, Fate, NAK, Note, Outgoing, Output, STX, Unit, reason};
use crate::settings::{LinkSettings, Mode, Strictness};

/// A query must be answered within two seconds; when nobody said anything, the answer is "none" after this.
const ANSWER_WITHIN: Duration = Duration::from_millis(1500);
/// A unit that could not be stored is offered again after this long.
const STORE_AGAIN: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Blocks {
    settings: LinkSettings,
    outputs: VecDeque<Output>,
    tickets: u64,
    /// A block while it arrives.
    block: Vec<u8>,
    /// ETX was seen; the block check character follows.
    check: bool,
    /// The block whose answer waits for the store.
    pending: Option<(u64, Meaning)>,
    held_back: Vec<u8>,
    /// Broken blocks until they are stored, and when to try again.
    owed: BTreeMap<u64, (Unit, Option<Instant>)>,
    queue: VecDeque<Outgoing>,
    sending: Option<Sending>,
    /// Work whose bytes a Dimension took; its word on the content (M) comes next, and not always.
    offered: Option<(Outgoing, Instant)>,
    /// The instrument waits for work, or for the word that there is none; true after a query, which only its own
    /// answer may answer.
    asked: Option<(Instant, bool)>,
    /// A block that stands still is broken.
    until: Instant,
    /// The line is left alone until then.
    not_before: Instant,
}

#[derive(Debug)]
struct Sending {
    /// None for an answer of the machine itself.
    message: Option<Outgoing>,
    bytes: Vec<u8>,
    sends: u32,
    until: Instant,
}

impl Blocks {
    pub(super) fn new(settings: LinkSettings, now: Instant) -> Self {
        Self {
            settings,
            outputs: VecDeque::new(),
            tickets: 0,
            block: Vec::new(),
            check: false,
            pending: None,
            held_back: Vec::new(),
            owed: BTreeMap::new(),
            queue: VecDeque::new(),
            sending: None,
            offered: None,
            asked: None,
            until: now,
            not_before: now,
        }
    }

    pub(super) fn push(&mut self, now: Instant, bytes: &[u8]) {
        self.tick(now);
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
        self.send_next(now);
    }

    fn byte(&mut self, now: Instant, byte: u8) {
        if self.check {
            self.check = false;
            self.block.push(byte);
            self.complete(now);
            return;
        }
        if self.block.is_empty() {
            match byte {
                STX => self.start(now, byte),
                ENQ if self.settings.mode == Mode::Au => self.start(now, byte),
                ACK | NAK => self.answered(now, byte == ACK),
                EOT | ETX | b'\r' | b'\n' | 0 => {}
                _ => self.note(Note::Noise),
            }
            return;
        }
        let ends = if self.block.first() == Some(&ENQ) {
            EOT
        } else {
            ETX
        };
        match byte {
            STX => {
                // some write STX after ENQ; a block in the midst of a block was broken off
                if self.block.len() > 1 {
                    self.note(Note::Interrupted);
                    self.keep_broken(reason::RESTARTED);
                }
                self.start(now, byte);
            }
            ENQ if self.settings.mode == Mode::Au => self.start(now, byte),
            _ if byte == ends => {
                self.block.push(byte);
                if self.settings.mode == Mode::Au && self.settings.bcc {
                    self.check = true;
                } else {
                    self.complete(now);
                }
            }
            _ => {
                self.block.push(byte);
                self.until = now + self.settings.receive_timeout();
                if self.block.len() > self.settings.limit {
                    self.keep_broken(reason::OVERSIZE);
                    self.answer(false);
                }
            }
        }
    }

    fn start(&mut self, now: Instant, byte: u8) {
        self.block.clear();
        self.block.push(byte);
        self.until = now + self.settings.receive_timeout();
        // the instrument speaks first: what we sent is sent again after it
        if let Some(sending) = self.sending.take() {
            self.note(Note::Contention);
            if let Some(message) = sending.message {
                self.queue.push_front(message);
            }
        }
    }

    /// A block is whole.
    fn complete(&mut self, now: Instant) {
        let raw = std::mem::take(&mut self.block);
        let right = match self.settings.mode {
            Mode::Dimension => dialogue::dimension_sum_is_right(&raw),
            _ => !self.settings.bcc || dialogue::bcc_is_right(&raw),
        };
        if !right {
            self.note(Note::Checksum);
            if self.settings.checksum() == Strictness::Enforce {
                self.answer(false);
                return;
            }
        }
        let meaning = dialogue::meaning(self.settings.mode, &raw);
        if !matches!(meaning, Meaning::Taken { .. }) {
            // it goes on without a word
            self.taken(None);
        }
        match meaning {
            Meaning::Signal => self.answer(true),
            Meaning::Poll { busy } => {
                self.answer(true);
                if busy || self.queue.is_empty() {
                    self.transmit(now, None, &dialogue::nothing(self.settings.mode));
                } else {
                    self.asked = Some((now + ANSWER_WITHIN, false));
                }
            }
            Meaning::Taken { refused } => {
                self.answer(true);
                if refused.is_some() {
                    self.note(Note::WorkRefused);
                }
                self.taken(refused);
            }
            Meaning::Result | Meaning::Query | Meaning::Other => {
                let ticket = self.ticket();
                self.pending = Some((ticket, meaning));
                let notes = if right {
                    Vec::new()
                } else {
                    vec!["the block's check is wrong".to_owned()]
                };
                self.output(Output::Store(Unit {
                    ticket,
                    bytes: raw.into(),
                    quarantine: None,
                    notes,
                    awaited: true,
                }));
            }
        }
    }

    pub(super) fn settle(&mut self, now: Instant, ticket: u64, stored: bool) {
        if let Some((_, again)) = self.owed.get_mut(&ticket) {
            if stored {
                self.owed.remove(&ticket);
            } else {
                *again = Some(now + STORE_AGAIN);
                self.note(Note::NotStored);
            }
            return;
        }
        let Some((_, meaning)) = self.pending.take_if(|(waiting, _)| *waiting == ticket) else {
            return;
        };
        let late = self.held_back.iter().any(|b| matches!(*b, STX | ENQ));
        if late {
            self.note(Note::LateAnswer);
        } else {
            self.answer(stored);
        }
        if !stored {
            self.note(Note::NotStored);
        } else if meaning == Meaning::Query {
            self.asked = Some((now + ANSWER_WITHIN, true));
        } else if meaning == Meaning::Result && self.settings.mode == Mode::Dimension && !late {
            // a result is taken twice: its bytes by ACK, its content by an acceptance block
            self.transmit(now, None, &dialogue::dimension_accepts());
        }
        let held_back = std::mem::take(&mut self.held_back);
        self.push(now, &held_back);
    }

    pub(super) fn tick(&mut self, now: Instant) {
        let due: Vec<u64> = self
            .owed
            .iter()
            .filter(|(_, (_, again))| again.is_some_and(|again| again <= now))
            .map(|(ticket, _)| *ticket)
            .collect();
        for ticket in due {
            if let Some((unit, again)) = self.owed.get_mut(&ticket) {
                *again = None;
                let unit = unit.clone();
                self.output(Output::Store(unit));
            }
        }
        if !self.block.is_empty() && self.until <= now {
            self.note(Note::NoReply);
            self.keep_broken(reason::TIMEOUT);
        }
        if self.sending.as_ref().is_some_and(|s| s.until <= now) {
            self.note(Note::NoReply);
            self.answered(now, false);
        }
        if self
            .offered
            .as_ref()
            .is_some_and(|(_, until)| *until <= now)
        {
            self.taken(None);
        }
        if self.asked.is_some_and(|(until, _)| until <= now) && self.sending.is_none() {
            self.asked = None;
            self.transmit(now, None, &dialogue::nothing(self.settings.mode));
        }
        self.send_next(now);
    }

    pub(super) fn send(&mut self, now: Instant, message: Outgoing) {
        self.queue.push_back(message);
        self.send_next(now);
    }

    /// Work is sent only to an instrument that asked for it.
    fn send_next(&mut self, now: Instant) {
        let free = self.sending.is_none()
            && self.pending.is_none()
            && self.block.is_empty()
            && now >= self.not_before;
        let Some((_, query)) = self.asked.filter(|_| free) else {
            return;
        };
        let next = self.queue.iter().position(|m| m.answers || !query);
        let Some(message) = next.and_then(|at| self.queue.remove(at)) else {
            return;
        };
        self.asked = None;
        let content = message.records.first().cloned().unwrap_or_default();
        let content = if content.is_empty() {
            dialogue::nothing(self.settings.mode)
        } else {
            content
        };
        self.transmit(now, Some(message), &content);
    }

    fn transmit(&mut self, now: Instant, message: Option<Outgoing>, content: &[u8]) {
        if content.is_empty() {
            return;
        }
        let bytes = match self.settings.mode {
            Mode::Dimension => dialogue::dimension_block(content),
            _ => dialogue::au_block(content, self.settings.bcc),
        };
        self.output(Output::Write(Bytes::copy_from_slice(&bytes)));
        self.sending = Some(Sending {
            message,
            bytes,
            sends: 1,
            until: now + self.settings.reply_timeout(),
        });
    }

    /// The instrument's word on what we sent.
    fn answered(&mut self, now: Instant, good: bool) {
        let Some(mut sending) = self.sending.take() else {
            return;
        };
        if !good && sending.sends < self.settings.frame_sends {
            sending.sends += 1;
            sending.until = now + self.settings.reply_timeout();
            self.output(Output::Write(Bytes::copy_from_slice(&sending.bytes)));
            self.sending = Some(sending);
            return;
        }
        self.not_before = now;
        let Some(message) = sending.message else {
            return;
        };
        let is_work = message.records.iter().any(|record| !record.is_empty());
        if good && is_work && self.settings.mode == Mode::Dimension {
            self.taken(None);
            self.offered = Some((message, now + self.settings.reply_timeout()));
            return;
        }
        let fate = if good { Fate::Delivered } else { Fate::GivenUp };
        self.output(Output::Sent {
            id: message.id,
            fate,
        });
    }

    /// What became of work that a Dimension took the bytes of.
    fn taken(&mut self, refused: Option<&'static str>) {
        if let Some((message, _)) = self.offered.take() {
            self.output(Output::Sent {
                id: message.id,
                fate: refused.map_or(Fate::Delivered, Fate::Refused),
            });
        }
    }

    pub(super) fn lost(&mut self, _now: Instant) {
        // what waits for the store was not acknowledged: the instrument sends it again
        self.pending = None;
        self.held_back.clear();
        self.taken(None);
        if !self.block.is_empty() {
            self.keep_broken(reason::LINK_LOST);
        }
        if let Some(sending) = self.sending.take()
            && let Some(message) = sending.message
        {
            self.queue.push_front(message);
        }
        self.asked = None;
    }

    fn keep_broken(&mut self, why: &'static str) {
        let raw = std::mem::take(&mut self.block);
        self.check = false;
        // a lone start character says nothing
        if raw.len() < 2 {
            return;
        }
        let ticket = self.ticket();
        let unit = Unit {
            ticket,
            bytes: raw.into(),
            quarantine: Some(why),
            notes: Vec::new(),
            awaited: false,
        };
        self.output(Output::Store(unit.clone()));
        self.owed.insert(ticket, (unit, None));
    }

    fn answer(&mut self, good: bool) {
        if self.settings.mode == Mode::Au && !self.settings.replies {
            return;
        }
        let byte = if good { ACK } else { NAK };
        self.output(Output::Write(Bytes::copy_from_slice(&[byte])));
    }

    fn note(&mut self, note: Note) {
        self.output(Output::Note(note));
    }

    fn output(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    fn ticket(&mut self) -> u64 {
        self.tickets += 1;
        self.tickets
    }

    pub(super) fn take_unsent(&mut self) -> Vec<Outgoing> {
        self.queue.drain(..).collect()
    }

    pub(super) fn next_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    pub(super) fn is_idle(&self) -> bool {
        self.block.is_empty()
            && self.pending.is_none()
            && self.owed.is_empty()
            && self.sending.is_none()
            && self.outputs.is_empty()
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let block = (!self.block.is_empty() && self.pending.is_none()).then_some(self.until);
        let sending = self.sending.as_ref().map(|s| s.until);
        let asked = self
            .asked
            .map(|(until, _)| until)
            .filter(|_| self.sending.is_none());
        let owed = self.owed.values().filter_map(|(_, again)| *again).min();
        let offered = self.offered.as_ref().map(|(_, until)| *until);
        [block, sending, offered, asked, owed]
            .into_iter()
            .flatten()
            .min()
    }
}
