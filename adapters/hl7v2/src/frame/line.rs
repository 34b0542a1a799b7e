//! Whichever framing a channel is set to, reading and writing.

use std::time::Instant;

use bytes::Bytes;

use super::hybrid::{self, BlockFault, HybridReader};
use super::{FrameEvent, FrameReader, FrameSettings};

/// How messages are framed on the line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FrameKind {
    /// `0B content 1C 0D`.
    #[default]
    Mllp,
    /// Hybrid lower layer protocol: blocks with a count and a checksum.
    Hybrid,
}

/// The framing of one connection.
#[derive(Debug)]
pub enum LineReader {
    Mllp(FrameReader),
    Hybrid(HybridReader),
}

impl LineReader {
    /// A reader at the start of a stream.
    #[must_use]
    pub fn new(kind: FrameKind, settings: FrameSettings) -> Self {
        match kind {
            FrameKind::Mllp => Self::Mllp(FrameReader::new(settings)),
            FrameKind::Hybrid => Self::Hybrid(HybridReader::new(settings)),
        }
    }

    /// Takes the bytes of one read.
    pub fn push(&mut self, bytes: &[u8]) {
        match self {
            Self::Mllp(reader) => reader.push(bytes),
            Self::Hybrid(reader) => reader.push(bytes),
        }
    }

    /// The stream has ended.
    pub fn eof(&mut self) {
        match self {
            Self::Mllp(reader) => reader.eof(),
            Self::Hybrid(reader) => reader.eof(),
        }
    }

    /// The next event, or `None` when more bytes or more time are needed.
    pub fn next(&mut self, now: Instant) -> Option<FrameEvent> {
        match self {
            Self::Mllp(reader) => reader.next(now),
            Self::Hybrid(reader) => reader.next(now),
        }
    }

    /// When [`Self::next`] has to be called even if no bytes come.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Mllp(reader) => reader.deadline(),
            Self::Hybrid(reader) => reader.deadline(),
        }
    }

    /// Puts an answer into a frame, as this peer frames. `None` when no frame can hold it.
    #[must_use]
    pub fn wrap(&self, content: &[u8]) -> Option<Bytes> {
        match self {
            Self::Mllp(_) => Some(super::encode(content)),
            Self::Hybrid(reader) => hybrid::encode(reader.version(), content),
        }
    }

    /// What asks the peer to repeat its last block; `None` where the framing knows no such thing.
    #[must_use]
    pub fn nak(&self, fault: BlockFault) -> Option<Bytes> {
        match self {
            Self::Mllp(_) => None,
            Self::Hybrid(reader) => Some(hybrid::nak(reader.version(), fault)),
        }
    }
}
