use std::time::{Duration, Instant};

use super::*;

fn settings() -> FrameSettings {
    FrameSettings::default()
}

/// All events of `stream` when nothing but its end follows.
fn events(settings: FrameSettings, stream: &[u8]) -> Vec<FrameEvent> {
    let now = Instant::now();
    let mut reader = FrameReader::new(settings);
    reader.push(stream);
    let mut found: Vec<_> = std::iter::from_fn(|| reader.next(now)).collect();
    reader.eof();
    found.extend(std::iter::from_fn(|| reader.next(now)));
    found
}

fn message(bytes: &'static [u8], noise_before: u64, notes: &[FrameNote]) -> FrameEvent {
    FrameEvent::Message {
        bytes: Bytes::from_static(bytes),
        noise_before,
        notes: notes.to_vec(),
    }
}

fn broken(bytes: &'static [u8], reason: Broken, offset: u64) -> FrameEvent {
    FrameEvent::Quarantined {
        bytes: Bytes::from_static(bytes),
        reason,
        offset,
    }
}

#[test]
fn every_row_of_the_tolerant_reader_is_followed() {
    use FrameNote::{EndWithoutCr, FsInside, NoFinalCr};
    for (stream, expected) in [
        (&b"\x0bA\r\x1c\r"[..], vec![message(b"A\r", 0, &[])]),
        (
            b"\x02\x02\x0bA\r\x1c\r\x0bB\r\x1c\r\n\x02\x0bC\r\x1c\r",
            vec![
                message(b"A\r", 2, &[]),
                message(b"B\r", 0, &[]),
                message(b"C\r", 1, &[]),
            ],
        ),
        (b"\x0bA\x1c\r", vec![message(b"A", 0, &[NoFinalCr])]),
        (
            b"\x0bA\r\x1c\n\x0bB\r\x1c\0\x0bC\r\x1c\x0bD\r\x1c",
            vec![
                message(b"A\r", 0, &[EndWithoutCr]),
                message(b"B\r", 0, &[EndWithoutCr]),
                message(b"C\r", 0, &[EndWithoutCr]),
                message(b"D\r", 0, &[EndWithoutCr]),
            ],
        ),
        (
            b"\x0bA\r\x1c??\x0bB\r\x1c\r",
            vec![message(b"A\r", 0, &[EndWithoutCr]), message(b"B\r", 2, &[])],
        ),
        (
            b"\x0bA\x1cB\r\x1c\r",
            vec![message(b"A\x1cB\r", 0, &[FsInside])],
        ),
        (
            b"..\x0bA\r\x0bB\r\x1c\r",
            vec![
                broken(b"A\r", Broken::Restarted, 3),
                message(b"B\r", 2, &[]),
            ],
        ),
        (b"\x0b\x0bA\r\x1c\r", vec![message(b"A\r", 1, &[])]),
        (b"\x0bA\rB", vec![broken(b"A\rB", Broken::Eof, 1)]),
        (
            b"\x0b\x1c\r\x0b\r\x1c\r",
            vec![FrameEvent::KeepAlive, FrameEvent::KeepAlive],
        ),
        (
            b"\x0b\x06\x1c\r\x0b\x15\x1c\r",
            vec![FrameEvent::Commit(true), FrameEvent::Commit(false)],
        ),
        (b"noise without any start", vec![]),
        (b"\x0b", vec![]),
    ] {
        assert_eq!(
            events(settings(), stream),
            expected,
            "{}",
            stream.escape_ascii()
        );
    }
}

