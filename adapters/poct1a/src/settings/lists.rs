//! Which lists a device is given: who may measure with it, and who lies in its ward.

use std::collections::HashSet;
use std::time::Duration;

use adapter_link::{Fault, Faults};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whether a list is given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Give {
    /// Never.
    #[default]
    Never,
    /// To devices whose hello lists the topic.
    Supported,
    /// To every device, whatever its hello lists.
    Always,
}

/// A device that stands elsewhere than the channel's others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DevicePlace {
    /// DEV.serial_id or DEV.device_id of its hello.
    pub device: String,
    /// Its ward, as ADT messages write PV1-3.1; `*`: the whole house.
    pub ward: String,
    /// PV1-3.4. Default: that of the channel.
    #[serde(default)]
    pub facility: Option<String>,
}

/// `[channel.settings.lists]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ListSettings {
    /// The list of operators (OPL), from the `[[operator]]` rows of the mapping files: `never`, `supported` by the device's
    /// hello, or `always`. Never an empty one: it would let nobody measure. Default: `never`.
    pub operators: Give,
    /// The list of patients (PTL), from ADT: who lies in the device's ward. Default: `never`.
    pub patients: Give,
    /// Ward of this channel's devices, as ADT messages write PV1-3.1; `*`: the whole house. Default: none.
    pub ward: Option<String>,
    /// Facility of it (PV1-3.4), where wards of several facilities have one name. Default: any.
    pub facility: Option<String>,
    /// Element of the hello in which a device says its ward, or `facility^ward` (Nova StatStrip: `DEV.device_id`, `DEV.location`).
    /// It counts more than `ward`. Default: none.
    pub place_element: Option<String>,
    /// Devices that stand elsewhere; they count more than the hello.
    pub device: Vec<DevicePlace>,
    /// Changes only (OPL.R02, PTL.R02) where the device lists the topic and is known to have the list before; false: always the
    /// complete list. Default: false.
    pub incremental: bool,
    /// More patients than this are not sent: half a list would lock people out. Default: 500.
    pub most_patients: u32,
    /// Entries of one message; a device's DSC.max_message_sz may make it fewer. Default: 20.
    pub a_message: usize,
    /// How often a device in continuous mode has its lists looked at, in seconds; 0: only in new conversations. Default: 60.
    pub refresh_s: u64,
    /// EOT.topic_cd after the operators; PixCell HemoScreen: `OP_LST`. Default: `OPL`.
    pub operator_topic: String,
    /// EOT.topic_cd after the patients. Default: `PTL`.
    pub patient_topic: String,
    /// Wait for the acknowledgement of our EOT.R01, which some devices give and others do not, in milliseconds. Default: 2000.
    pub end_of_topic_wait_ms: u64,
    /// Element of an operator's level; Quidel Sofia: `ACC.permision_level_cd`. Default: `ACC.permission_level_cd`.
    pub permission_level: String,
    /// Element of ACC that is given the last day of an operator's certification, for devices that know one (Nova:
    /// `ACC.expiration_date`). Default: none; who is no longer certified vanishes with the next list.
    pub operator_until: Option<String>,
}

impl Default for ListSettings {
    fn default() -> Self {
        Self {
            operators: Give::Never,
            patients: Give::Never,
            ward: None,
            facility: None,
            place_element: None,
            device: Vec::new(),
            incremental: false,
            most_patients: 500,
            a_message: 20,
            refresh_s: 60,
            operator_topic: "OPL".to_owned(),
            patient_topic: "PTL".to_owned(),
            end_of_topic_wait_ms: 2_000,
            permission_level: "ACC.permission_level_cd".to_owned(),
            operator_until: None,
        }
    }
}

