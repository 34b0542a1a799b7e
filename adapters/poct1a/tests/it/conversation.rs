//! The conversation as a table: what the device says, what is answered, in both modes and with odd devices.

use std::time::{Duration, Instant};

use adapter_poct1a::link::{Ack, Conversation, List, Message, Note, Output, Unit, Wanted};
use adapter_poct1a::settings::{Framing, Mode, Poct1aSettings, Unknown};

use schemas::rosters::RosterAnswer;
use time::OffsetDateTime;
use time::macros::datetime;

use crate::messages::{ack, end_of_topic, escape, fixture, hello, message, observation, status};

/// Drives the machine; time is an argument.
pub(crate) struct Bench {
    pub(crate) line: Conversation,
    pub(crate) now: Instant,
    /// What the store does; units wait for it when none.
    pub(crate) stores: Option<bool>,
    pub(crate) units: Vec<Unit>,
    pub(crate) notes: Vec<Note>,
    pub(crate) wrapped: Vec<bool>,
    /// What the hub answers to a question; questions wait for it when none.
    pub(crate) roster: Option<Result<RosterAnswer, String>>,
    pub(crate) asked: Vec<(u64, Wanted)>,
    /// Lists as they were said: message and what stands behind its header.
    pub(crate) lists: Vec<(&'static str, String)>,
    pub(crate) missing: Vec<(List, Option<String>)>,
    /// Of the last question.
    pub(crate) as_of: OffsetDateTime,
}

impl Bench {
    pub(crate) fn new(set: impl FnOnce(&mut Poct1aSettings)) -> Self {
        let mut settings = Poct1aSettings::listening(([127, 0, 0, 1], 1).into());
        set(&mut settings);
        assert_eq!(settings.validate(), []);
        let now = Instant::now();
        Self {
            line: Conversation::new(&settings, now),
            now,
            stores: Some(true),
            units: Vec::new(),
            notes: Vec::new(),
            wrapped: Vec::new(),
            roster: None,
            asked: Vec::new(),
            lists: Vec::new(),
            missing: Vec::new(),
            as_of: datetime!(2026-01-15 06:30:00.25 UTC),
        }
    }

    /// The hub answers what it was asked last.
    pub(crate) fn answer(&mut self, answer: Result<RosterAnswer, String>) -> String {
        let (ticket, _) = self.asked.last().expect("something was asked").clone();
        self.line.roster(self.now, ticket, self.as_of, answer);
        self.heard()
    }

    /// The device says something; what is said in return, joined.
    pub(crate) fn say(&mut self, text: &str) -> String {
        self.line.push(self.now, text.as_bytes());
        self.heard()
    }

    /// Time passes; what is said of our own accord.
    pub(crate) fn wait(&mut self, passes: Duration) -> String {
        let until = self.now + passes;
        let mut said = Vec::new();
        while let Some(due) = self.line.deadline().filter(|due| *due <= until) {
            self.now = due.max(self.now + Duration::from_millis(1));
            self.line.tick(self.now);
            said.push(self.heard());
        }
        self.now = until;
        said.retain(|text| !text.is_empty());
        said.join(", ")
    }

    pub(crate) fn settle(&mut self, ticket: u64, stored: bool) -> String {
        self.line.settle(self.now, ticket, stored);
        self.heard()
    }

