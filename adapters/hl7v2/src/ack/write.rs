//! Writes an acknowledgement from the raw header of the message it answers.

use bytes::Bytes;
use time::OffsetDateTime;

use super::{AckCode, AckError, ErrorCode};
use crate::frame::{CR, FS, VT};
use crate::{Charset, Header, Separators, charset, dtm, escape};

/// What some peers want in an answer beyond the standard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AckStyle {
    /// MSH-10 of the answer repeats the sender's (Mindray BS and CL).
    pub echo_control_id: bool,
    /// MSH-16 of the answer repeats the sender's kind-of-result digit (Mindray BS and CL).
    pub echo_result_type: bool,
    /// MSA-6 carries the error code, `0` for success (v2.3.1; Mindray).
    pub code_in_msa6: bool,
    /// MSA-3 of an accepted message says `Message accepted`.
    pub accept_text: bool,
}

impl AckStyle {
    /// By the book.
    pub const STANDARD: Self = Self {
        echo_control_id: false,
        echo_result_type: false,
        code_in_msa6: false,
        accept_text: false,
    };
    /// `MSA|AA|<id>|Message accepted|||0|`, and MSH-10 and MSH-16 as sent: Mindray analyzers.
    pub const MINDRAY: Self = Self {
        echo_control_id: true,
        echo_result_type: true,
        code_in_msa6: true,
        accept_text: true,
    };
}

/// One acknowledgement to be written.
///
/// ```
/// use adapter_hl7v2::{Header, ack::{Ack, AckCode}};
///
/// let header = Header::read(b"MSH|^~\\&|LAB|A|HUB|B|2026||ORU^R01|77|P|2.3.1\r").unwrap();
/// let ack = Ack::new(AckCode::AA, "H1", time::macros::datetime!(2026-02-15 09:30:00 +05:30));
/// assert_eq!(
///     ack.content(Some(&header)),
///     "MSH|^~\\&|HUB|B|LAB|A|20260215093000+0530||ACK^R01|H1|P|2.3.1\rMSA|AA|77\r"
/// );
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Ack<'a> {
    code: AckCode,
    control_id: &'a str,
    time: OffsetDateTime,
    text: Option<&'a str>,
    error: Option<AckError<'a>>,
    style: AckStyle,
}

impl<'a> Ack<'a> {
    /// An answer with our own `control_id` (MSH-10, at most 20 characters before v2.7) and `time` (MSH-7).
    #[must_use]
    pub const fn new(code: AckCode, control_id: &'a str, time: OffsetDateTime) -> Self {
        Self {
            code,
            control_id,
            time,
            text: None,
            error: None,
            style: AckStyle::STANDARD,
        }
    }

    /// MSA-3: the only text old devices show. No patient data.
    #[must_use]
    pub const fn text(mut self, text: &'a str) -> Self {
        self.text = Some(text);
        self
    }

    /// Adds an ERR segment.
    #[must_use]
    pub const fn error(mut self, error: AckError<'a>) -> Self {
        self.error = Some(error);
        self
    }

    /// The peer's wishes.
    #[must_use]
    pub const fn style(mut self, style: AckStyle) -> Self {
        self.style = style;
        self
    }

    /// The answer to the message with this header, without a frame. Each segment ends with a carriage return.
    #[must_use]
    pub fn content(&self, header: Option<&Header<'_>>) -> Bytes {
        let mut out = Vec::with_capacity(256);
        self.write(header, &mut out);
        out.into()
    }

    /// The answer inside an MLLP frame, one buffer for one write.
    #[must_use]
    pub fn frame(&self, header: Option<&Header<'_>>) -> Bytes {
        let mut out = Vec::with_capacity(256);
        out.push(VT);
        self.write(header, &mut out);
        out.extend_from_slice(&[FS, CR]);
        out.into()
    }

    fn write(&self, header: Option<&Header<'_>>, out: &mut Vec<u8>) {
        let mut w = Writer {
            out,
            charset: header.and_then(charset::declared).unwrap_or(Charset::UTF_8),
            separators: header.map_or(Separators::STANDARD, Header::separators),
        };
        self.msh(header, &mut w);
        self.msa(header, &mut w);
        if let Some(error) = &self.error {
            let modern = header.is_none_or(|h| version_at_least(h.version(), 2, 5));
            w.err(error, modern);
        }
    }

