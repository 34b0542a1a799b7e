//! Hybrid lower layer protocol: blocks with a count and a checksum, for serial lines that lose and change bytes.
//!
//! A block is `VT t v v CR data ccccc xxx FS CR` (lab-devices §1.4; HL7 Implementation Support Guide, appendix C): `t` is
//! `D` for data or `N` for a negative acknowledgement, `vv` the version (`21` to `23`), `ccccc` the count of all bytes so
//! far, `xxx` the exclusive or of the same bytes as a decimal number, 999 where it was not computed. A data block with the
//! answer is the positive acknowledgement; after `N` the last block is sent again.
//!
//! Where a block begins and ends is found by [`FrameReader`] with all its tolerance; here only what it holds is checked.

use std::time::Instant;

use bytes::{BufMut, Bytes, BytesMut};

use super::{Broken, CR, FS, FrameEvent, FrameNote, FrameReader, FrameSettings, VT};

/// Most bytes of data in one block: the count has five digits and begins five bytes before the data.
pub const MAX_DATA: usize = 99_994;
/// `t v v CR`; the VT before it is no part of a frame's content.
const HEAD: usize = 4;
/// `ccccc xxx`
const TAIL: usize = 8;
/// Stands in place of a checksum that was not computed.
const NOT_COMPUTED: u32 = 999;
/// The newest version, until the peer has shown which one it speaks.
const VERSION: [u8; 2] = *b"23";

/// What is wrong with a block, as its negative acknowledgement says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BlockFault {
    /// `C`: the count is not that of the bytes received.
    Count,
    /// `X`: the checksum is not that of the bytes received.
    Checksum,
    /// `B`: longer than we take.
    TooLong,
    /// `G`: anything else: no block at all, or one that did not end.
    Other,
}

impl BlockFault {
    /// The byte of data in the negative acknowledgement.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Count => b'C',
            Self::Checksum => b'X',
            Self::TooLong => b'B',
            Self::Other => b'G',
        }
    }

    /// Stable name for logs and stored records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Count => "block_count",
            Self::Checksum => "block_checksum",
            Self::TooLong => "block_too_long",
            Self::Other => "block_malformed",
        }
    }

    /// Reads the data of a negative acknowledgement; what is unknown counts as anything else.
    fn read(data: &[u8]) -> Self {
        match data.first() {
            Some(b'C') => Self::Count,
            Some(b'X') => Self::Checksum,
            Some(b'B') => Self::TooLong,
            _ => Self::Other,
        }
    }
}

/// Reads blocks out of a stream of bytes. Used as a [`FrameReader`] is.
#[derive(Debug)]
pub struct HybridReader {
    frames: FrameReader,
    version: [u8; 2],
}

impl HybridReader {
    /// A reader at the start of a stream.
    #[must_use]
    pub fn new(settings: FrameSettings) -> Self {
        let settings = FrameSettings {
            limit: settings.limit.saturating_add(HEAD + TAIL),
            bare: false,
            ..settings
        };
        Self {
            frames: FrameReader::new(settings),
            version: VERSION,
        }
    }

    /// Takes the bytes of one read.
    pub fn push(&mut self, bytes: &[u8]) {
        self.frames.push(bytes);
    }

    /// The stream has ended.
    pub fn eof(&mut self) {
        self.frames.eof();
    }

    /// When [`Self::next`] has to be called even if no bytes come.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.frames.deadline()
    }

    /// Version of the protocol that the peer speaks.
    #[must_use]
    pub fn version(&self) -> [u8; 2] {
        self.version
    }

    /// The next event, or `None` when more bytes or more time are needed.
    pub fn next(&mut self, now: Instant) -> Option<FrameEvent> {
        Some(match self.frames.next(now)? {
            FrameEvent::Message {
                bytes,
                noise_before,
                notes,
            } => self.block(&bytes, noise_before, notes),
            // The line is quiet, so the peer can be told.
            FrameEvent::Quarantined {
                bytes,
                reason: Broken::Idle | Broken::Unframed,
                offset,
            } => bad(bytes, BlockFault::Other, offset),
            other => other,
        })
    }

    fn block(&mut self, content: &Bytes, noise_before: u64, notes: Vec<FrameNote>) -> FrameEvent {
        match check(content) {
            Ok(Checked::Data { version, data }) => {
                self.version = version;
                let bytes = content.slice(data);
                if bytes.iter().all(|byte| matches!(*byte, CR | b'\n')) {
                    return FrameEvent::KeepAlive;
                }
                let no_cr = !matches!(bytes.last(), Some(&(CR | b'\n')));
                FrameEvent::Message {
                    // In a block the count stands before its end, never a carriage return.
                    notes: notes
                        .into_iter()
                        .filter(|note| *note != FrameNote::NoFinalCr)
                        .chain(no_cr.then_some(FrameNote::NoFinalCr))
                        .collect(),
                    bytes,
                    noise_before,
                }
            }
            Ok(Checked::Nak(fault)) => FrameEvent::Repeat(fault),
            Err(fault) => {
                let offset = self.frames.position().saturating_sub(content.len() as u64);
                bad(content.clone(), fault, offset)
            }
        }
    }
}

