//! What the machine wants of those who have a wire and a store.

use bytes::Bytes;

use super::lists::{List, Wanted};
use super::plan::Step;
use super::say::Say;

/// What the machine wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    Say {
        say: Say,
        /// In a block of MLLP.
        wrapped: bool,
    },
    /// Keep this, and tell [`Conversation::settle`].
    Store(Unit),
    /// Ask the hub, and tell [`Conversation::roster`].
    Ask {
        ticket: u64,
        wanted: Wanted,
    },
    /// A list that the device was to have and has not, or (without a reason) has again.
    Without {
        list: List,
        reason: Option<String>,
    },
    Note(Note),
    /// The connection is over.
    Close(Ending),
}

/// Something to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    pub ticket: u64,
    pub bytes: Bytes,
    /// Why it is no document.
    pub quarantine: Option<&'static str>,
    pub notes: Vec<String>,
    /// The device waits for an answer.
    pub awaited: bool,
}

/// What is odd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Note {
    /// Bytes that are no document, after the first that were kept.
    Noise,
    /// A message before any hello.
    NoHello,
    /// A hello in the middle: the device has started again.
    Restarted,
    /// An answer to nothing that was said.
    LateAnswer,
    /// The device did not do what it was told.
    Refused(Step),
    /// The device took a list, of so many.
    Given(List, usize),
    /// A message of no known type.
    Unknown,
    /// A document could not be stored; the device is asked to send it again.
    NotStored,
    /// Something broken could not be kept.
    Gone,
}

/// Why a conversation is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Either side ended it.
    Ended,
    /// A device connected and did not say who it is.
    NoHello,
    /// A device that owes an answer is silent.
    Silent,
    /// A document was larger than it may be.
    TooLong,
}

impl Note {
    /// A word for metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Noise => "noise",
            Self::NoHello => "no_hello",
            Self::Restarted => "restarted",
            Self::LateAnswer => "late_answer",
            Self::Refused(_) => "refused",
            Self::Given(..) => "list_given",
            Self::Unknown => "unknown",
            Self::NotStored => "not_stored",
            Self::Gone => "gone",
        }
    }
}

impl Ending {
    /// A word for metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ended => "ended",
            Self::NoHello => "no_hello",
            Self::Silent => "silent",
            Self::TooLong => "too_long",
        }
    }
}
