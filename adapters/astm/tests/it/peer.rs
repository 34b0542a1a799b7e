//! An instrument that follows the text of LIS01-A2 §6, written without our code: its own framing, checksum, numbers
//! and timers. One message at a time.

use std::collections::VecDeque;

const SECOND: u64 = 1000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Until then the line is left alone.
    Resting(u64),
    Bidding,
    Sending {
        frame: usize,
        times: u32,
    },
}

/// The instrument.
pub(crate) struct Peer {
    state: State,
    /// When patience with an answer ends, in milliseconds of the test's clock.
    patience: u64,
    frames: Vec<Vec<u8>>,
    /// Messages to come: records without CR.
    queue: VecDeque<Vec<String>>,
    pub(crate) out: Vec<u8>,
    pub(crate) delivered: usize,
}

impl Peer {
    pub(crate) fn new(queue: VecDeque<Vec<String>>) -> Self {
        Self {
            state: State::Resting(0),
            patience: 0,
            frames: Vec::new(),
            queue,
            out: Vec::new(),
            delivered: 0,
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.queue.is_empty() && matches!(self.state, State::Resting(_))
    }

    /// When something is due.
    pub(crate) fn due(&self) -> Option<u64> {
        match self.state {
            State::Resting(until) => (!self.queue.is_empty()).then_some(until),
            _ => Some(self.patience),
        }
    }

    pub(crate) fn tick(&mut self, now: u64) {
        match self.state {
            State::Resting(until) if until <= now => {
                let Some(records) = self.queue.front() else {
                    return;
                };
                self.frames = frames(records);
                self.out.push(0x05);
                self.state = State::Bidding;
                self.patience = now + 15 * SECOND;
            }
            State::Bidding | State::Sending { .. } if self.patience <= now => {
                self.out.push(0x04);
                self.state = State::Resting(now + 10 * SECOND);
            }
            _ => {}
        }
    }

    pub(crate) fn hear(&mut self, now: u64, byte: u8) {
        match (self.state, byte) {
            (State::Bidding, 0x06) => self.send(now, 0, 1),
            (State::Bidding, 0x15) => self.state = State::Resting(now + 10 * SECOND),
            (State::Sending { frame, .. }, 0x06 | 0x04) => {
                if frame + 1 < self.frames.len() {
                    self.send(now, frame + 1, 1);
                } else {
                    self.out.push(0x04);
                    self.queue.pop_front();
                    self.delivered += 1;
                    self.state = State::Resting(now + SECOND / 5);
                }
            }
            (State::Sending { times, .. }, _) if times >= 6 => {
                self.out.push(0x04);
                self.state = State::Resting(now + 10 * SECOND);
            }
            (State::Sending { frame, times }, _) => self.send(now, frame, times + 1),
            _ => {}
        }
    }

    fn send(&mut self, now: u64, frame: usize, times: u32) {
        self.out.extend_from_slice(&self.frames[frame]);
        self.state = State::Sending { frame, times };
        self.patience = now + 15 * SECOND;
    }
}

/// One frame a record: `<STX> FN text <ETX> C1 C2 <CR> <LF>`.
fn frames(records: &[String]) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    let mut number = 0;
    for record in records {
        number = if number == 7 { 0 } else { number + 1 };
        let summed = format!("{number}{record}\r\u{3}");
        let sum: u32 = summed.bytes().map(u32::from).sum();
        all.push(format!("\u{2}{summed}{:02X}\r\n", sum % 256).into_bytes());
    }
    all
}