    pub(crate) fn heard(&mut self) -> String {
        let mut said = Vec::new();
        while let Some(output) = self.line.next_output() {
            match output {
                Output::Say { say, wrapped } => {
                    self.wrapped.push(wrapped);
                    said.push(match &say.message {
                        Message::Ack { of, ack } => format!(
                            "{} {of}",
                            match ack {
                                Ack::Accept => "AA",
                                Ack::Error => "AE",
                            }
                        ),
                        Message::Escape { of, .. } => format!("ESC {of}"),
                        Message::Request(what) => (*what).to_owned(),
                        Message::List { kind, body } => {
                            self.lists.push((kind, body.clone()));
                            format!("{kind}#{}", say.control_id)
                        }
                        Message::EndOfTopic { topic, .. } => {
                            format!("EOT {topic}#{}", say.control_id)
                        }
                        other => format!("{}#{}", other.kind(), say.control_id),
                    });
                }
                Output::Store(unit) => {
                    let ticket = unit.ticket;
                    self.units.push(unit);
                    if let Some(stored) = self.stores {
                        self.line.settle(self.now, ticket, stored);
                    }
                }
                Output::Ask { ticket, wanted } => {
                    self.asked.push((ticket, wanted));
                    if let Some(answer) = self.roster.clone() {
                        self.line.roster(self.now, ticket, self.as_of, answer);
                    }
                }
                Output::Without { list, reason } => self.missing.push((list, reason)),
                Output::Note(note) => self.notes.push(note),
                Output::Close(ending) => said.push(format!("close {}", ending.as_str())),
            }
        }
        said.join(", ")
    }
}

const START: &[&str] = &["START_CONTINUOUS"];

type Script = &'static [(fn() -> String, &'static str)];
type Case = (&'static str, fn(&mut Poct1aSettings), Script);

/// Settings, then what the device says and what it hears.
#[rustfmt::skip]
const TABLE: &[Case] = &[
    ("basic mode: results, events, end", |_| {}, &[
        (|| hello("1", &[]), "AA 1"),
        (|| status("2", "2", "1"), "AA 2, ROBS"),
        (|| observation("3"), "AA 3"),
        (|| observation("4"), "AA 4"),
        (|| end_of_topic("5"), "RDEV"),
        (|| message("EVS.R01", "6", ""), "AA 6"),
        (|| end_of_topic("7"), "END.R01#8"),
        (|| ack("8", "8"), "close ended"),
    ]),
    ("continuous mode after what was waiting", |_| {}, &[
        (|| hello("1", START), "AA 1"),
        (|| status("2", "1", "0"), "AA 2, ROBS"),
        (|| observation("3"), "AA 3"),
        (|| end_of_topic("4"), "DTV.R01#5"),
        (|| ack("5", "5"), ""),
        (|| observation("6"), "AA 6"),
        (|| message("OBS.R02", "7", ""), "AA 7"),
        (|| message("KPA.R01", "8", ""), "AA 8"),
        (|| status("9", "1", "0"), "AA 9"),
        (|| observation("10"), "AA 10"),
        (|| message("END.R01", "11", ""), "AA 11, close ended"),
    ]),
    ("nothing waits: straight to continuous mode", |_| {}, &[
        (|| hello("1", START), "AA 1"),
        (|| status("2", "0", "0"), "AA 2, DTV.R01#3"),
        (|| ack("3", "3"), ""),
    ]),
    ("a device that knows continuous mode only, and the clock", |s| {
        s.conversation.request_observations = false;
        s.conversation.mode = Mode::Continuous;
        s.conversation.set_time = true;
    }, &[
        (|| hello("1", &[]), "AA 1"),
        (|| status("2", "4", "0"), "AA 2, DTV.R02#3"),
        (|| ack("3", "3"), "DTV.R01#4"),
        (|| ack("4", "4"), ""),
        (|| observation("5"), "AA 5"),
    ]),
    ("basic mode by setting", |s| s.conversation.mode = Mode::Basic, &[
        (|| hello("1", START), "AA 1"),
        (|| status("2", "0", "0"), "AA 2, END.R01#3"),
    ]),
    ("a status that counts nothing is asked all the same", |_| {}, &[
        (|| hello("1", &[]), "AA 1"),
        (|| message("DST.R01", "2", "<DST/>"), "AA 2, ROBS"),
    ]),
    ("an end of topic is acknowledged by setting", |s| s.conversation.acknowledge_eot = true, &[
        (|| hello("1", &[]), "AA 1"),
        (|| status("2", "1", "0"), "AA 2, ROBS"),
        (|| end_of_topic("3"), "AA 3, END.R01#5"),
    ]),
    ("a topic that is broken off", |_| {}, &[
        (|| hello("1", START), "AA 1"),
        (|| status("2", "1", "1"), "AA 2, ROBS"),
        (|| escape("3", "3"), "RDEV"),
        (|| escape("4", "4"), "DTV.R01#5"),
    ]),
    ("continuous mode refused", |_| {}, &[
        (|| hello("1", START), "AA 1"),
        (|| status("2", "0", "0"), "AA 2, DTV.R01#3"),
        (|| escape("3", "3"), "END.R01#4"),
    ]),
    ("the clock refused, in a vendor's spelling", |s| s.conversation.set_time = true, &[
        (|| hello("1", START), "AA 1"),
        (|| status("2", "0", "0"), "AA 2, DTV.R02#3"),
        (|| message("ACK.R01", "3", "<ACK><ACK.type_id V=\"AE\"/><ACK.control_id V=\"0003\"/></ACK>"), "DTV.R01#4"),
        (|| message("ACK.R01", "4", "<ACK><ACK.type_id V=\"AA\"/><ACK.control_id V=\"4\"/></ACK>"), ""),
        (|| message("KPA.R01", "5", ""), "AA 5"),
    ]),
    ("an acknowledgement of something else", |_| {}, &[
        (|| hello("1", START), "AA 1"),
        (|| status("2", "0", "0"), "AA 2, DTV.R01#3"),
        (|| ack("3", "1"), ""),
        (|| ack("4", "3"), ""),
    ]),
    ("an escape is acknowledged by setting", |s| s.conversation.acknowledge_escape = true, &[
        (|| hello("1", &[]), "AA 1"),
        (|| escape("2", "1"), "AA 2"),
    ]),
    ("results before hello and status", |_| {}, &[
        (|| observation("1"), "AA 1"),
        (|| observation("2"), "AA 2"),
    ]),
    ("status before hello", |_| {}, &[
        (|| status("1", "1", "0"), "AA 1, ROBS"),
    ]),
    ("the device starts again in the middle", |_| {}, &[
        (|| hello("1", &[]), "AA 1"),
        (|| status("2", "9", "0"), "AA 2, ROBS"),
        (|| format!("{}{}", &observation("3")[..80], hello("1", START)), "AA 1"),
        (|| status("2", "0", "0"), "AA 2, DTV.R01#6"),
    ]),
    ("the same control id twice", |_| {}, &[
        (|| hello("1", &[]), "AA 1"),
        (|| observation("3"), "AA 3"),
        (|| observation("3"), "AA 3"),
    ]),
    ("a message without control id", |_| {}, &[
        (|| "<OBS.R01><SVC/></OBS.R01>".to_owned(), "AA "),
    ]),
    ("unknown messages", |_| {}, &[
        (|| message("EXAMPLE.LOCKSTATUS", "1", ""), "ESC 1"),
        (|| message("REQ.R01", "2", "<REQ><REQ.request_cd V=\"RPAT\"/></REQ>"), "ESC 2"),
    ]),
    ("unknown messages accepted", |s| s.conversation.unknown = Unknown::Accept, &[
        (|| message("EXAMPLE.LOCKSTATUS", "1", ""), "AA 1"),
    ]),
    ("unknown messages refused", |s| s.conversation.unknown = Unknown::Error, &[
        (|| message("EXAMPLE.LOCKSTATUS", "1", ""), "AE 1"),
    ]),
    ("what can't be read", |_| {}, &[
        (|| String::from_utf8(fixture("910-")).unwrap(), "ESC "),
        (|| String::from_utf8(fixture("900-")).unwrap(), "ESC "),
        (|| observation("5"), "AA 5"),
    ]),
    ("all at once, as no device should", |_| {}, &[
        (|| [hello("1", START), status("2", "1", "0"), observation("3"), end_of_topic("4"), observation("5")].concat(),
            "AA 1, AA 2, ROBS, AA 3, DTV.R01#5, AA 5"),
    ]),
];

#[test]
fn a_device_hears_what_the_table_says() {
    for (what, set, script) in TABLE {
        let mut bench = Bench::new(set);
        for (n, (said, expected)) in script.iter().enumerate() {
            assert_eq!(bench.say(&said()), *expected, "{what}, line {}", n + 1);
        }
    }
}

#[test]
fn nothing_is_acknowledged_before_it_is_on_disk_and_answers_keep_their_order() {
    let mut bench = Bench::new(|_| {});
    bench.stores = None;
    let all = [
        hello("1", &[]),
        observation("2"),
        message("KPA.R01", "3", ""),
    ]
    .concat();
    assert_eq!(bench.say(&all), "", "the hello is on its way to the disk");
    assert_eq!(bench.units.len(), 1, "one at a time");
    assert_eq!(bench.settle(1, true), "AA 1");
    assert_eq!(bench.units.len(), 2);
    assert_eq!(bench.settle(7, true), "", "an answer to nothing");
    assert_eq!(bench.settle(2, true), "AA 2, AA 3");
    assert!(bench.line.is_idle());
}

#[test]
fn what_cannot_be_stored_is_answered_ae_and_the_conversation_waits_for_it() {
    let mut bench = Bench::new(|_| {});
    bench.stores = Some(false);
    assert_eq!(bench.say(&hello("1", &[])), "AE 1");
    assert_eq!(
        bench.say(&status("2", "1", "0")),
        "AE 2",
        "nothing is asked"
    );
    assert_eq!(bench.say(&observation("3")), "AE 3");
    assert_eq!(
        bench.say(&message("EXAMPLE.X", "4", "")),
        "AE 4",
        "an unknown message too"
    );
    assert_eq!(
        bench.say(&message("KPA.R01", "5", "")),
        "AA 5",
        "nothing to store"
    );
    bench.stores = Some(true);
    assert_eq!(bench.say(&hello("1", &[])), "AA 1");
    assert_eq!(bench.say(&status("2", "1", "0")), "AA 2, ROBS");
    assert_eq!(
        bench
            .notes
            .iter()
            .filter(|n| **n == Note::NotStored)
            .count(),
        4
    );
    assert_eq!(bench.say(&message("END.R01", "6", "")), "AA 6, close ended");
}

#[test]
fn documents_are_kept_byte_for_byte_with_the_name_of_their_device() {
    let mut bench = Bench::new(|_| {});
    bench.say(&format!("junk {}\r\n{}", hello("1", &[]), observation("2")));
    bench.say(&message("KPA.R01", "3", ""));
    bench.say(&ack("4", "9"));
    let kept: Vec<(&[u8], Option<&str>)> = bench
        .units
        .iter()
        .map(|unit| (&unit.bytes[..], unit.quarantine))
        .collect();
    assert_eq!(
        kept,
        [
            (&b"junk "[..], Some("poct1a_noise")),
            (hello("1", &[]).as_bytes(), None),
            (observation("2").as_bytes(), None),
        ],
        "words of the line carry nothing"
    );
    assert_eq!(bench.units[2].notes, ["device: EXAMPLE GP 7"]);
    // more junk is counted
    bench.say("more junk<KPA.R01/>");
    assert_eq!(bench.units.len(), 3);
    assert!(bench.notes.contains(&Note::Noise));
}

#[test]
fn what_is_broken_is_kept_with_its_reason() {
    let mut bench = Bench::new(|s| s.link.limit = 1024);
    bench.say(&String::from_utf8(fixture("900-")).unwrap());
    bench.say(&String::from_utf8(fixture("910-")).unwrap());
    let deep = format!("<A.R01>{}{}</A.R01>", "<b>".repeat(40), "</b>".repeat(40));
    bench.say(&deep);
    bench.say(&format!("<OBS.R01><SVC>{}", hello("1", &[])));
    let long = format!("<OBS.R01>{}</OBS.R01>", "x".repeat(2000));
    assert_eq!(bench.say(&long), "ESC , close too_long");
    let reasons: Vec<_> = bench.units.iter().map(|unit| unit.quarantine).collect();
    assert_eq!(
        reasons,
        [
            Some("poct1a_dtd"),
            Some("poct1a_malformed"),
            Some("poct1a_too_deep"),
            Some("poct1a_incomplete"),
            None,
            Some("poct1a_too_long"),
        ]
    );
    assert_eq!(bench.units[5].bytes.len(), 1024);
}

#[test]
fn answers_are_framed_as_the_device_frames() {
    let block = |text: String| format!("\u{b}{text}\u{1c}\r");
    let mut bench = Bench::new(|_| {});
    bench.say(&block(hello("1", &[])));
    bench.say(&block(status("2", "1", "0")));
    assert_eq!(bench.wrapped, [true, true, true]);
    for (framing, wrapped) in [(Framing::Plain, false), (Framing::Mllp, true)] {
        let mut bench = Bench::new(|s| s.link.framing = framing);
        bench.say(&block(hello("1", &[])));
        bench.say(&hello("1", &[]));
        assert_eq!(bench.wrapped, [wrapped, wrapped]);
    }
}

#[test]
fn our_messages_are_written_as_the_standard_and_the_settings_say() {
    let mut settings = Poct1aSettings::listening(([127, 0, 0, 1], 1).into());
    let now = OffsetDateTime::from_unix_timestamp(1_768_458_840).unwrap();
    let text = |settings: &Poct1aSettings, message: Message, wrapped: bool| {
        let say = adapter_poct1a::link::Say {
            control_id: 7,
            message,
        };
        String::from_utf8(say.write(settings, now, wrapped)).unwrap()
    };
    let header = "<HDR><HDR.control_id V=\"7\"/><HDR.version_id V=\"POCT1\"/><HDR.creation_dttm V=\"2026-01-15T12:04:00+05:30\"/></HDR>";
    let accept = |of: &str| Message::Ack {
        of: of.to_owned(),
        ack: Ack::Accept,
    };
    assert_eq!(
        text(&settings, accept("a\"<&"), false),
        format!(
            "<ACK.R01>{header}<ACK><ACK.type_cd V=\"AA\"/><ACK.ack_control_id V=\"a&quot;&lt;&amp;\"/></ACK></ACK.R01>"
        )
    );
    assert_eq!(
        text(&settings, Message::SetTime, true),
        format!(
            "\u{b}<DTV.R02>{header}<DTV><DTV.command_cd V=\"SET_TIME\"/></DTV><TM><TM.dttm V=\"2026-01-15T12:04:00+05:30\"/></TM></DTV.R02>\u{1c}\r"
        )
    );
    assert_eq!(
        text(&settings, Message::KeepAlive, false),
        format!("<KPA.R01>{header}</KPA.R01>")
    );
    // what we write is what we would read
    for message in [
        Message::Request("ROBS"),
        Message::StartContinuous,
        Message::End,
        Message::Escape {
            of: "3".to_owned(),
            note: "x",
        },
    ] {
        let kind = message.kind();
        let written = text(&settings, message, false);
        let read = adapter_poct1a::document::Document::read(written.as_bytes(), None).unwrap();
        assert_eq!(
            (read.kind(), read.control_id().as_deref()),
            (kind, Some("7"))
        );
    }
    settings.conversation.ack_type = "ACK.type_id".to_owned();
    settings.conversation.ack_control_id = "ACK.control_id".to_owned();
    let sofia = text(&settings, accept("00027"), false);
    assert!(
        sofia.contains("<ACK.type_id V=\"AA\"/><ACK.control_id V=\"00027\"/>"),
        "{sofia}"
    );
}
