//! Lines without a handshake (mode bare): `SOH H..L EOT` blocks and records without any frame.

use std::time::Instant;

use super::assembly::Assembly;
use super::session::{Part, Pending, Phase, Reading, Session};
use super::{CR, EOT, LF, SOH, Unit, reason};

impl Session {
    /// Inside `SOH .. EOT` (Radiometer ABL9).
    pub(super) fn in_block(&mut self, now: Instant, mut raw: Vec<u8>, byte: u8) {
        let limit = self.settings.limit;
        if byte == SOH {
            // the block before it was broken off
            self.quarantine_block(raw);
            raw = Vec::new();
        }
        raw.push(byte);
        if byte == EOT {
            let unit = Unit {
                ticket: self.ticket(),
                bytes: raw.into(),
                quarantine: None,
                notes: Vec::new(),
                awaited: true,
            };
            self.await_unit(now, unit);
            return;
        }
        if raw.len() > limit {
            self.too_large(&raw);
            return;
        }
        if let Phase::Receiving(rx) = &mut self.phase {
            rx.reading = Reading::Block(raw);
        }
    }

    /// A record without a frame: an L record ends the message, else the silence after it.
    pub(super) fn in_bare(&mut self, now: Instant, byte: u8) {
        let limit = self.settings.limit;
        let Phase::Receiving(rx) = &mut self.phase else {
            return;
        };
        rx.reading = Reading::Bare;
        if rx.assembly.raw.len() >= limit {
            self.too_large(&[]);
            return;
        }
        if rx.oversize {
            return;
        }
        rx.assembly.append_text(byte);
        if matches!(byte, CR | LF) && rx.assembly.is_terminated() {
            let assembly = rx.assembly.clone();
            let unit = self.unit_of(assembly, &[], reason::CUT_SHORT);
            self.await_unit(now, unit);
        }
    }

    fn await_unit(&mut self, now: Instant, unit: Unit) {
        let Phase::Receiving(rx) = &mut self.phase else {
            return;
        };
        rx.assembly = Assembly::default();
        let mark = rx.assembly.mark();
        self.await_store(
            now,
            Pending {
                units: vec![(unit, Part::Current)],
                stored: Vec::new(),
                failed: false,
                previous: None,
                mark,
                frame: None,
                block: true,
            },
        );
    }

    fn quarantine_block(&mut self, raw: Vec<u8>) {
        let unit = Unit {
            ticket: self.ticket(),
            bytes: raw.into(),
            quarantine: Some(reason::RESTARTED),
            notes: Vec::new(),
            awaited: false,
        };
        self.owe(unit);
    }
}
