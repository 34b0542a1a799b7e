//! The receiver of LIS01-A2 §6.3, and what real instruments do to it.

use adapter_astm::link::{Note, encode};
use adapter_astm::settings::{LinkSettings, Strictness};

use crate::bench::{ACK, Bench, ENQ, EOT, NAK, RECORDS, SILENCE, Store, frame, message, play};

fn with(set: impl FnOnce(&mut LinkSettings)) -> Bench {
    let mut settings = LinkSettings::default();
    set(&mut settings);
    Bench::new(&settings)
}

#[test]
fn a_message_is_stored_whole_and_its_frames_are_kept_as_sent() {
    let mut bench = Bench::plain();
    play(&mut bench);
    assert_eq!(bench.kinds(), ["message"]);
    assert_eq!(bench.texts()[0], RECORDS.map(|r| format!("{r}\r")).concat());
    let without_line_ends: Vec<u8> = message()
        .iter()
        .flat_map(|f| f[..f.len() - 2].to_vec())
        .collect();
    assert_eq!(bench.stored[0].bytes, without_line_ends);
    assert_eq!(bench.stored[0].notes, [""; 0]);
}

#[test]
fn the_last_frame_is_acknowledged_only_when_the_message_is_on_disk() {
    let mut bench = Bench::plain();
    bench.store = Store::Slow;
    bench.say(&[ENQ]);
    let frames = message();
    for frame in &frames[..4] {
        assert_eq!(
            bench.say(frame),
            [ACK],
            "what completes nothing waits for nobody"
        );
    }
    assert_eq!(bench.say(&frames[4]), SILENCE);
    assert_eq!(bench.wait(2_900), SILENCE);
    assert_eq!(bench.answer(true), [ACK]);
    assert_eq!(bench.say(&[EOT]), SILENCE);
    assert_eq!(bench.kinds(), ["message"]);
}

#[test]
fn a_message_that_can_not_be_stored_is_refused_and_stored_when_it_comes_again() {
    let mut bench = Bench::plain();
    bench.say(&[ENQ]);
    let frames = message();
    for frame in &frames[..4] {
        bench.say(frame);
    }
    bench.store = Store::Refusing;
    for _ in 0..3 {
        assert_eq!(bench.say(&frames[4]), [NAK]);
    }
    bench.store = Store::Willing;
    assert_eq!(bench.say(&frames[4]), [ACK]);
    assert_eq!(bench.say(&[EOT]), SILENCE);
    assert_eq!(bench.kinds(), ["message"]);
    assert_eq!(bench.texts()[0], RECORDS.map(|r| format!("{r}\r")).concat());
}

#[test]
fn a_sender_that_gives_up_on_an_unready_store_leaves_a_quarantined_prefix() {
    let mut bench = Bench::plain();
    bench.say(&[ENQ]);
    let frames = message();
    for frame in &frames[..4] {
        bench.say(frame);
    }
    bench.store = Store::Refusing;
    assert_eq!(bench.say(&frames[4]), [NAK]);
    bench.store = Store::Willing;
    bench.say(&[EOT]);
    assert_eq!(bench.kinds(), ["astm_aborted"]);
    play(&mut bench);
    assert_eq!(bench.kinds(), ["astm_aborted", "message"]);
}

