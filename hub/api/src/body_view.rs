//! A message's bytes for people's eyes. Nothing is parsed and nothing is lost: how a protocol reads the
//! bytes is the adapter's business.

use std::borrow::Cow;
use std::fmt::Write as _;

use uuid::Uuid;

use crate::backbone::KeptBody;
use crate::views::messages::{BodyLine, DumpRow, MessageBody};

/// Bytes shown in the hex dump.
const DUMP_BYTES: usize = 64 * 1024;
const ROW: usize = 16;

/// The body by lines and as a hex dump.
pub(crate) fn of(id: Uuid, kept: &KeptBody) -> MessageBody {
    let bytes = kept.bytes.as_ref();
    MessageBody {
        id,
        size: bytes.len(),
        decoded_as: decode(bytes).1,
        lines: lines(bytes),
        dump: dump(bytes.get(..DUMP_BYTES).unwrap_or(bytes)),
        dump_truncated: bytes.len() > DUMP_BYTES,
        notes: kept.notes.clone(),
    }
}

/// The text, and how it was decoded: UTF-8, or a sign a byte when it is none.
pub(crate) fn decode(bytes: &[u8]) -> (Cow<'_, str>, &'static str) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (Cow::Borrowed(text), "utf-8"),
        Err(_) => (
            Cow::Owned(bytes.iter().map(|byte| char::from(*byte)).collect()),
            "iso-8859-1",
        ),
    }
}

/// Lines end with CR, LF or CR LF.
fn lines(bytes: &[u8]) -> Vec<BodyLine> {
    let is_utf8 = std::str::from_utf8(bytes).is_ok();
    let mut lines = Vec::new();
    let mut offset = 0;
    for line in bytes.split_inclusive(|byte| matches!(byte, b'\r' | b'\n')) {
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        if !text.is_empty() {
            // a part of UTF-8 that ends at an ASCII sign is UTF-8
            let text = if is_utf8 {
                String::from_utf8_lossy(text).into_owned()
            } else {
                text.iter().map(|byte| char::from(*byte)).collect()
            };
            lines.push(BodyLine { offset, text });
        }
        offset += line.len();
    }
    lines
}

fn dump(bytes: &[u8]) -> Vec<DumpRow> {
    bytes
        .chunks(ROW)
        .enumerate()
        .map(|(row, chunk)| {
            let mut hex = String::with_capacity(ROW * 3);
            for (at, byte) in chunk.iter().enumerate() {
                let gap = if at == 0 { "" } else { " " };
                let _ = write!(hex, "{gap}{byte:02x}");
            }
            DumpRow {
                offset: format!("{:08x}", row * ROW),
                hex,
                text: chunk
                    .iter()
                    .map(|byte| match byte {
                        0x20..=0x7e => char::from(*byte),
                        _ => '.',
                    })
                    .collect(),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_of_the_original_bytes_whatever_the_charset() {
        let found = lines("MSH|é\rPID|1\r\nOBX".as_bytes());
        assert_eq!(
            found.iter().map(|line| line.offset).collect::<Vec<_>>(),
            [0, 7, 14]
        );
        assert_eq!(found[0].text, "MSH|é");
        let found = lines(b"MSH|\xe9\rPID");
        assert_eq!((found[0].text.as_str(), found[1].offset), ("MSH|é", 6));
        assert_eq!(decode(b"\xe9").1, "iso-8859-1");
        assert_eq!(lines(b""), []);
    }

    #[test]
    fn a_dump_shows_sixteen_bytes_a_row() {
        let rows = dump(b"MSH|^~\\&|LAB\rPID|1");
        assert_eq!(rows.len(), 2);
        assert_eq!(
            rows[1],
            DumpRow {
                offset: "00000010".into(),
                hex: "7c 31".into(),
                text: "|1".into()
            }
        );
        assert_eq!(rows[0].text, "MSH|^~\\&|LAB.PID");
    }
}
