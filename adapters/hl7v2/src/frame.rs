//! MLLP framing: bytes of a stream to whole messages, and back.
//!
//! A frame is `0B content 1C 0D` (MLLP release 1; the bare `06`/`15` blocks of release 2 are recognised). Real
//! peers break every part of that, so [`FrameReader`] follows the tolerant rules of specs/lab-devices.md §1.2. It does
//! no I/O and reads no clock: the owner of the socket pushes bytes in, takes events out and says what time it is.
//! [`hybrid`] adds the checks of the hybrid protocol. It must never lose bytes that may belong to a message without an event that says so.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};

pub mod hybrid;
mod line;
mod reader;

pub use hybrid::{BlockFault, HybridReader};
pub use line::{FrameKind, LineReader};
pub use reader::FrameReader;

/// Start of a block.
pub const VT: u8 = 0x0B;
/// End of a block; a carriage return should follow.
pub const FS: u8 = 0x1C;
/// Second byte of the end of a block, and the only segment end the standard knows.
pub const CR: u8 = 0x0D;
/// Content of a positive commit block (MLLP release 2).
pub const COMMIT_ACK: u8 = 0x06;
/// Content of a negative commit block (MLLP release 2).
pub const COMMIT_NAK: u8 = 0x15;

/// How tolerant one connection's reader is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameSettings {
    /// Most bytes of content that are kept. 4 MiB covers scattergrams and PDFs of analyzers; gateways want 16 MiB.
    pub limit: usize,
    /// How far an oversized frame is read on (and thrown away) so that its sender gets to read the refusal.
    pub discard: u64,
    /// The peer sends no `0B`: a message starts at `MSH` and ends at `1C`, at the next `MSH` or after `bare_quiet`.
    pub bare: bool,
    /// Quiet time that ends a bare message.
    pub bare_quiet: Duration,
    /// How long a `1C` waits for its `0D`.
    pub end_grace: Duration,
    /// Quiet time inside a frame after which it counts as abandoned. Serial lines want 2 s.
    pub idle: Duration,
}

impl Default for FrameSettings {
    fn default() -> Self {
        Self {
            limit: 4 * 1024 * 1024,
            discard: 64 * 1024 * 1024,
            bare: false,
            bare_quiet: Duration::from_secs(2),
            end_grace: Duration::from_millis(200),
            idle: Duration::from_secs(60),
        }
    }
}

/// What the reader found in the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FrameEvent {
    /// A whole frame's content.
    Message {
        /// The content exactly as received.
        bytes: Bytes,
        /// Bytes skipped since the message before: heartbeats, line noise.
        noise_before: u64,
        /// What was odd about the framing; empty for a frame by the book.
        notes: Vec<FrameNote>,
    },
    /// Bytes that look like part of a message but must not be acknowledged as one. Keep them.
    Quarantined {
        /// The bytes as received, without start and end of block.
        bytes: Bytes,
        /// What broke it.
        reason: Broken,
        /// Position of the first byte in the stream.
        offset: u64,
    },
    /// A frame without content: the peer asks whether we are alive. Gets no reply.
    KeepAlive,
    /// A commit block of MLLP release 2: true is stored, false is refused.
    Commit(bool),
    /// A frame above the limit. Refuse it (AR when `head` shows MSH-10).
    Oversize {
        /// The first `limit` bytes.
        head: Bytes,
        /// Bytes of content seen, at most `discard`.
        seen: u64,
    },
    /// A block of the hybrid protocol that fails its checks. Keep it, and ask the peer to repeat it.
    BadBlock {
        /// The bytes as received, without start and end of block.
        bytes: Bytes,
        /// What the peer is told.
        fault: BlockFault,
        /// Position of the first byte in the stream.
        offset: u64,
    },
    /// The peer could not read our last block and wants it again (hybrid protocol).
    Repeat(BlockFault),
}

/// An accepted oddity of framing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FrameNote {
    /// `1C` was not followed by `0D`.
    EndWithoutCr,
    /// A `1C` stands inside the content.
    FsInside,
    /// The last segment has no carriage return.
    NoFinalCr,
    /// The message came without `0B` on a channel set to accept that.
    Bare,
}

/// Why bytes were quarantined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Broken {
    /// A new `0B` came before the end of the frame.
    Restarted,
    /// The connection ended inside the frame.
    Eof,
    /// Nothing more came for [`FrameSettings::idle`].
    Idle,
    /// A message without `0B` on a channel that is not set to `bare`.
    Unframed,
    /// A negative acknowledgement of the hybrid protocol that fails its own checks.
    Nak,
}

impl Broken {
    /// Stable name for logs and stored records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Restarted => "restarted",
            Self::Eof => "eof",
            Self::Idle => "idle",
            Self::Unframed => "unframed",
            Self::Nak => "bad_nak",
        }
    }
}

/// Puts `content` into a frame, in one buffer, so that it can be written with one call.
///
/// The content is not changed; who builds it ends it with a carriage return.
#[must_use]
pub fn encode(content: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(content.len() + 3);
    out.put_u8(VT);
    out.put_slice(content);
    out.put_slice(&[FS, CR]);
    out.freeze()
}

/// A commit block of MLLP release 2.
#[must_use]
pub const fn commit(stored: bool) -> [u8; 4] {
    [VT, if stored { COMMIT_ACK } else { COMMIT_NAK }, FS, CR]
}

#[cfg(test)]
mod tests;
