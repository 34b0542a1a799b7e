//! Line noise: one byte in a thousand becomes another one, in both directions, over ten thousand messages. Every message
//! must be filed exactly once, or somebody must be told.
//!
//! A checksum of eight bits can't see all of it: two disturbed bytes of a frame cancel out in one of 256. Such a frame is
//! right to every receiver, and nobody can be told. The tests know these frames, because they make the noise, and ask
//! the rule of every other message without an exception.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use adapter_astm::link::{Fate, Line, Outgoing, Output, Unit, join};
use adapter_astm::settings::{LinkSettings, Role};

use crate::peer::Peer;

const MESSAGES: u64 = 10_000;

/// xorshift: the same noise in every run.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn disturb(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            if self.next().is_multiple_of(1000) {
                let other = u8::try_from(self.next() % 255).unwrap() + 1;
                *byte ^= other;
            }
        }
    }
}

/// The frames in these bytes that a receiver takes for whole: their text with number and end, and their checksum.
fn right_frames(bytes: &[u8]) -> Vec<&[u8]> {
    let starts = bytes.iter().enumerate().filter(|(_, b)| **b == 0x02);
    let frames = starts.filter_map(|(at, _)| {
        let after = &bytes[at + 1..];
        let end = after
            .iter()
            .position(|b| matches!(*b, 0x02 | 0x03 | 0x17))?;
        let said = after.get(end + 1..end + 3)?;
        let sum = after[..=end]
            .iter()
            .fold(0_u8, |sum, b| sum.wrapping_add(*b));
        let right = said.eq_ignore_ascii_case(format!("{sum:02X}").as_bytes());
        (after[end] != 0x02 && right).then_some(&after[..=end])
    });
    frames.collect()
}

/// The noise made another frame of this one, and its checksum is right.
fn is_invisible(clean: &[u8], heard: &[u8]) -> bool {
    let sent = right_frames(clean);
    right_frames(heard)
        .iter()
        .any(|frame| !sent.contains(frame))
}

fn records(n: u64) -> Vec<String> {
    vec![
        format!("H|\\^&|C{n}||XN-350^1|||||||P|1|20240731120334"),
        "P|1".to_owned(),
        format!("O|1|S{n}||^^^WBC\\^^^RBC|R"),
        format!(
            "R|1|^^^WBC|{}.{}|10*3/uL||N||F||||20240731120334",
            n % 90,
            n % 10
        ),
        format!("R|2|^^^RBC|4.{n}|10*6/uL||N||F||||20240731120334"),
        "L|1|N".to_owned(),
    ]
}

/// The text of a message, by the number in its header.
fn text(n: u64) -> String {
    records(n).iter().map(|r| format!("{r}\r")).collect()
}

/// A receiver with a store that keeps everything.
struct Receiver {
    line: Line,
    stored: Vec<Unit>,
}

impl Receiver {
    fn new(now: Instant) -> Self {
        Self {
            line: Line::new(&LinkSettings::default(), now),
            stored: Vec::new(),
        }
    }

    fn written(&mut self, now: Instant) -> Vec<u8> {
        let mut written = Vec::new();
        while let Some(output) = self.line.next_output() {
            match output {
                Output::Write(bytes) => written.extend_from_slice(&bytes),
                Output::Store(unit) => {
                    let ticket = unit.ticket;
                    self.stored.push(unit);
                    self.line.settle(now, ticket, true);
                }
                _ => {}
            }
        }
        written
    }
}

/// Every message is filed once, or its broken bytes are kept with a reason. `unseen` are the messages with a frame whose
/// disturbance no receiver can see.
fn judge(stored: &[Unit], delivered: impl Iterator<Item = u64>, unseen: &BTreeSet<u64>) {
    let mut filed: BTreeMap<String, BTreeSet<&[u8]>> = BTreeMap::new();
    let mut reported: Vec<String> = Vec::new();
    for unit in stored {
        let text = String::from_utf8_lossy(&join(&unit.bytes).text).into_owned();
        let whole =
            unit.quarantine.is_none() && unit.notes.iter().all(|n| !n.contains("without an L"));
        if whole {
            filed.entry(text).or_default().insert(&unit.bytes);
        } else {
            reported.push(text);
        }
    }
    let (mut once, mut told, mut count) = (0, 0, 0);
    for n in delivered {
        count += 1;
        let mark = format!("|C{n}|");
        match filed.remove(&text(n)) {
            // the same bytes are the same message for the ledger, however often they came
            Some(kinds) => {
                assert_eq!(kinds.len(), 1, "message {n} was filed in two forms");
                once += 1;
            }
            None if unseen.contains(&n) => {}
            None => {
                assert!(
                    reported.iter().any(|text| text.contains(&mark)),
                    "message {n} was acknowledged and nobody has it"
                );
                told += 1;
            }
        }
    }
    println!(
        "{once} filed once, {told} reported, {} broken pieces kept, {} unseen, {} altered",
        reported.len(),
        unseen.len(),
        filed.len()
    );
    assert!(told <= count / 1000, "{told} messages had to be reported");
    assert!(
        filed.len() <= unseen.len(),
        "altered, and a receiver could have seen it: {:?}",
        filed.keys()
    );
}

