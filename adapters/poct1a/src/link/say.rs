//! Our messages, and how they are written: the smallest form that the standard's DTDs allow, in one piece.

use std::fmt::Write as _;

use quick_xml::escape::escape;
use time::macros::format_description;
use time::{OffsetDateTime, UtcOffset};

use crate::settings::Poct1aSettings;

/// Whether a document is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ack {
    /// AA
    Accept,
    /// AE
    Error,
}

/// One of our messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Say {
    /// HDR.control_id.
    pub control_id: u32,
    pub message: Message,
}

/// What it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// ACK.R01
    Ack { of: String, ack: Ack },
    /// ESC.R01
    Escape { of: String, note: &'static str },
    /// REQ.R01: `ROBS` or `RDEV`.
    Request(&'static str),
    /// DTV.R02
    SetTime,
    /// DTV.R01
    StartContinuous,
    /// OPL.R01, OPL.R02, PTL.R01, PTL.R02: what stands behind the header, as XML.
    List { kind: &'static str, body: String },
    /// EOT.R01 after a list that is as of then.
    EndOfTopic { topic: String, at: OffsetDateTime },
    /// KPA.R01
    KeepAlive,
    /// END.R01
    End,
}

impl Message {
    /// `ACK.R01` …
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Ack { .. } => "ACK.R01",
            Self::Escape { .. } => "ESC.R01",
            Self::Request(_) => "REQ.R01",
            Self::SetTime => "DTV.R02",
            Self::StartContinuous => "DTV.R01",
            Self::List { kind, .. } => kind,
            Self::EndOfTopic { .. } => "EOT.R01",
            Self::KeepAlive => "KPA.R01",
            Self::End => "END.R01",
        }
    }
}

impl Say {
    /// The bytes. `now` is what our clock says.
    #[must_use]
    pub fn write(&self, settings: &Poct1aSettings, now: OffsetDateTime, wrapped: bool) -> Vec<u8> {
        let time = stamp(settings, now);
        let kind = self.message.kind();
        let mut text = String::with_capacity(320);
        if wrapped {
            text.push('\u{b}');
        }
        let _ = write!(
            text,
            "<{kind}><HDR><HDR.control_id V=\"{}\"/><HDR.version_id V=\"POCT1\"/><HDR.creation_dttm V=\"{time}\"/></HDR>",
            self.control_id
        );
        match &self.message {
            Message::Ack { of, ack } => {
                let (element, id) = (
                    &settings.conversation.ack_type,
                    &settings.conversation.ack_control_id,
                );
                let (said, note) = match ack {
                    Ack::Accept => ("AA", ""),
                    Ack::Error => ("AE", "<ACK.note_txt V=\"not stored, send again\"/>"),
                };
                let _ = write!(
                    text,
                    "<ACK><{element} V=\"{said}\"/><{id} V=\"{}\"/>{note}</ACK>",
                    escape(of.as_str())
                );
            }
            Message::Escape { of, note } => {
                let _ = write!(
                    text,
                    "<ESC><ESC.esc_control_id V=\"{}\"/><ESC.detail_cd V=\"OTH\"/><ESC.note_txt V=\"{note}\"/></ESC>",
                    escape(of.as_str())
                );
            }
            Message::Request(what) => {
                let _ = write!(text, "<REQ><REQ.request_cd V=\"{what}\"/></REQ>");
            }
            Message::SetTime => {
                let _ = write!(
                    text,
                    "<DTV><DTV.command_cd V=\"SET_TIME\"/></DTV><TM><TM.dttm V=\"{time}\"/></TM>"
                );
            }
            Message::StartContinuous => {
                text.push_str("<DTV><DTV.command_cd V=\"START_CONTINUOUS\"/></DTV>");
            }
            Message::List { body, .. } => text.push_str(body),
            Message::EndOfTopic { topic, at } => {
                let _ = write!(
                    text,
                    "<EOT><EOT.topic_cd V=\"{}\"/><EOT.update_dttm V=\"{}\"/></EOT>",
                    escape(topic.as_str()),
                    stamp(settings, *at)
                );
            }
            Message::KeepAlive => {}
            Message::End => text.push_str("<TRM><TRM.reason_cd V=\"NRM\"/></TRM>"),
        }
        let _ = write!(text, "</{kind}>");
        if wrapped {
            text.push_str("\u{1c}\r");
        }
        text.into_bytes()
    }
}

/// `2026-01-15T12:03:34+05:30`, in the channel's zone: devices show what they are told.
fn stamp(settings: &Poct1aSettings, now: OffsetDateTime) -> String {
    let seconds = i32::from(settings.dialect.default_zone_minutes) * 60;
    let zone = UtcOffset::from_whole_seconds(seconds).unwrap_or(UtcOffset::UTC);
    now.to_offset(zone)
        .format(format_description!(
            "[year]-[month]-[day]T[hour]:[minute]:[second][offset_hour sign:mandatory]:[offset_minute]"
        ))
        .expect("every part of the form is in a date and time with offset")
}
