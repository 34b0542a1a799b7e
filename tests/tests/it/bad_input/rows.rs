//! The rows. Each message has numbers of its own, so that its bytes are found again among all others.

use std::fmt::Write as _;
use std::time::Duration;

use encoding_rs::{GB18030, ISO_2022_JP, SHIFT_JIS};
use tests::{adt_named, frame, oru, stamp, unique};

use super::table::{Row, Step};

const FRAMING: &str = "Framing";
const SEGMENTS: &str = "Segments and header";
const DELIMITERS: &str = "Delimiters and escapes";
const CHARSETS: &str = "Character sets";
const SIZES: &str = "Sizes";
const BATCHES: &str = "Batches";
const CONTENT: &str = "Content";
const PEERS: &str = "Peers";

/// Shorter than the time that a lone FS is given (200 ms).
const SHORT: Duration = Duration::from_millis(60);
/// Longer than that.
const LONG: Duration = Duration::from_millis(450);

/// A good result message and its control id.
fn good() -> (String, String) {
    let id = unique("BAD");
    let message = oru(
        &id,
        &unique("BADP"),
        &unique("BADS"),
        &[("GLU", "104", "mg/dL"), ("CREA", "1.1", "mg/dL")],
    );
    (id, message)
}

/// A good message and `change` applied to it.
fn changed(change: impl FnOnce(&str) -> String) -> (String, String) {
    let (id, message) = good();
    let changed = change(&message);
    (id, changed)
}

/// A header with its own control id, and what follows it.
fn with_header(kind: &str, rest: &str) -> (String, String) {
    let id = unique("BAD");
    let text = format!(
        "MSH|^~\\&|ANALYZER|LAB|HUB|HOSP|{}||{kind}|{id}|P|2.5.1\r{rest}",
        stamp()
    );
    (id, text)
}

/// Sent in one good frame; acknowledged and kept.
fn accepted(
    group: &'static str,
    name: &'static str,
    (id, bytes): (String, impl AsRef<[u8]>),
    outcome: &'static str,
) -> Row {
    Row::new(group, name)
        .write(frame(bytes.as_ref()))
        .answer("AA", id)
        .keeps(bytes.as_ref(), outcome)
}

/// Acknowledged, and a dead letter.
fn dead(
    group: &'static str,
    name: &'static str,
    (id, bytes): (String, impl AsRef<[u8]>),
    reason: &'static str,
) -> Row {
    Row::new(group, name)
        .write(frame(bytes.as_ref()))
        .answer("AA", id)
        .keeps_dead(bytes.as_ref(), reason)
}

/// Refused at the edge, and kept.
fn refused(group: &'static str, name: &'static str, bytes: impl AsRef<[u8]>) -> Row {
    Row::new(group, name)
        .write(frame(bytes.as_ref()))
        .answer("AR", "")
        .keeps_dead(bytes.as_ref(), "edge.quarantined")
}

