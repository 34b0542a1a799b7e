//! Silence: who waits for whom, how long, and what happens then.

use std::time::Duration;

use adapter_poct1a::link::Note;

use crate::conversation::Bench;
use crate::messages::{ack, end_of_topic, hello, message, observation, status};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_device_that_says_nothing_is_closed() {
    let mut bench = Bench::new(|_| {});
    assert_eq!(bench.wait(59 * SECOND), "");
    assert_eq!(bench.wait(2 * SECOND), "close no_hello");
    assert_eq!(bench.wait(3600 * SECOND), "", "once");
}

#[test]
fn a_device_that_owes_an_answer_is_closed_and_one_that_speaks_is_not() {
    // the status after the hello
    let mut bench = Bench::new(|_| {});
    bench.say(&hello("1", &[]));
    assert_eq!(bench.wait(31 * SECOND), "close silent");
    // the next result of a topic, or its end
    let mut bench = Bench::new(|_| {});
    bench.say(&hello("1", &[]));
    bench.say(&status("2", "3", "0"));
    assert_eq!(bench.wait(29 * SECOND), "");
    bench.say(&observation("3"));
    assert_eq!(
        bench.wait(29 * SECOND),
        "",
        "each result begins the wait anew"
    );
    // half a document counts as a sign of life
    bench.say(&observation("4")[..20]);
    assert_eq!(bench.wait(29 * SECOND), "");
    bench.say(&observation("4")[20..]);
    assert_eq!(bench.wait(31 * SECOND), "close silent");
    // an acknowledgement
    let mut bench = Bench::new(|_| {});
    bench.say(&hello("1", &["START_CONTINUOUS"]));
    bench.say(&status("2", "0", "0"));
    assert_eq!(bench.wait(31 * SECOND), "close silent");
    // an acknowledgement of our end is not waited for long
    let mut bench = Bench::new(|_| {});
    bench.say(&hello("1", &[]));
    assert_eq!(bench.say(&status("2", "0", "0")), "AA 2, END.R01#3");
    assert_eq!(bench.wait(2 * SECOND), "close ended");
}

#[test]
fn a_slow_disk_is_no_silence_of_the_device() {
    let mut bench = Bench::new(|_| {});
    bench.say(&hello("1", &[]));
    bench.stores = None;
    bench.say(&status("2", "1", "0"));
    assert_eq!(bench.wait(300 * SECOND), "", "it waits for us");
    assert_eq!(bench.settle(2, true), "AA 2, ROBS");
}

#[test]
fn in_continuous_mode_days_of_silence_are_normal_unless_a_keep_alive_is_set() {
    let run = |keep_alive_s: u64| {
        let mut bench = Bench::new(|s| s.conversation.keep_alive_s = keep_alive_s);
        bench.say(&hello("1", &["START_CONTINUOUS"]));
        bench.say(&status("2", "0", "0"));
        bench.say(&ack("3", "3"));
        bench
    };
    assert_eq!(run(0).wait(200_000 * SECOND), "");
    let mut bench = run(120);
    assert_eq!(bench.wait(119 * SECOND), "");
    assert_eq!(bench.wait(2 * SECOND), "KPA.R01#4");
    assert_eq!(bench.say(&ack("4", "4")), "");
    assert_eq!(bench.wait(119 * SECOND), "");
    assert_eq!(bench.wait(2 * SECOND), "KPA.R01#5");
    // one that does not know it is alive all the same
    assert_eq!(bench.say(&crate::messages::escape("5", "5")), "");
    assert_eq!(bench.wait(121 * SECOND), "KPA.R01#6");
    // results cross it
    assert_eq!(bench.say(&observation("6")), "AA 6");
    assert_eq!(bench.wait(31 * SECOND), "close silent");
}

#[test]
fn a_document_that_stops_in_the_middle_is_kept_and_the_next_one_is_heard() {
    let mut bench = Bench::new(|_| {});
    bench.say(&hello("1", &["START_CONTINUOUS"]));
    bench.say(&status("2", "0", "0"));
    bench.say(&ack("3", "3"));
    bench.say(&observation("4")[..90]);
    assert_eq!(bench.wait(31 * SECOND), "");
    let unit = bench.units.last().unwrap();
    assert_eq!(unit.quarantine, Some("poct1a_incomplete"));
    assert_eq!(&unit.bytes[..], &observation("4").as_bytes()[..90]);
    assert_eq!(bench.say(&observation("4")), "AA 4");
}

#[test]
fn what_is_broken_is_offered_again_until_it_is_kept() {
    let mut bench = Bench::new(|_| {});
    bench.say(&hello("1", &["START_CONTINUOUS"]));
    bench.say(&status("2", "0", "0"));
    bench.say(&ack("3", "3"));
    bench.stores = Some(false);
    bench.say(&format!("<OBS.R01><SVC>{}", message("KPA.R01", "4", "")));
    assert!(!bench.line.is_idle());
    let offered = bench.units.len();
    bench.wait(5 * SECOND);
    assert!(bench.units.len() > offered, "again and again");
    bench.stores = Some(true);
    bench.wait(3 * SECOND);
    assert!(bench.line.is_idle());
    assert!(!bench.notes.contains(&Note::Gone));
}

#[test]
fn a_stop_ends_the_conversation_after_the_last_answer() {
    let mut bench = Bench::new(|_| {});
    bench.say(&hello("1", &[]));
    bench.say(&status("2", "2", "0"));
    bench.stores = None;
    bench.say(&observation("3"));
    bench.line.stop(bench.now);
    assert_eq!(bench.heard(), "");
    assert_eq!(bench.settle(3, true), "AA 3, END.R01#5");
    bench.stores = Some(true);
    assert_eq!(bench.say(&end_of_topic("4")), "", "it crossed our end");
    assert_eq!(bench.say(&ack("5", "5")), "close ended");
    // half a document gets a moment, and is kept
    let mut bench = Bench::new(|_| {});
    bench.say(&hello("1", &[]));
    bench.say("<OBS.R01><SVC>");
    bench.line.stop(bench.now);
    assert_eq!(bench.wait(3 * SECOND), "END.R01#2, close ended");
    assert_eq!(bench.units[1].quarantine, Some("poct1a_incomplete"));
    // nobody is there yet
    let mut bench = Bench::new(|_| {});
    bench.line.stop(bench.now);
    assert_eq!(bench.heard(), "close ended");
}

#[test]
fn a_lost_line_keeps_what_came() {
    let mut bench = Bench::new(|_| {});
    bench.say(&hello("1", &[]));
    bench.stores = None;
    bench.say(&format!("{}{}", observation("2"), &observation("3")[..50]));
    bench.line.lost(bench.now);
    bench.stores = Some(true);
    bench.settle(2, true);
    let kept: Vec<_> = bench.units.iter().map(|unit| unit.quarantine).collect();
    assert_eq!(kept, [None, None, Some("poct1a_incomplete")]);
    assert!(bench.line.is_idle());
    assert_eq!(bench.line.deadline(), None);
}
