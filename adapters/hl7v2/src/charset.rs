//! Bytes to text and back (HL7 v2.5.1 §2.14.9.18, table HL70211).
//!
//! Decode **before** splitting: in GB 18030, Big5 and Shift_JIS the second byte of a character can be a delimiter.
//! Wrong bytes are noted, never replaced without a word; the raw bytes stay with whoever called.

use std::borrow::Cow;

use encoding_rs::{DecoderResult, EncoderResult, Encoding, UTF_16BE, UTF_16LE, WINDOWS_1252};

use crate::Header;

mod names;

pub use names::Charset;
use names::Declared;

/// Text, and how sure we are of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded<'a> {
    /// The whole input; a byte order mark stays in front as U+FEFF.
    pub text: Cow<'a, str>,
    /// The character set it was read with.
    pub charset: Charset,
    /// What was odd; empty when the bytes are what the sender says they are.
    pub notes: Vec<CharsetNote>,
}

impl Decoded<'_> {
    /// False when some character may be another one than the sender meant.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        !self.notes.iter().any(CharsetNote::is_serious)
    }
}

/// Something odd about a message's character set. Positions count bytes from the start of the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CharsetNote {
    /// MSH-18 names a set nobody knows; the text was read as if nothing had been declared.
    UnknownName(String),
    /// Nothing declared and not UTF-8: read as windows-1252, which may be wrong.
    Guessed,
    /// The bytes are no text of the declared (or configured) set; the text was read with another one.
    NotAsDeclared {
        /// The declared set.
        declared: Charset,
        /// Position of the first byte that does not fit.
        first: usize,
    },
    /// Bytes that are no character of the set stand in the text as U+FFFD.
    WrongBytes {
        /// Position of the first of them.
        first: usize,
        /// How many places.
        count: usize,
    },
}

impl CharsetNote {
    /// Whether the text may differ from what the sender meant.
    #[must_use]
    pub const fn is_serious(&self) -> bool {
        !matches!(self, Self::UnknownName(_))
    }
}

/// Decodes a whole message (or batch).
///
/// Order: `configured` for the channel, byte order mark, MSH-18, UTF-8 if it validates, windows-1252.
///
/// ```
/// use adapter_hl7v2::charset;
///
/// let decoded = charset::decode(b"MSH|^~\\&|||||||ADT||P|2.5||||||8859/1\rPID|||||M\xFCller\r", None);
/// assert!(decoded.text.contains("Müller") && decoded.is_sound());
/// ```
#[must_use]
pub fn decode(bytes: &[u8], configured: Option<Charset>) -> Decoded<'_> {
    let mut notes = Vec::new();
    let wanted = configured
        .or_else(|| Charset::of_mark(bytes))
        .or_else(|| wide_without_mark(bytes))
        .or_else(|| match named(bytes) {
            Declared::Known(charset) => Some(charset),
            // Mindray writes UNICODE and sends UTF-8; two-byte forms were found above.
            Declared::Unicode => Some(Charset::UTF_8),
            Declared::Unknown(name) => {
                notes.push(CharsetNote::UnknownName(name));
                None
            }
            Declared::Nothing => None,
        });
    let (text, charset) = match wanted {
        Some(declared) => match decode_exactly(bytes, declared) {
            Ok(text) => (text, declared),
            Err(first) => instead(bytes, declared, first, &mut notes),
        },
        None => match std::str::from_utf8(bytes) {
            Ok(text) => (Cow::Borrowed(text), Charset::UTF_8),
            Err(_) => {
                notes.push(CharsetNote::Guessed);
                (lossless(bytes), Charset::WINDOWS_1252)
            }
        },
    };
    Decoded {
        text,
        charset,
        notes,
    }
}

/// The declared set does not fit: find the reading that saves most.
fn instead<'a>(
    bytes: &'a [u8],
    declared: Charset,
    first: usize,
    notes: &mut Vec<CharsetNote>,
) -> (Cow<'a, str>, Charset) {
    if declared != Charset::UTF_8
        && declared.is_ascii_based()
        && let Ok(text) = std::str::from_utf8(bytes)
    {
        notes.push(CharsetNote::NotAsDeclared { declared, first });
        return (Cow::Borrowed(text), Charset::UTF_8);
    }
    let (good, wrong) = bytes.utf8_chunks().fold((0, 0), |(good, wrong), chunk| {
        let wide = chunk.valid().chars().filter(|c| !c.is_ascii()).count();
        (
            good + wide,
            wrong + usize::from(!chunk.invalid().is_empty()),
        )
    });
    if declared == Charset::ASCII || (declared == Charset::UTF_8 && wrong > good) {
        notes.push(CharsetNote::NotAsDeclared { declared, first });
        return (lossless(bytes), Charset::WINDOWS_1252);
    }
    // Mostly right, with damaged characters: a name cut in the middle of one is the usual case.
    let text = declared.encoding().decode_without_bom_handling(bytes).0;
    let count = text.matches('\u{FFFD}').count();
    notes.push(CharsetNote::WrongBytes { first, count });
    (text, declared)
}

