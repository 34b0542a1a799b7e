//! The delimiters a message declares for itself in MSH-1 and MSH-2 (also FHS and BHS 1 and 2).
//!
//! They are always read from the message, never assumed (HL7 v2.5.1 §2.5.4). Only ASCII punctuation can be a
//! delimiter here: letters, digits, blanks, quotes and line ends would make every other rule ambiguous.

/// The five delimiters, and the truncation character of v2.7 where the sender declares one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Separators {
    /// Between fields, MSH-1, usually `|`.
    pub field: u8,
    /// Between components, usually `^`.
    pub component: u8,
    /// Between repetitions of a field, usually `~`.
    pub repetition: u8,
    /// Around an escape sequence, usually `\`.
    pub escape: u8,
    /// Between subcomponents, usually `&`.
    pub subcomponent: u8,
    /// Marks a value that was cut, usually `#`; only when MSH-2 has five characters (HL7 v2.7 §2.5.5.2).
    pub truncation: Option<u8>,
}

/// Why MSH-1 and MSH-2 can't be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SeparatorError {
    /// The segment ends before MSH-2 does, so nobody can say where MSH-3 begins.
    #[error("the header ends inside its delimiters")]
    Truncated,
    /// A delimiter is a letter, digit, blank, quote, control or non-ASCII character.
    #[error("byte 0x{0:02X} can't be a delimiter")]
    Unusable(u8),
    /// Two delimiters are the same character.
    #[error("delimiter 0x{0:02X} is declared twice")]
    Duplicate(u8),
    /// MSH-2 has more than five characters.
    #[error("MSH-2 has {0} characters")]
    TooLong(usize),
}

impl Default for Separators {
    fn default() -> Self {
        Self::STANDARD
    }
}

impl Separators {
    /// `|^~\&`.
    pub const STANDARD: Self = Self {
        field: b'|',
        component: b'^',
        repetition: b'~',
        escape: b'\\',
        subcomponent: b'&',
        truncation: None,
    };

    /// Reads the delimiters of a header segment; `segment` starts at its three-letter id.
    ///
    /// Gives the delimiters and how many characters MSH-2 has (0 to 5). Missing ones get their standard value:
    /// v2.1 senders write two or three (HL7 v2.1 §2.4). A doubled escape character counts once.
    ///
    /// # Errors
    /// See [`SeparatorError`].
    pub fn read(segment: &[u8]) -> Result<(Self, usize), SeparatorError> {
        let field = *segment.get(3).ok_or(SeparatorError::Truncated)?;
        check(field)?;
        let rest = segment.get(4..).unwrap_or_default();
        let length = rest
            .iter()
            .take_while(|&&b| b != field && b != b'\r' && b != b'\n')
            .take(64)
            .count();
        let given = rest.get(..length).unwrap_or_default();
        if length > 5 {
            return Err(SeparatorError::TooLong(length));
        }
        if rest.get(length) != Some(&field) {
            return Err(SeparatorError::Truncated);
        }
        let standard = Self::STANDARD;
        // `^~\\\\&`: somebody escaped the escape character on the way to us.
        let given = match *given {
            [c, r, e, twice, s] if e == twice => &[c, r, e, s][..],
            _ => given,
        };
        let nth = |n: usize, otherwise: u8| given.get(n).copied().unwrap_or(otherwise);
        let read = Self {
            field,
            component: nth(0, standard.component),
            repetition: nth(1, standard.repetition),
            escape: nth(2, standard.escape),
            subcomponent: nth(3, standard.subcomponent),
            truncation: given.get(4).copied(),
        };
        let all = read.all();
        for (n, &b) in all.iter().enumerate() {
            check(b)?;
            if all.iter().take(n).any(|&earlier| earlier == b) {
                return Err(SeparatorError::Duplicate(b));
            }
        }
        Ok((read, length))
    }

    /// Field, component, repetition, escape, subcomponent: the order of MSH-1 and MSH-2.
    #[must_use]
    pub const fn all(&self) -> [u8; 5] {
        [
            self.field,
            self.component,
            self.repetition,
            self.escape,
            self.subcomponent,
        ]
    }

    /// MSH-2 as we write it: four characters, five when the sender has a truncation character.
    #[must_use]
    pub fn encoding_characters(&self) -> String {
        [
            self.component,
            self.repetition,
            self.escape,
            self.subcomponent,
        ]
        .into_iter()
        .chain(self.truncation)
        .map(char::from)
        .collect()
    }

    /// True when `b` divides text into fields, repetitions, components or subcomponents.
    #[must_use]
    pub const fn divides(&self, b: u8) -> bool {
        b == self.field || b == self.component || b == self.repetition || b == self.subcomponent
    }
}

/// Whether `b` may be a delimiter.
pub(crate) const fn usable(b: u8) -> bool {
    b.is_ascii_punctuation() && b != b'"'
}

const fn check(b: u8) -> Result<(), SeparatorError> {
    if usable(b) {
        Ok(())
    } else {
        Err(SeparatorError::Unusable(b))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_long_msh_2_are_read() {
        assert_eq!(
            Separators::read(b"MSH|^~\\&|A"),
            Ok((Separators::STANDARD, 4))
        );
        assert_eq!(Separators::read(b"MSH|^~|A"), Ok((Separators::STANDARD, 2)));
        let (five, n) = Separators::read(b"MSH|^~\\&#|A").unwrap();
        assert_eq!((five.truncation, n), (Some(b'#'), 5));
        assert_eq!(five.encoding_characters(), "^~\\&#");
        assert_eq!(
            Separators::read(b"MSH|^~\\\\&|A"),
            Ok((Separators::STANDARD, 5))
        );
    }

    #[test]
    fn headers_nobody_can_split_are_refused() {
        assert_eq!(
            Separators::read(b"MSH|^~\\&"),
            Err(SeparatorError::Truncated)
        );
        assert_eq!(
            Separators::read(b"MSH|^^\\&|"),
            Err(SeparatorError::Duplicate(b'^'))
        );
        assert_eq!(
            Separators::read(b"MSHA^~\\&|"),
            Err(SeparatorError::Unusable(b'A'))
        );
        assert_eq!(Separators::read(b"MSH"), Err(SeparatorError::Truncated));
        assert_eq!(
            Separators::read(b"MSH|^~\\&amp;|"),
            Err(SeparatorError::TooLong(8))
        );
    }
}
