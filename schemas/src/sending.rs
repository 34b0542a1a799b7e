//! What instruments were told and how they took it, and what they asked: facts of the edge.
//!
//! Said by adapters after the wire, so each is told once it is known and may be told again with the same id.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::worklist::{SpecimenStanding, TestAction, WorklistAnswer, WorklistSpecimen};
use crate::{Body, ChannelId, RawId};

/// Why an instrument was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SendingOccasion {
    /// It asked.
    Query,
    /// It does not ask.
    Download,
}

/// How an instrument took an order, or the word that it is taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SendingAnswer {
    /// On its way; how it was taken is not known (yet, or ever: the hub died).
    Sending,
    /// It has the bytes; its protocol says nothing of what it makes of them.
    Delivered,
    /// It said that it takes the order.
    Accepted,
    /// It said that it does not.
    Refused,
    /// It said nothing, whatever was repeated.
    NoAnswer,
}

impl SendingAnswer {
    /// The value as stored and shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sending => "sending",
            Self::Delivered => "delivered",
            Self::Accepted => "accepted",
            Self::Refused => "refused",
            Self::NoAnswer => "no_answer",
        }
    }

    /// The instrument has decided: it is not told again of itself.
    #[must_use]
    pub fn is_settled(self) -> bool {
        matches!(self, Self::Delivered | Self::Accepted | Self::Refused)
    }
}

/// One order in a message to an instrument.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SentOrder {
    pub order: Uuid,
    pub action: TestAction,
    pub answer: SendingAnswer,
    /// What the instrument gave as its reason, or why it could not be reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// `clinical.order.sent`: an instrument was told of the orders on one specimen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrderSent {
    pub channel: ChannelId,
    /// On the tube.
    pub specimen: String,
    pub occasion: SendingOccasion,
    /// MSH-10 of the message, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control_id: Option<String>,
    /// RFC 3339.
    pub at: String,
    pub orders: Vec<SentOrder>,
}

impl Body for OrderSent {
    const NAME: &'static str = "clinical.order.sent";
}

/// How an instrument's query was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum QueryOutcome {
    /// With tests to be done or taken back.
    Found,
    /// The specimen is known; nothing is to be done on this instrument.
    Nothing,
    /// No such specimen.
    Unknown,
    /// The worklist could not be read: the instrument was told of an error.
    Failed,
    /// It asks for something that is not offered here.
    Refused,
    /// It took a query back.
    Withdrawn,
    /// The answer was made and did not reach it.
    Undelivered,
}

impl QueryOutcome {
    /// The value as stored and shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::Nothing => "nothing",
            Self::Unknown => "unknown",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::Withdrawn => "withdrawn",
            Self::Undelivered => "undelivered",
        }
    }
}

/// `integration.query.answered`: what a stored message asked for, and what its sender was told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QueryAnswered {
    pub raw_id: RawId,
    pub channel: ChannelId,
    /// Place of the query in RAW.
    pub stream_seq: u64,
    pub index: u16,
    pub outcome: QueryOutcome,
    /// Specimens and tests in the answer.
    pub specimens: u32,
    pub tests: u32,
    /// From the query's last byte to the answer's.
    pub took_ms: u32,
    /// Why, where it is not plain. No patient data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// RFC 3339.
    pub at: String,
}

impl Body for QueryAnswered {
    const NAME: &'static str = "integration.query.answered";
}

impl OrderSent {
    /// What was said of a specimen's tests: those that have a name on the instrument. All were taken alike.
    #[must_use]
    pub fn of(
        channel: &ChannelId,
        specimen: &WorklistSpecimen,
        occasion: SendingOccasion,
        at: String,
        answer: SendingAnswer,
        reason: Option<&str>,
    ) -> Self {
        let orders = specimen
            .tests
            .iter()
            .filter(|test| !test.instrument_codes.is_empty())
            .map(|test| SentOrder {
                order: test.order,
                action: test.action,
                answer,
                reason: reason.map(str::to_owned),
            })
            .collect();
        Self {
            channel: channel.clone(),
            specimen: specimen.number.clone(),
            occasion,
            control_id: None,
            at,
            orders,
        }
    }

    /// What decides the lane of facts about this specimen: its patient, as for the messages about the orders.
    #[must_use]
    pub fn aggregate(specimen: &WorklistSpecimen) -> String {
        let patient = specimen
            .patient
            .as_ref()
            .and_then(|patient| patient.identifier.as_ref());
        match (patient, specimen.tests.first()) {
            (Some(identifier), _) => identifier.key.0.to_string(),
            (None, Some(test)) => test.order.to_string(),
            (None, None) => String::new(),
        }
    }
}

impl QueryOutcome {
    /// Of what the worklist says about the specimens that were asked for.
    #[must_use]
    pub fn of(worklist: &WorklistAnswer) -> Self {
        let any = |standing| {
            worklist
                .specimens
                .iter()
                .any(|specimen| specimen.standing == standing)
        };
        if any(SpecimenStanding::Pending) {
            Self::Found
        } else if any(SpecimenStanding::Unknown) && !any(SpecimenStanding::Nothing) {
            Self::Unknown
        } else {
            Self::Nothing
        }
    }
}