/// Decodes a part of a message, of which only the whole can be judged.
pub(crate) fn decode_part(bytes: &[u8], charset: Option<Charset>) -> Cow<'_, str> {
    let charset = charset.unwrap_or(Charset::UTF_8);
    decode_exactly(bytes, charset).unwrap_or_else(|_| lossless(bytes))
}

/// The set MSH-18 declares, if it is one we know.
#[must_use]
pub fn declared(header: &Header<'_>) -> Option<Charset> {
    match names::declared(header) {
        Declared::Known(charset) => Some(charset),
        Declared::Unicode => Some(Charset::UTF_8),
        Declared::Unknown(_) | Declared::Nothing => None,
    }
}

/// Encodes text for sending; gives the bytes and how many characters had to become `?`.
#[must_use]
pub fn encode(text: &str, charset: Charset) -> (Cow<'_, [u8]>, usize) {
    if charset == Charset::UTF_8 || (charset.is_ascii_based() && text.is_ascii()) {
        return (Cow::Borrowed(text.as_bytes()), 0);
    }
    let encoding = charset.encoding();
    if encoding == UTF_16LE || encoding == UTF_16BE {
        let swap = encoding == UTF_16BE;
        let bytes = text
            .encode_utf16()
            .flat_map(|unit| {
                if swap {
                    unit.to_be_bytes()
                } else {
                    unit.to_le_bytes()
                }
            })
            .collect();
        return (Cow::Owned(bytes), 0);
    }
    if charset == Charset::ASCII {
        let replaced = text.chars().filter(|c| !c.is_ascii()).count();
        let bytes = text
            .chars()
            .map(|c| u8::try_from(c).ok().filter(u8::is_ascii).unwrap_or(b'?'));
        return (Cow::Owned(bytes.collect()), replaced);
    }
    let mut encoder = encoding.new_encoder();
    let mut out = Vec::new();
    let mut rest = text;
    let mut replaced = 0;
    loop {
        // What encoding_rs asks for, and never zero.
        let room = encoder
            .max_buffer_length_from_utf8_without_replacement(rest.len())
            .unwrap_or(rest.len().saturating_mul(4))
            + 16;
        out.reserve(room);
        let (result, read) =
            encoder.encode_from_utf8_to_vec_without_replacement(rest, &mut out, true);
        rest = rest.get(read..).unwrap_or_default();
        match result {
            EncoderResult::InputEmpty => return (Cow::Owned(out), replaced),
            EncoderResult::OutputFull => {}
            EncoderResult::Unmappable(_) => {
                out.push(b'?');
                replaced += 1;
            }
        }
    }
}

/// All of it, or the position of the first byte that does not fit.
fn decode_exactly(bytes: &[u8], charset: Charset) -> Result<Cow<'_, str>, usize> {
    if charset == Charset::UTF_8 {
        return std::str::from_utf8(bytes)
            .map(Cow::Borrowed)
            .map_err(|wrong| wrong.valid_up_to());
    }
    if charset == Charset::ASCII {
        return match Encoding::ascii_valid_up_to(bytes) {
            end if end == bytes.len() => Ok(decode_part(bytes, None)),
            end => Err(end),
        };
    }
    let encoding = charset.encoding();
    if let Some(text) = encoding.decode_without_bom_handling_and_without_replacement(bytes) {
        return Ok(text);
    }
    let mut decoder = encoding.new_decoder_without_bom_handling();
    let mut text = String::with_capacity(
        decoder
            .max_utf8_buffer_length_without_replacement(bytes.len())
            .unwrap_or(bytes.len()),
    );
    let (result, read) = decoder.decode_to_string_without_replacement(bytes, &mut text, true);
    let wrong = match result {
        DecoderResult::Malformed(length, after) => usize::from(length) + usize::from(after),
        DecoderResult::InputEmpty | DecoderResult::OutputFull => 0,
    };
    Err(read.saturating_sub(wrong))
}

/// Every byte has a character in windows-1252, so nothing is lost, whatever it means.
fn lossless(bytes: &[u8]) -> Cow<'_, str> {
    WINDOWS_1252.decode_without_bom_handling(bytes).0
}

/// `M`, `S`, `H` as two-byte characters without a byte order mark.
fn wide_without_mark(bytes: &[u8]) -> Option<Charset> {
    if bytes.starts_with(b"M\0S\0H\0") {
        Some(Charset::UTF_16LE)
    } else if bytes.starts_with(b"\0M\0S\0H") {
        Some(Charset::UTF_16BE)
    } else {
        None
    }
}

