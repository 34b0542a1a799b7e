//! A quick look at MSH in raw bytes, before charset and parsing: what the edge needs to answer in microseconds.
//!
//! Nothing is decoded, trimmed or copied; a value is exactly the sender's bytes. MSH is ASCII in every charset that
//! MLLP can carry. Text in UTF-16 has to be decoded first (`charset::decode`).

use crate::separators::{SeparatorError, Separators};

/// Fields of MSH that are indexed; later ones are only found by the full parser.
const FIELDS: usize = 25;

/// MSH as raw slices of the message. Field numbers are the standard's: MSH-1 is the field separator.
#[derive(Debug, Clone)]
pub struct Header<'a> {
    separators: Separators,
    start: usize,
    segment: &'a [u8],
    fields: [&'a [u8]; FIELDS],
}

/// Why a message has no readable MSH.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The bytes do not start with an MSH segment.
    #[error("no MSH segment at the start")]
    Missing,
    /// MSH-1 or MSH-2 can't be used.
    #[error("MSH can't be split: {0}")]
    Separators(#[from] SeparatorError),
}

impl<'a> Header<'a> {
    /// Reads the MSH at the start of `message`; a UTF-8 byte order mark, blanks and empty lines before it are skipped.
    ///
    /// # Errors
    /// No MSH there, or delimiters that can't be used. Never panics, whatever the bytes.
    pub fn read(message: &'a [u8]) -> Result<Self, HeaderError> {
        let start = content_start(message);
        let rest = message.get(start..).unwrap_or_default();
        if !rest.starts_with(b"MSH") {
            return Err(HeaderError::Missing);
        }
        Self::read_segment(rest, start)
    }

    /// Reads a header segment (MSH, FHS, BHS) that starts at `segment[0]`, which is at `start` in the message.
    pub(crate) fn read_segment(segment: &'a [u8], start: usize) -> Result<Self, HeaderError> {
        let (separators, msh2) = Separators::read(segment)?;
        let end = memchr::memchr2(b'\r', b'\n', segment).unwrap_or(segment.len());
        let segment = segment.get(..end).unwrap_or(segment);
        let mut fields: [&[u8]; FIELDS] = [&[]; FIELDS];
        let (first, values) = fields.split_at_mut(2);
        if let [one, two] = first {
            *one = segment.get(3..4).unwrap_or_default();
            *two = segment.get(4..4 + msh2).unwrap_or_default();
        }
        let body = segment.get(5 + msh2..).unwrap_or_default();
        for (field, value) in values
            .iter_mut()
            .zip(body.split(|&b| b == separators.field))
        {
            *field = value;
        }
        Ok(Self {
            separators,
            start,
            segment,
            fields,
        })
    }

    /// The delimiters the sender declares.
    #[must_use]
    pub fn separators(&self) -> Separators {
        self.separators
    }

    /// Where MSH starts in the message: greater than zero after a byte order mark or empty lines.
    #[must_use]
    pub fn start(&self) -> usize {
        self.start
    }

