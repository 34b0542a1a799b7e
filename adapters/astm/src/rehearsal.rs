//! A capture of an instrument, played over a line without I/O: which frames would be acknowledged, what would be stored. Time
//! is made up, the store is willing. It must never change a byte without saying so.

use std::time::{Duration, Instant};

use bytes::Bytes;
use hub_core::rehearsal::{Rehearsal, Step};

use crate::link::{ACK, ENQ, EOT, Line, NAK, Output, SOH, STX, join};
use crate::settings::{AstmSettings, Mode, Strictness};

/// Longer than any time-out of a line that is set by default; a longer one is waited for as well.
const SILENCE: Duration = Duration::from_secs(60);

/// Plays a capture. With `repair` the damage that loggers do is undone first, where it can be told from the checksums.
#[must_use]
pub fn rehearse(settings: &AstmSettings, capture: &[u8], repair: bool) -> Rehearsal {
    let mut rehearsal = Rehearsal::default();
    let bytes = prepared(settings, capture, repair, &mut rehearsal);
    let mode = settings.link.mode;
    let framed = bytes.iter().any(|b| matches!(*b, STX | ENQ | SOH));
    if !framed && mode != Mode::Bare {
        rehearsal.note("the capture has no frames: its records are taken as one message, the line is not played");
        rehearsal.steps.push(Step::Stored {
            bytes: bytes.into(),
            quarantine: None,
            notes: Vec::new(),
        });
        return rehearsal;
    }
    let mut stage = Stage::new(settings, rehearsal);
    if mode == Mode::E1381 && bytes.iter().find(|b| matches!(**b, STX | ENQ)) == Some(&STX) {
        stage
            .rehearsal
            .note("the capture begins after ENQ, which is supplied");
        stage.say(&[ENQ]);
    }
    stage.say(&bytes);
    stage.wait(Duration::from_millis(100));
    let ended = bytes.iter().rposition(|b| *b == EOT) > bytes.iter().rposition(|b| *b == STX);
    if mode == Mode::E1381 && !ended {
        stage
            .rehearsal
            .note("the capture ends before EOT, which is supplied");
        stage.say(&[EOT]);
    }
    let longest = settings
        .link
        .receive_timeout()
        .max(settings.link.quiet_end())
        * 2;
    stage.wait(longest.max(SILENCE));
    stage.line.lost(stage.now);
    stage.carry_out();
    stage.rehearsal
}

/// The bytes to play: the instrument's side, the logger's damage undone or at least said.
fn prepared(
    settings: &AstmSettings,
    capture: &[u8],
    repair: bool,
    rehearsal: &mut Rehearsal,
) -> Vec<u8> {
    let mut bytes = rehearsal.unspelled(capture, repair, "<STX>");
    let ours = bytes.iter().filter(|b| matches!(**b, ACK | NAK)).count();
    if ours > 0 {
        rehearsal.note(format!(
            "{ours} ACK or NAK in the capture are a host's and are left out"
        ));
        bytes.retain(|b| !matches!(*b, ACK | NAK));
    }
    let looks_at_sums = settings.link.mode == Mode::E1381
        || (settings.link.mode == Mode::Bare && settings.link.checksum() != Strictness::Off);
    if !looks_at_sums || !bytes.contains(&STX) || !bytes.contains(&b'\n') {
        return bytes;
    }
    let found = join(&bytes);
    let dropped: Vec<u8> = bytes.iter().copied().filter(|b| *b != b'\n').collect();
    let as_cr = |b: &u8| if *b == b'\n' { b'\r' } else { *b };
    let made_cr: Vec<u8> = bytes.iter().map(as_cr).collect();
    let candidates = [
        ("its line feeds are removed", dropped),
        ("its line feeds are made carriage returns", made_cr),
    ];
    let best = candidates
        .into_iter()
        .map(|(how, candidate)| (join(&candidate).wrong_sums, how, candidate))
        .min_by_key(|(wrong, ..)| *wrong)
        .filter(|(wrong, ..)| *wrong < found.wrong_sums);
    if let Some((wrong, how, candidate)) = best {
        let said = format!(
            "{} of {} checksums are right as the capture is, {} when {how}: a logger's damage",
            found.frames - found.wrong_sums,
            found.frames,
            found.frames - wrong,
        );
        if repair {
            rehearsal.note(said);
            return candidate;
        }
        rehearsal.note(format!("{said}; --repair undoes it"));
    }
    bytes
}

struct Stage {
    line: Line,
    now: Instant,
    rehearsal: Rehearsal,
}

impl Stage {
    fn new(settings: &AstmSettings, rehearsal: Rehearsal) -> Self {
        let now = Instant::now();
        Self {
            line: Line::new(&settings.link, now),
            now,
            rehearsal,
        }
    }

    fn say(&mut self, bytes: &[u8]) {
        self.line.push(self.now, bytes);
        self.carry_out();
    }

    fn wait(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(due) = self.line.deadline().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            self.line.tick(self.now);
            self.carry_out();
        }
        self.now = until;
        self.line.tick(self.now);
        self.carry_out();
    }

    fn carry_out(&mut self) {
        while let Some(output) = self.line.next_output() {
            let step = match output {
                Output::Write(bytes) => Step::Written {
                    refusal: bytes.first() == Some(&NAK),
                    what: name(&bytes),
                },
                Output::Store(unit) => {
                    self.line.settle(self.now, unit.ticket, true);
                    Step::Stored {
                        bytes: unit.bytes,
                        quarantine: unit.quarantine.map(str::to_owned),
                        notes: unit.notes,
                    }
                }
                Output::Note(note) => Step::Odd(note.as_str().to_owned()),
                Output::Sent { .. } => continue,
            };
            self.rehearsal.steps.push(step);
        }
    }
}

fn name(bytes: &Bytes) -> String {
    match bytes.as_ref() {
        [ACK] => "ACK".to_owned(),
        [NAK] => "NAK".to_owned(),
        [ENQ] => "ENQ".to_owned(),
        [EOT] => "EOT".to_owned(),
        other => format!("a block of {} bytes", other.len()),
    }
}
