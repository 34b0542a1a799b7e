//! Blocks written by hand from lab-devices §1.4; count and checksum were worked out apart from the code.

use std::time::{Duration, Instant};

use super::*;

/// The message in version 2.3 and in version 2.1.
const MESSAGE: &[u8] = b"MSH|^~\\&|LAB\r";
const BLOCK: &[u8] = b"\x0bD23\rMSH|^~\\&|LAB\r00018013\x1c\r";
const BLOCK_21: &[u8] = b"\x0bD21\rMSH|^~\\&|LAB\r00018015\x1c\r";

/// All events of `stream` when nothing but silence follows.
fn events(stream: &[u8]) -> Vec<FrameEvent> {
    let settings = FrameSettings::default();
    let (now, mut reader) = (Instant::now(), HybridReader::new(settings));
    reader.push(stream);
    let mut found: Vec<_> = std::iter::from_fn(|| reader.next(now)).collect();
    let later = now + settings.idle;
    found.extend(std::iter::from_fn(|| reader.next(later)));
    found
}

fn message(bytes: &'static [u8]) -> FrameEvent {
    FrameEvent::Message {
        bytes: Bytes::from_static(bytes),
        noise_before: 0,
        notes: Vec::new(),
    }
}

fn bad_block(bytes: &'static [u8], fault: BlockFault, offset: u64) -> FrameEvent {
    FrameEvent::BadBlock {
        bytes: Bytes::from_static(bytes),
        fault,
        offset,
    }
}

#[test]
fn good_blocks_are_read_and_damaged_ones_are_named_by_their_code() {
    use BlockFault::{Checksum, Count, Other, TooLong};
    for (stream, expected) in [
        (BLOCK, message(MESSAGE)),
        (BLOCK_21, message(MESSAGE)),
        // not computed
        (b"\x0bD23\rMSH|^~\\&|LAB\r00018999\x1c\r", message(MESSAGE)),
        // the count of a block that lost a byte, and of one that gained one
        (
            b"\x0bD23\rMSH|^~\\&|AB\r00018013\x1c\r",
            bad_block(b"D23\rMSH|^~\\&|AB\r00018013", Count, 1),
        ),
        (
            b"\x0bD23\rMSH|^~\\&|LLAB\r00018013\x1c\r",
            bad_block(b"D23\rMSH|^~\\&|LLAB\r00018013", Count, 1),
        ),
        (
            b"\x0bD23\rMSH|^~\\&|LAB\r000?8013\x1c\r",
            bad_block(b"D23\rMSH|^~\\&|LAB\r000?8013", Count, 1),
        ),
        // 999 says nothing about the count
        (
            b"\x0bD23\rMSH|^~\\&|LAB\r00017999\x1c\r",
            bad_block(b"D23\rMSH|^~\\&|LAB\r00017999", Count, 1),
        ),
        (
            b"\x0bD23\rMSH|^~\\&|LAC\r00018013\x1c\r",
            bad_block(b"D23\rMSH|^~\\&|LAC\r00018013", Checksum, 1),
        ),
        (
            b"\x0bD23\rMSH|^~\\&|LAB\r00018 13\x1c\r",
            bad_block(b"D23\rMSH|^~\\&|LAB\r00018 13", Checksum, 1),
        ),
        // another type, no version, too short, plain MLLP
        (
            b"\x0bE23\rMSH|^~\\&|LAB\r00018012\x1c\r",
            bad_block(b"E23\rMSH|^~\\&|LAB\r00018012", Other, 1),
        ),
        (
            b"\x0bDxx\rMSH|^~\\&|LAB\r00018013\x1c\r",
            bad_block(b"Dxx\rMSH|^~\\&|LAB\r00018013", Other, 1),
        ),
        (b"\x0bD23\r005\x1c\r", bad_block(b"D23\r005", Other, 1)),
        (
            b"\x0bMSH|^~\\&|LAB\r\x1c\r",
            bad_block(b"MSH|^~\\&|LAB\r", Other, 1),
        ),
        // no start of block, and no end
        (
            b"D23\rMSH|^~\\&|LAB\r00018013\x1c\r",
            bad_block(b"MSH|^~\\&|LAB\r00018013", Other, 4),
        ),
        (
            b"\x0bD23\rMSH|^~\\&|LAB\r0001801",
            bad_block(b"D23\rMSH|^~\\&|LAB\r0001801", Other, 1),
        ),
        // the peer refuses ours
        (b"\x0bN23\rC00006010\x1c\r", FrameEvent::Repeat(Count)),
        (b"\x0bN21\rX00006019\x1c\r", FrameEvent::Repeat(Checksum)),
        (b"\x0bN23\rB00006011\x1c\r", FrameEvent::Repeat(TooLong)),
        (b"\x0bN21\rG00006999\x1c\r", FrameEvent::Repeat(Other)),
        (b"\x0bD23\r00005067\x1c\r", FrameEvent::KeepAlive),
        (b"\x0b\x1c\r", FrameEvent::KeepAlive),
    ] {
        assert_eq!(
            events(stream),
            [expected],
            "{:?}",
            stream.escape_ascii().to_string()
        );
    }
}

