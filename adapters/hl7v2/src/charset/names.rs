//! Which character set a name in MSH-18 (or a channel's setting) means.

use std::fmt;

use encoding_rs::{
    BIG5, EUC_KR, Encoding, GB18030, ISO_2022_JP, SHIFT_JIS, UTF_8, UTF_16BE, UTF_16LE,
    WINDOWS_1252, WINDOWS_1254,
};

use crate::Header;

/// A character set we can read and write.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Charset {
    name: &'static str,
    encoding: &'static Encoding,
}

impl Charset {
    /// Seven bits.
    pub const ASCII: Self = Self::new("ASCII", UTF_8);
    /// The default of everything new.
    pub const UTF_8: Self = Self::new("UTF-8", UTF_8);
    /// Little-endian; never inside MLLP, whose framing bytes it may contain.
    pub const UTF_16LE: Self = Self::new("UTF-16LE", UTF_16LE);
    /// Big-endian; never inside MLLP.
    pub const UTF_16BE: Self = Self::new("UTF-16BE", UTF_16BE);
    /// Our guess for undeclared bytes that are no UTF-8.
    pub const WINDOWS_1252: Self = Self::new("windows-1252", WINDOWS_1252);

    const fn new(name: &'static str, encoding: &'static Encoding) -> Self {
        Self { name, encoding }
    }

    /// The set a name of table HL70211, a common spelling of one, or a WHATWG label stands for.
    ///
    /// Case, blanks and punctuation don't matter: `UNICODE UTF-8`, `utf8`, `8859/1`, `ISO_8859-1`, `GB 18030-2000`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let key: String = name
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .map(|c| c.to_ascii_uppercase())
            .collect();
        Some(match key.as_str() {
            "" => return None,
            "ASCII" | "USASCII" | "ISOIR6" | "ISO646" | "ANSIX34" => Self::ASCII,
            "UTF8" | "UNICODEUTF8" | "UNICODEUTF" | "ISO10646UTF8" => Self::UTF_8,
            // windows-1252 and -1254 hold all printable characters of these two and what senders add to them.
            "88591" | "ISO88591" | "LATIN1" | "ISOIR100" => Self::new("ISO-8859-1", WINDOWS_1252),
            "88599" | "ISO88599" | "LATIN5" | "ISOIR148" => Self::new("ISO-8859-9", WINDOWS_1254),
            "ISOIR14" | "JISX0201" | "JISX02011976" | "SHIFTJIS" | "SJIS" | "CP932" | "MS932" => {
                Self::new("Shift_JIS", SHIFT_JIS)
            }
            "ISOIR87" | "ISOIR159" | "JISX0208" | "JISX02081990" | "JISX0212" | "JISX02121990"
            | "ISO2022JP" => Self::new("ISO-2022-JP", ISO_2022_JP),
            "GB18030" | "GB180302000" | "GBK" | "GB2312" | "CP936" => Self::new("GB18030", GB18030),
            "BIG5" | "CNS116431992" | "CP950" => Self::new("Big5", BIG5),
            "KSX1001" | "KSC5601" | "KSC56011987" | "EUCKR" | "CP949" => {
                Self::new("EUC-KR", EUC_KR)
            }
            "UTF16LE" | "UNICODEUTF16LE" => Self::UTF_16LE,
            "UTF16BE" | "UNICODEUTF16BE" => Self::UTF_16BE,
            other => {
                let label = match other.strip_prefix("ISO8859").or(other.strip_prefix("8859")) {
                    Some(part) => format!("iso-8859-{part}"),
                    None => match other.strip_prefix("CP125") {
                        Some(page) => format!("windows-125{page}"),
                        None => name.trim().to_owned(),
                    },
                };
                let encoding = Encoding::for_label_no_replacement(label.as_bytes())?;
                Self::new(encoding.name(), encoding)
            }
        })
    }

    /// What a byte order mark at the start of `bytes` says.
    pub(super) fn of_mark(bytes: &[u8]) -> Option<Self> {
        let (encoding, _) = Encoding::for_bom(bytes)?;
        [Self::UTF_8, Self::UTF_16LE, Self::UTF_16BE]
            .into_iter()
            .find(|c| c.encoding == encoding)
    }

    pub(super) fn encoding(self) -> &'static Encoding {
        self.encoding
    }

    /// The name of the set, for people: `UTF-8`, `ISO-8859-1`, `GB18030`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.name
    }

    /// True when the bytes of an ASCII text are the same in this set, so that its delimiters can be found undecoded.
    #[must_use]
    pub fn is_ascii_based(self) -> bool {
        self.encoding != UTF_16LE && self.encoding != UTF_16BE
    }
}

impl fmt::Debug for Charset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl fmt::Display for Charset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// What MSH-18 says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Declared {
    Known(Charset),
    /// `UNICODE`, `UTF-16`, `ISO 10646`: which form, only the bytes can tell.
    Unicode,
    Unknown(String),
    Nothing,
}

/// Reads MSH-18: its first repetition, unless that is ASCII and a later one adds a set by ISO 2022 escapes.
pub(super) fn declared(header: &Header<'_>) -> Declared {
    let first = one(header.repetition(18, 1));
    if first != Declared::Known(Charset::ASCII) && first != Declared::Nothing {
        return first;
    }
    (2..=8)
        .map(|n| one(header.repetition(18, n)))
        .find(|set| matches!(set, Declared::Known(c) if *c != Charset::ASCII))
        .unwrap_or(first)
}

fn one(raw: &[u8]) -> Declared {
    let name = String::from_utf8_lossy(raw.trim_ascii());
    if name.is_empty() || name == "\"\"" {
        return Declared::Nothing;
    }
    let key: String = name
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_uppercase())
        .collect();
    match key.as_str() {
        "UNICODE" | "UTF16" | "UNICODEUTF16" | "UTF32" | "UNICODEUTF32" | "ISO10646"
        | "ISOIEC10646" | "ISOIEC106461" | "ISOIEC1064611993" => Declared::Unicode,
        // Asked last: to WHATWG `unicode` is UTF-16LE.
        _ => Charset::named(&name)
            .map_or_else(|| Declared::Unknown(name.into_owned()), Declared::Known),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_senders_write_are_known() {
        for (name, set) in [
            ("ASCII", "ASCII"),
            ("8859/1", "ISO-8859-1"),
            ("8859/2", "ISO-8859-2"),
            ("8859/15", "ISO-8859-15"),
            ("ISO_8859-1", "ISO-8859-1"),
            ("ISO IR6", "ASCII"),
            ("ISO IR14", "Shift_JIS"),
            ("ISO IR87", "ISO-2022-JP"),
            ("ISO IR159", "ISO-2022-JP"),
            ("GB 18030-2000", "GB18030"),
            ("KS X 1001", "EUC-KR"),
            ("CNS 11643-1992", "Big5"),
            ("BIG-5", "Big5"),
            ("UNICODE UTF-8", "UTF-8"),
            ("UTF8", "UTF-8"),
            ("utf-8", "UTF-8"),
            ("windows-1251", "windows-1251"),
            ("CP1256", "windows-1256"),
        ] {
            assert_eq!(Charset::named(name).map(Charset::name), Some(set), "{name}");
        }
        assert_eq!(Charset::named("EBCDIC-IN"), None);
        assert_eq!(Charset::named(""), None);
        assert_eq!(one(b"UNICODE"), Declared::Unicode);
        assert_eq!(one(b"UTF-16"), Declared::Unicode);
    }
}