/// Noise that every run has, or `NOISE_SEEDS=<count>` others.
fn seeds(usual: u64) -> impl Iterator<Item = u64> {
    let more = std::env::var("NOISE_SEEDS")
        .ok()
        .and_then(|n| n.parse::<u64>().ok());
    let rest = (1..more.unwrap_or(1)).map(move |n| usual ^ n.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    std::iter::once(usual)
        .chain(rest)
        .inspect(|seed| println!("seed {seed:#x}"))
}

#[test]
fn ten_thousand_messages_of_a_strange_sender_survive_the_noise() {
    for seed in seeds(0x5EED_0001) {
        strange_sender(Noise(seed));
    }
}

fn strange_sender(mut noise: Noise) {
    let mut unseen = BTreeSet::new();
    let start = Instant::now();
    let at = |ms: u64| start + Duration::from_millis(ms);
    let mut now = 0_u64;
    let mut peer = Peer::new((0..MESSAGES).map(records).collect());
    let mut receiver = Receiver::new(start);
    while !peer.is_done() {
        let mut there = std::mem::take(&mut peer.out);
        if !there.is_empty() {
            let clean = there.clone();
            noise.disturb(&mut there);
            if is_invisible(&clean, &there) {
                unseen.insert(peer.delivered as u64);
            }
            receiver.line.push(at(now), &there);
        }
        let mut back = receiver.written(at(now));
        if !back.is_empty() {
            noise.disturb(&mut back);
            for byte in back {
                peer.hear(now, byte);
            }
            continue;
        }
        if !peer.out.is_empty() {
            continue;
        }
        // nothing in the air: time goes on
        let ours = receiver.line.deadline().map(|due| {
            u64::try_from(
                due.saturating_duration_since(start)
                    .as_micros()
                    .div_ceil(1000),
            )
            .unwrap()
        });
        now = [peer.due(), ours]
            .into_iter()
            .flatten()
            .min()
            .unwrap()
            .max(now);
        peer.tick(now);
        receiver.line.tick(at(now));
    }
    receiver.line.lost(at(now));
    receiver.written(at(now));
    assert_eq!(peer.delivered as u64, MESSAGES);
    judge(&receiver.stored, 0..MESSAGES, &unseen);
}

#[test]
fn ten_thousand_messages_of_our_own_sender_survive_the_noise() {
    for seed in seeds(0x5EED_0002) {
        our_sender(Noise(seed));
    }
}

fn our_sender(mut noise: Noise) {
    let mut unseen = BTreeSet::new();
    let mut now = Instant::now();
    let mut receiver = Receiver::new(now);
    let mut sender = Line::new(
        &LinkSettings {
            role: Role::Instrument,
            ..LinkSettings::default()
        },
        now,
    );
    for n in 0..MESSAGES {
        let records = records(n).into_iter().map(String::into_bytes).collect();
        sender.send(now, Outgoing::new(n, records));
    }
    let mut delivered = Vec::new();
    let mut gone = 0;
    while delivered.len() + gone < usize::try_from(MESSAGES).unwrap() {
        let mut there = Vec::new();
        while let Some(output) = sender.next_output() {
            match output {
                Output::Write(bytes) => there.extend_from_slice(&bytes),
                Output::Sent {
                    id,
                    fate: Fate::Delivered,
                } => delivered.push(id),
                Output::Sent { .. } => gone += 1,
                _ => {}
            }
        }
        if !there.is_empty() {
            let clean = there.clone();
            noise.disturb(&mut there);
            if is_invisible(&clean, &there) {
                unseen.insert((delivered.len() + gone) as u64);
            }
            receiver.line.push(now, &there);
        }
        let mut back = receiver.written(now);
        if !back.is_empty() {
            noise.disturb(&mut back);
            sender.push(now, &back);
            continue;
        }
        if there.is_empty() {
            let due = [sender.deadline(), receiver.line.deadline()];
            now = due.into_iter().flatten().min().unwrap().max(now);
            sender.tick(now);
            receiver.line.tick(now);
        }
    }
    receiver.line.lost(now);
    receiver.written(now);
    assert!(gone <= 3, "{gone} messages were given up, which is said");
    judge(&receiver.stored, delivered.into_iter(), &unseen);
}
