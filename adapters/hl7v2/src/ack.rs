//! Acknowledgements: which are due, how they are written, how a peer's are read (HL7 v2.5.1 §2.9, §2.15).
//!
//! Writing works on the raw [`Header`] alone, so that an answer costs microseconds and needs no parse. MSA-2 is the
//! sender's MSH-10 byte for byte. An answer is one buffer: several instruments read once and hang up.

use crate::Header;

mod error;
mod read;
mod write;

pub use error::{AckError, ErrorCode, ErrorLocation, Severity};
pub use read::{ReceivedAck, ReceivedError};
pub use write::{Ack, AckStyle};

/// MSA-1 (table HL70008).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AckCode {
    /// Application accept.
    AA,
    /// Application error: not stored, may be sent again.
    AE,
    /// Application reject: can't be accepted as it is.
    AR,
    /// Commit accept.
    CA,
    /// Commit error.
    CE,
    /// Commit reject.
    CR,
}

impl AckCode {
    /// The two letters.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AA => "AA",
            Self::AE => "AE",
            Self::AR => "AR",
            Self::CA => "CA",
            Self::CE => "CE",
            Self::CR => "CR",
        }
    }

    /// Reads MSA-1; blanks around it and lower case are forgiven.
    #[must_use]
    pub fn read(raw: &[u8]) -> Option<Self> {
        let mut two = [0; 2];
        let raw = raw.trim_ascii();
        if raw.len() != 2 {
            return None;
        }
        two.copy_from_slice(raw);
        two.make_ascii_uppercase();
        Some(match &two {
            b"AA" => Self::AA,
            b"AE" => Self::AE,
            b"AR" => Self::AR,
            b"CA" => Self::CA,
            b"CE" => Self::CE,
            b"CR" => Self::CR,
            _ => return None,
        })
    }

    /// AA or CA.
    #[must_use]
    pub const fn is_accept(self) -> bool {
        matches!(self, Self::AA | Self::CA)
    }

    /// CA, CE or CR: says that bytes were stored, nothing about their meaning.
    #[must_use]
    pub const fn is_commit(self) -> bool {
        matches!(self, Self::CA | Self::CE | Self::CR)
    }
}

/// What became of a message at the edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Durable. Also for a message nobody can map: that is our work, not the sender's.
    Stored,
    /// Could not be made durable; the sender should try again.
    NotStored,
    /// Wrong in itself (unreadable, too big, wrong processing id): trying again will not help.
    Refused,
}

/// The answers a sender expects for one outcome. The commit goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Due {
    /// Accept acknowledgement, asked for by MSH-15.
    pub commit: Option<AckCode>,
    /// Application acknowledgement, asked for by MSH-16 or by original mode.
    pub application: Option<AckCode>,
}

/// When MSH-15 or MSH-16 asks for an answer (table HL70155).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Always,
    Never,
    OnError,
    OnSuccess,
}

impl Wanted {
    fn read(raw: &[u8]) -> Option<Self> {
        match raw.trim_ascii() {
            b"AL" => Some(Self::Always),
            b"NE" => Some(Self::Never),
            b"ER" => Some(Self::OnError),
            b"SU" => Some(Self::OnSuccess),
            // Empty, or something private: Mindray chemistry writes 0, 1 or 2 for the kind of result.
            _ => None,
        }
    }

    const fn includes(self, outcome: Outcome) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::OnError => !matches!(outcome, Outcome::Stored),
            Self::OnSuccess => matches!(outcome, Outcome::Stored),
        }
    }
}

/// Which answers are due for `outcome`.
///
/// Original mode (neither MSH-15 nor MSH-16 holds a code of table HL70155, or no header could be read): one
/// application acknowledgement, always. Enhanced mode: each field rules its own kind, an empty one asks for nothing.
/// A message that was not stored is never handled, so a commit refusal is then the only answer.
#[must_use]
pub fn decide(header: Option<&Header<'_>>, outcome: Outcome) -> Due {
    let (commit, application) = match outcome {
        Outcome::Stored => (AckCode::CA, AckCode::AA),
        Outcome::NotStored => (AckCode::CE, AckCode::AE),
        Outcome::Refused => (AckCode::CR, AckCode::AR),
    };
    let accept = header.and_then(|h| Wanted::read(h.accept_ack()));
    let apply = header.and_then(|h| Wanted::read(h.application_ack()));
    if accept.is_none() && apply.is_none() {
        return Due {
            commit: None,
            application: Some(application),
        };
    }
    let wants = |wanted: Option<Wanted>| wanted.is_some_and(|w| w.includes(outcome));
    let commit_due = wants(accept);
    let refused_at_commit = commit_due && outcome != Outcome::Stored;
    Due {
        commit: commit_due.then_some(commit),
        application: (wants(apply) && !refused_at_commit).then_some(application),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(accept: &str, apply: &str, outcome: Outcome) -> (Option<AckCode>, Option<AckCode>) {
        let message = format!("MSH|^~\\&|||||||ORU^R01|1|P|2.5|||{accept}|{apply}\r");
        let header = Header::read(message.as_bytes()).unwrap();
        let due = decide(Some(&header), outcome);
        (due.commit, due.application)
    }

    #[test]
    fn the_sender_rules_which_answers_are_due() {
        use AckCode::{AA, AE, AR, CA, CE, CR};
        use Outcome::{NotStored, Refused, Stored};
        for (accept, apply, outcome, expected) in [
            ("", "", Stored, (None, Some(AA))),
            ("", "", NotStored, (None, Some(AE))),
            ("", "", Refused, (None, Some(AR))),
            ("", "0", Stored, (None, Some(AA))),
            ("AL", "NE", Stored, (Some(CA), None)),
            ("AL", "AL", Stored, (Some(CA), Some(AA))),
            ("AL", "AL", NotStored, (Some(CE), None)),
            ("ER", "AL", Stored, (None, Some(AA))),
            ("ER", "AL", Refused, (Some(CR), None)),
            ("NE", "ER", Stored, (None, None)),
            ("NE", "ER", NotStored, (None, Some(AE))),
            ("SU", "AL", NotStored, (None, Some(AE))),
            ("NE", "NE", Refused, (None, None)),
            ("", "AL", Stored, (None, Some(AA))),
            ("AL", "", Stored, (Some(CA), None)),
        ] {
            assert_eq!(
                due(accept, apply, outcome),
                expected,
                "{accept}/{apply}/{outcome:?}"
            );
        }
        assert_eq!(decide(None, Refused).application, Some(AR));
    }
}
