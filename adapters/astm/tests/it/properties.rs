//! What holds whatever arrives.

use adapter_astm::link::{frames_of, join};
use adapter_astm::records::{decode, split};
use adapter_astm::settings::{LinkSettings, Mode};
use proptest::prelude::*;

use crate::bench::{ACK, Bench, ENQ, EOT, message, play};

fn modes() -> impl Strategy<Value = Mode> {
    prop_oneof![
        Just(Mode::E1381),
        Just(Mode::Bare),
        Just(Mode::Au),
        Just(Mode::Dimension)
    ]
}

/// Bytes that are mostly what a line's machine reacts to.
fn line_bytes() -> impl Strategy<Value = Vec<u8>> {
    let control = prop_oneof![
        Just(1_u8),
        Just(2),
        Just(3),
        Just(4),
        Just(5),
        Just(6),
        Just(21),
        Just(23),
        Just(13),
        Just(10),
        Just(28),
        Just(b'1'),
        Just(b'H'),
        Just(b'L'),
        Just(b'|'),
        any::<u8>()
    ];
    prop::collection::vec(control, 0..80)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_bytes_break_the_machine_and_it_recovers(
        mode in modes(),
        chunks in prop::collection::vec((line_bytes(), 0_u64..40_000), 0..8),
        send in any::<bool>(),
    ) {
        let mut bench = Bench::new(&LinkSettings { mode, ..LinkSettings::default() });
        if send {
            bench.send(1, &["H|\\^&", "L|1"]);
        }
        for (bytes, pause) in chunks {
            bench.say(&bytes);
            bench.wait(pause);
        }
        // everything that may still be in the air ends by itself
        bench.wait(3_600_000);
        if mode == Mode::E1381 {
            let before = bench.stored.len();
            play(&mut bench);
            prop_assert_eq!(bench.stored.len(), before + 1);
            prop_assert_eq!(bench.stored.last().unwrap().quarantine, None);
        }
        bench.lost();
        let _ = bench.line.take_unsent();
        prop_assert!(bench.line.is_idle());
    }

    #[test]
    fn chunks_do_not_matter(cuts in prop::collection::vec(1_usize..40, 1..60)) {
        let whole = message();
        let mut bench = Bench::plain();
        prop_assert_eq!(bench.say(&[ENQ]), [ACK]);
        let mut cuts = cuts.into_iter().cycle();
        for frame in &whole {
            let mut rest = &frame[..];
            while !rest.is_empty() {
                let (chunk, left) = rest.split_at(cuts.next().unwrap().min(rest.len()));
                bench.say(chunk);
                rest = left;
            }
        }
        bench.say(&[EOT]);
        let mut at_once = Bench::plain();
        play(&mut at_once);
        prop_assert_eq!(bench.stored, at_once.stored);
    }

    #[test]
    fn what_is_framed_is_joined_again(
        records in prop::collection::vec("[ -~]{1,300}", 1..8),
        size in 40_usize..400,
        per_record in any::<bool>(),
    ) {
        let records: Vec<Vec<u8>> = records.into_iter().map(String::into_bytes).collect();
        let text: Vec<u8> = records.iter().flat_map(|r| [r.as_slice(), b"\r"].concat()).collect();
        let wire = frames_of(&records, size, per_record).concat();
        prop_assert_eq!(join(&wire).text, text);
    }

    #[test]
    fn any_text_is_split_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let joined = join(&bytes);
        let decoded = decode(&joined.text, None);
        for message in split(&decoded.text).messages {
            for record in message.records() {
                for n in 0..record.len() + 2 {
                    let value = record.field(n);
                    let _ = (value.words(), value.component(2).text().len(), value.is_valued());
                }
            }
        }
    }
}
