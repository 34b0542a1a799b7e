//! What bedside devices say: measurements at a bed (IHE PCD-01 and private forms) and alarms (IHE PCD-04).
//!
//! They often name no patient, so both carry the bed; whose a measurement is, the clinical worker finds by bed and time.
//! Alarms here are secondary notification only: the bedside is the alarm of record, and nothing may rely on these instead.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::care::{Code, HoldReason, Location, Mapped, ReferenceRange, Value};
use crate::commands::SecondIdentifier;
use crate::ids::care_key;
use crate::patients::Identifier;
use crate::{Body, ChannelId, TenantId};

/// A bed as hospital system and monitor both have to name it: ward and bed, letter case and outer blanks aside. Where PL.3 is
/// empty the room is the bed (`ICU^5`). `None` when no bed is named.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Bed {
    /// PL.1, upper case; empty when not named.
    pub ward: String,
    /// PL.3, else PL.2; upper case.
    pub bed: String,
    /// PL.2 where PL.3 names the bed; empty when not named.
    pub room: String,
    /// PL.4, upper case; empty when not named.
    pub facility: String,
}

impl Bed {
    /// The bed that a place names.
    #[must_use]
    pub fn of(place: &Location) -> Option<Self> {
        let plain = |text: &Option<String>| {
            text.as_deref()
                .unwrap_or_default()
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ")
                .to_uppercase()
        };
        let (room, bed) = match (plain(&place.room), plain(&place.bed)) {
            (room, bed) if bed.is_empty() => (String::new(), room),
            (room, bed) => (room, bed),
        };
        (!bed.is_empty()).then(|| Self {
            ward: plain(&place.point_of_care),
            bed,
            room,
            facility: plain(&place.facility),
        })
    }

    /// Key of ward and bed. Room and facility are compared only where both sides name them.
    #[must_use]
    pub fn key(&self, tenant: &TenantId) -> Uuid {
        care_key(tenant, "bed", &[&self.ward, &self.bed])
    }

    /// False when both name a room or a facility, and another one.
    #[must_use]
    pub fn may_be(&self, other: &Self) -> bool {
        let same = |one: &str, two: &str| one.is_empty() || two.is_empty() || one == two;
        self.ward == other.ward
            && self.bed == other.bed
            && same(&self.room, &other.room)
            && same(&self.facility, &other.facility)
    }
}

/// What measurements of one origin have in common, and with it what decides their lane: the bed, else the device, else the
/// patient named, else the channel. A resend of a measurement therefore meets it, and so does news of the bed.
#[must_use]
pub fn origin_key(
    tenant: &TenantId,
    channel: &ChannelId,
    bed: Option<&Bed>,
    device: Option<&str>,
    subject: Option<&Identifier>,
) -> Uuid {
    match (bed, device, subject) {
        (Some(bed), _, _) => bed.key(tenant),
        (None, Some(device), _) => care_key(tenant, "device", &[channel.as_str(), device]),
        (None, None, Some(subject)) => subject.key.0,
        (None, None, None) => care_key(tenant, "device-channel", &[channel.as_str()]),
    }
}

/// What the time of a measurement was taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TimedBy {
    /// OBX-14
    Observation,
    /// OBR-7
    Report,
    /// MSH-7
    Message,
    /// The message has no time at all.
    Arrival,
}

impl TimedBy {
    /// The word as stored and shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Observation => "observation",
            Self::Report => "report",
            Self::Message => "message",
            Self::Arrival => "arrival",
        }
    }
}

/// One measured value of a bedside device (one OBX).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VitalObservation {
    /// OBX-3 first triplet.
    pub code: Code,
    /// OBX-3 second triplet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alternate: Option<Code>,
    /// OBX-4: its place in the device (MDS.VMD.channel.metric), or the channel's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The nearest part of the device that contains it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<Code>,
    /// OBX-2 as sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_type: Option<String>,
    pub value: Value,
    /// OBX-5 as sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw_value: Option<String>,
    /// OBX-6 as sent, the code of its first triplet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<ReferenceRange>,
    /// OBX-8, each flag as sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<String>,
    /// OBX-11 as sent: `R` and `F` measured, `C` corrects, `D` and `W` take back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// RFC 3339; absent when the message has no time: then the arrival is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_at: Option<String>,
    pub timed_by: TimedBy,
    /// OBX-17: `APERIODIC`, or how the value came about (`AMEAS`, `RSET` …).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// OBX-18 of the row, else of the part that contains it, else the device of the message. EUI-64 where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// OBX-20
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<Code>,
    /// Present when the tables know code and unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mapped: Option<Mapped>,
    /// Present when it waits for a person to say what code or unit mean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<HoldReason>,
}

/// `clinical.vitals.observed`: what one device measured (one OBR of a PCD-01 message, or a monitor's private form).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VitalsObserved {
    pub channel: ChannelId,
    /// The patient that the message names; monitors often name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Identifier>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visit_number: Option<String>,
    /// PV1-3: the bed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<Location>,
    /// The device of the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    pub observations: Vec<VitalObservation>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub occurred_at: Option<String>,
}

impl Body for VitalsObserved {
    const NAME: &'static str = "clinical.vitals.observed";
}