pub(crate) fn all() -> Vec<Row> {
    [
        framing(),
        segments(),
        delimiters(),
        charsets(),
        sizes(),
        batches(),
        content(),
        peers(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn framing() -> Vec<Row> {
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

fn segments() -> Vec<Row> {
    let without_header = format!(
        "PID|1||{}^^^HOSP^MR||Test^Person\rOBR|1||X|GLU\r",
        unique("NOMSH")
    );
    vec![
        accepted(
            SEGMENTS,
            "segments end in LF",
            changed(|text| text.replace('\r', "\n")),
            "translated",
        ),
        accepted(
            SEGMENTS,
            "segments end in CR LF",
            changed(|text| text.replace('\r', "\r\n")),
            "translated",
        ),
        accepted(
            SEGMENTS,
            "blank segments",
            changed(|text| text.replace('\r', "\r\r\r")),
            "translated",
        ),
        accepted(
            SEGMENTS,
            "empty lines before MSH",
            changed(|text| format!("\r\n\r\n{text}")),
            "translated",
        ),
        accepted(
            SEGMENTS,
            "byte order mark before MSH",
            changed(|text| format!("\u{feff}{text}")),
            "translated",
        ),
        accepted(
            SEGMENTS,
            "line feed inside a text value",
            changed(|text| format!("{text}OBX|3|TX|NOTE^Note^L||first line\nsecond line||||||F\r")),
            "translated",
        ),
        refused(SEGMENTS, "no MSH", without_header),
        refused(
            SEGMENTS,
            "plain text in a frame",
            format!("hello {}", unique("TXT")),
        ),
        refused(
            SEGMENTS,
            "blanks in a frame",
            format!("{:width$}", "", width = 4000 + unique("").len()),
        ),
        refused(
            SEGMENTS,
            "MSH ends after its name",
            format!("\r\rMSH{}", "\r".repeat(unique("").len())),
        )
        .remark("MSH-1 and MSH-2 are needed to read anything"),
        refused(
            SEGMENTS,
            "MSH ends inside MSH-2",
            format!("MSH|^~\rPID|1||{}\r", unique("SH")),
        ),
        dead(
            SEGMENTS,
            "MSH alone, of a result message",
            with_header("ORU^R01", ""),
            "hl7.incomplete",
        ),
        {
            let bytes = format!("MSH|^~\\&|{}\r", unique("CUT"));
            accepted(
                SEGMENTS,
                "MSH ends after MSH-3",
                (String::new(), bytes),
                "not_translated",
            )
        },
        accepted(
            SEGMENTS,
            "MSH-10 (control id) missing",
            (String::new(), good_without_id()),
            "translated",
        )
        .remark("MSA-2 is empty"),
        {
            let id = format!("{}{}", unique("LONGID"), "x".repeat(300));
            accepted(
                SEGMENTS,
                "MSH-10 of more than 300 characters",
                (
                    id.clone(),
                    oru(&id, &unique("BADP"), &unique("S"), &[("GLU", "1", "mg/dL")]),
                ),
                "translated",
            )
            .remark("MSA-2 as sent; numbers above 250 bytes are no search keys")
        },
        accepted(
            SEGMENTS,
            "MSH-9 of an unknown type",
            with_header("ZZZ^Z99", "PID|1||7\r"),
            "not_translated",
        ),
        accepted(
            SEGMENTS,
            "MSH-9 empty",
            with_header("", "PID|1||7\r"),
            "not_translated",
        ),
        accepted(
            SEGMENTS,
            "MSH-9 without an event",
            changed(|text| text.replace("ORU^R01", "ORU")),
            "translated",
        ),
        accepted(
            SEGMENTS,
            "MSH-11 (processing id) of training",
            changed(|text| text.replace("|P|2.5.1", "|T|2.5.1")),
            "translated",
        )
        .remark("every processing id is taken, as sent"),
        accepted(
            SEGMENTS,
            "MSH-11 (processing id) unknown",
            changed(|text| text.replace("|P|2.5.1", "|?|2.5.1")),
            "translated",
        ),
        accepted(
            SEGMENTS,
            "MSH-12 (version) unknown",
            changed(|text| text.replace("|P|2.5.1", "|P|9.9")),
            "translated",
        )
        .remark("`translate.accept_any_version` is true by default"),
        {
            let (id, message) = changed(|text| text.replace("|P|2.5.1", "|P|2.5.1|||AL|NE"));
            Row::new(
                SEGMENTS,
                "enhanced mode, commit only (MSH-15 AL, MSH-16 NE)",
            )
            .write(frame(message.as_bytes()))
            .answer("CA", id)
            .keeps(message, "translated")
        },
        {
            let (id, message) = changed(|text| text.replace("|P|2.5.1", "|P|2.5.1|||AL|AL"));
            Row::new(SEGMENTS, "enhanced mode, both (MSH-15 AL, MSH-16 AL)")
                .write(frame(message.as_bytes()))
                .answer("CA", &id)
                .answer("AA", &id)
                .keeps(message, "translated")
        },
        {
            let (_, message) = changed(|text| text.replace("|P|2.5.1", "|P|2.5.1|||NE|NE"));
            Row::new(
                SEGMENTS,
                "enhanced mode, no answer wanted (MSH-15 NE, MSH-16 NE)",
            )
            .write(frame(message.as_bytes()))
            .keeps(message, "translated")
        },
        {
            let (_, message) = with_header("ACK^R01^ACK", &format!("MSA|AA|{}\r", unique("MSA")));
            Row::new(SEGMENTS, "an acknowledgement sent to us")
                .write(frame(message.as_bytes()))
                .keeps(message, "answer")
                .remark("an acknowledgement is never acknowledged (HL7 v2.5.1 §2.9)")
        },
        {
            let (id, message) = good();
            let text = message.replace("|LAB|HUB", "||");
            accepted(SEGMENTS, "MSH-4 to MSH-6 empty", (id, text), "translated")
        },
    ]
}

fn good_without_id() -> String {
    let (id, message) = good();
    message.replace(&format!("|{id}|"), "||")
}

fn delimiters() -> Vec<Row> {
    let translate = |from: &str, to: &str| {
        let pairs: Vec<(char, char)> = from.chars().zip(to.chars()).collect();
        changed(|text| {
            text.chars()
                .map(|c| {
                    pairs
                        .iter()
                        .find(|(old, _)| *old == c)
                        .map_or(c, |(_, new)| *new)
                })
                .collect()
        })
    };
    let value =
        |text: &str| changed(|message| format!("{message}OBX|3|ST|NOTE^Note^L||{text}||||||F\r"));
    vec![
        accepted(
            DELIMITERS,
            "MSH-1 `$` and MSH-2 `*~\\!`",
            translate("|^&", "$*!"),
            "translated",
        )
        .remark("the answer uses the sender's delimiters"),
        accepted(
            DELIMITERS,
            "MSH-2 of two characters",
            changed(|text| text.replacen("|^~\\&|", "|^~|", 1)),
            "translated",
        ),
        accepted(
            DELIMITERS,
            "MSH-2 empty",
            changed(|text| text.replacen("|^~\\&|", "||", 1)),
            "translated",
        )
        .remark("the standard's delimiters"),
        accepted(
            DELIMITERS,
            "MSH-2 with the truncation character `#`",
            changed(|text| text.replacen("|^~\\&|", "|^~\\&#|", 1)),
            "translated",
        ),
        accepted(
            DELIMITERS,
            "MSH-2 with the escape character twice",
            changed(|text| text.replacen("|^~\\&|", "|^~\\\\&|", 1)),
            "translated",
        ),
        refused(
            DELIMITERS,
            "a delimiter declared twice",
            changed(|text| text.replacen("|^~\\&|", "|^^\\&|", 1)).1,
        ),
        refused(
            DELIMITERS,
            "a letter as field separator",
            changed(|text| text.replacen("MSH|", "MSHA", 1)).1,
        ),
        refused(
            DELIMITERS,
            "MSH-2 escaped for XML (`^~\\&amp;`)",
            changed(|text| text.replacen("|^~\\&|", "|^~\\&amp;|", 1)).1,
        ),
        accepted(
            DELIMITERS,
            "a lone backslash",
            value("C:\\temp\\x and ^^^\\^^^"),
            "translated",
        )
        .remark("kept literally"),
        accepted(
            DELIMITERS,
            "an escape without its end",
            value("a \\X4 b \\"),
            "translated",
        ),
        accepted(
            DELIMITERS,
            "an unknown escape",
            value("a \\Q\\ b \\XZZ\\ c \\X4\\ d"),
            "translated",
        ),
        accepted(
            DELIMITERS,
            "Devanagari before an escape",
            value("ग्लूकोज \\T\\ शर्करा \\.br\\ \\H\\x\\N\\"),
            "translated",
        ),
        accepted(
            DELIMITERS,
            "an escape that makes a NUL or a line end",
            value("a\\X00\\b\\X0D0A\\c"),
            "translated",
        ),
    ]
}

fn charsets() -> Vec<Row> {
    let declared = |charset: &str| {
        let (id, message) = good();
        (
            id,
            message.replace("|P|2.5.1\r", &format!("|P|2.5.1||||||{charset}\r")),
        )
    };
    let latin1 = |text: &str| -> Vec<u8> {
        text.chars()
            .map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?'))
            .collect()
    };
    let named = |(id, text): (String, String), name: &str| {
        (id, text.replace("Test^Person", &format!("{name}^Person")))
    };
    let utf16 = |text: &str, mark: bool, big: bool| -> Vec<u8> {
        let mark = mark.then_some('\u{feff}');
        let text: String = mark.into_iter().chain(text.chars()).collect();
        text.encode_utf16()
            .flat_map(|unit| {
                if big {
                    unit.to_be_bytes()
                } else {
                    unit.to_le_bytes()
                }
            })
            .collect()
    };
    vec![
        accepted(
            CHARSETS,
            "UTF-8 declared",
            named(declared("UNICODE UTF-8"), "Müller प्रिया"),
            "translated",
        ),
        accepted(
            CHARSETS,
            "UTF-8 under Mindray's `UNICODE`",
            named(declared("UNICODE"), "प्रिया"),
            "translated",
        ),
        accepted(
            CHARSETS,
            "UTF-8 declared, ISO 8859-1 sent",
            {
                let (id, text) = named(declared("UNICODE UTF-8"), "Müller");
                (id, latin1(&text))
            },
            "translated",
        )
        .remark("noted on the message"),
        accepted(
            CHARSETS,
            "ISO 8859-1 declared, UTF-8 sent",
            named(declared("8859/1"), "Müller"),
            "translated",
        ),
        accepted(
            CHARSETS,
            "ASCII declared, ISO 8859-1 sent",
            {
                let (id, text) = named(declared("ASCII"), "Müller");
                (id, latin1(&text))
            },
            "translated",
        ),
        accepted(
            CHARSETS,
            "nothing declared, ISO 8859-1 sent",
            {
                let (id, text) = named(good(), "Müller");
                (id, latin1(&text))
            },
            "translated",
        ),
        accepted(
            CHARSETS,
            "a charset that nobody knows",
            named(declared("EBCDIC-KLINGON"), "Müller"),
            "translated",
        )
        .remark("read as if nothing were declared, and noted"),
        accepted(
            CHARSETS,
            "GB 18030 with trail bytes that look like delimiters",
            {
                let (id, text) = named(declared("GB 18030-2000"), "倈乗俓");
                (id, GB18030.encode(&text).0.into_owned())
            },
            "translated",
        ),
        accepted(
            CHARSETS,
            "Shift JIS with trail byte `\\`",
            {
                let (id, text) = named(declared("ISO IR14"), "ソ表");
                (id, SHIFT_JIS.encode(&text).0.into_owned())
            },
            "translated",
        ),
        accepted(
            CHARSETS,
            "ISO-2022-JP with its escape sequences",
            {
                let (id, text) = named(declared("ISO IR87"), "山田");
                (id, ISO_2022_JP.encode(&text).0.into_owned())
            },
            "translated",
        ),
        accepted(
            CHARSETS,
            "UTF-16, little end first, with a mark",
            {
                let (id, text) = good();
                (id, utf16(&text, true, false))
            },
            "translated",
        ),
        accepted(
            CHARSETS,
            "UTF-16, big end first, with a mark",
            {
                let (id, text) = good();
                (id, utf16(&text, true, true))
            },
            "translated",
        ),
        accepted(
            CHARSETS,
            "UTF-16, little end first, without a mark",
            {
                let (id, text) = good();
                (id, utf16(&text, false, false))
            },
            "translated",
        ),
        accepted(
            CHARSETS,
            "bytes that are no UTF-8",
            {
                let (id, text) = named(declared("UNICODE UTF-8"), "NAME");
                (
                    id,
                    replace(
                        text.as_bytes(),
                        b"NAME",
                        b"\xff\xfe\xc0\x80\xed\xa0\x80\xf5",
                    ),
                )
            },
            "translated",
        ),
        accepted(
            CHARSETS,
            "NUL bytes in the content",
            {
                let (id, text) = named(good(), "NA\0ME\0");
                (id, text)
            },
            "translated",
        ),
        accepted(
            CHARSETS,
            "control characters in the content",
            {
                let (id, text) = named(good(), "N\u{1}A\u{7}M\u{1b}E\u{7f}");
                (id, text)
            },
            "translated",
        ),
        accepted(
            CHARSETS,
            "text that changes its direction and joins",
            named(
                declared("UNICODE UTF-8"),
                "\u{202e}abc\u{200d}\u{feff}\u{1f9ec}",
            ),
            "translated",
        ),
    ]
}

fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let at = bytes
        .windows(from.len())
        .position(|window| window == from)
        .unwrap();
    [&bytes[..at], to, &bytes[at + from.len()..]].concat()
}

/// A good message made `size` bytes long by a text value.
fn of_size(size: usize) -> (String, String) {
    let (id, message) = good();
    let (before, after) = ("OBX|3|TX|NOTE^Note^L||", "||||||F\r");
    let fill = size - message.len() - before.len() - after.len();
    (id, format!("{message}{before}{}{after}", "x".repeat(fill)))
}

fn sizes() -> Vec<Row> {
    let limit = 65536;
    let above = |name, channel, size: usize, kept: usize| {
        let (id, message) = of_size(size);
        Row::new(SIZES, name)
            .on(channel)
            .write(frame(message.as_bytes()))
            .answer("AR", id)
            .closes()
            .keeps_dead(&message.as_bytes()[..kept], "edge.quarantined")
    };
    let many = |count: usize, line: &dyn Fn(usize) -> String| {
        changed(|message| {
            (0..count).fold(message.to_owned(), |mut text, n| {
                let _ = write!(text, "{}", line(n));
                text
            })
        })
    };
    vec![
        accepted(
            SIZES,
            "one byte below the channel's limit",
            of_size(limit - 1),
            "translated",
        )
        .on("small"),
        accepted(
            SIZES,
            "exactly the channel's limit",
            of_size(limit),
            "translated",
        )
        .on("small"),
        above(
            "one byte above the channel's limit",
            "small",
            limit + 1,
            limit,
        )
        .remark("as many bytes as the limit allows are kept"),
        above(
            "20 MB where 4 MiB are allowed",
            "lab",
            20_000_000,
            4 * 1024 * 1024,
        )
        .remark("read to its end, so that the sender gets the refusal"),
        {
            // nothing but start and filling: MSH-10 can't be known
            let content = format!("{}{}", unique("JUNK"), "y".repeat(limit));
            Row::new(SIZES, "above the limit, without MSH")
                .on("small")
                .write(frame(content.as_bytes()))
                .answer("AR", "")
                .closes()
                .keeps_dead(&content.as_bytes()[..limit], "edge.quarantined")
        },
        accepted(SIZES, "a field of 1 MB", of_size(1_000_000), "translated"),
        accepted(
            SIZES,
            "2000 OBX",
            many(2000, &|n| {
                format!("OBX|{}|NM|GLU^Glucose^L|{n}|{n}|mg/dL|||||F\r", n + 3)
            }),
            "translated",
        ),
        accepted(
            SIZES,
            "3000 repetitions of PID-3",
            changed(|text| {
                text.replace(
                    "^^^HOSP^MR",
                    &format!("^^^HOSP^MR{}", "~A^^^B^C".repeat(3000)),
                )
            }),
            "translated",
        ),
        accepted(
            SIZES,
            "500 segments that nobody knows",
            many(500, &|n| format!("XXX|{n}|a^b~c&d\r")),
            "translated",
        ),
        dead(
            SIZES,
            "more than 100,000 delimiters",
            changed(|text| format!("{text}NTE|1||{}\r", "^".repeat(100_001))),
            "hl7.too_big",
        ),
    ]
}

fn batches() -> Vec<Row> {
    let batch = |messages: &[String], count: usize| {
        format!(
            "FHS|^~\\&|LAB\rBHS|^~\\&|LAB\r{}BTS|{count}\rFTS|1\r",
            messages.concat()
        )
    };
    let two = || (good(), good());
    vec![
        {
            let ((id, first), (_, second)) = two();
            accepted(
                BATCHES,
                "a batch of two",
                (id, batch(&[first, second], 2)),
                "translated",
            )
            .remark("one answer, under the first message; one row in the ledger")
        },
        {
            let ((id, first), (_, second)) = two();
            accepted(
                BATCHES,
                "a batch without BTS and FTS",
                (id, format!("FHS|^~\\&|LAB\rBHS|^~\\&|LAB\r{first}{second}")),
                "translated",
            )
        },
        {
            let ((id, first), (_, second)) = two();
            accepted(
                BATCHES,
                "a batch that ends inside its last message",
                (
                    id,
                    format!("BHS|^~\\&|LAB\r{first}{}", &second[..second.len() / 2]),
                ),
                "translated",
            )
        },
        {
            let ((id, first), (_, second)) = two();
            accepted(
                BATCHES,
                "a batch with a wrong count",
                (id, batch(&[first, second], 7)),
                "translated",
            )
            .remark("noted on the message")
        },
        {
            let (id, first) = good();
            let (_, bad) = with_header("ORU^R01", "PID|1||7\r");
            accepted(
                BATCHES,
                "a batch with one bad message",
                (id, batch(&[first, bad], 2)),
                "translated",
            )
            .remark("the good one takes effect; the bad one is noted")
        },
        dead(
            BATCHES,
            "a batch without a message",
            (
                String::new(),
                format!("BHS|^~\\&|{}\rBTS|0\r", unique("EMPTY")),
            ),
            "hl7.empty_batch",
        ),
        {
            let ((id, first), (_, second)) = two();
            accepted(
                BATCHES,
                "two messages in one frame without an envelope",
                (id, format!("{first}{second}")),
                "translated",
            )
        },
    ]
}

fn content() -> Vec<Row> {
    let id_of = |text: &str| text.to_owned();
    vec![
        accepted(CONTENT, "a result without PID", changed(|text| lines(text, |line| !line.starts_with("PID"))), "translated").remark("the results are held: no patient"),
        accepted(CONTENT, "OBX before OBR", {
            let (id, text) = with_header("ORU^R01", "OBX|1|NM|GLU^Glucose^L||5|mg/dL|||||F\r");
            (id, format!("{text}PID|1||{}^^^HOSP^MR\rOBR|1|A|{}|P\rOBX|1|NM|GLU^Glucose^L||6|mg/dL|||||F\r", unique("P"), unique("F")))
        }, "translated").remark("the OBX before the OBR are noted, not filed"),
        accepted(CONTENT, "a segment that nobody knows", changed(|text| format!("{text}QQQ|1|x\r")), "translated"),
        accepted(CONTENT, "Z segments", changed(|text| format!("{text}ZDR|1|x^y\rZ99\r")), "translated"),
        accepted(CONTENT, "a segment id in lower case", changed(|text| text.replace("\rOBX|2", "\robx|2")), "translated"),
        accepted(CONTENT, "a line that is no segment", changed(|text| format!("{text}this is no segment\r")), "translated"),
        accepted(CONTENT, "text where a number is declared", changed(|text| format!("{text}OBX|3|NM|GLU^Glucose^L||hemolysed|mg/dL|||||F\r")), "translated").remark("kept as sent"),
        accepted(CONTENT, "an unknown type in OBX-2", changed(|text| format!("{text}OBX|3|QQ|GLU^Glucose^L||a^b|mg/dL|||||F\r")), "translated"),
        accepted(CONTENT, "times that are none", changed(|text| format!("{text}OBX|3|NM|GLU^Glucose^L||5|mg/dL|||||F|||20269999999999\r").replace("19800517", "00000000")), "translated"),
        dead(CONTENT, "an admission without PID", with_header("ADT^A01", "EVN|A01\rPV1|1|I\r"), "hl7.no_patient"),
        dead(CONTENT, "a merge without MRG", with_header("ADT^A40", &format!("EVN|A40\rPID|1||{}^^^HOSP^MR\r", unique("P"))), "hl7.incomplete"),
        {
            let id = unique("BAD");
            let patient = unique("SELF");
            let merge = format!("{}MRG|{patient}^^^HOSP^MR\r", lines(&adt_named("A40", &id, &patient, "Selfmerge"), |line| !line.starts_with("PV1")));
            accepted(CONTENT, "a merge of a record into itself", (id_of(&id), merge), "translated").remark("noted, nothing is merged")
        },
        {
            let (id, message) = good();
            Row::new(CONTENT, "the same bytes three times")
                .write(frame(message.as_bytes()).repeat(3))
                .answer("AA", &id)
                .answer("AA", &id)
                .answer("AA", &id)
                .keeps(message, "duplicate")
                .remark("one effect; each arrival is listed, the later ones as duplicates")
        },
        {
            let (id, first) = good();
            let second = first.replace("|104|", "|105|").replace("BADS", "BADT");
            Row::new(CONTENT, "the same control id with other content")
                .write([frame(first.as_bytes()), frame(second.as_bytes())].concat())
                .answer("AA", &id)
                .answer("AA", &id)
                .keeps(first, "translated")
                .keeps(second, "translated")
                .remark("two messages: analyzers count from 1 after a restart")
        },
    ]
}

fn lines(text: &str, keep: impl Fn(&str) -> bool) -> String {
    text.split_inclusive('\r')
        .filter(|line| keep(line))
        .collect()
}

fn peers() -> Vec<Row> {
    vec![
        Row::new(PEERS, "a peer that says nothing"),
        Row::new(PEERS, "a TLS handshake on a plain port").write(b"\x16\x03\x01\x00\x2f\x01\x00\x00\x2b\x03\x03\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0c\x0d\x0e\x0f\x10\x11").remark("no start block: skipped and counted"),
        Row::new(PEERS, "an HTTP request").write(b"GET / HTTP/1.1\r\nHost: hub\r\nUser-Agent: curl\r\n\r\n").remark("no start block: skipped and counted"),
        {
            let (id, message) = good();
            Row::new(PEERS, "a message in the body of an HTTP request")
                .write(format!("POST /hl7 HTTP/1.1\r\nHost: hub\r\nContent-Length: {}\r\n\r\n", message.len()))
                .write(&message)
                .step(Step::EndWriting)
                .answer("AR", id)
                .closes()
                .keeps_dead(message, "edge.quarantined")
                .remark("it looks like a message, so it is kept")
        },
        {
            let (_, message) = good();
            Row::new(PEERS, "the peer closes before it reads the answer").write(frame(message.as_bytes())).step(Step::Leave).keeps(message, "translated")
        },
        {
            let (id, message) = good();
            Row::new(PEERS, "the peer ends its side and waits").write(frame(message.as_bytes())).step(Step::EndWriting).answer("AA", id).closes().keeps(message, "translated")
        },
        {
            let (_, message) = good();
            let half = &message.as_bytes()[..140];
            Row::new(PEERS, "the peer is switched off inside a frame").write([b"\x0b", half].concat()).step(Step::Quiet(SHORT)).step(Step::Reset).keeps_dead(half, "edge.quarantined")
        },
        {
            let (_, message) = good();
            Row::new(PEERS, "the peer closes with FS sent and CR not").write([b"\x0b", message.as_bytes(), b"\x1c"].concat()).step(Step::Leave).keeps(message, "translated")
        },
    ]
}