/// What MSH-18 says; for a batch, of its first message.
fn named(bytes: &[u8]) -> Declared {
    if let Ok(header) = Header::read(bytes) {
        return names::declared(&header);
    }
    memchr::memmem::find_iter(bytes, b"MSH")
        .filter(|&at| at > 0 && matches!(bytes.get(at - 1), Some(b'\r' | b'\n')))
        .find_map(|at| Header::read(bytes.get(at..)?).ok())
        .map_or(Declared::Nothing, |header| names::declared(&header))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(charset: &str, name: &[u8]) -> Vec<u8> {
        let mut bytes =
            format!("MSH|^~\\&|||||||ADT^A08||P|2.5||||||{charset}\rPID|1||||").into_bytes();
        bytes.extend_from_slice(name);
        bytes
    }

    #[test]
    fn what_the_sender_declares_is_used() {
        for (declared, name, expected) in [
            ("8859/1", &b"Zo\xEB"[..], "Zoë"),
            ("ISO_8859-15", b"5\xA4", "5€"),
            ("GB 18030-2000", b"\x81\x7C", "亅"),
            ("BIG-5", b"\xB3\x5C", "許"),
            ("KS X 1001", b"\xB1\xE8", "김"),
            ("ASCII~ISO IR87", b"\x1B$B;3\x1B(B", "山"),
            ("UNICODE", "राव".as_bytes(), "राव"),
            ("UTF8", "राव".as_bytes(), "राव"),
            ("", "राव".as_bytes(), "राव"),
        ] {
            let bytes = message(declared, name);
            let decoded = decode(&bytes, None);
            assert!(
                decoded.text.ends_with(expected),
                "{declared}: {}",
                decoded.text
            );
            assert_eq!(decoded.notes, [], "{declared}");
            assert_eq!(
                encode(&decoded.text, decoded.charset).0,
                bytes,
                "{declared}"
            );
        }
    }

    #[test]
    fn bytes_that_do_not_fit_are_noted() {
        let bytes = message("UNICODE UTF-8", b"Zo\xEB");
        let decoded = decode(&bytes, None);
        assert!(decoded.text.ends_with("Zoë") && !decoded.is_sound());
        assert_eq!(
            decoded.notes,
            [CharsetNote::NotAsDeclared {
                declared: Charset::UTF_8,
                first: bytes.len() - 1
            }]
        );

        let cut = message("UNICODE UTF-8", "राव".as_bytes());
        let decoded = decode(&cut[..cut.len() - 1], None);
        assert!(matches!(
            decoded.notes.as_slice(),
            [CharsetNote::WrongBytes { count: 1, .. }]
        ));

        let unknown = message("EBCDIC-IN", b"Doe");
        let decoded = decode(&unknown, None);
        assert_eq!(
            decoded.notes,
            [CharsetNote::UnknownName("EBCDIC-IN".into())]
        );
        assert!(decoded.is_sound());

        let undeclared = message("", b"O\x92Brien");
        let decoded = decode(&undeclared, None);
        assert!(decoded.text.ends_with("O’Brien"));
        assert_eq!(decoded.notes, [CharsetNote::Guessed]);
    }

    #[test]
    fn the_channels_setting_wins() {
        let bytes = message("", b"\x95\x5C");
        let decoded = decode(&bytes, Charset::named("Shift_JIS"));
        assert!(decoded.text.ends_with('表') && decoded.is_sound());
    }

    #[test]
    fn two_byte_text_is_read_with_and_without_mark() {
        let text = "MSH|^~\\&|\rPID|राव";
        for (charset, mark) in [
            (Charset::UTF_16LE, &b"\xFF\xFE"[..]),
            (Charset::UTF_16BE, b"\xFE\xFF"),
            (Charset::UTF_16LE, b""),
            (Charset::UTF_16BE, b""),
        ] {
            let mut bytes = mark.to_vec();
            bytes.extend_from_slice(&encode(text, charset).0);
            let decoded = decode(&bytes, None);
            assert_eq!(
                (decoded.charset, decoded.text.trim_start_matches('\u{FEFF}')),
                (charset, text)
            );
        }
    }

    #[test]
    fn characters_a_set_lacks_become_a_counted_question_mark() {
        assert_eq!(
            encode("5€ राव", Charset::ASCII),
            (Cow::Borrowed(&b"5? ???"[..]), 4)
        );
        let (bytes, replaced) = encode("山 é राव", Charset::named("ISO IR87").unwrap());
        assert_eq!(replaced, 4);
        assert_eq!(bytes, &b"\x1B$B;3\x1B(B ? ???"[..]);
    }
}
