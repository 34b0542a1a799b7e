//! What the blocks of Beckman AU and Siemens Dimension mean to the line, and how ours are written.
//!
//! Sources: specs/lab-devices.md §4; for Dimension the public description in RosieLIS (types P, I, D, N, M, R, C).

use super::frame::checksum;
use super::{ETX, FS, STX};
use crate::settings::Mode;

/// What a block asks of the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Begin and end marks, without content.
    Signal,
    /// Is there work? `busy`: it takes none now.
    Poll {
        busy: bool,
    },
    /// The instrument's word on work that we sent: why it refuses it, if it does.
    Taken {
        refused: Option<&'static str>,
    },
    /// Which tests for this specimen?
    Query,
    Result,
    /// Kept; what it is, the translator says.
    Other,
}

pub(super) fn meaning(mode: Mode, raw: &[u8]) -> Meaning {
    let content = raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default();
    match (mode, content) {
        (Mode::Dimension, [b'P', ..]) => Meaning::Poll {
            busy: field(content, 3) == b"0",
        },
        (Mode::Dimension, [b'I', ..]) => Meaning::Query,
        (Mode::Dimension, [b'R' | b'C', ..]) => Meaning::Result,
        (Mode::Dimension, [b'M', FS, rest @ ..]) => Meaning::Taken {
            refused: (rest.first() == Some(&b'R')).then(|| refusal(field(content, 2))),
        },
        // DB DE (results begin, end), RB RE (queries), SB SE (orders)
        (Mode::Au, [b'D' | b'R' | b'S', b'B' | b'E', ..]) => Meaning::Signal,
        (Mode::Au, [b'R', ..]) => Meaning::Query,
        (Mode::Au, [b'D' | b'd', ..]) => Meaning::Result,
        _ => Meaning::Other,
    }
}

/// A field of a Dimension block, the type counted as 0.
fn field(content: &[u8], n: usize) -> &[u8] {
    content.split(|b| *b == FS).nth(n).unwrap_or_default()
}

/// Reasons of a Dimension's request acceptance (RosieLIS, table of reject reasons).
fn refusal(code: &[u8]) -> &'static str {
    match code {
        b"1" => "the instrument refused it: request in process (1)",
        b"2" => "the instrument refused it: result no longer available (2)",
        b"3" => "the instrument refused it: sample carrier in use (3)",
        b"4" => "the instrument refused it: no memory to store the request (4)",
        b"5" => "the instrument refused it: error in the test request (5)",
        b"7" => "the instrument refused it: sample carrier full (7)",
        b"8" => "the instrument refused it: no known carriers (8)",
        b"9" => "the instrument refused it: incorrect fluid type (9)",
        _ => "the instrument refused it",
    }
}

/// The two characters before ETX are the sum of all from the type to the last FS.
pub(super) fn dimension_sum_is_right(raw: &[u8]) -> bool {
    let content = raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default();
    let Some(at) = content.len().checked_sub(2) else {
        return false;
    };
    let (body, said) = content.split_at(at);
    said.eq_ignore_ascii_case(&checksum(body))
}

/// The character after ETX is the exclusive or of all after STX, ETX included.
pub(super) fn bcc_is_right(raw: &[u8]) -> bool {
    raw.split_last()
        .is_some_and(|(said, body)| *said == bcc(body.get(1..).unwrap_or_default()))
}

fn bcc(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, b| sum ^ b)
}

/// A block of our own; `content` ends with FS.
pub(super) fn dimension_block(content: &[u8]) -> Vec<u8> {
    let mut block = vec![STX];
    block.extend_from_slice(content);
    block.extend_from_slice(&checksum(content));
    block.push(ETX);
    block
}

pub(super) fn au_block(content: &[u8], with_bcc: bool) -> Vec<u8> {
    let mut block = vec![STX];
    block.extend_from_slice(content);
    block.push(ETX);
    if with_bcc {
        block.push(bcc(&block[1..]));
    }
    block
}

/// The result is accepted.
pub(super) fn dimension_accepts() -> Vec<u8> {
    vec![b'M', FS, b'A', FS, FS]
}

/// There is nothing to do.
pub(super) fn nothing(mode: Mode) -> Vec<u8> {
    match mode {
        Mode::Dimension => vec![b'N', FS],
        _ => b"SE".to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_blocks_of_a_dimension_have_the_known_sums() {
        // N<FS>6A and M<FS>A<FS><FS>E2, as every Dimension interface sends them
        assert_eq!(
            dimension_block(&nothing(Mode::Dimension)),
            b"\x02N\x1c6A\x03"
        );
        assert_eq!(
            dimension_block(&dimension_accepts()),
            b"\x02M\x1cA\x1c\x1cE2\x03"
        );
        assert!(dimension_sum_is_right(b"\x02N\x1c6A\x03"));
        assert!(!dimension_sum_is_right(b"\x02N\x1c6B\x03"));
        assert!(!dimension_sum_is_right(b"\x02\x03"));
    }

    #[test]
    fn a_block_check_is_the_exclusive_or() {
        let block = au_block(b"SE", true);
        assert_eq!(block, [STX, b'S', b'E', ETX, b'S' ^ b'E' ^ ETX]);
        assert!(bcc_is_right(&block));
    }

    #[test]
    fn blocks_are_told_apart() {
        for (mode, content, expected) in [
            (Mode::Au, "D 000601 0013", Meaning::Result),
            (Mode::Au, "DB", Meaning::Signal),
            (Mode::Au, "DE", Meaning::Signal),
            (Mode::Au, "DQ0001", Meaning::Result),
            (Mode::Au, "R 000601", Meaning::Query),
            (Mode::Au, "RB", Meaning::Signal),
            (
                Mode::Dimension,
                "P\u{1c}1\u{1c}1\u{1c}0\u{1c}",
                Meaning::Poll { busy: true },
            ),
            (
                Mode::Dimension,
                "P\u{1c}1\u{1c}0\u{1c}1\u{1c}",
                Meaning::Poll { busy: false },
            ),
            (Mode::Dimension, "P\u{1c}", Meaning::Poll { busy: false }),
            (Mode::Dimension, "I\u{1c}S1\u{1c}", Meaning::Query),
            (
                Mode::Dimension,
                "M\u{1c}R\u{1c}4\u{1c}1\u{1c}42\u{1c}0\u{1c}",
                Meaning::Taken {
                    refused: Some("the instrument refused it: no memory to store the request (4)"),
                },
            ),
            (
                Mode::Dimension,
                "M\u{1c}A\u{1c}\u{1c}1\u{1c}42\u{1c}",
                Meaning::Taken { refused: None },
            ),
            (Mode::Dimension, "X", Meaning::Other),
        ] {
            let raw = [b"\x02", content.as_bytes(), b"\x03"].concat();
            assert_eq!(meaning(mode, &raw), expected, "{content:?}");
        }
    }
}