    fn msh(&self, header: Option<&Header<'_>>, w: &mut Writer<'_>) {
        let field = |n: usize| header.map_or(&[][..], |h| h.field(n));
        let or = |raw: &'static [u8], n: usize| match field(n) {
            [] => raw,
            given => given,
        };
        let time = dtm::format(self.time);
        w.raw(b"MSH");
        w.byte(w.separators.field);
        match header {
            Some(h) => w.raw(h.field(2)),
            None => w.raw(b"^~\\&"),
        }
        w.field(field(5));
        w.field(field(6));
        w.field(field(3));
        w.field(field(4));
        w.field(time.as_bytes());
        w.field(b"");
        w.field(b"ACK");
        if let Some(h) = header {
            let event = match h.trigger() {
                // one acknowledgement answers the three (HL7 v2.5.1 §7.3.7)
                b"R30" | b"R31" | b"R32" if h.code() == b"ORU" => b"R33",
                event => event,
            };
            if !event.is_empty() {
                w.component(event);
                if version_at_least(h.version(), 2, 4) {
                    w.component(b"ACK");
                }
            }
        }
        match header.map(Header::control_id) {
            Some(theirs) if self.style.echo_control_id && !theirs.is_empty() => w.field(theirs),
            _ => {
                w.byte(w.separators.field);
                w.text(self.control_id);
            }
        }
        w.field(or(b"P", 11));
        w.field(or(if header.is_some() { b"2.3.1" } else { b"2.5.1" }, 12));
        let result_type = if self.style.echo_result_type {
            field(16)
        } else {
            b""
        };
        let charset = field(18);
        if !result_type.is_empty() || !charset.is_empty() {
            for _ in 13..16 {
                w.field(b"");
            }
            w.field(result_type);
        }
        if !charset.is_empty() {
            w.field(b"");
            w.field(charset);
        }
        w.byte(CR);
    }

    fn msa(&self, header: Option<&Header<'_>>, w: &mut Writer<'_>) {
        w.raw(b"MSA");
        w.field(self.code.as_str().as_bytes());
        w.field(header.map_or(&[][..], Header::control_id));
        let text = self.text.or_else(|| {
            let error = self.error.as_ref()?;
            Some(error.user_text.unwrap_or(error.code.text()))
        });
        let text = match text {
            None if self.style.accept_text && self.code.is_accept() => {
                Some(ErrorCode::Accepted.text())
            }
            other => other,
        };
        if text.is_some() || self.style.code_in_msa6 {
            w.byte(w.separators.field);
            w.text(text.unwrap_or_default());
        }
        if self.style.code_in_msa6 {
            let code = match self.error {
                Some(error) => error.code,
                None if self.code.is_accept() => ErrorCode::Accepted,
                None => ErrorCode::Internal,
            };
            w.field(b"");
            w.field(b"");
            w.field(code.number().to_string().as_bytes());
            w.field(b"");
        }
        w.byte(CR);
    }
}

struct Writer<'w> {
    out: &'w mut Vec<u8>,
    charset: Charset,
    separators: Separators,
}

impl Writer<'_> {
    fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    fn byte(&mut self, b: u8) {
        self.out.push(b);
    }

    /// A field of bytes that are encoded for this message already.
    fn field(&mut self, bytes: &[u8]) {
        self.byte(self.separators.field);
        self.raw(bytes);
    }

    fn component(&mut self, bytes: &[u8]) {
        self.byte(self.separators.component);
        self.raw(bytes);
    }

    /// Our own words.
    fn text(&mut self, text: &str) {
        let text = escape::escape(text, &self.separators);
        self.raw(&charset::encode(&text, self.charset).0);
    }

    /// ERR: components of field 1 before v2.5, fields of their own since.
    fn err(&mut self, error: &AckError<'_>, modern: bool) {
        let code = error.code.number().to_string();
        self.raw(b"ERR");
        self.byte(self.separators.field);
        if modern {
            self.byte(self.separators.field);
        }
        let location = error.location;
        if let Some(at) = location {
            self.text(at.segment);
            self.component(at.sequence.to_string().as_bytes());
            match at.field {
                Some(field) => self.component(field.to_string().as_bytes()),
                None if !modern => self.component(b""),
                None => {}
            }
        } else if !modern {
            for _ in 0..2 {
                self.component(b"");
            }
        }
        if modern {
            self.field(code.as_bytes());
        } else {
            self.component(code.as_bytes());
        }
        // In the old form the code is one component, so its parts are subcomponents.
        let within = if modern {
            self.separators.component
        } else {
            self.separators.subcomponent
        };
        self.byte(within);
        self.text(error.code.text());
        self.byte(within);
        self.raw(b"HL70357");
        if modern {
            self.field(error.severity.as_str().as_bytes());
            if error.diagnostics.is_some() || error.user_text.is_some() {
                self.field(b"");
                self.field(b"");
                self.byte(self.separators.field);
                self.text(error.diagnostics.unwrap_or_default());
            }
            if let Some(text) = error.user_text {
                self.byte(self.separators.field);
                self.text(text);
            }
        }
        self.byte(CR);
    }
}

