//! What the backbone says of its own work: arrivals, translations, holds, dead letters, channels.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::care::HoldReason;
use crate::{Body, ChannelId, RawId};

/// What became of a raw message in translation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TranslationOutcome {
    /// Events were made.
    Translated,
    /// A valid message of a type that no translator handles: kept and listed.
    NotTranslated,
    /// It asks what is to be done; how it was answered is said by `integration.query.answered`.
    Query,
    /// It answers a message of ours (ACK, ORL …).
    Answer,
    /// Could not be read: a dead letter holds the reason.
    Refused,
}

impl TranslationOutcome {
    /// The value as stored and shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Translated => "translated",
            Self::NotTranslated => "not_translated",
            Self::Query => "query",
            Self::Answer => "answer",
            Self::Refused => "dead",
        }
    }
}

/// Keys by which an operator finds a message again.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct SearchKeys {
    /// PID-3.1 of the first repetition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patient_number: Option<String>,
    /// Specimen or accession number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accession: Option<String>,
    /// Placer or filler order number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_number: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visit_number: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bill_number: Option<String>,
    /// MSH-10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control_id: Option<String>,
    /// `ORU^R01`, `ADT^A08` …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_type: Option<String>,
    /// Numbers of the other patients of a message about several, at most 1000.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub more_patients: Vec<String>,
    /// Numbers of the other specimens of a message about several, at most 1000.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub more_accessions: Vec<String>,
    /// Numbers of the other orders of a message about several, at most 1000.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub more_orders: Vec<String>,
}

impl SearchKeys {
    /// Further patients, specimens and orders that are kept, of each: a night's upload in one message, not a message without end.
    pub const MORE: usize = 1000;
    /// Characters of a key: a broken message may put anything here.
    pub const LONGEST: usize = 80;

    /// The message is about this patient, perhaps beside others.
    pub fn about_patient(&mut self, number: &str) {
        also(&mut self.patient_number, &mut self.more_patients, number);
    }

    /// The message is about this specimen, perhaps beside others.
    pub fn about_specimen(&mut self, number: &str) {
        also(&mut self.accession, &mut self.more_accessions, number);
    }

    /// The message is about this order, perhaps beside others.
    pub fn about_order(&mut self, number: &str) {
        also(&mut self.order_number, &mut self.more_orders, number);
    }

    /// Whom another message in the same bytes (a batch) is about.
    pub fn also_about(&mut self, other: &Self) {
        for number in other.patient_number.iter().chain(&other.more_patients) {
            self.about_patient(number);
        }
        for number in other.accession.iter().chain(&other.more_accessions) {
            self.about_specimen(number);
        }
        for number in other.order_number.iter().chain(&other.more_orders) {
            self.about_order(number);
        }
    }
}

fn also(first: &mut Option<String>, more: &mut Vec<String>, number: &str) {
    let number: String = number.chars().take(SearchKeys::LONGEST).collect();
    match first {
        None => *first = Some(number),
        Some(known) if *known == number || more.contains(&number) => {}
        Some(_) if more.len() < SearchKeys::MORE => more.push(number),
        Some(_) => {}
    }
}

/// `integration.message.translated`: one arrival in RAW and what became of it. The ledger's row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MessageTranslated {
    pub raw_id: RawId,
    pub channel: ChannelId,
    /// Sequence of the stored record in RAW.
    pub stream_seq: u64,
    /// Place inside the record.
    pub index: u16,
    /// RFC 3339, when the edge had the last byte.
    pub received_at: String,
    /// Bytes as received.
    pub size: u32,
    /// Address of the peer, `host:port`, or the path of its serial port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    pub outcome: TranslationOutcome,
    #[serde(flatten)]
    pub keys: SearchKeys,
    /// Types of the events made, in order; the id of each is `event_id(raw_id, position)`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<String>,
    /// Fields that carry a value and that no mapping reads, as paths (`PV1-18`), at most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unmapped: Vec<String>,
    /// What was odd about it: charset fallback, noise before the frame, repaired MSH-2 …
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The message of which this is a deliberate child (edited resend, forced replay).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<RawId>,
    /// Why it is dead. The row of the ledger and that of the dead letter are written together: none is seen without the other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<MessageRefused>,
}

