//! Whatever the bytes, the translator answers and answers the same again.

use std::fs;

use proptest::prelude::*;

use crate::corpus;
use crate::translating::{repository, translate};

fn total(bytes: &[u8]) {
    let (one, two) = (translate(bytes), translate(bytes));
    match (one, two) {
        (Ok(one), Ok(two)) => {
            assert_eq!(one.events, two.events);
            assert!(one.unmapped.len() <= 64);
            for event in &one.events {
                assert!(!event.aggregate.is_empty());
                assert!(!event.body.contains(&0));
                assert!(!String::from_utf8_lossy(&event.body).contains("\\u0000"));
            }
        }
        (Err(one), Err(two)) => assert_eq!(one.refusal, two.refusal),
        _ => panic!("one refused, one not"),
    }
}

fn fixtures() -> Vec<Vec<u8>> {
    corpus::files(&repository().join("fixtures/hl7v2"))
        .iter()
        .map(|path| fs::read(path).unwrap())
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        total(&bytes);
        let mut message = b"MSH|^~\\&|A|B|C|D|20260101||ORU^R01|1|P|2.5\rPID|||1\rOBR|1\rOBX|".to_vec();
        message.extend(&bytes);
        total(&message);
    }

    #[test]
    fn damaged_messages_never_panic(
        which in any::<prop::sample::Index>(),
        cuts in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 1..12),
    ) {
        let files = fixtures();
        let mut bytes = which.get(&files).clone();
        for (at, byte, how) in cuts {
            if bytes.is_empty() {
                break;
            }
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                2 => { bytes.remove(at); }
                _ => bytes.insert(at, *b"|^~\\&\r\n\"".get(usize::from(byte % 8)).unwrap()),
            }
        }
        total(&bytes);
    }
}

#[test]
fn public_samples_cut_anywhere_never_panic() {
    let Some(folder) = corpus::folder() else {
        return;
    };
    for path in corpus::files(&folder.join("hl7v2/synthetic")) {
        let bytes = fs::read(&path).unwrap();
        // Big ones would only cost time.
        for end in (0..bytes.len().min(4000)).step_by(37) {
            total(&bytes[..end]);
        }
    }
}
