//! From what became of a message to the bytes of its answer.

use bytes::Bytes;
use time::OffsetDateTime;

use super::ids::control_id;
use crate::ack::{self, Ack, AckError, ErrorCode, Outcome};
use crate::frame;
use crate::header::Header;
use crate::settings::Hl7v2Settings;

/// Why a message is refused for good, as the sender reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// No MSH segment at its start.
    NoHeader,
    /// Larger than the channel's limit.
    TooLarge,
    /// No start block on a channel that wants one.
    Unframed,
}

impl Refused {
    /// Stable reason code under which the bytes are kept.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::NoHeader => "no_msh",
            Self::TooLarge => "oversize",
            Self::Unframed => "unframed",
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::NoHeader => "Message does not begin with an MSH segment",
            Self::TooLarge => "Message is larger than this channel takes",
            Self::Unframed => "Message came without the MLLP start block 0x0B",
        }
    }

    fn code(self) -> ErrorCode {
        match self {
            Self::NoHeader => ErrorCode::SegmentSequence,
            Self::TooLarge | Self::Unframed => ErrorCode::Internal,
        }
    }
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    Stored,
    /// With the words for the sender's log.
    NotStored(String),
    Refused(Refused),
}

/// The header that an answer is made from: of the message, or of the first message of a batch.
pub(crate) fn header_of(bytes: &[u8]) -> Option<Header<'_>> {
    if let Ok(header) = Header::read(bytes) {
        return Some(header);
    }
    if is_batch(bytes) {
        let mut from = 0;
        while let Some(at) = find(&bytes[from..], b"MSH") {
            let start = from + at;
            let begins_line = start == 0 || matches!(bytes[start - 1], b'\r' | b'\n');
            if begins_line && let Ok(header) = Header::read(&bytes[start..]) {
                return Some(header);
            }
            from = start + 3;
        }
    }
    None
}

/// True for a message that answers one of ours: it has an MSA segment (HL7 v2.5.1 §2.9). On a channel that sends nothing
/// (`we_send` false) only ACK is one: whatever else has an MSA there is acknowledged like any message.
pub(crate) fn is_response(bytes: &[u8], header: &Header<'_>, we_send: bool) -> bool {
    if header.code() == b"ACK" {
        return true;
    }
    if !we_send {
        return false;
    }
    let mut from = 0;
    while let Some(at) = find(&bytes[from..], b"MSA") {
        let start = from + at;
        let begins_line = start > 0 && matches!(bytes[start - 1], b'\r' | b'\n');
        if begins_line && bytes.get(start + 3) == Some(&header.separators().field) {
            return true;
        }
        from = start + 3;
    }
    false
}

/// The accept acknowledgement of a response, where it asks for one. An acknowledgement itself is never acknowledged: two hubs would
/// answer each other for ever.
pub(crate) fn of_response(
    header: &Header<'_>,
    fate: &Fate,
    settings: &Hl7v2Settings,
) -> Vec<Bytes> {
    let outcome = match fate {
        Fate::Stored => Outcome::Stored,
        Fate::NotStored(_) => Outcome::NotStored,
        Fate::Refused(_) => Outcome::Refused,
    };
    if header.code() == b"ACK" {
        return Vec::new();
    }
    let now = OffsetDateTime::now_utc().to_offset(settings.zone());
    let commit = ack::decide(Some(header), outcome).commit.map(|code| {
        Ack::new(code, &control_id(), now)
            .style(settings.ack_style())
            .content(Some(header))
    });
    commit_block(outcome, settings)
        .into_iter()
        .chain(commit)
        .collect()
}

/// The commit block of MLLP release 2, where the channel sends one.
pub(crate) fn commit_block(outcome: Outcome, settings: &Hl7v2Settings) -> Option<Bytes> {
    settings.ack.commit_blocks.then(|| {
        Bytes::from_static(if outcome == Outcome::Stored {
            &[frame::COMMIT_ACK]
        } else {
            &[frame::COMMIT_NAK]
        })
    })
}

/// True for a batch or file envelope (HL7 v2.5.1 §2.10.3).
pub(crate) fn is_batch(bytes: &[u8]) -> bool {
    let body = bytes
        .strip_prefix(b"\xEF\xBB\xBF")
        .unwrap_or(bytes)
        .trim_ascii_start();
    body.starts_with(b"FHS") || body.starts_with(b"BHS")
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    memchr::memmem::find(haystack, needle)
}

