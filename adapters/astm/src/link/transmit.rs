//! The sender: bids for the line, sends frame by frame, and gives the message back to the queue when it can't.

use std::time::{Duration, Instant};

use super::frame::frames_of;
use super::session::{Phase, Session, Transmitting};
use super::{ACK, CR, ENQ, EOT, Fate, LF, NAK, Note, Output};
use crate::settings::{Mode, Role};

/// In contention the instrument bids again after this (LIS01-A2 §6.2.7.1).
const INSTRUMENT_AGAIN: Duration = Duration::from_secs(1);

impl Session {
    /// ENQ, when there is something to send and the line is free.
    pub(super) fn bid(&mut self, now: Instant) {
        let free = matches!(self.phase, Phase::Idle)
            && self.pending.is_none()
            && self.stray.is_empty()
            && now >= self.not_before;
        if !free || self.queue.is_empty() {
            return;
        }
        if self.settings.mode == Mode::Bare {
            // a line without handshake has no way in
            if let Some(message) = self.queue.pop_front() {
                self.output(Output::Sent {
                    id: message.id,
                    fate: Fate::GivenUp,
                });
            }
            return;
        }
        self.write(&[ENQ]);
        self.phase = Phase::Bidding {
            until: now + self.settings.reply_timeout(),
        };
    }

    pub(super) fn bidding_byte(&mut self, now: Instant, byte: u8) {
        match byte {
            ACK => self.transmit(now),
            NAK => {
                self.note(Note::Busy);
                self.failed(now, Duration::from_millis(self.settings.busy_hold_ms));
            }
            ENQ => {
                self.note(Note::Contention);
                match self.settings.role {
                    Role::Host => {
                        self.phase = Phase::Yielding {
                            until: now + Duration::from_millis(self.settings.yield_ms),
                        };
                    }
                    Role::Instrument => {
                        self.phase = Phase::Idle;
                        self.not_before = now + INSTRUMENT_AGAIN;
                    }
                }
            }
            _ => {}
        }
    }

    fn transmit(&mut self, now: Instant) {
        let Some(message) = self.queue.front() else {
            self.write(&[EOT]);
            self.phase = Phase::Idle;
            return;
        };
        let frames = frames_of(
            &message.records,
            self.settings.frame_size,
            self.settings.frame_per_record,
        );
        self.phase = Phase::Transmitting(Transmitting {
            frames,
            at: 0,
            sends: 0,
            until: now,
        });
        self.send_frame(now);
    }

    fn send_frame(&mut self, now: Instant) {
        let until = now + self.settings.reply_timeout();
        let Phase::Transmitting(tx) = &mut self.phase else {
            return;
        };
        tx.sends += 1;
        tx.until = until;
        match tx.frames.get(tx.at).cloned() {
            Some(frame) => self.write(&frame),
            None => self.delivered(now, Duration::ZERO),
        }
    }

    pub(super) fn transmitting_byte(&mut self, now: Instant, byte: u8) {
        let sends = self.settings.frame_sends;
        let Phase::Transmitting(tx) = &mut self.phase else {
            return;
        };
        match byte {
            ACK | EOT => {
                tx.at += 1;
                tx.sends = 0;
                let done = tx.at >= tx.frames.len();
                let interrupted = byte == EOT;
                if interrupted {
                    self.note(Note::ReceiverInterrupt);
                }
                let hold = Duration::from_millis(if interrupted {
                    self.settings.interrupt_hold_ms
                } else {
                    0
                });
                if done {
                    self.delivered(now, hold);
                } else if interrupted {
                    // the rest would be lost on a receiver that wants the line: the whole comes again later
                    self.write(&[EOT]);
                    self.failed(now, hold);
                } else {
                    self.send_frame(now);
                }
            }
            // filler of instruments that end their answers like frames
            CR | LF => {}
            _ if tx.sends >= sends => {
                self.write(&[EOT]);
                self.failed(now, Duration::from_millis(self.settings.busy_hold_ms));
            }
            _ => self.send_frame(now),
        }
    }

    fn delivered(&mut self, now: Instant, hold: Duration) {
        self.write(&[EOT]);
        self.phase = Phase::Idle;
        let turnaround = Duration::from_millis(self.settings.turnaround_ms);
        self.not_before = now + hold.max(turnaround);
        if let Some(message) = self.queue.pop_front() {
            self.output(Output::Sent {
                id: message.id,
                fate: Fate::Delivered,
            });
        }
    }

    /// The message stays first in the queue, until it has failed too often.
    fn failed(&mut self, now: Instant, hold: Duration) {
        self.phase = Phase::Idle;
        self.not_before = now + hold;
        let attempts = self.settings.attempts;
        if let Some(message) = self.queue.front_mut() {
            message.failed += 1;
            if message.failed >= attempts {
                let id = message.id;
                self.queue.pop_front();
                self.output(Output::Sent {
                    id,
                    fate: Fate::GivenUp,
                });
            }
        }
    }

    pub(super) fn sending_tick(&mut self, now: Instant) {
        match &self.phase {
            Phase::Yielding { until } if *until <= now => {
                self.phase = Phase::Idle;
                self.not_before = now;
            }
            Phase::Bidding { until } if *until <= now => self.unanswered(now),
            Phase::Transmitting(tx) if tx.until <= now => self.unanswered(now),
            _ => {}
        }
    }

    fn unanswered(&mut self, now: Instant) {
        self.note(Note::NoReply);
        self.write(&[EOT]);
        self.failed(now, Duration::from_millis(self.settings.busy_hold_ms));
    }
}