    /// The segment without its line end.
    #[must_use]
    pub fn segment(&self) -> &'a [u8] {
        self.segment
    }

    /// MSH-`number`, empty when absent (or above 25).
    #[must_use]
    pub fn field(&self, number: usize) -> &'a [u8] {
        number
            .checked_sub(1)
            .and_then(|n| self.fields.get(n))
            .copied()
            .unwrap_or_default()
    }

    /// MSH-3, sending application.
    #[must_use]
    pub fn sending_application(&self) -> &'a [u8] {
        self.field(3)
    }

    /// MSH-4, sending facility.
    #[must_use]
    pub fn sending_facility(&self) -> &'a [u8] {
        self.field(4)
    }

    /// MSH-5, receiving application.
    #[must_use]
    pub fn receiving_application(&self) -> &'a [u8] {
        self.field(5)
    }

    /// MSH-6, receiving facility.
    #[must_use]
    pub fn receiving_facility(&self) -> &'a [u8] {
        self.field(6)
    }

    /// MSH-7, time of the message, as sent.
    #[must_use]
    pub fn time(&self) -> &'a [u8] {
        self.field(7)
    }

    /// MSH-9.1, message code: `ORU`.
    #[must_use]
    pub fn code(&self) -> &'a [u8] {
        self.component(9, 1)
    }

    /// MSH-9.2, trigger event: `R01`.
    #[must_use]
    pub fn trigger(&self) -> &'a [u8] {
        self.component(9, 2)
    }

    /// MSH-9.3, message structure: `ORU_R01`; empty before v2.3.1.
    #[must_use]
    pub fn structure(&self) -> &'a [u8] {
        self.component(9, 3)
    }

    /// MSH-10, message control id, byte for byte as the sender wrote it. Empty when absent.
    #[must_use]
    pub fn control_id(&self) -> &'a [u8] {
        self.field(10)
    }

    /// MSH-11, processing id.
    #[must_use]
    pub fn processing_id(&self) -> &'a [u8] {
        self.field(11)
    }

    /// MSH-12.1, version: `2.5.1`.
    #[must_use]
    pub fn version(&self) -> &'a [u8] {
        self.component(12, 1)
    }

    /// MSH-15, when the sender wants an accept acknowledgement.
    #[must_use]
    pub fn accept_ack(&self) -> &'a [u8] {
        self.field(15)
    }

    /// MSH-16, when the sender wants an application acknowledgement.
    #[must_use]
    pub fn application_ack(&self) -> &'a [u8] {
        self.field(16)
    }

    /// MSH-18, character sets, with all repetitions.
    #[must_use]
    pub fn charsets(&self) -> &'a [u8] {
        self.field(18)
    }

    /// Component `component` of the first repetition of MSH-`field`.
    #[must_use]
    pub fn component(&self, field: usize, component: usize) -> &'a [u8] {
        self.repetition(field, 1)
            .split(|&b| b == self.separators.component)
            .nth(component.saturating_sub(1))
            .unwrap_or_default()
    }

    /// Repetition `repetition` of MSH-`field`; MSH-1 and MSH-2 have no parts.
    pub(crate) fn repetition(&self, field: usize, repetition: usize) -> &'a [u8] {
        if field < 3 {
            return self.field(field);
        }
        self.field(field)
            .split(|&b| b == self.separators.repetition)
            .nth(repetition.saturating_sub(1))
            .unwrap_or_default()
    }
}

/// Where the first segment starts: after a UTF-8 byte order mark, blanks and empty lines.
pub(crate) fn content_start(message: &[u8]) -> usize {
    let mark = if message.starts_with(b"\xEF\xBB\xBF") {
        3
    } else {
        0
    };
    mark + message
        .iter()
        .skip(mark)
        .take_while(|b| matches!(**b, b'\r' | b'\n' | b' ' | b'\t' | 0))
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_the_edge_needs_is_found() {
        let msh = b"MSH|^~\\&|LAB|MAIN|HUB|HOSP|20260101093000||ORU^R01^ORU_R01| 17 |P|2.5.1^IND|||ER|AL||UNICODE UTF-8~ASCII\rPID|1";
        let header = Header::read(msh).unwrap();
        assert_eq!(header.sending_application(), b"LAB");
        assert_eq!(header.receiving_facility(), b"HOSP");
        assert_eq!(
            (header.code(), header.trigger(), header.structure()),
            (&b"ORU"[..], &b"R01"[..], &b"ORU_R01"[..])
        );
        assert_eq!(header.control_id(), b" 17 ", "byte for byte");
        assert_eq!(header.version(), b"2.5.1");
        assert_eq!(header.accept_ack(), b"ER");
        assert_eq!(header.application_ack(), b"AL");
        assert_eq!(header.charsets(), b"UNICODE UTF-8~ASCII");
        assert_eq!(header.field(25), b"");
        assert_eq!(header.field(0), b"");
    }

    #[test]
    fn odd_delimiters_do_not_shift_the_fields() {
        for (message, id) in [
            (&b"MSH|^~\\&#|A||||||ORU|TRU1|P"[..], &b"TRU1"[..]),
            (b"MSH|^~|A||||||ORU|TWO|P", b"TWO"),
            (b"MSH$%!?#$A$$$$$$ORU%R01$SEP1$P", b"SEP1"),
            (b"\xEF\xBB\xBF\r\n MSH|^~\\&|A||||||ORU|B|P\n", b"B"),
        ] {
            assert_eq!(Header::read(message).unwrap().control_id(), id);
        }
    }

    #[test]
    fn no_header_is_an_error_not_a_guess() {
        assert_eq!(Header::read(b"").err(), Some(HeaderError::Missing));
        assert_eq!(Header::read(b"PID|1").err(), Some(HeaderError::Missing));
        assert_eq!(
            Header::read(b"MSH|^~\\&").err(),
            Some(HeaderError::Separators(SeparatorError::Truncated))
        );
    }
}
