//! Where a message begins and ends: split, joined and broken frames.

use std::time::Duration;

use tests::frame;

use super::super::table::{Row, Step};
use super::{LONG, SHORT, accepted, changed, good};

const FRAMING: &str = "Framing";

pub(super) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for (name, place) in [
        ("split after the start block", 1),
        ("split inside the segment id MSH", 3),
        ("split inside the header", 40),
        ("split before the last carriage return", usize::MAX - 2),
        ("split before the end block", usize::MAX - 1),
        ("split between FS and CR, shorter than 200 ms", usize::MAX),
    ] {
        let (id, message) = good();
        let bytes = frame(message.as_bytes());
        // counted from the end where it is about the end
        let at = if place > 1000 {
            bytes.len() - 1 - (usize::MAX - place)
        } else {
            place
        };
        rows.push(
            Row::new(FRAMING, name)
                .cut(&bytes, at, SHORT)
                .answer("AA", &id)
                .keeps(&message, "translated"),
        );
    }
    let (id, message) = good();
    let bytes = frame(message.as_bytes());
    rows.push(
        Row::new(FRAMING, "split between FS and CR, longer than 200 ms")
            .cut(&bytes, bytes.len() - 1, LONG)
            .answer("AA", &id)
            .keeps(&message, "translated")
            .remark("answered after 200 ms; the late CR is skipped"),
    );
    rows.push({
        let (id, message) = changed(|text| text.replace("Test^Person", "प्रिया^Person"));
        let bytes = frame(message.as_bytes());
        let at = bytes.iter().position(|byte| *byte >= 0x80).unwrap() + 1;
        Row::new(FRAMING, "split inside a character of several bytes")
            .cut(&bytes, at, SHORT)
            .answer("AA", &id)
            .keeps(&message, "translated")
    });
    for (name, count) in [
        ("two messages in one packet", 2),
        ("ten messages in one packet", 10),
    ] {
        let messages: Vec<_> = (0..count).map(|_| good()).collect();
        let packet: Vec<u8> = messages
            .iter()
            .flat_map(|(_, message)| frame(message.as_bytes()))
            .collect();
        let row = Row::new(FRAMING, name)
            .write(packet)
            .remark("answers in the order of the messages");
        rows.push(messages.iter().fold(row, |row, (id, message)| {
            row.answer("AA", id).keeps(message, "translated")
        }));
    }
    rows.push({
        let three: Vec<_> = (0..3).map(|_| good()).collect();
        let packet: Vec<u8> = three
            .iter()
            .flat_map(|(_, message)| frame(message.as_bytes()))
            .collect();
        let row = Row::new(
            FRAMING,
            "two and a half messages in one packet, then the rest",
        )
        .cut(&packet, packet.len() - 50, SHORT);
        three.iter().fold(row, |row, (id, message)| {
            row.answer("AA", id).keeps(message, "translated")
        })
    });
    for (name, end) in [
        ("FS without CR, then silence", &b"\x1c"[..]),
        ("FS LF", b"\x1c\n"),
        ("FS NUL", b"\x1c\0"),
        ("FS FS CR", b"\x1c\x1c\r"),
        ("FS CR LF", b"\x1c\r\n"),
    ] {
        let (id, message) = good();
        rows.push(
            Row::new(FRAMING, name)
                .write([b"\x0b", message.as_bytes(), end].concat())
                .answer("AA", &id)
                .keeps(&message, "translated"),
        );
    }
    rows.push({
        let ((one, first), (two, second)) = (good(), good());
        Row::new(FRAMING, "FS without CR, and the next start block at once")
            .write(
                [
                    b"\x0b",
                    first.as_bytes(),
                    b"\x1c",
                    &frame(second.as_bytes()),
                ]
                .concat(),
            )
            .answer("AA", one)
            .answer("AA", two)
            .keeps(first, "translated")
            .keeps(second, "translated")
    });
    rows.push({
        let (id, message) = good();
        Row::new(FRAMING, "no start block")
            .write([message.as_bytes(), b"\x1c\r"].concat())
            .answer("AR", id)
            .keeps_dead(message, "edge.quarantined")
            .remark("set `frame.bare` for such devices")
    });
    rows.push({
        let (id, message) = good();
        Row::new(FRAMING, "no start block on a channel with `frame.bare`")
            .on("bare")
            .write([message.as_bytes(), b"\x1c\r"].concat())
            .answer("AA", id)
            .keeps(message, "translated")
    });
    rows.push({
        let ((one, first), (two, second)) = (good(), good());
        Row::new(
            FRAMING,
            "no start and no end blocks on a channel with `frame.bare`",
        )
        .on("bare")
        .write([first.as_bytes(), second.as_bytes()].concat())
        .answer("AA", one)
        .answer("AA", two)
        .keeps(first, "translated")
        .keeps(second, "translated")
        .remark("ends at the next MSH, or after 2 s of silence")
    });
    for (name, junk) in [
        (
            "junk before the start block",
            &b"garbage \xff\xfe 123\r\n"[..],
        ),
        ("twenty heartbeats 0x02 before the start block", &[2; 20]),
        ("a second start block at once", b"\x0b"),
        (
            "a hundred frames without content before a message",
            &b"\x0b\x1c\r".repeat(100),
        ),
    ] {
        let (id, message) = good();
        rows.push(
            Row::new(FRAMING, name)
                .write([junk, &frame(message.as_bytes())].concat())
                .answer("AA", &id)
                .keeps(&message, "translated"),
        );
    }
    rows.push({
        let ((_, first), (two, second)) = (good(), good());
        let half = &first.as_bytes()[..first.len() / 2];
        Row::new(FRAMING, "a start block inside a frame")
            .write([b"\x0b", half, &frame(second.as_bytes())].concat())
            .answer("AA", two)
            .keeps_dead(half, "edge.quarantined")
            .keeps(second, "translated")
            .remark("the first is not answered: its sender will repeat it")
    });
    for (name, bytes) in [
        ("zero-length frame (keep-alive)", &b"\x0b\x1c\r"[..]),
        ("frame of one carriage return", b"\x0b\r\x1c\r"),
        ("positive commit block 0x06", b"\x0b\x06\x1c\r"),
        ("negative commit block 0x15", b"\x0b\x15\x1c\r"),
    ] {
        rows.push(Row::new(FRAMING, name).write(bytes));
    }
    rows.push({
        let (id, message) = changed(|text| text.trim_end().to_owned());
        accepted(
            FRAMING,
            "no carriage return after the last segment",
            (id, message),
            "translated",
        )
    });
    rows.push({
        let (id, message) = changed(|text| text.replace("Test^Person", "Te\u{1c}st^Person"));
        accepted(
            FRAMING,
            "FS inside the content",
            (id, message),
            "translated",
        )
    });
    rows.push({
        let ((one, first), (two, second)) = (good(), good());
        Row::new(FRAMING, "line feeds between frames")
            .write(
                [
                    &frame(first.as_bytes())[..],
                    b"\n\r\n",
                    &frame(second.as_bytes()),
                ]
                .concat(),
            )
            .answer("AA", one)
            .answer("AA", two)
            .keeps(first, "translated")
            .keeps(second, "translated")
    });
    rows.push({
        let (_, message) = good();
        let half = &message.as_bytes()[..120];
        Row::new(FRAMING, "the connection ends inside a frame")
            .write([b"\x0b", half].concat())
            .step(Step::EndWriting)
            .closes()
            .keeps_dead(half, "edge.quarantined")
    });
    rows.push(
        Row::new(FRAMING, "the connection ends after the start block")
            .write(b"\x0b")
            .step(Step::EndWriting)
            .closes(),
    );
    rows.push({
        let (_, message) = good();
        let half = &message.as_bytes()[..130];
        Row::new(FRAMING, "silence inside a frame")
            .on("small")
            .write([b"\x0b", half].concat())
            .step(Step::Quiet(Duration::from_millis(1500)))
            .keeps_dead(half, "edge.quarantined")
            .remark("after `frame.idle_s`, 60 s by default; the connection goes on")
    });
    rows.push(
        Row::new(FRAMING, "a start block, then silence")
            .on("small")
            .write(b"\x0b")
            .step(Step::Quiet(Duration::from_millis(1500))),
    );
    rows.push({
        let (id, message) = good();
        Row::new(FRAMING, "one byte at a time")
            .step(Step::Trickle(frame(message.as_bytes())))
            .answer("AA", &id)
            .keeps(&message, "translated")
    });
    rows
}