/// What an alarm message says of its alarm (MDC_ATTR_EVENT_PHASE).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AlarmPhase {
    /// `start`
    Start,
    /// `continue`, `present`: it goes on; no news by itself.
    Continue,
    /// `update`, `escalate`, `de-escalate`: something about it changed.
    Update,
    /// `end`, `stop`, `reset`
    End,
    /// `tpoint`: it happened at that moment and does not last.
    Point,
}

impl AlarmPhase {
    /// The word as stored and shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Continue => "continue",
            Self::Update => "update",
            Self::End => "end",
            Self::Point => "point",
        }
    }
}

/// What a limit alarm is about: the value beyond its limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AlarmValue {
    pub code: Code,
    /// OBX-5 as sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// OBX-6 as sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// OBX-7: the limits that are set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<String>,
}

/// `clinical.alarm.reported`: one message about one alarm of a bedside device. Secondary notification only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AlarmReported {
    pub channel: ChannelId,
    /// OBR-3: names this message's event, entity and namespace joined by `^`.
    pub event_name: String,
    /// OBR-29: the event that this one continues.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Identifier>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<Location>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// What it is: `196674^MDC_EVT_LO_VAL_LT_LIM`.
    pub code: Code,
    /// The words that the device shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// OBX-4 of the event: which part of the device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The part of the device that raised it (MDC_ATTR_ALERT_SOURCE), as sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured: Option<AlarmValue>,
    pub phase: AlarmPhase,
    /// `inactive`, `active`, `latched`; as sent, lower case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// `enabled`, `audio-paused`, `audio-off`, `alarm-paused`, `alarm-off`, `alert-acknowledged`; as sent, lower case.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inactivation: Vec<String>,
    /// `PN` none, `PL` low, `PM` medium, `PH` high.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<String>,
    /// `SP` physiological, `ST` technical, `SA` advisory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// `L` or `H`: below or above the limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abnormality: Option<String>,
    /// RFC 3339: OBX-14 of the event, OBR-7 or MSH-7.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub occurred_at: Option<String>,
}

impl Body for AlarmReported {
    const NAME: &'static str = "clinical.alarm.reported";
}

/// `clinical.alarm.changed`: an alarm began, changed or ended. Repeats and heartbeats say nothing. Secondary notification only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AlarmChanged {
    pub alarm_id: Uuid,
    /// `active`, `latched`, `ended`.
    pub status: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<String>,
}

impl Body for AlarmChanged {
    const NAME: &'static str = "clinical.alarm.changed";
}

/// `clinical.bed.changed`: who was in a bed from some time on is known differently than before. Measurements that came from
/// it are looked at again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BedChanged {
    /// [`Bed::key`]; also the aggregate, so that it takes its turn among what the bed's devices say.
    pub bed_key: Uuid,
    /// RFC 3339: nothing before this has changed.
    pub since: String,
}

impl Body for BedChanged {
    const NAME: &'static str = "clinical.bed.changed";
}

/// `clinical.vitals.claim`: say whose the measurements of an unmatched item are, all or those of a period. Sent only after two
/// identifiers agreed with one person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClaimVitals {
    pub item_id: i64,
    pub subject: Identifier,
    pub second: SecondIdentifier,
    /// RFC 3339; observed at or after. Absent: from the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// RFC 3339; observed before. Absent: to the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    pub actor: String,
}

impl Body for ClaimVitals {
    const NAME: &'static str = "clinical.vitals.claim";
}

/// `clinical.vitals.discard`: the measurements of an unmatched item are nobody's (a test, a device without a patient). They
/// stay on file, on nobody's chart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DiscardVitals {
    pub item_id: i64,
    pub reason: String,
    pub actor: String,
}

impl Body for DiscardVitals {
    const NAME: &'static str = "clinical.vitals.discard";
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(parts: [&str; 4]) -> Location {
        let [point_of_care, room, bed, facility] =
            parts.map(|part| (!part.is_empty()).then(|| part.to_owned()));
        Location {
            point_of_care,
            room,
            bed,
            facility,
        }
    }

    #[test]
    fn a_bed_is_ward_and_bed_and_a_room_alone_is_a_bed() {
        let key =
            |parts| Bed::of(&place(parts)).map(|bed| bed.key(&TenantId::new("demo").unwrap()));
        assert_eq!(
            key(["ICU", "", " bed5", ""]),
            key(["icu", "1", "Bed5", "SGM"])
        );
        assert_eq!(key(["ICU", "5", "", ""]), key(["ICU", "", "5", ""]));
        assert_ne!(key(["ICU", "", "5", ""]), key(["CCU", "", "5", ""]));
        assert_eq!(key(["ICU", "", " ", ""]), None);
    }

    #[test]
    fn rooms_and_facilities_tell_beds_apart_only_where_both_name_them() {
        let bed = |parts| Bed::of(&place(parts)).unwrap();
        let monitor = bed(["MED", "", "B", ""]);
        assert!(monitor.may_be(&bed(["MED", "204", "B", "SGM"])));
        assert!(!bed(["MED", "203", "B", ""]).may_be(&bed(["MED", "204", "B", "SGM"])));
        assert!(!bed(["MED", "", "B", "OTHER"]).may_be(&bed(["MED", "204", "B", "SGM"])));
    }
}
