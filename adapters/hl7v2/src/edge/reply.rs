//! What is said to the peer, and said again when the peer could not read it.

use bytes::Bytes;

use super::query::Follow;
use crate::frame::{BlockFault, LineReader};

/// A peer that refuses the same block so often will not take it at all.
const MOST_REPEATS: u32 = 5;

/// What is due to the peer.
pub(super) enum Reply {
    Nothing,
    /// Acknowledgements, and whether the connection ends with them.
    Answers {
        contents: Vec<Bytes>,
        close: bool,
        /// What happens once they are written.
        follow: Option<Follow>,
    },
    /// The peer's block was damaged.
    Nak(BlockFault),
    /// Our last block was damaged.
    Repeat(BlockFault),
}

impl Reply {
    pub(super) fn closes(&self) -> bool {
        matches!(self, Self::Answers { close: true, .. })
    }

    /// What happens once it is written, and whether anything is to be written.
    pub(super) fn take_follow(&mut self) -> Option<(Follow, bool)> {
        match self {
            Self::Answers {
                contents, follow, ..
            } => Some((follow.take()?, !contents.is_empty())),
            _ => None,
        }
    }
}

/// What was said last on a connection.
pub(super) struct Said<'a> {
    channel: &'a str,
    peer: &'a str,
    last: Option<Bytes>,
    repeats: u32,
}

impl<'a> Said<'a> {
    pub(super) fn new(channel: &'a str, peer: &'a str) -> Self {
        Self {
            channel,
            peer,
            last: None,
            repeats: 0,
        }
    }

    /// The bytes of one write; `None` when nothing is to be said.
    pub(super) fn next(&mut self, reply: Reply, reader: &LineReader) -> Option<Bytes> {
        let bytes = match reply {
            Reply::Nothing => return None,
            Reply::Repeat(fault) => return self.again(fault),
            Reply::Nak(fault) => reader.nak(fault),
            Reply::Answers { contents, .. } if contents.is_empty() => None,
            Reply::Answers { contents, .. } => {
                let frames: Option<Vec<Bytes>> =
                    contents.iter().map(|one| reader.wrap(one)).collect();
                if frames.is_none() {
                    tracing::error!(
                        channel = self.channel,
                        peer = self.peer,
                        "an answer is too long for a block; the sender gets none"
                    );
                    self.undelivered();
                }
                frames.map(|mut frames| match frames.len() {
                    1 => frames.remove(0),
                    _ => frames.concat().into(),
                })
            }
        };
        // An older block would answer the wrong message.
        self.last.clone_from(&bytes);
        self.repeats = 0;
        bytes
    }

    /// A block of ours that answers nothing was written.
    pub(super) fn own(&mut self, block: &Bytes) {
        self.last = Some(block.clone());
        self.repeats = 0;
    }

    fn again(&mut self, fault: BlockFault) -> Option<Bytes> {
        let (channel, peer) = (self.channel, self.peer);
        let last = self.last.clone()?;
        if self.repeats == MOST_REPEATS {
            self.last = None;
            tracing::warn!(
                channel,
                peer,
                reason = fault.as_str(),
                times = MOST_REPEATS,
                "the peer refuses our answer again and again; it gets no more"
            );
            self.undelivered();
            return None;
        }
        self.repeats += 1;
        tracing::info!(
            channel,
            peer,
            reason = fault.as_str(),
            "the peer could not read our answer and gets it again"
        );
        metrics::counter!("hub_hl7v2_answers_repeated_total", "channel" => channel.to_owned())
            .increment(1);
        Some(last)
    }

    /// Counts an answer that the peer did not get.
    pub(super) fn undelivered(&self) {
        metrics::counter!("hub_hl7v2_answers_undelivered_total", "channel" => self.channel.to_owned())
            .increment(1);
    }
}