/// A damaged negative acknowledgement is kept and not answered: two sides could refuse each other's refusals for ever.
fn bad(bytes: Bytes, fault: BlockFault, offset: u64) -> FrameEvent {
    if bytes.first() == Some(&b'N') && bytes.len() <= HEAD + 1 + TAIL {
        return FrameEvent::Quarantined {
            bytes,
            reason: Broken::Nak,
            offset,
        };
    }
    FrameEvent::BadBlock {
        bytes,
        fault,
        offset,
    }
}

enum Checked {
    Data {
        version: [u8; 2],
        data: std::ops::Range<usize>,
    },
    Nak(BlockFault),
}

/// The checks, in the order in which a fault makes the next one meaningless.
fn check(content: &[u8]) -> Result<Checked, BlockFault> {
    let end = content
        .len()
        .checked_sub(TAIL)
        .filter(|end| *end >= HEAD)
        .ok_or(BlockFault::Other)?;
    let (counted, tail) = content.split_at(end);
    let (head, data) = counted.split_at(HEAD);
    let &[kind @ (b'D' | b'N'), v1 @ b'0'..=b'9', v2 @ b'0'..=b'9', CR] = head else {
        return Err(BlockFault::Other);
    };
    if data.len() > MAX_DATA {
        return Err(BlockFault::TooLong);
    }
    let (count, checksum) = tail.split_at(5);
    if number(count) != u32::try_from(counted.len() + 1).ok() {
        return Err(BlockFault::Count);
    }
    match number(checksum) {
        Some(NOT_COMPUTED) => {}
        Some(sum) if sum == u32::from(exclusive_or(counted)) => {}
        _ => return Err(BlockFault::Checksum),
    }
    Ok(if kind == b'N' {
        Checked::Nak(BlockFault::read(data))
    } else {
        Checked::Data {
            version: [v1, v2],
            data: HEAD..end,
        }
    })
}

fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |number: u32, digit| {
        digit
            .is_ascii_digit()
            .then(|| number * 10 + u32::from(digit - b'0'))
    })
}

/// Of the VT and what follows it.
fn exclusive_or(after_vt: &[u8]) -> u8 {
    after_vt.iter().fold(VT, |sum, byte| sum ^ byte)
}

/// Puts `content` into a data block, in one buffer. `None` when it is longer than [`MAX_DATA`].
#[must_use]
pub fn encode(version: [u8; 2], content: &[u8]) -> Option<Bytes> {
    block(b'D', version, content)
}

/// The negative acknowledgement of a block.
#[must_use]
pub fn nak(version: [u8; 2], fault: BlockFault) -> Bytes {
    block(b'N', version, &[fault.code()]).expect("one byte fits into a block")
}

fn block(kind: u8, [v1, v2]: [u8; 2], data: &[u8]) -> Option<Bytes> {
    if data.len() > MAX_DATA {
        return None;
    }
    let mut out = BytesMut::with_capacity(1 + HEAD + data.len() + TAIL + 2);
    out.put_u8(VT);
    out.put_slice(&[kind, v1, v2, CR]);
    out.put_slice(data);
    let (count, sum) = (out.len(), exclusive_or(&out[1..]));
    out.put_slice(format!("{count:05}{sum:03}").as_bytes());
    out.put_slice(&[FS, CR]);
    Some(out.freeze())
}

#[cfg(test)]
mod tests;