impl ListSettings {
    /// Everything wrong with these settings. Empty when nothing is.
    #[must_use]
    pub fn validate(&self) -> Vec<Fault> {
        let mut faults = Faults::default();
        let nowhere = self.ward.is_none() && self.place_element.is_none() && self.device.is_empty();
        faults.check(
            "patients",
            self.patients == Give::Never || !nowhere,
            "say whose patients: ward, place_element or [[channel.settings.lists.device]]",
        );
        let blank = |text: &Option<String>| text.as_deref().is_some_and(|t| t.trim().is_empty());
        faults.check("ward", !blank(&self.ward), "is empty: leave it out");
        faults.check("facility", !blank(&self.facility), "is empty: leave it out");
        let mut seen = HashSet::new();
        for place in &self.device {
            faults.check(
                "device",
                !place.device.trim().is_empty() && !place.ward.trim().is_empty(),
                "each needs device and ward",
            );
            faults.check(
                "device",
                seen.insert(place.device.trim()),
                "one device stands here twice",
            );
        }
        faults.check(
            "most_patients",
            (1..=10_000).contains(&self.most_patients),
            "must be between 1 and 10000",
        );
        faults.check(
            "a_message",
            (1..=1_000).contains(&self.a_message),
            "must be between 1 and 1000",
        );
        faults.check(
            "refresh_s",
            self.refresh_s == 0 || (5..=86_400).contains(&self.refresh_s),
            "must be 0 or between 5 and 86400 s",
        );
        faults.check(
            "end_of_topic_wait_ms",
            (1..=60_000).contains(&self.end_of_topic_wait_ms),
            "must be between 1 and 60000 ms",
        );
        for (path, name) in [
            ("operator_topic", &self.operator_topic),
            ("patient_topic", &self.patient_topic),
        ] {
            faults.check(path, is_name(name), "must be the code of a topic, as OPL");
        }
        let of_access = |name: &str| name.strip_prefix("ACC.").is_some_and(is_name);
        faults.check(
            "permission_level",
            of_access(&self.permission_level),
            "must be the name of an element, as ACC.permission_level_cd",
        );
        faults.check(
            "operator_until",
            self.operator_until
                .as_deref()
                .is_none_or(|name| of_access(name) && name != self.permission_level),
            "must be the name of an element of its own, as ACC.expiration_date",
        );
        faults.check(
            "place_element",
            self.place_element
                .as_deref()
                .and_then(|name| name.strip_prefix("DEV."))
                .map_or(self.place_element.is_none(), is_name),
            "must be an element of the hello, as DEV.location",
        );
        faults.into_vec()
    }

    /// How long after the last look the lists of a connected device are looked at again.
    pub(crate) fn refresh(&self) -> Option<Duration> {
        let any = self.operators != Give::Never || self.patients != Give::Never;
        (any && self.refresh_s > 0).then(|| Duration::from_secs(self.refresh_s))
    }

    pub(crate) fn end_of_topic_wait(&self) -> Duration {
        Duration::from_millis(self.end_of_topic_wait_ms)
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> Vec<String> {
        let settings: ListSettings = toml::from_str(text).unwrap();
        settings.validate().into_iter().map(|f| f.path).collect()
    }

    #[test]
    fn a_patient_list_needs_a_place() {
        assert_eq!(faults(""), [""; 0]);
        assert_eq!(faults("operators = \"always\""), [""; 0]);
        assert_eq!(faults("patients = \"supported\""), ["patients"]);
        assert_eq!(faults("patients = \"supported\"\nward = \"ICU\""), [""; 0]);
        assert_eq!(
            faults("patients = \"always\"\nplace_element = \"DEV.location\""),
            [""; 0]
        );
        assert_eq!(
            faults("patients = \"always\"\n[[device]]\ndevice = \"7\"\nward = \"HDU\""),
            [""; 0]
        );
    }

    #[test]
    fn what_no_device_would_understand_is_a_fault() {
        assert_eq!(
            faults(
                "permission_level = \"OPR.level\"\nplace_element = \"location\"\noperator_topic = \"\""
            ),
            ["operator_topic", "permission_level", "place_element"]
        );
        assert_eq!(
            faults("operator_until = \"ACC.permission_level_cd\""),
            ["operator_until"]
        );
        assert_eq!(
            faults("ward = \" \"\nmost_patients = 0\nrefresh_s = 4\na_message = 0"),
            ["ward", "most_patients", "a_message", "refresh_s"]
        );
        assert_eq!(
            faults(
                "[[device]]\ndevice = \"7\"\nward = \"A\"\n[[device]]\ndevice = \"7\"\nward = \"B\""
            ),
            ["device"]
        );
    }
}