#[test]
fn checksums_are_enforced_warned_of_or_ignored() {
    let wrong = |text: &str| {
        let mut frame = frame(1, text);
        let at = frame.len() - 4;
        frame[at] = b'0' + (frame[at] + 1) % 10;
        frame
    };
    let mut bench = Bench::plain();
    bench.say(&[ENQ]);
    assert_eq!(bench.say(&wrong("H|\\^&")), [NAK]);
    assert_eq!(bench.say(&frame(1, "H|\\^&")), [ACK]);
    let mut bench = with(|s| s.checksum = Some(Strictness::Warn));
    bench.say(&[ENQ]);
    assert_eq!(bench.say(&wrong("H|\\^&\rL|1")), [ACK]);
    assert_eq!(bench.stored[0].notes, ["1 frames had a wrong checksum"]);
    let mut bench = with(|s| s.checksum = Some(Strictness::Off));
    bench.say(&[ENQ]);
    assert_eq!(
        bench.say(b"\x021H|\\^&\rL|1\r\x03"),
        [ACK],
        "none is waited for"
    );
    assert_eq!(bench.kinds(), ["message"]);
    // lower case is right
    let mut bench = Bench::plain();
    bench.say(&[ENQ]);
    let mut lower = encode(1, b"H|\\^&|||x\rL|1\r", true);
    lower.make_ascii_lowercase();
    lower[2] = b'H';
    let at = lower.iter().rposition(|b| *b == b'l').unwrap();
    lower[at] = b'L';
    assert_eq!(bench.say(&lower), [ACK]);
}

#[test]
fn a_frame_without_its_checksum_is_refused_and_what_follows_is_read() {
    let mut bench = Bench::plain();
    bench.say(&[ENQ]);
    assert_eq!(bench.say(b"\x021H|\\^&\r\x03\r\n"), [NAK]);
    assert!(bench.notes.contains(&Note::NoChecksum));
    assert_eq!(bench.say(&frame(1, "H|\\^&")), [ACK]);
}

#[test]
fn frame_numbers_are_enforced_warned_of_or_ignored() {
    let mut bench = Bench::plain();
    bench.say(&[ENQ]);
    assert_eq!(bench.say(&frame(2, "H|\\^&")), [NAK], "a frame is missing");
    assert_eq!(bench.say(&frame(1, "H|\\^&")), [ACK]);
    assert_eq!(
        bench.say(&frame(1, "P|1")),
        [NAK],
        "another text under the same number is no repeat"
    );
    assert_eq!(bench.say(&frame(3, "P|1")), [NAK]);
    assert_eq!(bench.say(&frame(2, "P|1")), [ACK]);
    // always 1, as some senders do
    let mut bench = with(|s| s.frame_number = Some(Strictness::Warn));
    bench.say(&[ENQ]);
    for record in RECORDS {
        assert_eq!(bench.say(&frame(1, record)), [ACK]);
    }
    assert_eq!(bench.kinds(), ["message"]);
    assert_eq!(bench.texts()[0], RECORDS.map(|r| format!("{r}\r")).concat());
    assert_eq!(
        bench.stored[0].notes,
        ["4 frames had not the number that was due"]
    );
    // the 8 of a maker's own manual
    let mut bench = with(|s| s.frame_number = Some(Strictness::Off));
    bench.say(&[ENQ]);
    for (record, number) in RECORDS.iter().zip([b'1', b'8', b'8', b'8', b'9']) {
        let mut raw = frame(0, record);
        raw[1] = number;
        let sum = adapter_astm::link::checksum(&raw[1..raw.len() - 4]);
        let at = raw.len() - 4;
        raw[at..at + 2].copy_from_slice(&sum);
        assert_eq!(bench.say(&raw), [ACK]);
    }
    assert_eq!(bench.kinds(), ["message"]);
}

#[test]
fn numbers_run_modulo_eight() {
    let mut bench = Bench::plain();
    bench.say(&[ENQ]);
    assert_eq!(bench.say(&frame(1, "H|\\^&")), [ACK]);
    for n in 2..30_u8 {
        assert_eq!(bench.say(&frame(n % 8, &format!("C|{n}|L|x"))), [ACK]);
    }
    assert_eq!(bench.say(&frame(30 % 8, "L|1")), [ACK]);
    assert_eq!(bench.texts()[0].matches("C|").count(), 28);
}

#[test]
fn a_frame_whose_acknowledgement_was_lost_is_kept_once() {
    let mut bench = Bench::plain();
    bench.say(&[ENQ]);
    for frame in message() {
        assert_eq!(bench.say(&frame), [ACK]);
        assert_eq!(bench.say(&frame), [ACK]);
    }
    bench.say(&[EOT]);
    assert_eq!(bench.kinds(), ["message"]);
    assert_eq!(bench.texts()[0], RECORDS.map(|r| format!("{r}\r")).concat());
}