#[test]
fn a_damaged_refusal_is_kept_and_not_refused_in_turn() {
    let found = events(b"\x0bN23\rC00006011\x1c\r");
    let kept = FrameEvent::Quarantined {
        bytes: Bytes::from_static(b"N23\rC00006011"),
        reason: Broken::Nak,
        offset: 1,
    };
    assert_eq!(found, [kept]);
}

#[test]
fn blocks_follow_each_other_and_come_in_pieces_of_any_size() {
    let stream = [BLOCK, b"\x02\x02", BLOCK_21, b"\x0bN23\rC00006010\x1c\r"].concat();
    let whole = events(&stream);
    assert_eq!(whole.len(), 3);
    assert!(matches!(
        &whole[1],
        FrameEvent::Message {
            noise_before: 2,
            ..
        }
    ));
    for size in 1..stream.len() {
        let (now, mut reader) = (Instant::now(), HybridReader::new(FrameSettings::default()));
        let mut found = Vec::new();
        for piece in stream.chunks(size) {
            reader.push(piece);
            found.extend(std::iter::from_fn(|| reader.next(now)));
        }
        assert_eq!(found, whole, "pieces of {size}");
        assert_eq!(reader.deadline(), None, "nothing is waited for");
    }
}

#[test]
fn no_single_flipped_bit_makes_another_message() {
    for at in 0..BLOCK.len() {
        for bit in 0..8 {
            let mut stream = BLOCK.to_vec();
            stream[at] ^= 1 << bit;
            for event in events(&stream) {
                if let FrameEvent::Message { bytes, .. } = event {
                    assert_eq!(bytes, MESSAGE, "bit {bit} of byte {at}");
                }
            }
        }
    }
}

#[test]
fn a_block_that_stays_unfinished_is_refused_after_the_inter_character_time() {
    let settings = FrameSettings {
        idle: Duration::from_secs(2),
        ..FrameSettings::default()
    };
    let (now, mut reader) = (Instant::now(), HybridReader::new(settings));
    reader.push(b"\x0bD23\rMSH|");
    assert_eq!(reader.next(now), None);
    assert_eq!(reader.deadline(), Some(now + settings.idle));
    assert_eq!(reader.next(now + Duration::from_millis(1999)), None);
    assert_eq!(
        reader.next(now + settings.idle),
        Some(bad_block(b"D23\rMSH|", BlockFault::Other, 1))
    );
    assert_eq!(reader.deadline(), None);
}

#[test]
fn what_we_write_is_by_the_book_and_in_the_version_of_the_peer() {
    assert_eq!(encode(*b"23", MESSAGE).unwrap(), BLOCK);
    assert_eq!(encode(*b"21", MESSAGE).unwrap(), BLOCK_21);
    assert_eq!(
        nak(*b"23", BlockFault::Count),
        &b"\x0bN23\rC00006010\x1c\r"[..]
    );
    assert_eq!(
        nak(*b"23", BlockFault::Checksum),
        &b"\x0bN23\rX00006017\x1c\r"[..]
    );
    assert_eq!(
        nak(*b"23", BlockFault::TooLong),
        &b"\x0bN23\rB00006011\x1c\r"[..]
    );
    assert_eq!(
        nak(*b"21", BlockFault::Other),
        &b"\x0bN21\rG00006012\x1c\r"[..]
    );

    let mut reader = HybridReader::new(FrameSettings::default());
    assert_eq!(reader.version(), *b"23");
    reader.push(BLOCK_21);
    assert!(reader.next(Instant::now()).is_some());
    assert_eq!(reader.version(), *b"21");
}

#[test]
fn the_longest_block_has_a_count_of_five_nines() {
    let data = vec![b'A'; MAX_DATA];
    let block = encode(*b"23", &data).unwrap();
    assert_eq!(&block[block.len() - 10..block.len() - 5], b"99999");
    let found = events(&block);
    assert!(matches!(&found[..], [FrameEvent::Message { bytes, .. }] if *bytes == data));

    let data = vec![b'A'; MAX_DATA + 1];
    assert_eq!(encode(*b"23", &data), None);
    let stream = [b"\x0bD23\r", &data[..], b"00000999\x1c\r"].concat();
    let found = events(&stream);
    assert!(
        matches!(&found[..], [FrameEvent::BadBlock { bytes, fault: BlockFault::TooLong, .. }] if bytes.len() == data.len() + 12)
    );
}