/// Why a message could not be translated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MessageRefused {
    pub stage: Stage,
    /// Translator that refused.
    pub by: String,
    /// Stable code of the reason.
    pub reason: String,
    /// What, where, what to do. No patient data.
    pub detail: String,
}

impl Body for MessageTranslated {
    const NAME: &'static str = "integration.message.translated";
}

/// `lis.result.held`: results of one report wait for a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ResultHeld {
    pub reason: HoldReason,
    pub channel: ChannelId,
    pub report_id: Uuid,
    /// Event that brought the results.
    pub source_event: Uuid,
    /// Code system as sent, empty when none.
    pub code_system: String,
    /// Code as sent.
    pub code: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code_text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Value as sent: shown to the person who decides, never logged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw_value: Option<String>,
}

impl Body for ResultHeld {
    const NAME: &'static str = "lis.result.held";
}

/// `clinical.code.mapped`: a person (or a mapping file) said what an analyzer code means, and the
/// held results that it explains were released.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CodeMapped {
    pub channel: ChannelId,
    pub code_system: String,
    pub code: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    pub loinc: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ucum: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub factor: Option<String>,
    /// Results released by it.
    pub released: u32,
}

impl Body for CodeMapped {
    const NAME: &'static str = "clinical.code.mapped";
}

/// Where a message stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The frame or the first line could not be read.
    Edge,
    /// A translator refused it.
    Translate,
    /// A worker refused an event or a command.
    Work,
    /// Delivery to an outside system ended in refusal.
    Deliver,
}

impl Stage {
    /// The stage as stored and shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Edge => "edge",
            Self::Translate => "translate",
            Self::Work => "work",
            Self::Deliver => "deliver",
        }
    }
}

/// `integration.message.dead_lettered`: could not be processed; carries where the original is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeadLettered {
    pub stage: Stage,
    /// Worker or translator that refused.
    pub by: String,
    /// Stable code of the reason: `hl7.no_msh`, `hl7.unreadable`, `worker.invalid` …
    pub reason: String,
    /// What, where, what to do. No patient data.
    pub detail: String,
    /// The refused event or command, when the stage is `work`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_id: Option<Uuid>,
    /// Its type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw_id: Option<RawId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<ChannelId>,
    /// Stream and sequence of the record that holds the original, and the place inside it.
    pub stream: String,
    pub stream_seq: u64,
    pub index: u16,
    pub attempts: u32,
    /// The ledger's row of the message says the same (`refused`), and is what counts; absent in letters of releases before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_ledger: bool,
}

impl Body for DeadLettered {
    const NAME: &'static str = "integration.message.dead_lettered";
}

/// State of a channel's link to its peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LinkState {
    Stopped,
    Listening,
    Connected,
    Lost,
    Failed,
}

impl LinkState {
    /// The state as stored and shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Listening => "listening",
            Self::Connected => "connected",
            Self::Lost => "lost",
            Self::Failed => "failed",
        }
    }
}

/// `integration.channel.state_changed`: the edge reports its link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChannelStateChanged {
    pub channel: ChannelId,
    /// Kind of the channel: `hl7v2` …
    pub kind: String,
    pub state: LinkState,
    /// Peers connected now.
    pub connections: u32,
    /// Address listened on or dialled.
    pub address: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// RFC 3339.
    pub at: String,
}

impl Body for ChannelStateChanged {
    const NAME: &'static str = "integration.channel.state_changed";
}

/// What an operator wants of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DesiredState {
    /// Receive and process.
    Running,
    /// Receive, store and acknowledge; do not process until started again.
    Paused,
    /// Do not listen.
    Stopped,
}

impl DesiredState {
    /// The state as stored and shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        }
    }
}