/// The contents of the frames that answer: possibly a commit block, an accept and an application acknowledgement. Empty
/// when the sender wants no answer.
pub(crate) fn write(
    header: Option<&Header<'_>>,
    fate: &Fate,
    settings: &Hl7v2Settings,
) -> Vec<Bytes> {
    let outcome = match fate {
        Fate::Stored => Outcome::Stored,
        Fate::NotStored(_) => Outcome::NotStored,
        Fate::Refused(_) => Outcome::Refused,
    };
    let mut due = ack::decide(header, outcome);
    if settings.ack.answer_always && due == ack::Due::default() {
        due = ack::decide(None, outcome);
    }
    let commit_block = commit_block(outcome, settings);
    let now = OffsetDateTime::now_utc().to_offset(settings.zone());
    let answers = [due.commit, due.application]
        .into_iter()
        .flatten()
        .map(|code| {
            let control_id = control_id();
            let answer = Ack::new(code, &control_id, now).style(settings.ack_style());
            match fate {
                Fate::Stored => answer.content(header),
                Fate::NotStored(why) => {
                    let error = AckError {
                        diagnostics: Some(why),
                        user_text: Some("Not stored; send again"),
                        ..AckError::new(ErrorCode::Internal)
                    };
                    answer
                        .text("Not stored; send again")
                        .error(error)
                        .content(header)
                }
                Fate::Refused(refused) => {
                    let error = AckError {
                        user_text: Some(refused.text()),
                        ..AckError::new(refused.code())
                    };
                    answer.text(refused.text()).error(error).content(header)
                }
            }
        });
    commit_block.into_iter().chain(answers).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Hl7v2Settings {
        Hl7v2Settings::listening("127.0.0.1:0".parse().unwrap())
    }

    #[test]
    fn a_batch_is_answered_under_its_first_message() {
        let batch = b"FHS|^~\\&|A\rBHS|^~\\&|A\rMSH|^~\\&|LAB||HUB||1||ORU^R01|77|P|2.5\rPID|1\rBTS|1\rFTS|1\r";
        let header = header_of(batch).unwrap();
        assert_eq!(header.control_id(), b"77");
        let answer = write(Some(&header), &Fate::Stored, &settings());
        assert!(find(&answer[0], b"MSA|AA|77").is_some());
    }

    #[test]
    fn what_is_no_message_is_refused_and_what_is_not_stored_may_be_repeated() {
        let answer = write(None, &Fate::Refused(Refused::NoHeader), &settings());
        assert!(find(&answer[0], b"MSA|AR|").is_some());
        let header = Header::read(b"MSH|^~\\&|LAB||HUB||1||ORU^R01|77|P|2.5\r").unwrap();
        let answer = write(
            Some(&header),
            &Fate::NotStored("disk full".into()),
            &settings(),
        );
        assert!(find(&answer[0], b"MSA|AE|77").is_some());
    }

    #[test]
    fn results_of_the_point_of_care_are_answered_by_r33_and_alarms_by_r40() {
        for (kind, due, answers) in [
            ("ORU^R30^ORU_R30", "", &["AA ACK^R33^ACK"][..]),
            ("ORU^R31^ORU_R30", "|||AL|NE", &["CA ACK^R33^ACK"]),
            (
                "ORU^R32^ORU_R30",
                "|||AL|AL",
                &["CA ACK^R33^ACK", "AA ACK^R33^ACK"],
            ),
            ("ORU^R40^ORU_R40", "|||AL|NE", &["CA ACK^R40^ACK"]),
            ("ORU^R01^ORU_R01", "|||AL|NE", &["CA ACK^R01^ACK"]),
        ] {
            let text = format!("MSH|^~\\&|DEV||HUB||1||{kind}|77|P|2.6{due}\r");
            let header = Header::read(text.as_bytes()).unwrap();
            let written: Vec<String> = write(Some(&header), &Fate::Stored, &settings())
                .iter()
                .map(|answer| {
                    let text = std::str::from_utf8(answer).unwrap();
                    let kind = text.split('|').nth(8).unwrap();
                    let code = text.split("MSA|").nth(1).unwrap().get(..2).unwrap();
                    format!("{code} {kind}")
                })
                .collect();
            assert_eq!(written, answers, "{kind}{due}");
        }
    }

    #[test]
    fn who_wants_no_answer_gets_one_only_where_the_channel_says_so() {
        let text = b"MSH|^~\\&|Maglumi User|||LIS|20240829145631||OUL^R22|7|P|2.5||||NE|NE\r";
        let header = Header::read(text).unwrap();
        let mut settings = Hl7v2Settings::listening(([127, 0, 0, 1], 0).into());
        assert!(write(Some(&header), &Fate::Stored, &settings).is_empty());
        settings.ack.answer_always = true;
        let answers = write(Some(&header), &Fate::Stored, &settings);
        assert_eq!(answers.len(), 1);
        assert!(find(&answers[0], b"MSA|AA|7").is_some());
    }
}