#[test]
fn a_frame_is_whole_without_cr_lf() {
    let mut bench = Bench::plain();
    bench.say(&[ENQ]);
    for (n, frame) in message().iter().enumerate() {
        let bare = &frame[..frame.len() - 2];
        if n == 0 {
            // the first is waited for a moment: a serial instrument may not listen while it still sends
            assert_eq!(bench.say(bare), SILENCE);
            assert_eq!(bench.wait(20), [ACK]);
        } else {
            assert_eq!(bench.say(bare), [ACK], "the habit is known now");
        }
    }
    assert_eq!(bench.kinds(), ["message"]);
    // the same bytes as with CR LF, so that the message is the same
    let mut with_ends = Bench::plain();
    play(&mut with_ends);
    assert_eq!(bench.stored[0].bytes, with_ends.stored[0].bytes);
}

#[test]
fn records_cut_in_the_middle_and_messages_in_one_frame_are_the_same_text() {
    let text: Vec<u8> = RECORDS.map(|r| format!("{r}\r")).concat().into_bytes();
    for size in [1, 7, 40, 10_000] {
        let mut bench = Bench::plain();
        bench.say(&[ENQ]);
        let pieces: Vec<_> = text.chunks(size).collect();
        for (n, piece) in pieces.iter().enumerate() {
            let number = u8::try_from((n + 1) % 8).unwrap();
            let raw = encode(number, piece, n + 1 == pieces.len());
            assert_eq!(bench.say(&raw), [ACK]);
        }
        assert_eq!(bench.texts()[0].as_bytes(), text, "{size}");
    }
}

#[test]
fn repeated_enquiries_are_each_acknowledged_and_leave_nothing() {
    let mut bench = Bench::plain();
    for _ in 0..1000 {
        assert_eq!(bench.say(&[ENQ]), [ACK]);
    }
    assert_eq!(bench.say(&[EOT]), SILENCE);
    assert_eq!(bench.say(&[ENQ, EOT]), [ACK]);
    play(&mut bench);
    assert_eq!(bench.kinds(), ["message"]);
}

#[test]
fn an_enquiry_in_a_session_begins_it_anew() {
    let mut bench = Bench::plain();
    bench.say(&[ENQ]);
    for frame in &message()[..3] {
        bench.say(frame);
    }
    play(&mut bench);
    assert_eq!(bench.kinds(), ["astm_restarted", "message"]);
}

#[test]
fn silence_in_the_midst_of_a_frame_is_given_up_and_kept() {
    let mut bench = Bench::plain();
    bench.say(&[ENQ]);
    let frames = message();
    bench.say(&frames[0]);
    bench.say(&frames[1][..5]);
    assert_eq!(bench.wait(29_000), SILENCE);
    assert_eq!(bench.kinds(), [""; 0]);
    bench.wait(1_000);
    assert_eq!(bench.kinds(), ["astm_timeout"]);
    assert!(bench.stored[0].bytes.ends_with(&frames[1][..5]));
    play(&mut bench);
    assert_eq!(bench.kinds(), ["astm_timeout", "message"]);
}

#[test]
fn a_long_frame_on_a_slow_line_is_not_given_up_while_it_arrives() {
    let mut bench = Bench::plain();
    bench.say(&[ENQ]);
    let long = encode(
        1,
        format!("H|\\^&|||{}\rL|1\r", "x".repeat(5_000)).as_bytes(),
        true,
    );
    let (last, first) = long.split_last().unwrap();
    for byte in first {
        assert_eq!(bench.say(&[*byte]), SILENCE);
        bench.wait(10);
    }
    assert_eq!(bench.say(&[*last]), [ACK]);
    assert_eq!(bench.kinds(), ["message"]);
}

