//! Frames of one message while they arrive.

use super::frame::Frame;
use super::{CR, LF};

/// What was accepted of a message so far.
#[derive(Debug, Default, Clone)]
pub(crate) struct Assembly {
    /// The frames as they were on the wire.
    pub(crate) raw: Vec<u8>,
    /// The text in them.
    text: Vec<u8>,
    /// The newest frame ended with ETX.
    whole: bool,
}

/// A place in an assembly.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark {
    raw: usize,
    text: usize,
    whole: bool,
}

impl Assembly {
    pub(crate) fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }

    pub(crate) fn append(&mut self, frame: &Frame) {
        self.raw.extend_from_slice(&frame.raw);
        self.text.extend_from_slice(frame.text());
        self.whole = frame.is_last();
        if self.whole && !matches!(self.text.last(), Some(&CR | &LF)) {
            self.text.push(CR);
        }
    }

    /// Where the assembly stands, to go back to when the newest frame could not be stored.
    pub(crate) fn mark(&self) -> Mark {
        Mark {
            raw: self.raw.len(),
            text: self.text.len(),
            whole: self.whole,
        }
    }

    /// Forgets what was appended since.
    pub(crate) fn back_to(&mut self, mark: Mark) {
        self.raw.truncate(mark.raw);
        self.text.truncate(mark.text);
        self.whole = mark.whole;
    }

    /// As [`Assembly::append`], for records without frames.
    pub(crate) fn append_text(&mut self, byte: u8) {
        self.raw.push(byte);
        self.text.push(byte);
        self.whole = matches!(byte, CR | LF);
    }

    /// The newest frame was a last one and the newest record is L.
    pub(crate) fn is_terminated(&self) -> bool {
        self.whole && self.records().last().is_some_and(|r| is_record(r, b'L'))
    }

    /// It ends with a whole record, and there is a result or a query in it: worth a message even without L.
    pub(crate) fn has_group(&self) -> bool {
        self.whole
            && self
                .records()
                .any(|r| is_record(r, b'R') || is_record(r, b'Q'))
    }

    /// Whether the next frame may begin another record.
    pub(crate) fn at_record_end(&self) -> bool {
        self.whole || matches!(self.text.last(), Some(&CR | &LF))
    }

    fn records(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.text
            .split(|b| matches!(*b, CR | LF))
            .filter(|r| !r.is_empty())
    }
}

/// Whether a line is a record of this type: its letter, then a delimiter or nothing.
pub(crate) fn is_record(line: &[u8], letter: u8) -> bool {
    match line {
        [first] => *first == letter,
        [first, next, ..] => *first == letter && !next.is_ascii_alphanumeric() && *next > b' ',
        [] => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(frames: &[(&[u8], bool)]) -> Assembly {
        let mut assembly = Assembly::default();
        for (n, (text, last)) in frames.iter().enumerate() {
            let raw = super::super::frame::encode(u8::try_from(n + 1).unwrap(), text, *last);
            let end = raw.len() - 5;
            assembly.append(&Frame::new(raw, end));
        }
        assembly
    }

    #[test]
    fn a_message_ends_with_l_in_a_last_frame_only() {
        assert!(of(&[(b"H|\\^&\r", true), (b"L|1|N\r", true)]).is_terminated());
        assert!(of(&[(b"H|\\^&\rL|1", true)]).is_terminated());
        assert!(of(&[(b"H|\\^&\rL", true)]).is_terminated());
        assert!(!of(&[(b"H|\\^&\rL|1", false)]).is_terminated());
        assert!(!of(&[(b"H|\\^&\rL|1\rH|\\^&\r", true)]).is_terminated());
        assert!(!of(&[(b"LOW VALUE\r", true)]).is_terminated());
    }

    #[test]
    fn a_group_needs_a_whole_result_or_query() {
        assert!(of(&[(b"H|\\^&\r", true), (b"R|1|^^^A|1\r", true)]).has_group());
        assert!(!of(&[(b"H|\\^&\r", true), (b"R|1|^^^A", false)]).has_group());
        assert!(!of(&[(b"H|\\^&\r", true), (b"P|1\r", true)]).has_group());
    }
}
