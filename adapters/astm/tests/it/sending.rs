//! The sender of LIS01-A2 §6.2 and §6.3: bids, contention, repeats, interrupts.

use adapter_astm::link::{Fate, Note};
use adapter_astm::settings::{LinkSettings, Role};

use crate::bench::{ACK, Bench, ENQ, EOT, NAK, SILENCE, frame, message, play};

const ANSWER: [&str; 3] = ["H|\\^&|||HUB", "O|1|S1", "L|1|N"];

/// Frames of [`ANSWER`] as we must write them.
fn frames() -> Vec<Vec<u8>> {
    ANSWER
        .iter()
        .zip(1..)
        .map(|(record, number)| frame(number, record))
        .collect()
}

#[test]
fn a_message_goes_out_frame_by_frame() {
    let mut bench = Bench::plain();
    assert_eq!(bench.send(7, &ANSWER), [ENQ]);
    for frame in frames() {
        assert_eq!(bench.say(&[ACK]), frame);
    }
    assert_eq!(bench.sent, []);
    assert_eq!(bench.say(&[ACK]), [EOT]);
    assert_eq!(bench.sent, [(7, Fate::Delivered)]);
    assert!(bench.line.is_idle());
}

#[test]
fn after_a_session_the_line_rests_before_we_bid() {
    let mut bench = Bench::plain();
    play(&mut bench);
    assert_eq!(bench.send(1, &ANSWER), SILENCE);
    assert_eq!(bench.wait(199), SILENCE);
    assert_eq!(bench.wait(1), [ENQ]);
    // and a message that waits lets a session that came first end
    let mut bench = Bench::plain();
    bench.say(&[ENQ]);
    assert_eq!(bench.send(1, &ANSWER), SILENCE);
    for frame in message() {
        assert_eq!(bench.say(&frame), [ACK]);
    }
    assert_eq!(bench.say(&[EOT]), SILENCE);
    assert_eq!(bench.wait(200), [ENQ]);
}

#[test]
fn the_host_yields_in_contention() {
    let mut bench = Bench::plain();
    assert_eq!(bench.send(1, &ANSWER), [ENQ]);
    assert_eq!(bench.say(&[ENQ]), SILENCE, "no answer to the crossing ENQ");
    assert!(bench.notes.contains(&Note::Contention));
    bench.wait(1_000);
    play(&mut bench);
    assert_eq!(bench.wait(200), [ENQ], "then it is our turn");
    // an instrument that never comes back
    let mut bench = Bench::plain();
    bench.send(1, &ANSWER);
    bench.say(&[ENQ]);
    assert_eq!(bench.wait(19_999), SILENCE);
    assert_eq!(bench.wait(1), [ENQ]);
}

#[test]
fn an_instrument_bids_again_after_a_second() {
    let mut bench = Bench::new(&LinkSettings {
        role: Role::Instrument,
        ..LinkSettings::default()
    });
    bench.send(1, &ANSWER);
    assert_eq!(bench.say(&[ENQ]), SILENCE);
    assert_eq!(bench.wait(999), SILENCE);
    assert_eq!(bench.wait(1), [ENQ]);
}

#[test]
fn a_busy_instrument_is_asked_again_after_ten_seconds() {
    let mut bench = Bench::plain();
    bench.send(1, &ANSWER);
    assert_eq!(bench.say(&[NAK]), SILENCE);
    assert_eq!(bench.wait(9_999), SILENCE);
    assert_eq!(bench.wait(1), [ENQ]);
    // meanwhile it may speak
    bench.say(&[NAK]);
    play(&mut bench);
}

#[test]
fn no_reply_in_fifteen_seconds_ends_the_bid_with_eot() {
    let mut bench = Bench::plain();
    bench.send(1, &ANSWER);
    assert_eq!(bench.wait(14_999), SILENCE);
    assert_eq!(bench.wait(1), [EOT]);
    assert_eq!(bench.wait(10_000), [ENQ]);
    bench.say(&[ACK]);
    assert_eq!(bench.wait(15_000), [EOT], "nor to a frame");
    assert_eq!(bench.sent, []);
}

#[test]
fn a_frame_is_sent_six_times_and_the_message_comes_again_whole() {
    let mut bench = Bench::plain();
    bench.send(1, &ANSWER);
    let frames = frames();
    assert_eq!(bench.say(&[ACK]), frames[0]);
    assert_eq!(bench.say(&[ACK]), frames[1]);
    for n in 0..5 {
        // any other character counts as NAK
        let byte = if n % 2 == 0 { NAK } else { b'?' };
        assert_eq!(bench.say(&[byte]), frames[1]);
    }
    assert_eq!(bench.say(&[NAK]), [EOT]);
    assert_eq!(bench.wait(10_000), [ENQ]);
    assert_eq!(bench.say(&[ACK]), frames[0]);
}

#[test]
fn what_is_never_taken_is_given_up_and_said() {
    let mut bench = Bench::plain();
    assert_eq!(bench.send(9, &ANSWER), [ENQ]);
    for _ in 0..9 {
        assert_eq!(bench.say(&[NAK]), SILENCE);
        assert_eq!(bench.wait(10_000), [ENQ]);
    }
    bench.say(&[NAK]);
    assert_eq!(bench.sent, [(9, Fate::GivenUp)]);
    assert_eq!(bench.wait(60_000), SILENCE);
}

#[test]
fn a_receiver_interrupt_ends_the_session_and_the_line_is_left_alone() {
    let mut bench = Bench::plain();
    bench.send(1, &ANSWER);
    bench.say(&[ACK]);
    assert_eq!(bench.say(&[EOT]), [EOT]);
    assert_eq!(bench.sent, [], "not all was taken");
    assert_eq!(bench.wait(14_999), SILENCE);
    assert_eq!(bench.wait(1), [ENQ]);
    // on the last frame it counts as ACK
    bench.say(&[ACK]);
    bench.say(&[ACK]);
    bench.say(&[ACK]);
    assert_eq!(bench.say(&[EOT]), [EOT]);
    assert_eq!(bench.sent, [(1, Fate::Delivered)]);
}

#[test]
fn line_ends_after_an_answer_are_no_answer() {
    let mut bench = Bench::plain();
    bench.send(1, &ANSWER);
    let frames = frames();
    assert_eq!(bench.say(&[ACK, b'\r', b'\n']), frames[0]);
    assert_eq!(bench.say(&[ACK]), frames[1]);
}

#[test]
fn what_was_not_sent_is_given_back_when_the_connection_ends() {
    let mut bench = Bench::plain();
    bench.send(1, &ANSWER);
    bench.send(2, &ANSWER);
    bench.say(&[ACK]);
    bench.say(&[ACK]);
    let unsent = bench.line.take_unsent();
    bench.lost();
    assert_eq!(unsent.iter().map(|m| m.id).collect::<Vec<_>>(), [1, 2]);
}