#[test]
fn a_frame_broken_off_by_a_new_one_is_read_from_the_new_one() {
    let mut bench = Bench::plain();
    bench.say(&[ENQ]);
    let frames = message();
    bench.say(&frames[0][..6]);
    assert_eq!(bench.say(&frames[0]), [ACK]);
    assert!(bench.notes.contains(&Note::Interrupted));
}

#[test]
fn control_characters_in_a_frame_are_noise_unless_the_line_is_silent_after_them() {
    let mut bench = Bench::plain();
    bench.say(&[ENQ]);
    let mut noisy = frame(1, "H|\\^&|||name");
    noisy[8] = ENQ;
    assert_eq!(
        bench.say(&noisy),
        [NAK],
        "no new session in the midst of a frame"
    );
    assert_eq!(bench.say(&frame(1, "H|\\^&")), [ACK]);
    bench.say(&frame(2, "P|1")[..4]);
    assert_eq!(bench.say(&[ENQ]), SILENCE);
    assert_eq!(bench.wait(300), [ACK], "the sender began again");
    assert_eq!(bench.kinds(), ["astm_restarted"]);
    bench.say(&frame(1, "H|\\^&")[..4]);
    assert_eq!(bench.say(&[EOT]), SILENCE);
    bench.wait(300);
    assert_eq!(bench.kinds(), ["astm_restarted", "astm_cut_short"]);
    play(&mut bench);
}

#[test]
fn a_connection_that_ends_in_the_midst_leaves_what_it_had() {
    let frames = message();
    for (whole, partial, kind) in [
        (0, 0, None),
        (0, 3, Some("astm_link_lost")),
        (3, 0, Some("astm_link_lost")),
        // a whole result is there: a message, though without L
        (4, 0, Some("message")),
        (4, 3, Some("astm_link_lost")),
        (5, 0, Some("message")),
    ] {
        let mut bench = Bench::plain();
        bench.say(&[ENQ]);
        for frame in &frames[..whole] {
            bench.say(frame);
        }
        if partial > 0 {
            bench.say(&frames[whole][..partial]);
        }
        bench.lost();
        assert_eq!(
            bench.kinds(),
            Vec::from_iter(kind),
            "{whole} frames and {partial} bytes"
        );
        assert!(bench.line.is_idle());
    }
}

#[test]
fn a_cable_pulled_between_acknowledgement_and_eot_changes_nothing() {
    let mut bench = Bench::plain();
    bench.say(&[ENQ]);
    for frame in message() {
        bench.say(&frame);
    }
    bench.lost();
    assert_eq!(bench.kinds(), ["message"]);
    // on a serial line nobody notices but the timer
    let mut bench = Bench::plain();
    bench.say(&[ENQ]);
    for frame in message() {
        bench.say(&frame);
    }
    bench.wait(60_000);
    play(&mut bench);
    assert_eq!(bench.kinds(), ["message", "message"]);
    assert_eq!(
        bench.stored[0].bytes, bench.stored[1].bytes,
        "one message for the ledger"
    );
}

#[test]
fn several_messages_in_a_session_are_several_messages() {
    let mut bench = Bench::plain();
    bench.say(&[ENQ]);
    let mut number = 0;
    for _ in 0..3 {
        for record in RECORDS {
            number = (number + 1) % 8;
            assert_eq!(bench.say(&frame(number, record)), [ACK]);
        }
    }
    bench.say(&[EOT]);
    assert_eq!(bench.kinds(), ["message"; 3]);
}

