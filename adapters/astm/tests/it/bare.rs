//! Lines without handshake.

use adapter_astm::settings::{LinkSettings, Mode};

use crate::bench::{ACK, Bench, NAK, RECORDS, SILENCE, Store};

fn bare(set: impl FnOnce(&mut LinkSettings)) -> Bench {
    let mut settings = LinkSettings {
        mode: Mode::Bare,
        ..LinkSettings::default()
    };
    set(&mut settings);
    Bench::new(&settings)
}

fn text() -> String {
    RECORDS.map(|r| format!("{r}\r")).concat()
}

#[test]
fn a_block_from_soh_to_eot_is_a_message_and_is_answered_once() {
    let block = format!("\u{1}{}\u{4}", text());
    let mut bench = bare(|_| {});
    assert_eq!(bench.say(block.as_bytes()), [ACK]);
    assert_eq!(bench.say(block.as_bytes()), [ACK]);
    assert_eq!(bench.kinds(), ["message", "message"]);
    assert_eq!(bench.texts()[0], text());
    bench.store = Store::Refusing;
    assert_eq!(bench.say(block.as_bytes()), [NAK]);
    bench.store = Store::Willing;
    // broken off, then whole
    bench.say(b"\x01H|\\^&\r");
    assert_eq!(bench.say(block.as_bytes()), [ACK]);
    assert_eq!(bench.kinds()[2..], ["astm_restarted", "message"]);
    bench.say(b"\x01H|\\^&\r");
    bench.wait(5_000);
    assert_eq!(bench.kinds()[4..], ["astm_timeout"]);
}

#[test]
fn frames_without_enq_checksum_and_eot_are_a_message_at_l_or_after_silence() {
    let mut bench = bare(|_| {});
    for record in RECORDS {
        assert_eq!(
            bench.say(format!("\u{2}1{record}\r\u{3}").as_bytes()),
            [ACK]
        );
    }
    assert_eq!(bench.kinds(), ["message"]);
    assert_eq!(bench.texts()[0], text());
    bench.wait(6_000);
    for record in &RECORDS[..4] {
        bench.say(format!("\u{2}1{record}\r\u{3}").as_bytes());
    }
    bench.wait(4_900);
    assert_eq!(bench.kinds(), ["message"]);
    bench.wait(100);
    assert_eq!(bench.kinds(), ["message", "message"]);
}

#[test]
fn records_without_any_frame_are_a_message() {
    let mut bench = bare(|_| {});
    assert_eq!(bench.say(text().as_bytes()), [ACK]);
    assert_eq!(bench.texts(), [text()]);
    // no L: silence ends it
    let no_l = RECORDS[..4].join("\r\n");
    assert_eq!(bench.say(format!("{no_l}\r\n").as_bytes()), SILENCE);
    bench.wait(5_000);
    assert_eq!(bench.kinds(), ["message", "message"]);
    assert_eq!(
        bench.stored[1].notes,
        ["the message ended without an L record"]
    );
}

#[test]
fn a_line_that_wants_no_answers_gets_none_and_loses_nothing() {
    let mut bench = bare(|s| s.replies = false);
    bench.store = Store::Refusing;
    for record in RECORDS {
        assert_eq!(
            bench.say(format!("\u{2}1{record}\r\u{3}").as_bytes()),
            SILENCE
        );
    }
    bench.wait(3_500);
    assert_eq!(bench.kinds(), [""; 0]);
    bench.store = Store::Willing;
    assert_eq!(bench.wait(1_000), SILENCE);
    assert_eq!(bench.kinds(), ["message"]);
}

#[test]
fn an_enq_is_answered_all_the_same() {
    let mut bench = bare(|_| {});
    crate::bench::play(&mut bench);
    assert_eq!(bench.kinds(), ["message"]);
}
