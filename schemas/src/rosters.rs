//! What a bedside device is given from the hub's knowledge, and the answer: who may measure with it, and who lies in its ward.
//!
//! Asked by NATS request/reply with a deadline (design.md §5), as the worklist is; neither question nor answer is an event.
//! Source: CLSI POCT01-A2, topics operator list (OPL) and patient list (PTL).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::patients::HumanName;
use crate::{ChannelId, TenantId};

/// Subject of the question; the tenant is a token of it.
#[must_use]
pub fn roster_subject(tenant: &TenantId) -> String {
    format!("ask.{tenant}.roster")
}

/// Who is to be on a device's list?
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "wanted", rename_all = "snake_case")]
pub enum RosterQuestion {
    /// Operators that are certified for the devices of this channel on a day.
    Operators {
        channel: ChannelId,
        /// ISO 8601 date of the place where the device stands.
        on: String,
    },
    /// Patients who are in a ward now, by ADT.
    Patients {
        channel: ChannelId,
        /// PV1-3.1 as hospital systems write it, letter case aside. `*`: everybody who is in the house.
        ward: String,
        /// PV1-3.4; absent: any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        facility: Option<String>,
        /// More patients than this are none: half a list locks people out.
        limit: u32,
    },
    /// The patient behind one number that an operator typed or scanned: of the patient, else of an ordered specimen.
    Person { channel: ChannelId, number: String },
}

/// Who is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum RosterAnswer {
    Operators {
        operators: Vec<RosterOperator>,
    },
    Patients {
        patients: Vec<RosterPatient>,
    },
    /// More patients than the question allowed.
    TooMany {
        limit: u32,
    },
}

/// Somebody who may measure.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct RosterOperator {
    /// As the device reads it from the badge, or as it is typed.
    pub id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// ACC.permission_level_cd.
    pub level: String,
    /// ACC.method_cd: what he is certified for; `ALL`.
    pub methods: Vec<String>,
    /// Last day of the certification, ISO 8601 date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}

/// A patient, as much of him as a device shows at the bed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct RosterPatient {
    /// The number that results come back under.
    pub number: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<HumanName>,
    /// ISO 8601 date, precision as known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub birth_date: Option<String>,
    /// HL7 table 0001.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sex: Option<String>,
    /// PV1-3 as it was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<crate::care::Location>,
}