#[test]
fn a_message_without_start_of_block_is_kept_and_accepted_only_where_set() {
    let stream = b"\x02MSH|1\rPID|MSH\r\x1c\rMSH|2\rMSH|3\r";
    assert_eq!(
        events(settings(), stream),
        [
            broken(b"MSH|1\rPID|MSH\r", Broken::Unframed, 1),
            broken(b"MSH|2\r", Broken::Unframed, 17),
            broken(b"MSH|3\r", Broken::Unframed, 23),
        ]
    );
    let bare = FrameSettings {
        bare: true,
        ..settings()
    };
    assert_eq!(
        events(bare, stream),
        [
            message(b"MSH|1\rPID|MSH\r", 1, &[FrameNote::Bare]),
            message(b"MSH|2\r", 0, &[FrameNote::Bare]),
            message(b"MSH|3\r", 0, &[FrameNote::Bare]),
        ]
    );
    assert_eq!(
        events(bare, b"MSH|1\rPI"),
        [broken(b"MSH|1\rPI", Broken::Eof, 0)]
    );
}

#[test]
fn time_decides_where_bytes_do_not() {
    let start = Instant::now();
    let after = |ms| start + Duration::from_millis(ms);

    let mut reader = FrameReader::new(settings());
    reader.push(b"\x0bA\r\x1c");
    assert_eq!(reader.next(start), None);
    assert_eq!(reader.deadline(), Some(after(200)));
    assert_eq!(reader.next(after(199)), None);
    assert_eq!(
        reader.next(after(200)),
        Some(message(b"A\r", 0, &[FrameNote::EndWithoutCr]))
    );
    assert_eq!(reader.next(after(201)), None);
    assert_eq!(reader.deadline(), None);
    reader.push(b"\r\x0bB");
    assert_eq!(reader.next(after(300)), None);
    assert_eq!(reader.noise(), 0, "the late CR belongs to the frame before");
    assert_eq!(reader.deadline(), Some(after(60_300)));
    assert_eq!(
        reader.next(after(60_300)),
        Some(broken(b"B", Broken::Idle, 6))
    );

    let mut reader = FrameReader::new(settings());
    reader.push(b"\x0bA\r\x1cxx");
    assert_eq!(reader.next(start), None);
    assert_eq!(
        reader.next(after(200)),
        Some(message(b"A\r", 0, &[FrameNote::EndWithoutCr]))
    );

    let mut reader = FrameReader::new(FrameSettings {
        bare: true,
        ..settings()
    });
    reader.push(b"MSH|1\r");
    assert_eq!(reader.next(start), None);
    assert_eq!(reader.deadline(), Some(after(2000)));
    assert_eq!(
        reader.next(after(2000)),
        Some(message(b"MSH|1\r", 0, &[FrameNote::Bare]))
    );
}

#[test]
fn an_oversized_frame_is_refused_and_the_next_one_read() {
    let small = FrameSettings {
        limit: 4,
        discard: 12,
        ..settings()
    };
    let over = |seen| FrameEvent::Oversize {
        head: Bytes::from_static(b"ABCD"),
        seen,
    };
    for (stream, expected) in [
        (
            &b"\x0bABCD\x1c\r"[..],
            vec![message(b"ABCD", 0, &[FrameNote::NoFinalCr])],
        ),
        (
            b"\x0bABCDE\x1c\r\x0bX\r\x1c\r",
            vec![over(5), message(b"X\r", 0, &[])],
        ),
        (
            b"\x0bABCDEFGHIJKLMNOP\x1c\r\x0bX\r\x1c\r",
            vec![over(12), message(b"X\r", 0, &[])],
        ),
        (
            b"\x0bABCDE\x0bX\r\x1c\r",
            vec![over(5), message(b"X\r", 0, &[])],
        ),
        (b"\x0bABCDE", vec![over(5)]),
    ] {
        assert_eq!(events(small, stream), expected, "{}", stream.escape_ascii());
    }
}

#[test]
fn what_is_encoded_is_read_again() {
    assert_eq!(
        events(settings(), &encode(b"MSH|^~\\&|\r")),
        [message(b"MSH|^~\\&|\r", 0, &[])]
    );
    assert_eq!(
        events(settings(), &commit(true)),
        [FrameEvent::Commit(true)]
    );
}
