//! Character sets: named, unnamed and wrong.

use encoding_rs::{GB18030, ISO_2022_JP, SHIFT_JIS};

use super::super::table::Row;
use super::{accepted, good};

const CHARSETS: &str = "Character sets";

pub(super) fn rows() -> Vec<Row> {
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