#[test]
fn a_message_without_l_ends_at_the_next_h_or_with_the_session() {
    let mut bench = Bench::plain();
    bench.say(&[ENQ]);
    let mut number = 0;
    let mut say = |bench: &mut Bench, record: &str| {
        number = (number + 1) % 8;
        bench.say(&frame(number, record))
    };
    for record in &RECORDS[..4] {
        say(&mut bench, record);
    }
    bench.store = Store::Slow;
    assert_eq!(
        say(&mut bench, RECORDS[0]),
        SILENCE,
        "the message before must be on disk first"
    );
    assert_eq!(bench.answer(true), [ACK]);
    bench.store = Store::Willing;
    for record in &RECORDS[1..4] {
        assert_eq!(say(&mut bench, record), [ACK]);
    }
    bench.say(&[EOT]);
    assert_eq!(bench.kinds(), ["message", "message"]);
    assert_eq!(
        bench.stored[1].notes,
        ["the message ended without an L record"]
    );

    let mut strict = with(|s| s.require_terminator = true);
    strict.say(&[ENQ]);
    for frame in &message()[..4] {
        strict.say(frame);
    }
    strict.say(&[EOT]);
    assert_eq!(strict.kinds(), ["astm_cut_short"]);
}

#[test]
fn a_message_that_was_acknowledged_without_l_is_offered_to_the_store_until_it_takes_it() {
    let mut bench = Bench::plain();
    bench.say(&[ENQ]);
    for frame in &message()[..4] {
        bench.say(frame);
    }
    bench.store = Store::Refusing;
    bench.say(&[EOT]);
    bench.wait(5_000);
    assert_eq!(
        bench.say(&[ENQ]),
        [NAK],
        "nothing new while something old has no place"
    );
    bench.store = Store::Willing;
    bench.wait(1_000);
    assert_eq!(bench.kinds(), ["message"]);
    play(&mut bench);
}

#[test]
fn a_late_answer_is_not_written_into_the_next_session() {
    let mut bench = Bench::plain();
    bench.store = Store::Slow;
    bench.say(&[ENQ]);
    for frame in message() {
        bench.say(&frame);
    }
    bench.wait(16_000);
    // the sender gave up waiting and begins again
    assert_eq!(bench.say(&[EOT, ENQ]), SILENCE);
    assert_eq!(
        bench.answer(true),
        [ACK],
        "one acknowledgement, for the new ENQ"
    );
    assert!(bench.notes.contains(&Note::LateAnswer));
    bench.store = Store::Willing;
    for frame in message() {
        assert_eq!(bench.say(&frame), [ACK]);
    }
    assert_eq!(bench.stored[0].bytes, bench.stored[1].bytes);
}

#[test]
fn a_frame_repeated_while_it_is_stored_is_answered_once() {
    let mut bench = Bench::plain();
    bench.store = Store::Slow;
    bench.say(&[ENQ]);
    for frame in message() {
        bench.say(&frame);
    }
    assert_eq!(bench.say(&message()[4]), SILENCE);
    assert_eq!(bench.answer(true), [ACK]);
    assert_eq!(bench.say(&[EOT]), SILENCE);
    assert_eq!(bench.kinds(), ["message"]);
}

#[test]
fn frames_without_a_session_are_kept_and_said() {
    let mut bench = Bench::plain();
    for frame in message() {
        assert_eq!(bench.say(&frame), SILENCE);
    }
    bench.wait(2_000);
    assert_eq!(bench.kinds(), ["astm_no_session"]);
    play(&mut bench);
    assert_eq!(
        bench.say(b"GET / HTTP/1.1\r\n\r\n"),
        SILENCE,
        "a stranger is not answered"
    );
    bench.wait(60_000);
    assert_eq!(bench.kinds(), ["astm_no_session", "message"]);
}

#[test]
fn a_message_above_the_limit_is_refused_and_its_first_part_kept() {
    let mut bench = with(|s| s.limit = 2048);
    bench.say(&[ENQ]);
    bench.say(&frame(1, "H|\\^&"));
    assert_eq!(
        bench.say(&frame(2, &format!("M|1|{}", "x".repeat(3000)))),
        SILENCE
    );
    assert_eq!(bench.say(&frame(3, "L|1")), [NAK]);
    bench.say(&[EOT]);
    assert_eq!(bench.kinds(), ["astm_oversize"]);
    play(&mut bench);
}
