//! What silence means: the end of a wait for CR LF, a frame that was broken off, a session that is over, strangers that
//! are done.

use std::time::{Duration, Instant};

use super::session::{Phase, Reading, Receiving, Session};
use super::{EOT, Note, Unit, reason};

/// Frames without a session are kept when the line has been quiet for this long.
const STRAY_QUIET: Duration = Duration::from_secs(2);

impl Session {
    pub(super) fn stray_deadline(&self) -> Instant {
        self.heard + STRAY_QUIET
    }

    pub(super) fn stray_tick(&mut self, now: Instant) {
        if !self.stray.is_empty() && now >= self.stray_deadline() {
            self.stray_end();
        }
    }

    /// Keeps what came outside of a session.
    pub(super) fn stray_end(&mut self) {
        if self.stray.is_empty() {
            return;
        }
        let bytes = std::mem::take(&mut self.stray).into();
        let unit = Unit {
            ticket: self.ticket(),
            bytes,
            quarantine: Some(reason::NO_SESSION),
            notes: vec![
                "frames came without ENQ; an instrument without handshake needs mode = \"bare\""
                    .to_owned(),
            ],
            awaited: false,
        };
        self.owe(unit);
    }

    pub(super) fn receiving_deadline(&self, rx: &Receiving) -> Instant {
        let tail = match &rx.reading {
            Reading::Tail { until, .. } => Some(*until),
            _ => None,
        };
        [Some(rx.until), tail, rx.control.map(|(_, until)| until)]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(rx.until)
    }

    pub(super) fn receiving_tick(&mut self, now: Instant) {
        let Phase::Receiving(rx) = &mut self.phase else {
            return;
        };
        if let Reading::Tail { until, .. } = &rx.reading
            && *until <= now
        {
            if let Reading::Tail { frame, .. } = std::mem::take(&mut rx.reading) {
                self.no_tail = true;
                self.accept(now, frame);
            }
            return;
        }
        if let Some((control, until)) = rx.control
            && until <= now
        {
            // the frame was broken off
            rx.control = None;
            if let Reading::Text(mut raw) = std::mem::take(&mut rx.reading) {
                raw.pop();
                rx.count(Note::Interrupted);
                rx.reading = if control == EOT {
                    Reading::Text(raw)
                } else {
                    Reading::Between
                };
            }
            if control == EOT {
                self.end_session(now, reason::CUT_SHORT);
            } else {
                self.between(now, control);
            }
            return;
        }
        if rx.until <= now {
            self.note(Note::NoReply);
            self.end_session(now, reason::TIMEOUT);
        }
    }
}
