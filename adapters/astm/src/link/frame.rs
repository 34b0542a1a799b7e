//! Frames: `STX FN text (ETB|ETX) C1 C2 CR LF` (LIS01-A2 §6.3), read and written.

use super::{ACK, CR, ENQ, EOT, ETB, ETX, LF, NAK, SOH, STX};

/// One frame as received, from STX to its last checksum character.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) raw: Vec<u8>,
    /// Where ETX or ETB stands.
    end: usize,
}

/// What a frame's checksum is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sum {
    Right,
    Wrong,
    Missing,
}

impl Frame {
    /// `end` is the place of ETX or ETB.
    pub(crate) fn new(raw: Vec<u8>, end: usize) -> Self {
        Self { raw, end }
    }

    /// The frame number as sent, any digit.
    pub(crate) fn number(&self) -> Option<u8> {
        self.raw.get(1).copied().filter(u8::is_ascii_digit)
    }

    /// What stands between the frame number and ETX or ETB.
    pub(crate) fn text(&self) -> &[u8] {
        let from = if self.number().is_some() { 2 } else { 1 };
        self.raw.get(from..self.end).unwrap_or_default()
    }

    /// The last frame of a message or record (ETX).
    pub(crate) fn is_last(&self) -> bool {
        self.raw.get(self.end) == Some(&ETX)
    }

    pub(crate) fn sum(&self) -> Sum {
        let said = self.raw.get(self.end + 1..).unwrap_or_default();
        if said.is_empty() {
            return Sum::Missing;
        }
        let due = checksum(self.raw.get(1..=self.end).unwrap_or_default());
        if said.eq_ignore_ascii_case(&due) {
            Sum::Right
        } else {
            Sum::Wrong
        }
    }
}

/// The sum of the bytes from the frame number to ETB or ETX, modulo 256, as two upper-case hexadecimal digits.
#[must_use]
pub fn checksum(bytes: &[u8]) -> [u8; 2] {
    let sum = bytes.iter().fold(0_u8, |sum, b| sum.wrapping_add(*b));
    [hex(sum >> 4), hex(sum & 15)]
}

fn hex(digit: u8) -> u8 {
    if digit < 10 {
        b'0' + digit
    } else {
        b'A' + digit - 10
    }
}

/// A frame's bytes on the wire. `last` ends it with ETX.
#[must_use]
pub fn encode(number: u8, text: &[u8], last: bool) -> Vec<u8> {
    let mut frame = Vec::with_capacity(text.len() + 7);
    frame.push(STX);
    frame.push(b'0' + number % 8);
    frame.extend_from_slice(text);
    frame.push(if last { ETX } else { ETB });
    let sum = checksum(&frame[1..]);
    frame.extend_from_slice(&sum);
    frame.extend_from_slice(&[CR, LF]);
    frame
}

/// The frames of a message, numbered from 1: each record in frames of its own, or the whole as one stream.
#[must_use]
pub fn frames_of(records: &[Vec<u8>], size: usize, per_record: bool) -> Vec<Vec<u8>> {
    let with_cr = records.iter().map(|r| [r.as_slice(), &[CR]].concat());
    let texts: Vec<Vec<u8>> = if per_record {
        with_cr.collect()
    } else {
        vec![with_cr.flatten().collect()]
    };
    let mut frames = Vec::new();
    let mut number = 1_u8;
    for text in texts {
        let pieces = text.len().div_ceil(size.max(1));
        for (at, piece) in text.chunks(size.max(1)).enumerate() {
            frames.push(encode(number, piece, at + 1 == pieces));
            number = (number + 1) % 8;
        }
    }
    frames
}

/// The text of a stored message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Joined {
    /// Records, each ended by CR (or by what the sender ends them with).
    pub text: Vec<u8>,
    /// Frames found; 0 for records without frames.
    pub frames: usize,
    /// Frames whose two checksum characters are wrong.
    pub wrong_sums: usize,
}

/// Takes the frames off stored bytes: E1381 frames, one `SOH .. EOT` block, or bare records.
#[must_use]
pub fn join(bytes: &[u8]) -> Joined {
    let mut joined = Joined::default();
    if !bytes.contains(&STX) {
        let body = bytes
            .iter()
            .copied()
            .filter(|b| !matches!(*b, SOH | EOT | ENQ | ACK | NAK | 0));
        joined.text = body.collect();
        return joined;
    }
    let mut rest = bytes;
    while let Some(start) = rest.iter().position(|b| *b == STX) {
        rest = &rest[start..];
        // a frame that another one interrupts was never acknowledged; in quarantined bytes it may stand at the end
        let end = rest
            .iter()
            .skip(1)
            .position(|b| matches!(*b, STX | ETX | ETB))
            .map_or(rest.len(), |at| at + 1);
        let closed = rest.get(end).is_some_and(|b| matches!(*b, ETX | ETB));
        let last = rest.get(end) == Some(&ETX);
        let mut until = end + usize::from(closed);
        if closed {
            let sum = rest.get(until..until + 2).unwrap_or_default();
            if sum.len() == 2 && sum.iter().all(u8::is_ascii_hexdigit) {
                until += 2;
            }
        }
        let frame = Frame::new(rest.get(..until).unwrap_or(rest).to_vec(), end);
        if closed && frame.sum() == Sum::Wrong {
            joined.wrong_sums += 1;
        }
        joined.text.extend_from_slice(frame.text());
        if last && !matches!(joined.text.last(), Some(&CR | &LF)) {
            joined.text.push(CR);
        }
        joined.frames += 1;
        rest = rest.get(until..).unwrap_or_default();
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standards_own_checksum_is_right() {
        // LIS01-A2 gives no worked example; this frame is of a real cobas c111 (corpus senaite-astm/cobas_c111.txt)
        assert_eq!(checksum(b"7L|1|N\r\x03"), *b"0A");
        assert_eq!(checksum(b"2P|1||\r\x17"), *b"4B");
    }

    #[test]
    fn long_records_are_cut_and_numbers_run_modulo_eight() {
        let records = vec![vec![b'x'; 479], b"L|1|N".to_vec()];
        let frames = frames_of(&records, 240, true);
        let seen: Vec<_> = frames
            .iter()
            .map(|f| (f[1], f[f.len() - 5], f.len()))
            .collect();
        assert_eq!(seen, [(b'1', ETB, 247), (b'2', ETX, 247), (b'3', ETX, 13)]);
        let many = frames_of(&vec![b"C|1".to_vec(); 9], 240, true);
        let numbers: Vec<_> = many.iter().map(|f| f[1]).collect();
        assert_eq!(numbers, b"123456701");
    }

    #[test]
    fn frames_join_to_the_text_that_was_cut() {
        let records = vec![b"H|\\^&".to_vec(), vec![b'M'; 900], b"L|1|N".to_vec()];
        for per_record in [true, false] {
            let wire = frames_of(&records, 240, per_record).concat();
            let joined = join(&wire);
            let expected: Vec<u8> = records
                .iter()
                .flat_map(|r| [r.as_slice(), b"\r"].concat())
                .collect();
            assert_eq!(joined.text, expected);
            assert_eq!(joined.wrong_sums, 0);
        }
    }

    #[test]
    fn frames_without_checksum_and_blocks_without_frames_join_too() {
        assert_eq!(join(b"\x021H|\\^&\x03\x022L|1\x03").text, b"H|\\^&\rL|1\r");
        assert_eq!(join(b"\x01H|\\^&\rL|1\r\x04").text, b"H|\\^&\rL|1\r");
        assert_eq!(join(b"H|\\^&\nL|1\n").text, b"H|\\^&\nL|1\n");
    }
}