/// Whether MSH-12 names version `major.minor` or a later one; an unreadable version is an old one.
fn version_at_least(version: &[u8], major: u16, minor: u16) -> bool {
    let mut numbers = version
        .trim_ascii()
        .split(|&b| b == b'.')
        .map(|n| std::str::from_utf8(n).ok()?.parse::<u16>().ok());
    let (Some(Some(first)), second) = (numbers.next(), numbers.next().flatten()) else {
        return false;
    };
    (first, second.unwrap_or(0)) >= (major, minor)
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::super::{ErrorLocation, Severity};
    use super::*;

    const AT: OffsetDateTime = datetime!(2026-02-15 09:30:45 +05:30);

    fn written(message: &str, ack: &Ack<'_>) -> String {
        let header = Header::read(message.as_bytes()).unwrap();
        String::from_utf8(ack.content(Some(&header)).to_vec()).unwrap()
    }

    #[test]
    fn a_modern_answer_swaps_the_parties_and_echoes_id_version_and_charset() {
        let ack = Ack::new(AckCode::AA, "H1", AT);
        assert_eq!(
            written(
                "MSH|^~\\&|LAB|A|HUB|B|2026||OUL^R22^OUL_R22| id\\F\\7 |T|2.5.1^IND|||ER|AL||UNICODE UTF-8\r",
                &ack
            ),
            "MSH|^~\\&|HUB|B|LAB|A|20260215093045+0530||ACK^R22^ACK|H1|T|2.5.1^IND||||||UNICODE UTF-8\rMSA|AA| id\\F\\7 \r"
        );
    }

    #[test]
    fn mindray_gets_its_own_form() {
        let ack = Ack::new(AckCode::AA, "H1", AT).style(AckStyle::MINDRAY);
        assert_eq!(
            written("MSH|^~\\&|||||2026||ORU^R01|9|P|2.3.1||||2||ASCII\r", &ack),
            "MSH|^~\\&|||||20260215093045+0530||ACK^R01|9|P|2.3.1||||2||ASCII\rMSA|AA|9|Message accepted|||0|\r"
        );
    }

    #[test]
    fn errors_take_the_form_of_the_senders_version() {
        let error = AckError {
            severity: Severity::Error,
            ..AckError::new(ErrorCode::RequiredField)
        }
        .at(ErrorLocation {
            segment: "PID",
            sequence: 1,
            field: Some(3),
        });
        let ack = Ack::new(AckCode::AR, "H2", AT).error(error.user_text("a|b"));
        let modern = written("MSH|^~\\&|||||2026||ADT^A01|9|P|2.5\r", &ack);
        assert!(
            modern.ends_with(
                "\rMSA|AR|9|a\\F\\b\rERR||PID^1^3|101^Required field missing^HL70357|E||||a\\F\\b\r"
            ),
            "{modern}"
        );
        let old = written("MSH|^~\\&|||||2026||ADT^A01|9|P|2.3.1\r", &ack);
        assert!(
            old.ends_with("\rERR|PID^1^3^101&Required field missing&HL70357\r"),
            "{old}"
        );
    }

    #[test]
    fn the_senders_delimiters_are_used() {
        let ack = Ack::new(AckCode::AE, "H$3", AT).text("50% lost");
        assert_eq!(
            written("MSH$%!?#$LAB$$$$2026$$ORU%R01$S1$P$2.5", &ack),
            "MSH$%!?#$$$LAB$$20260215093045+0530$$ACK%R01%ACK$H?F?3$P$2.5\rMSA$AE$S1$50?S? lost\r"
        );
    }

    #[test]
    fn bytes_without_a_header_get_an_answer_too() {
        let ack = Ack::new(AckCode::AR, "H4", AT).error(AckError::new(ErrorCode::Internal));
        assert_eq!(
            ack.frame(None),
            "\x0bMSH|^~\\&|||||20260215093045+0530||ACK|H4|P|2.5.1\rMSA|AR||Application internal error\rERR|||207^Application internal error^HL70357|E\r\x1c\r"
        );
    }
}
