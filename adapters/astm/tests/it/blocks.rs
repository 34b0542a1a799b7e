//! Beckman AU and Siemens Dimension lines.

use adapter_astm::link::{Fate, Note, checksum};
use adapter_astm::settings::{LinkSettings, Mode};

use crate::bench::{ACK, Bench, NAK, SILENCE, Store};

fn line(mode: Mode, bcc: bool) -> Bench {
    Bench::new(&LinkSettings {
        mode,
        bcc,
        ..LinkSettings::default()
    })
}

fn dimension(content: &str) -> Vec<u8> {
    let body = content.replace('|', "\u{1c}").into_bytes();
    [&[2][..], &body, &checksum(&body), &[3]].concat()
}

const RESULT: &str = "R|0|X|S1|1||0|000012010124|1|1|1|GLU|98|mg/dL||";

#[test]
fn a_dimension_is_answered_at_every_poll() {
    let mut bench = line(Mode::Dimension, false);
    let nothing = [&[ACK][..], b"\x02N\x1c6A\x03"].concat();
    assert_eq!(bench.say(&dimension("P|1|1|0|")), nothing);
    assert_eq!(bench.say(&[ACK]), SILENCE);
    assert_eq!(bench.stored, []);
    bench.send(5, &["D\u{1c}0\u{1c}"]);
    // it takes no work now: its next poll may
    assert_eq!(bench.say(&dimension("P|1|0|0|")), nothing);
    assert_eq!(bench.say(&[ACK]), SILENCE);
    let work = [&[ACK][..], &dimension("D|0|")].concat();
    assert_eq!(bench.say(&dimension("P|1|0|1|")), work);
    assert_eq!(bench.sent, []);
    assert_eq!(bench.say(&[ACK]), SILENCE);
    assert_eq!(bench.sent, [], "its bytes are taken, not yet the order");
    assert_eq!(bench.say(&dimension("M|A||1|42|")), [ACK]);
    assert_eq!(bench.sent, [(5, Fate::Delivered)]);
}

#[test]
fn an_order_that_a_dimension_refuses_is_told_with_its_reason_and_silence_is_no_refusal() {
    let mut bench = line(Mode::Dimension, false);
    let poll = dimension("P|73|0|1|");
    bench.send(1, &["D\u{1c}0\u{1c}"]);
    bench.say(&poll);
    bench.say(&[ACK]);
    // both in one read, as a serial server hands them over
    let refused = [&dimension("M|R|5|1|0|")[..], &poll].concat();
    bench.say(&refused);
    assert!(bench.notes.contains(&Note::WorkRefused));
    let why = "the instrument refused it: error in the test request (5)";
    assert_eq!(bench.sent, [(1, Fate::Refused(why))]);
    bench.say(&[ACK]);
    // no word, but the next poll
    bench.send(2, &["D\u{1c}1\u{1c}"]);
    bench.say(&poll);
    bench.say(&[ACK]);
    assert_eq!(bench.sent.len(), 1);
    bench.say(&poll);
    assert_eq!(bench.sent.last(), Some(&(2, Fate::Delivered)));
    bench.say(&[ACK]);
    // no word at all
    bench.send(3, &["D\u{1c}2\u{1c}"]);
    bench.say(&poll);
    bench.say(&[ACK]);
    bench.wait(60_000);
    assert_eq!(bench.sent.last(), Some(&(3, Fate::Delivered)));
}

#[test]
fn a_dimension_result_is_accepted_when_it_is_on_disk() {
    let mut bench = line(Mode::Dimension, false);
    bench.store = Store::Slow;
    assert_eq!(bench.say(&dimension(RESULT)), SILENCE);
    let accepted = [&[ACK][..], b"\x02M\x1cA\x1c\x1cE2\x03"].concat();
    assert_eq!(bench.answer(true), accepted);
    assert_eq!(bench.say(&[ACK]), SILENCE);
    assert_eq!(bench.say(&dimension(RESULT)), SILENCE);
    assert_eq!(bench.answer(false), [NAK]);
    let mut broken = dimension(RESULT);
    broken[5] ^= 1;
    assert_eq!(bench.say(&broken), [NAK]);
    assert_eq!(bench.kinds(), ["message"]);
}

#[test]
fn a_query_waits_for_its_answer_and_is_told_none_when_nobody_knows() {
    let mut bench = line(Mode::Dimension, false);
    assert_eq!(bench.say(&dimension("I|S1|")), [ACK]);
    assert_eq!(
        bench.send(7, &["D\u{1c}9\u{1c}"]),
        SILENCE,
        "other work is no answer"
    );
    assert_eq!(bench.answer_with(1, &["D\u{1c}0\u{1c}"]), dimension("D|0|"));
    bench.say(&[ACK]);
    assert_eq!(bench.say(&dimension("I|S1|")), [ACK]);
    assert_eq!(bench.wait(1_499), SILENCE);
    assert_eq!(bench.wait(1), b"\x02N\x1c6A\x03");
    // an answer without work is said at once
    bench.say(&[ACK]);
    bench.say(&dimension("I|S1|"));
    assert_eq!(bench.answer_with(2, &[""]), b"\x02N\x1c6A\x03");
    bench.say(&[ACK]);
    let work = [&[ACK][..], &dimension("D|9|")].concat();
    assert_eq!(bench.say(&dimension("P|1|0|1|")), work, "it had waited");
}

#[test]
fn au_blocks_are_messages_whatever_characters_frame_them() {
    let content = "D 000601 0013                     U1449    E0     097   146.23";
    let mut bench = line(Mode::Au, false);
    assert_eq!(
        bench.say(format!("\u{5}\u{5}{content}\u{4}").as_bytes()),
        [ACK]
    );
    assert_eq!(bench.say(format!("\u{2}{content}\u{3}").as_bytes()), [ACK]);
    assert_eq!(bench.say(b"\x02DB\x03\x02DE\x03"), [ACK, ACK]);
    assert_eq!(bench.kinds(), ["message", "message"]);
    let mut bench = line(Mode::Au, true);
    let xor = content.bytes().fold(3, |sum, b| sum ^ b);
    let good = [format!("\u{2}{content}\u{3}").as_bytes(), &[xor]].concat();
    let bad = [format!("\u{2}{content}\u{3}").as_bytes(), &[xor ^ 1]].concat();
    assert_eq!(bench.say(&bad), [NAK]);
    assert_eq!(bench.say(&good), [ACK]);
    bench.say(&good[..9]);
    bench.lost();
    assert_eq!(bench.kinds(), ["message", "astm_link_lost"]);
}

#[test]
fn what_we_send_is_sent_again_until_it_is_taken_or_given_up() {
    let mut bench = line(Mode::Au, false);
    bench.say(b"\x02R 000601 0013\x03");
    assert_eq!(bench.answer_with(1, &["S 000601"]), b"\x02S 000601\x03");
    for _ in 0..5 {
        assert_eq!(bench.say(&[NAK]), b"\x02S 000601\x03");
    }
    assert_eq!(bench.say(&[NAK]), SILENCE);
    assert_eq!(bench.sent, [(1, Fate::GivenUp)]);
    assert_eq!(bench.answer_with(2, &["S 000602"]), SILENCE, "nobody asked");
    bench.say(b"\x02R 000601 0013\x03");
    assert_eq!(bench.wait(15_000), b"\x02S 000602\x03");
}
