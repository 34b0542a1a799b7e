//! What a channel would do with captured bytes: which messages it would store, what it would write to the device. Nothing is
//! opened, stored or sent; each adapter plays the capture through its own protocol code.

use bytes::Bytes;

/// A capture, played.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rehearsal {
    /// What had to be done to the capture first, and what it lacks.
    pub notes: Vec<String>,
    /// What happened, in order.
    pub steps: Vec<Step>,
}

/// One thing that would happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// These bytes would be stored as one message.
    Stored {
        bytes: Bytes,
        /// Reason code when they are no message.
        quarantine: Option<String>,
        notes: Vec<String>,
    },
    /// This would be written to the device: `ACK`, `NAK`, `MSA|AA|77`.
    Written {
        what: String,
        /// The device is told no.
        refusal: bool,
    },
    /// Something odd on the line.
    Odd(String),
}

impl Rehearsal {
    /// Adds a note.
    pub fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// The capture. Where a logger wrote control characters as words they are made bytes again, or, without `repair`, said;
    /// `word` is one of those that the protocol has.
    pub fn unspelled(&mut self, capture: &[u8], repair: bool, word: &str) -> Vec<u8> {
        match spelled_out(capture) {
            Some(meant) if repair => {
                self.note("control characters that were written as words are made bytes again");
                meant
            }
            Some(_) => {
                self.note(format!(
                    "control characters are written as words, such as {word}: --repair makes bytes of them"
                ));
                capture.to_vec()
            }
            None => capture.to_vec(),
        }
    }

    /// A message as it stands, for an adapter that has no line to play.
    #[must_use]
    pub fn whole(capture: &[u8]) -> Self {
        Self {
            notes: vec![
                "taken as one message: this kind of channel has no line to play".to_owned(),
            ],
            steps: vec![Step::Stored {
                bytes: Bytes::copy_from_slice(capture),
                quarantine: None,
                notes: Vec::new(),
            }],
        }
    }
}

/// Control characters that a logger wrote as words, `<STX>` or `[STX]`, made bytes again. `None` when there are none, or when
/// the capture has control characters of its own.
#[must_use]
pub fn spelled_out(capture: &[u8]) -> Option<Vec<u8>> {
    const WORDS: [(&str, u8); 14] = [
        ("SOH", 0x01),
        ("STX", 0x02),
        ("ETX", 0x03),
        ("EOT", 0x04),
        ("ENQ", 0x05),
        ("ACK", 0x06),
        ("LF", 0x0A),
        ("VT", 0x0B),
        ("SB", 0x0B),
        ("CR", 0x0D),
        ("NAK", 0x15),
        ("ETB", 0x17),
        ("FS", 0x1C),
        ("EB", 0x1C),
    ];
    let has_own = capture
        .iter()
        .any(|b| *b < b' ' && !matches!(*b, b'\r' | b'\n' | b'\t'));
    if has_own {
        return None;
    }
    let mut bytes = Vec::with_capacity(capture.len());
    let mut rest = capture;
    let mut framing = 0;
    while let Some((&first, behind)) = rest.split_first() {
        let word = WORDS.iter().find(|(word, _)| {
            let close = if first == b'<' { b'>' } else { b']' };
            matches!(first, b'<' | b'[')
                && behind.starts_with(word.as_bytes())
                && behind.get(word.len()) == Some(&close)
        });
        match word {
            Some((word, byte)) => {
                framing += usize::from(!matches!(byte, b'\r' | b'\n'));
                bytes.push(*byte);
                rest = behind.get(word.len() + 1..).unwrap_or_default();
            }
            None => {
                bytes.push(first);
                rest = behind;
            }
        }
    }
    // where the ends of lines are written as words too, those of the file are the logger's
    if capture.windows(4).any(|w| matches!(w, b"<CR>" | b"[CR]")) {
        bytes = without_layout(capture, &bytes);
    }
    (framing > 0).then_some(bytes)
}

/// Drops the line ends that stand in the file itself: as many as the file has, where the words say the same.
fn without_layout(capture: &[u8], bytes: &[u8]) -> Vec<u8> {
    let plain: Vec<u8> = capture
        .iter()
        .copied()
        .filter(|b| !matches!(*b, b'\r' | b'\n'))
        .collect();
    if plain.len() == capture.len() {
        return bytes.to_vec();
    }
    spelled_out(&plain).unwrap_or_else(|| bytes.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_for_control_characters_become_bytes_and_layout_goes() {
        let log = b"<ENQ>\n<STX>1H|\\^&<CR><ETX>E5<CR><LF>\n<EOT>\n";
        assert_eq!(
            spelled_out(log).unwrap(),
            b"\x05\x021H|\\^&\r\x03E5\r\n\x04"
        );
        assert_eq!(
            spelled_out(b"[VT]MSH|^~\\&|[FS]\r").unwrap(),
            b"\x0bMSH|^~\\&|\x1c\r"
        );
        assert_eq!(spelled_out(b"MSH|<5 [a]\r"), None);
        assert_eq!(spelled_out(b"\x02a <STX>\x03"), None);
    }
}
