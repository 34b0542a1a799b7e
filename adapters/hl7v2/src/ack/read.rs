//! Reads the acknowledgement a peer sends for one of our messages.

use bytes::Bytes;

use super::AckCode;
use crate::{Formatting, Header, HeaderError, Separators, charset, escape};

/// A peer's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedAck {
    /// MSA-1.
    pub code: AckCode,
    /// MSA-2, byte for byte; belongs to the message whose MSH-10 it equals.
    pub control_id: Bytes,
    /// MSA-3.
    pub text: Option<String>,
    /// MSA-6.1 where it is a number (v2.3.1).
    pub error_code: Option<u16>,
    /// One for each ERR segment.
    pub errors: Vec<ReceivedError>,
}

/// What one ERR segment says, old form or new.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReceivedError {
    /// Table HL70357, or the peer's own code.
    pub code: Option<String>,
    /// `PID^1^3`, as written.
    pub location: Option<String>,
    /// ERR-4.
    pub severity: Option<String>,
    /// Code text, ERR-7 and ERR-8, joined by `; `.
    pub text: Option<String>,
}

/// Why bytes are no acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReadAckError {
    /// No readable MSH.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// No MSA segment: the peer sent a message of its own.
    #[error("no MSA segment")]
    NoMsa,
    /// MSA-1 is none of the six codes.
    #[error("MSA-1 is no acknowledgement code")]
    Code,
}

impl ReceivedAck {
    /// Reads an ACK, or the MSA of any other response.
    ///
    /// # Errors
    /// See [`ReadAckError`]. Never panics.
    pub fn read(content: &Bytes) -> Result<Self, ReadAckError> {
        let header = Header::read(content)?;
        let charset = charset::declared(&header);
        let reader = Reader {
            separators: header.separators(),
            charset,
        };
        let mut found = None;
        let mut errors = Vec::new();
        for line in content
            .split(|&b| b == b'\r' || b == b'\n')
            .map(<[u8]>::trim_ascii_start)
        {
            let mut fields = line.split(|&b| b == header.separators().field);
            match fields.next() {
                Some(b"MSA") if found.is_none() => found = Some(fields.collect::<Vec<_>>()),
                Some(b"ERR") => errors.push(reader.error(&fields.collect::<Vec<_>>())),
                _ => {}
            }
        }
        let msa = found.ok_or(ReadAckError::NoMsa)?;
        let nth = |n: usize| msa.get(n - 1).copied().unwrap_or_default();
        Ok(Self {
            code: AckCode::read(nth(1)).ok_or(ReadAckError::Code)?,
            control_id: content.slice_ref(nth(2)),
            text: reader.text(nth(3)),
            error_code: reader
                .part(nth(6), 0)
                .and_then(|code| code.trim().parse().ok()),
            errors,
        })
    }
}

struct Reader {
    separators: Separators,
    charset: Option<charset::Charset>,
}

impl Reader {
    fn text(&self, raw: &[u8]) -> Option<String> {
        if raw.is_empty() {
            return None;
        }
        let decoded = charset::decode_part(raw, self.charset);
        Some(escape::unescape(&decoded, &self.separators, Formatting::Newlines).into_owned())
    }

    fn part(&self, field: &[u8], component: usize) -> Option<String> {
        self.text(
            field
                .split(|&b| b == self.separators.component)
                .nth(component)
                .unwrap_or_default(),
        )
    }

    fn error(&self, fields: &[&[u8]]) -> ReceivedError {
        let nth = |n: usize| fields.get(n - 1).copied().unwrap_or_default();
        if nth(3).is_empty() {
            // Before v2.5: location and code are components of ERR-1.
            let parts: Vec<&[u8]> = nth(1).split(|&b| b == self.separators.component).collect();
            let (location, code) = parts.split_at(parts.len().min(3));
            let mut code = code
                .first()
                .copied()
                .unwrap_or_default()
                .split(|&b| b == self.separators.subcomponent);
            let mut next = || self.text(code.next().unwrap_or_default());
            return ReceivedError {
                code: next(),
                text: next(),
                location: self.text(&location.join(&self.separators.component)),
                severity: None,
            };
        }
        let words: Vec<String> = [self.part(nth(3), 1), self.text(nth(7)), self.text(nth(8))]
            .into_iter()
            .flatten()
            .collect();
        ReceivedError {
            code: self.part(nth(3), 0),
            location: self.text(nth(2)),
            severity: self.text(nth(4)),
            text: (!words.is_empty()).then(|| words.join("; ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_an_error_are_read() {
        let new = Bytes::from_static(
            b"MSH|^~\\&|A|B|C|D|2026||ACK^A01^ACK|1|P|2.5\rMSA|AE| 77 |no\\T\\bad\rERR||PID^1^3|101^Required field missing^HL70357|E||||say so\r",
        );
        let ack = ReceivedAck::read(&new).unwrap();
        assert_eq!(ack.code, AckCode::AE);
        assert_eq!(ack.control_id, " 77 ");
        assert_eq!(ack.text.as_deref(), Some("no&bad"));
        let [error] = ack.errors.as_slice() else {
            panic!("one error")
        };
        assert_eq!(error.code.as_deref(), Some("101"));
        assert_eq!(error.location.as_deref(), Some("PID^1^3"));
        assert_eq!(
            error.text.as_deref(),
            Some("Required field missing; say so")
        );

        let old = Bytes::from_static(
            b"MSH|^~\\&|A|B|C|D|2026||ACK|1|P|2.3\nMSA|AR|77||||207\nERR|PID^1^3^101&missing\n",
        );
        let ack = ReceivedAck::read(&old).unwrap();
        assert_eq!((ack.code, ack.error_code), (AckCode::AR, Some(207)));
        assert_eq!(
            ack.errors.first().and_then(|e| e.code.as_deref()),
            Some("101")
        );
        assert_eq!(
            ack.errors.first().and_then(|e| e.text.as_deref()),
            Some("missing")
        );
    }

    #[test]
    fn a_message_that_is_no_answer_is_told_apart() {
        let none = Bytes::from_static(b"MSH|^~\\&|A|B|C|D|2026||ADT^A01|1|P|2.5\rPID|1\r");
        assert_eq!(ReceivedAck::read(&none), Err(ReadAckError::NoMsa));
        let odd = Bytes::from_static(b"MSH|^~\\&|A\rMSA|OK|1\r");
        assert_eq!(ReceivedAck::read(&odd), Err(ReadAckError::Code));
    }
}
